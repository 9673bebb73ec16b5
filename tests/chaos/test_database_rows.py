"""Rows E4 and E13: a transaction that someone forgot, and a server that takes no more connections."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import Engine, text

from deploy.migrate import migrate
from deploy.servers.postgres import EmbeddedPostgres
from domain.keys import ResourceKey
from tests.chaos.checker import breaches
from tests.house import MspHouse, running_house
from tests.reporting import history as h
from tests.servers import ROLE_PASSWORD, Postgres, with_path
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.rabbitmq]
PARTS = ("relay", "poller", "reporting")


def change(msp: MspHouse, key: ResourceKey, count: int) -> None:
    msp.odin.set_count(key.subscription_id, key.resource_id, count)


def reported(msp: MspHouse, key: ResourceKey) -> int | None:
    """The count in the report."""
    rows = h.rows(msp.house.engine, "resources", msp.msp_id)
    return next((row["count"] for row in rows if row["resource_key"] == str(key)), None)


def test_e4_a_forgotten_transaction_stops_neither_appends_nor_projections(database: str, vhost: str) -> None:
    # given someone who has read the log and written elsewhere, and went to lunch without an end to it
    with running_house(database, vhost, PARTS) as house, closing(psycopg2.connect(database)) as forgotten:
        msp, other = house.add_msp(), house.add_msp()
        resource = msp.add_resource("Contoso", "Exchange Online", 1)
        msp.poll()
        someone = forgotten.cursor()
        someone.execute("SELECT count(*) FROM log.events")
        someone.execute("UPDATE setup.msps SET name = name WHERE msp_id = %s", (other.msp_id,))
        someone.execute("UPDATE log.heads SET position = position WHERE msp_id = %s", (other.msp_id,))

        # when
        for count in range(2, 12):
            change(msp, resource, count)
            msp.poll()

        # then
        wait_for(lambda: reported(msp, resource) == 11, what="the report")
        assert [event["count"] for event in msp.events("ResourceCountChanged")] == [str(n) for n in range(2, 12)]
        assert breaches(msp, consumers=("reporting",)) == []
        forgotten.rollback()


@pytest.fixture
def small_postgres(own_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that takes sixty connections and no more."""
    server = EmbeddedPostgres(own_folder / "postgres", settings={"max_connections": "60", "fsync": "off"})
    server.start()
    yield server
    server.destroy()


def test_e13_with_all_connections_taken_every_process_says_so_lives_on_and_goes_on_after_the_cure(
    small_postgres: EmbeddedPostgres, vhost: str
) -> None:
    # given
    Postgres(small_postgres.url).execute("CREATE DATABASE house")
    url = with_path(small_postgres.url, "house")
    migrate(url, ROLE_PASSWORD)
    with running_house(url, vhost, PARTS) as house, ExitStack() as taken:
        msp = house.add_msp(poll_seconds=2)
        resource = msp.add_resource("Contoso", "Exchange Online", 1)
        msp.poll()
        wait_for(lambda: reported(msp, resource) == 1, what="the report")

        # when
        wait_for(lambda: take_all(house.engine, url, taken), 30, what="all connections to be taken")
        change(msp, resource, 12)

        # then
        wait_for(lambda: all("too many clients" in str(part.health()) for part in house.parts.values()), what="health")

        # when
        taken.close()

        # then
        wait_for(lambda: all(part.health()["ready"] for part in house.parts.values()), 30, what="all to work again")
        wait_for(lambda: reported(msp, resource) == 12, what="the change in the report")
        assert all(part.process.running for part in house.parts.values())
        msp.poll()
        assert [event["count"] for event in msp.events("ResourceCountChanged")] == ["12"]


def take_all(engine: Engine, url: str, taken: ExitStack) -> bool:
    """Ends the connections of every process and takes all that are free; whether none of theirs is left."""
    with engine.connect() as connection:
        theirs = "FROM pg_stat_activity WHERE application_name LIKE 'trueup %'"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) {theirs}"))
        try:
            while True:
                taken.enter_context(closing(psycopg2.connect(url)))
        except psycopg2.OperationalError:
            return connection.scalar(text(f"SELECT count(*) {theirs}")) == 0
