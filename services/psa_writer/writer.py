"""What the writer's work is done with: database, clock, and a way to open the PSA of a connection."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Engine

from plumbing.clock import Clock
from plumbing.setup import OutsideConnection
from services.psa_writer.psa.port import Psa


class OpenPsa(Protocol):
    """One connection's PSA, opened. psa raises PsaFailure for whatever keeps it from being asked."""

    @property
    def psa(self) -> Psa:
        """The PSA itself."""
        ...

    def send_by(self, deadline: datetime | None) -> None:
        """From now on a create may leave until then only; later it is not sent, and PsaFailure says so. None: no limit."""
        ...

    def close(self) -> None:
        """Gives it back when the work is done."""
        ...

    def usage(self) -> tuple[int, int] | None:
        """Calls that all integrations made in the running hour, and how many the PSA allows; None where it tells neither."""
        ...


@dataclass(frozen=True)
class Writer:
    """rest: pauses for so many seconds. All others are seconds: second_look between two readings that decide an unclear
    outcome; lease for which agreements are held while nothing is sent; send_within in which a create must leave once it is
    marked as sent; margin beyond the PSA's longest execution before an unclear outcome is looked at."""

    engine: Engine
    clock: Clock
    open_psa: Callable[[OutsideConnection], OpenPsa]
    rest: Callable[[float], None]
    second_look: float = 5.0
    lease: float = 120.0
    send_within: float = 60.0
    margin: float = 30.0

    def decided_after(self, longest_execution: float) -> timedelta:
        """How long after its mark a create may still take effect."""
        return timedelta(seconds=self.send_within + longest_execution + self.margin)
