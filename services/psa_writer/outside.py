"""A PSA connection as people set it up -> the PSA, opened: signed in, held to its share of calls, three at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from plumbing.budget import Budget, Window
from plumbing.calls import Calls
from plumbing.clock import Clock
from plumbing.http import Limits
from plumbing.secrets import NotForUs
from plumbing.settings import OutsideSettings, hosts_of
from plumbing.setup import UNSAVED, OutsideConnection
from plumbing.way_out import WayOut
from services.psa_writer.psa.autotask_door import FIRST_ADDRESS, AutotaskAccount
from services.psa_writer.psa.autotask_soap import AutotaskSoap
from services.psa_writer.psa.port import Psa, PsaFailure
from services.psa_writer.writer import OpenPsa

#: Autotask works on three calls of one integration and entity at a time ("API thread limiting" in its help).
_AT_ONCE = 3
# A person waits for a test: each of its calls may take so long, and none is begun after TEST_SECONDS.
_TEST_LIMITS = Limits(connect=5, read=15, total=15)
TEST_SECONDS = 50.0
_LONGEST_WAIT = 20.0
_RESAVE_FIX = "Save the connection again with its user, password and tracking identifier."
_LATE_FIX = "Nothing to do: nothing was sent, and Trueup tries again by itself."


def opener(
    engine: Engine, clock: Clock, settings: OutsideSettings, calls: Calls
) -> Callable[[OutsideConnection], OpenPsa]:
    """Opens connections, and opens again what was given back: what a client has learned is worth calls. One whose secrets or
    settings are not usable is opened too, and fails whatever is asked of it."""
    idle: dict[tuple[str, str, int], list[_Opened]] = {}

    def open_psa(outside: OutsideConnection) -> OpenPsa:
        key = (outside.msp_id, outside.connection_id, outside.version)
        waiting = idle.setdefault(key, [])
        try:
            opened = waiting.pop() if waiting else _open(engine, clock, settings, calls, outside)
        except (NotForUs, KeyError, ValueError) as fault:
            return _Shut(fault)
        # What was tried before it was saved must not serve the next who tries: it has another password, perhaps.
        opened.give_back = _Opened.end if outside.version == UNSAVED else waiting.append
        return opened

    return open_psa


class _Opened:
    """One client, for one greenthread at a time."""

    def __init__(self, psa: AutotaskSoap, gate: "_Gate") -> None:
        self._psa, self._gate = psa, gate
        self.give_back: Callable[[_Opened], None] = lambda _opened: None

    @property
    def psa(self) -> Psa:
        """The client."""
        return self._psa

    def send_by(self, deadline: datetime | None) -> None:
        """See OpenPsa."""
        self._gate.deadline = deadline

    def usage(self) -> tuple[int, int] | None:
        """See OpenPsa."""
        usage = self._psa.threshold()
        return usage.used, usage.limit

    def end(self) -> None:
        """Closes the client's own connections."""
        self._psa.close()

    def close(self) -> None:
        """See OpenPsa."""
        self.give_back(self)


class _Shut:
    """A PSA that cannot be opened."""

    def __init__(self, fault: Exception) -> None:
        message = f"The connection cannot be used as it is set up: {fault}"
        self._failure = PsaFailure("unauthorised", message, _RESAVE_FIX)

    @property
    def psa(self) -> Psa:
        """Nothing: raises the failure."""
        raise self._failure

    def send_by(self, deadline: datetime | None) -> None:
        """Nothing is sent."""

    def usage(self) -> tuple[int, int] | None:
        """Not told."""
        return None

    def close(self) -> None:
        """Nothing was opened."""


@dataclass
class _Gate:
    """Stands around every counted call: a place among those at once, leave from the hour's budget, and not too late."""

    budget: Budget
    clock: Clock
    longest_call: float
    deadline: datetime | None = field(default=None)

    @contextmanager
    def __call__(self, entity: str) -> Iterator[None]:
        with self.budget.slot(entity, self._patience(), self.longest_call):
            self.budget.wait_and_take(self._patience())
            if self.deadline is not None and self.clock.now() > self.deadline:
                raise PsaFailure("unreachable", "It took too long to come to the PSA; nothing was sent.", _LATE_FIX)
            yield

    def _patience(self) -> float:
        """Seconds that a call may wait for its turn."""
        if self.deadline is None:
            return _LONGEST_WAIT
        return min(_LONGEST_WAIT, max(0.0, (self.deadline - self.clock.now()).total_seconds()))


def _open(engine: Engine, clock: Clock, settings: OutsideSettings, calls: Calls, outside: OutsideConnection) -> _Opened:
    given: dict[str, Any] = outside.settings
    total = float(settings.http_total_seconds)
    account = AutotaskAccount(
        user=str(given["user"]),
        password=outside.secret(settings.private_key, "password"),
        tracking_identifier=outside.secret(settings.private_key, "tracking_identifier"),
        currency=str(given.get("currency", "USD")),
        address=str(given.get("address", FIRST_ADDRESS)),
    )
    name = f"{outside.msp_id}/{outside.connection_id}"
    window = Window(int(given.get("calls_per_hour", 2500)), 3600)
    gate = _Gate(Budget(engine, name, [window], clock, slots=_AT_ONCE), clock, total + _LONGEST_WAIT)
    limits = Limits(float(settings.http_connect_seconds), float(settings.http_read_seconds), total)
    if outside.version == UNSAVED:
        limits = _TEST_LIMITS
    longest = float(given.get("longest_execution_seconds", 300))
    counting = calls.through(outside.msp_id, outside.connection_id)
    way = WayOut(settings.private_addresses, hosts=hosts_of(settings.autotask_hosts))
    return _Opened(AutotaskSoap(account, gate, clock, limits, longest, counting, way=way), gate)
