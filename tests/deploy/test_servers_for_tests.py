"""The tests' own servers: every test gets a fresh database and a fresh vhost; all workers share the servers."""

from contextlib import closing

import kombu
import psycopg2
import pytest

from tests.servers import Rabbitmq, role_url


def _one(url: str, query: str) -> object:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


@pytest.mark.parametrize("turn", ["first", "second"])
def test_an_empty_database_holds_nothing_of_an_earlier_test(empty_database: str, turn: str) -> None:
    # given
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"

    # when
    before = _one(empty_database, tables)
    with closing(psycopg2.connect(empty_database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE left_behind ()")

    # then
    assert before == 0
    assert _one(empty_database, tables) == 1


def test_a_database_has_all_tables_and_lets_the_services_in(database: str) -> None:
    # given
    as_poller = role_url(database, "trueup_poller")

    # when
    who = _one(as_poller, "SELECT current_user")

    # then
    assert who == "trueup_poller"
    assert _one(database, "SELECT to_regclass('log.events') IS NOT NULL")


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_vhost_holds_nothing_of_an_earlier_test(vhost: str, rabbitmq: Rabbitmq, turn: str) -> None:
    # given
    with kombu.Connection(vhost) as connection:
        # when
        declared = kombu.Queue("left_behind", durable=True).bind(connection.default_channel).queue_declare()

    # then
    assert declared.message_count == 0
    queues = rabbitmq.api("GET", f"queues/{vhost.rpartition('/')[2]}").json()
    assert [queue["name"] for queue in queues] == ["left_behind"]
