"""Calls to the outside, one by one -> one CallsCounted for each connection and stretch of time in which there were any.

They are counted in the memory of the process and told with the work they were made for, else by its sweep: no call costs a
row of its own, and a connection that was not called costs nothing at all. A process that is killed takes what it has not told
with it, five minutes of calls at most; budgets are kept in the database and lose nothing.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from threading import Lock

from sqlalchemy import Connection, Engine, text

from domain.envelope import NewEvent
from domain.events import CallsCounted, EndpointCalls
from domain.keys import ConnectionId, MspId
from plumbing import event_log
from plumbing.clock import Clock
from plumbing.http import OutsideFailure
from plumbing.logs import correlation_id

TELL_SECONDS = 300.0
#: Stands around one call to the endpoint it is given (a name without ids); what the call raises passes through.
Counting = Callable[[str], AbstractContextManager[None]]
#: Appends what was counted, in the transaction that it is given.
Tell = Callable[[Connection, Clock, str], None]


def uncounted(_endpoint: str) -> AbstractContextManager[None]:
    """Counts nothing."""
    return nullcontext()


@dataclass(frozen=True)
class _Call:
    outcome: str
    milliseconds: int


@dataclass
class _Stretch:
    """What was called since a moment of time.monotonic()."""

    began: float
    calls: dict[str, list[_Call]] = field(default_factory=dict)


class Calls:
    """The calls of one process that have not been told yet. For any thread."""

    def __init__(self) -> None:
        self._stretches: dict[tuple[MspId, ConnectionId], _Stretch] = {}
        self._lock = Lock()

    def through(self, msp_id: MspId, connection_id: ConnectionId) -> Counting:
        """Counts calls through the connection."""
        return lambda endpoint: self._counted((msp_id, connection_id), endpoint)

    def tell(self, engine: Engine, clock: Clock, service: str, after_seconds: float = TELL_SECONDS) -> None:
        """Appends one event for each connection whose first untold call was so long ago."""
        ripe = time.monotonic() - after_seconds
        for key in [key for key, stretch in list(self._stretches.items()) if stretch.began <= ripe]:
            with self.telling(*key) as tell, engine.begin() as connection:
                tell(connection, clock, service)

    @contextmanager
    def telling(self, msp_id: MspId, connection_id: ConnectionId) -> Iterator[Tell]:
        """Around a transaction that tells what was called through the connection, as one event or none. What is not told
        in it, or not committed, stays counted."""
        key = (msp_id, connection_id)
        with self._lock:
            untold = self._stretches.pop(key, None)
        left = untold

        def tell(connection: Connection, clock: Clock, service: str) -> None:
            nonlocal left
            if left is not None:
                _append(connection, *key, left, clock, service)
            left = None

        try:
            yield tell
        except BaseException:
            left = untold
            raise
        finally:
            if left is not None:
                self._take_back(key, left)

    @contextmanager
    def _counted(self, key: tuple[MspId, ConnectionId], endpoint: str) -> Iterator[None]:
        began, outcome = time.monotonic(), "failed"
        try:
            yield
            outcome = "answered"
        except OutsideFailure as failure:
            outcome = failure.kind
            raise
        finally:
            call = _Call(outcome, round((time.monotonic() - began) * 1000))
            with self._lock:
                stretch = self._stretches.setdefault(key, _Stretch(began))
                stretch.calls.setdefault(endpoint, []).append(call)

    def _take_back(self, key: tuple[MspId, ConnectionId], untold: _Stretch) -> None:
        with self._lock:
            since = self._stretches.get(key)
            for endpoint, calls in since.calls.items() if since else ():
                untold.calls.setdefault(endpoint, []).extend(calls)
            self._stretches[key] = untold


def _append(
    connection: Connection, msp_id: MspId, connection_id: ConnectionId, stretch: _Stretch, clock: Clock, service: str
) -> None:
    now, stream = clock.now(), f"calls/{connection_id}"
    seconds = max(1, ceil(time.monotonic() - stretch.began))
    # Replicas tell of the same connection: the lock that the append takes anyway, taken first, lets them number in turn.
    connection.execute(text("SELECT FROM log.heads WHERE msp_id = :msp_id FOR UPDATE"), {"msp_id": msp_id})
    version = connection.scalar(
        text("SELECT coalesce(max(stream_version), 0) + 1 FROM log.events WHERE msp_id = :msp_id AND stream = :stream"),
        {"msp_id": msp_id, "stream": stream},
    )
    counted = CallsCounted(
        connection_id=connection_id,
        since=now - timedelta(seconds=seconds),
        seconds=seconds,
        endpoints=tuple(_endpoint(name, calls) for name, calls in sorted(stretch.calls.items())),
    )
    event_log.append(
        connection,
        msp_id,
        [NewEvent(stream=stream, stream_version=int(version or 1), event=counted, occurred_at=now)],
        recorded_at=now,
        recorded_by=service,
        correlation_id=correlation_id(),
    )


def _endpoint(name: str, calls: Sequence[_Call]) -> EndpointCalls:
    times = sorted(call.milliseconds for call in calls)
    return EndpointCalls(
        endpoint=name,
        calls=len(calls),
        failed=sum(call.outcome != "answered" for call in calls),
        limited=sum(call.outcome == "rate_limited" for call in calls),
        p50_milliseconds=times[ceil(0.50 * len(times)) - 1],
        p95_milliseconds=times[ceil(0.95 * len(times)) - 1],
        slowest_milliseconds=times[-1],
    )
