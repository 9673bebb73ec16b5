"""Databases <-> one SQLite file, written with every transaction, so that a restarted sandbox knows all that it had answered."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from deploy.sandbox.autotask.database import Database
from deploy.sandbox.autotask.records import FIRST_IDS
from deploy.sandbox.clock import SandboxClock

_KINDS = {kind.__name__: kind for kind in FIRST_IDS}
_TABLES = """
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), offset_seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS heads (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    name TEXT NOT NULL, kind TEXT NOT NULL, id INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (name, kind, id)
) WITHOUT ROWID;
"""


@dataclass
class _Head:
    """What a database is beside its records."""

    user: str
    password: str
    tracking_identifier: str
    zone: int
    password_expired: bool
    rights_cut: bool
    bad_logins_so_far: int
    switches: dict[str, Any]
    next_ids: dict[str, int]


class StateFile:
    """The file. One process at a time writes it; the caller sees to it that one thread does."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        """Leave the file whole."""
        self._connection.close()

    def read_clock(self) -> timedelta:
        """How far ahead of real time the clock was set."""
        row = self._connection.execute("SELECT offset_seconds FROM clock").fetchone()
        return timedelta(seconds=row[0] if row else 0)

    def save_clock(self, clock: SandboxClock) -> None:
        """Keep how far ahead of real time the clock is."""
        self._connection.execute("REPLACE INTO clock VALUES (1, ?)", (clock.offset.total_seconds(),))

    def databases(self, clock: SandboxClock) -> Iterator[Database]:
        """The databases that the file holds, in the order in which they were added."""
        heads = self._connection.execute("SELECT name, body FROM heads ORDER BY rowid").fetchall()
        for name, body in heads:
            head = msgspec.json.decode(body, type=_Head)
            database = Database(
                name, head.user, head.password, head.tracking_identifier, clock, head.zone, head.password_expired
            )
            database.switches.set(**head.switches)
            database.engine.rights_cut = head.rights_cut
            database.limits.bad_logins_so_far = head.bad_logins_so_far
            self._read_records(database)
            database.books.next_ids |= {_KINDS[kind]: next_id for kind, next_id in head.next_ids.items()}
            yield database

    def save(self, database: Database, changed: Iterable[tuple[type, int]] = ()) -> None:
        """Keep the head of the database and its changed records; on the disk when this returns, but for a crash of the machine."""
        with closing(self._connection.cursor()) as cursor:
            cursor.execute("BEGIN")
            cursor.execute(
                "INSERT INTO heads (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body",
                (database.name, msgspec.json.encode(_head(database))),
            )
            for kind, record_id in changed:
                key, record = (database.name, kind.__name__, record_id), database.books.get(kind, record_id)
                if record is None:
                    cursor.execute("DELETE FROM records WHERE name = ? AND kind = ? AND id = ?", key)
                else:
                    cursor.execute("REPLACE INTO records VALUES (?, ?, ?, ?)", (*key, msgspec.json.encode(record)))
            cursor.execute("COMMIT")

    def _read_records(self, database: Database) -> None:
        rows = self._connection.execute("SELECT kind, body FROM records WHERE name = ?", (database.name,))
        with database.books.transaction():
            for kind, body in rows:
                database.books.put(msgspec.json.decode(body, type=_KINDS[kind]))


def _head(database: Database) -> _Head:
    return _Head(
        user=database.user,
        password=database.password,
        tracking_identifier=database.tracking_identifier,
        zone=database.zone,
        password_expired=database.password_expired,
        rights_cut=database.engine.rights_cut,
        bad_logins_so_far=database.limits.bad_logins_so_far,
        switches=asdict(database.switches),
        next_ids={kind.__name__: next_id for kind, next_id in database.books.next_ids.items()},
    )
