"""Our own PostgreSQL: started, found again, killed, restarted; what was committed stays."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from deploy.servers import ServerError
from deploy.servers.postgres import EmbeddedPostgres, GivenPostgres, create_database, find_postgres, server_account
from deploy.servers.process import Detached
from tests.servers import with_path


def _run(server: EmbeddedPostgres, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(server.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_starting_twice_leaves_the_server_that_runs(own_postgres: EmbeddedPostgres) -> None:
    # given
    first = own_postgres.process.pid

    # when
    own_postgres.start()

    # then
    assert own_postgres.process.pid == first


def test_another_process_finds_the_server_by_its_folder(own_postgres: EmbeddedPostgres) -> None:
    # when
    found = EmbeddedPostgres(own_postgres.folder)

    # then
    assert found.is_running()
    assert found.url == own_postgres.url


def test_what_was_committed_survives_a_kill_and_a_restart(own_postgres: EmbeddedPostgres) -> None:
    # given
    _run(own_postgres, "CREATE TABLE kept (units int)")
    _run(own_postgres, "INSERT INTO kept VALUES (12)")
    url = own_postgres.url

    # when
    own_postgres.kill()
    down = own_postgres.is_running()
    own_postgres.start()
    own_postgres.restart()

    # then
    assert not down
    assert own_postgres.url == url
    assert _run(own_postgres, "SELECT units FROM kept") == [(12,)]


def test_a_stop_does_not_wait_for_clients_that_stay(own_postgres: EmbeddedPostgres) -> None:
    # given
    with closing(psycopg2.connect(own_postgres.url)) as client:
        # when
        own_postgres.stop()

        # then: it was neither waited for nor killed
        assert not own_postgres.is_running()
        assert "database system is shut down" in own_postgres.log.read_text()
        with pytest.raises(psycopg2.OperationalError):
            client.cursor().execute("SELECT 1")


@pytest.fixture
def stranger(own_folder: Path) -> Iterator[Detached]:
    """Another program of the account that PostgreSQL runs as."""
    stranger = Detached(own_folder / "stranger.pid")
    stranger.start(["sleep", "600"], own_folder / "stranger.log", os.environ, Path("/"), server_account())
    yield stranger
    stranger.kill()


def test_a_lock_file_that_names_a_stranger_does_not_keep_the_server_down(
    own_postgres: EmbeddedPostgres, stranger: Detached
) -> None:
    # given: the server died, and its process id belongs to the stranger by now
    lock = own_postgres.folder / "data" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    own_postgres.kill()
    lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")

    # when
    own_postgres.start()

    # then
    assert own_postgres.is_running()
    assert stranger.is_running()


def test_a_folder_the_server_cannot_use_is_named_with_the_reason(own_folder: Path) -> None:
    # given
    server = EmbeddedPostgres(own_folder / "postgres")
    (own_folder / "postgres" / "data").mkdir(parents=True)
    (own_folder / "postgres" / "data" / "stranger.txt").write_text("mine")

    # when / then
    with pytest.raises(ServerError, match="data"):
        server.start()
    assert (own_folder / "postgres" / "data" / "stranger.txt").read_text() == "mine"


def test_a_given_server_with_a_wrong_password_is_refused_without_showing_the_password(
    own_postgres: EmbeddedPostgres, own_folder: Path
) -> None:
    # given
    url = own_postgres.url.replace(own_postgres.url.split(":")[2].split("@")[0], "not-the-word")
    server = find_postgres(url, own_folder / "unused")

    # when / then
    with pytest.raises(ServerError, match="password authentication failed") as refusal:
        server.start()
    assert "not-the-word" not in str(refusal.value)


def test_stopping_leaves_a_given_server_alone(own_postgres: EmbeddedPostgres) -> None:
    # given
    given = GivenPostgres(own_postgres.url)
    given.start()

    # when
    given.stop()

    # then
    assert own_postgres.is_running()


def test_no_database_of_that_name_is_a_server_that_does_not_run(own_postgres: EmbeddedPostgres) -> None:
    assert not GivenPostgres(with_path(own_postgres.url, "nowhere")).is_running()


def test_a_database_takes_every_name_even_when_the_server_has_other_habits(own_postgres: EmbeddedPostgres) -> None:
    # given: a server whose template is SQL_ASCII, as a container without a locale makes it
    _run_outside_a_transaction(own_postgres, "ALTER DATABASE template1 IS_TEMPLATE false")
    _run_outside_a_transaction(own_postgres, "DROP DATABASE template1")
    _run_outside_a_transaction(own_postgres, "CREATE DATABASE template1 TEMPLATE template0 ENCODING 'SQL_ASCII'")

    # when
    url = create_database(own_postgres.url, "names")
    create_database(own_postgres.url, "names")

    # then
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT %s", ("東都商事株式会社",))
        assert cursor.fetchone() == ("東都商事株式会社",)


def _run_outside_a_transaction(server: EmbeddedPostgres, statement: str) -> None:
    with closing(psycopg2.connect(server.url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)
