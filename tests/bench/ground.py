"""Nothing -> servers of the run's own to measure on: a durable PostgreSQL and a RabbitMQ node, started when first asked for.

The tests' PostgreSQL does not wait for the disk; this one does (fsync and synchronous_commit on), as a house in earnest.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import psycopg2
import requests
from psycopg2 import sql

from deploy.migrate import migrate
from deploy.servers.postgres import EmbeddedPostgres, GivenPostgres, PostgresServer
from deploy.servers.rabbitmq import RabbitmqServer, find_rabbitmq
from plumbing import topology

DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",
}

# The services' roles sign in with this word.
ROLE_PASSWORD = "role-of-the-bench"


class Ground:
    """The servers of one run; databases and vhosts on them, each for one measurement. given: the URL of a PostgreSQL that is
    used as it is ("": our own)."""

    def __init__(self, postgres_url: str = "", *, autovacuum: bool = False) -> None:
        self.given, self._settings = postgres_url, DURABLE | ({"autovacuum": "on"} if autovacuum else {})
        self.folder = Path(tempfile.mkdtemp(prefix="trueup-bench-"))
        self.folder.chmod(0o711)

    @cached_property
    def postgres(self) -> PostgresServer:
        """A running PostgreSQL: our own unless a URL was given."""
        server: PostgresServer = (
            GivenPostgres(self.given)
            if self.given
            else EmbeddedPostgres(self.folder / "postgres", settings=self._settings)
        )
        server.start()
        return server

    @cached_property
    def rabbitmq(self) -> RabbitmqServer:
        """A running RabbitMQ node of our own, with its management interface."""
        server = find_rabbitmq(None, self.folder / "rabbitmq")
        server.start()
        return server

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a fresh database with all tables, everything before it written to disk; gone afterwards."""
        name = f"bench_{uuid4().hex[:12]}"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, self._template)
        self._execute("CHECKPOINT")
        yield _with_path(self.postgres.url, name)
        self._execute("DROP DATABASE {} WITH (FORCE)", name)

    @contextmanager
    def copy(self, source: str) -> Iterator[str]:
        """The URL of a copy of a database in which nobody is signed in; gone afterwards."""
        name = f"bench_{uuid4().hex[:12]}"
        self._execute("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, urlsplit(source).path[1:])
        yield _with_path(self.postgres.url, name)
        self._execute("DROP DATABASE {} WITH (FORCE)", name)

    @contextmanager
    def vhost(self) -> Iterator[str]:
        """The amqp URL of a fresh vhost in which the queues of the house are declared; gone afterwards."""
        name = f"bench_{uuid4().hex[:12]}"
        user = urlsplit(self.rabbitmq.url).username or "guest"
        self._manage("PUT", f"vhosts/{name}")
        self._manage("PUT", f"permissions/{name}/{user}", configure=".*", write=".*", read=".*")
        url = _with_path(self.rabbitmq.url, quote(name, safe=""))
        topology.declare(url, [topology.work_queue(queue) for queue in topology.WORK_QUEUES], [10])
        yield url
        self._manage("DELETE", f"vhosts/{name}")

    def durability(self) -> str:
        """What PostgreSQL promises about a commit, in its own settings, read back from the server."""
        with closing(psycopg2.connect(self.postgres.url)) as connection, connection.cursor() as cursor:
            cursor.execute(
                """SELECT string_agg(name || '=' || setting || coalesce(unit, ''), ' ' ORDER BY name) FROM pg_settings
                   WHERE name = ANY(%s)""",
                [[*DURABLE, "server_version"]],
            )
            return str(cursor.fetchone()[0])

    @cached_property
    def _template(self) -> str:
        name = f"bench_template_{uuid4().hex[:12]}"
        self._execute("CREATE DATABASE {}", name)
        migrate(_with_path(self.postgres.url, name), ROLE_PASSWORD)
        return name

    def _execute(self, statement: str, *names: str) -> None:
        with closing(psycopg2.connect(self.postgres.url)) as connection:
            connection.autocommit = True
            connection.cursor().execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _manage(self, method: str, path: str, **body: str) -> None:
        url = f"{self.rabbitmq.management_url}/api/{path}"
        requests.request(method, url, json=body or None, timeout=60).raise_for_status()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "rabbitmq" in vars(self):
            self.rabbitmq.destroy()
        if "_template" in vars(self):
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", self._template)
        if "postgres" in vars(self) and not self.given:
            self.postgres.destroy()
        shutil.rmtree(self.folder, ignore_errors=True)


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))
