"""Several MSPs' databases on one server, each with its own user, password and tracking identifier."""

import threading
from pathlib import Path

from deploy.sandbox.autotask.database import Database
from deploy.sandbox.autotask.state import StateFile
from deploy.sandbox.clock import SandboxClock


class Installation:
    """All databases of a sandbox, kept in a state file if there is one. `lock` is held by whoever reads or changes one."""

    def __init__(self, clock: SandboxClock, state: Path | None = None) -> None:
        """A state file that knows a clock sets this one."""
        self.clock = clock
        self.lock = threading.RLock()
        self.databases: dict[str, Database] = {}
        self._state = StateFile(state) if state else None
        self._requests = 0
        if self._state and (offset := self._state.read_clock()):
            clock.advance(offset - clock.offset)
        for database in self._state.databases(clock) if self._state else ():
            self._take(database)

    def add(self, name: str, user: str, password: str, tracking_identifier: str) -> Database:
        """A new, empty database. A name or user that is taken raises ValueError."""
        with self.lock:
            if name in self.databases or self.of_user(user):
                raise ValueError(f"there is a database {name!r} or a user {user!r} already: choose other names")
            database = Database(name, user, password, tracking_identifier, self.clock)
            self._take(database)
            database.begin()
        return database

    def of_user(self, user: str) -> Database | None:
        """The database of this API user; user names are compared without case."""
        return next((each for each in self.databases.values() if each.user.lower() == user.lower()), None)

    def new_request_id(self) -> int:
        """The number of the next request, over all databases."""
        self._requests += 1
        return self._requests

    def save(self) -> None:
        """Keep what is not a record: zones, passwords, rights, switches, the clock."""
        if self._state:
            self._state.save_clock(self.clock)
            for database in self.databases.values():
                self._state.save(database)

    def close(self) -> None:
        """Let the state file go."""
        if self._state:
            self.save()
            self._state.close()

    def _take(self, database: Database) -> None:
        self.databases[database.name] = database
        state = self._state
        if state:
            database.books.on_commit = lambda changed: state.save(database, changed)
