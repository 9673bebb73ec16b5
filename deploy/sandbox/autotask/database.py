"""One MSP's Autotask database: who may log in, its records and engine, its switches, limits and faults."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from deploy.sandbox.autotask.books import Books
from deploy.sandbox.autotask.calls import Calls
from deploy.sandbox.autotask.engine import Engine
from deploy.sandbox.autotask.faults import Faults
from deploy.sandbox.autotask.limits import Limits
from deploy.sandbox.autotask.records import FIRST_IDS, Account, Adjustment
from deploy.sandbox.autotask.switches import Switches
from deploy.sandbox.clock import SandboxClock

ZONES = (1, 2)


@dataclass
class Database:
    """A database lives in one zone; its API user signs in there and nowhere else."""

    name: str
    user: str
    password: str
    tracking_identifier: str
    clock: SandboxClock
    zone: int = 1
    password_expired: bool = False
    switches: Switches = field(default_factory=Switches)
    faults: Faults = field(default_factory=Faults)
    books: Books = field(default_factory=Books)
    calls: Calls = field(default_factory=Calls)

    def __post_init__(self) -> None:
        self.limits = Limits(self.now)
        self.engine = Engine(self.books, self.switches, self.now)

    def now(self) -> datetime:
        """The sandbox's time."""
        return self.clock.now()

    def begin(self) -> None:
        """Let the MSP itself stand in its new database, as account 0."""
        self.engine.add_account(Account(0, self.name))

    def change_zone(self) -> None:
        """Move to the other zone."""
        self.zone = next(zone for zone in ZONES if zone != self.zone)

    def backup(self) -> dict[type, list[Any]]:
        """All records as they are now."""
        return {kind: self.books.all(kind) for kind in FIRST_IDS}

    def restore(self, backup: dict[type, list[Any]]) -> None:
        """Put the records of the backup back. The ledger keeps what was applied since, as undone."""
        with self.books.transaction():
            for kind, kept in backup.items():
                old = {record.id for record in kept}
                now: list[Any] = self.books.all(kind)
                for record in (each for each in now if each.id not in old):
                    if isinstance(record, Adjustment):
                        self.books.put(replace(record, undone="an older backup was restored"))
                    else:
                        self.books.drop(record)
                for record in kept:
                    if self.books.get(kind, record.id) != record:
                        self.books.put(record)
