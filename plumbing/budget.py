"""(a name, its limits) -> leave to make one outside call now, shared by all replicas through PostgreSQL.

Each limit counts calls in slices of a twentieth of its window and takes every slice that the window still touches for
full: so no window, wherever it begins, ever holds more calls than the limit, for one small row a limit and at most a
twentieth of the calls left unused. Slots bound how many calls run at once.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, text

from plumbing import metrics
from plumbing.clock import Clock

SLICES = 20


@dataclass(frozen=True)
class Window:
    """At most so many calls in any so many seconds."""

    limit: int
    seconds: int


@dataclass(frozen=True)
class Used:
    """The calls that a window holds now. until: when the last of them leaves it; None: there are none."""

    window: Window
    calls: int
    until: datetime | None


class BudgetSpent(Exception):
    """No call is left for now; the next may be made at the given moment (UTC)."""

    def __init__(self, name: str, until: datetime, reason: str) -> None:
        super().__init__(f"{name}: {reason}; the next call may be made at {until.isoformat(timespec='seconds')}")
        self.name, self.until, self.reason = name, until, reason


class Budget:
    """The call budget of one key to one outside API. name begins with the MSP: "<msp>/<connection>"."""

    def __init__(self, engine: Engine, name: str, windows: Sequence[Window], clock: Clock, slots: int = 0) -> None:
        self._engine, self._name, self._windows, self._clock, self._slots = engine, name, windows, clock, slots

    def take(self, calls: int = 1) -> None:
        """Takes leave for so many calls at once, or BudgetSpent and none is taken."""
        with self._engine.begin() as connection:
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 7426))"), {"name": self._name}
            )
            now = self._clock.now()
            self._refuse_while_paused(connection, now)
            for window in self._windows:
                self._take(connection, window, calls, now)

    def wait_and_take(self, longest: float) -> None:
        """As take(), after waiting for leave up to so many seconds; BudgetSpent when that would not be enough."""
        deadline = time.monotonic() + longest
        while True:
            try:
                self.take()
                return
            except BudgetSpent as spent:
                seconds = (spent.until - self._clock.now()).total_seconds()
                if time.monotonic() + seconds > deadline:
                    metrics.budget_waits.labels(self._name).inc()
                    raise
                time.sleep(max(0.05, seconds))

    def left(self) -> dict[int, int]:
        """Calls left in each window: {seconds: calls}."""
        return {used.window.seconds: max(0, used.window.limit - used.calls) for used in self.used()}

    def used(self) -> list[Used]:
        """How each window stands."""
        now = self._clock.now()
        with self._engine.begin() as connection:
            return [self._used(connection, window, now) for window in self._windows]

    def paused(self) -> tuple[datetime, str] | None:
        """Until when all calls are stopped, and why; None: they are not."""
        with self._engine.begin() as connection:
            return self._pause(connection, self._clock.now())

    def pause(self, seconds: float, reason: str) -> None:
        """Stops all calls of all replicas for so long, as the other side asked; never shortens a longer pause."""
        until = self._clock.now() + timedelta(seconds=seconds)
        with self._engine.begin() as connection:
            connection.execute(
                text(
                    """INSERT INTO budget.pauses AS p (name, until, reason) VALUES (:name, :until, :reason)
                       ON CONFLICT (name) DO UPDATE SET until = excluded.until, reason = excluded.reason
                       WHERE p.until < excluded.until"""
                ),
                {"name": self._name, "until": until, "reason": reason},
            )

    @contextmanager
    def slot(self, of: str, longest_wait: float, longest_hold: float) -> Iterator[None]:
        """One of the places for calls that run at once (of: what they are counted by, such as the entity). A holder that
        died gives its place back after longest_hold seconds. BudgetSpent when none came free in time."""
        name, holder = f"{self._name}/{of}", uuid4()
        deadline = time.monotonic() + longest_wait
        while not self._take_slot(name, holder, longest_hold):
            if time.monotonic() > deadline:
                raise BudgetSpent(name, self._clock.now() + timedelta(seconds=1), f"{self._slots} calls run already")
            time.sleep(0.05)
        try:
            yield
        finally:
            with self._engine.begin() as connection:
                connection.execute(text("DELETE FROM budget.slots WHERE holder = :holder"), {"holder": holder})

    def _refuse_while_paused(self, connection: Connection, now: datetime) -> None:
        pause = self._pause(connection, now)
        if pause:
            raise BudgetSpent(self._name, *pause)

    def _pause(self, connection: Connection, now: datetime) -> tuple[datetime, str] | None:
        row = connection.execute(
            text("SELECT until, reason FROM budget.pauses WHERE name = :name AND until > :now"),
            {"name": self._name, "now": now},
        ).first()
        return (row.until, row.reason) if row else None

    def _used(self, connection: Connection, window: Window, now: datetime) -> Used:
        newest, counts = self._counts(connection, window, now)
        calls = sum(counts)
        return Used(window, calls, _when_fallen_out(window, newest, counts, calls) if calls else None)

    def _take(self, connection: Connection, window: Window, calls: int, now: datetime) -> None:
        newest, counts = self._counts(connection, window, now)
        over = sum(counts) + calls - window.limit
        if over > 0:
            until = _when_fallen_out(window, newest, counts, over)
            raise BudgetSpent(self._name, until, f"{window.limit} calls in {window.seconds} s are used up")
        connection.execute(
            text(
                """INSERT INTO budget.windows (name, seconds, newest, counts) VALUES (:name, :seconds, :newest, :counts)
                   ON CONFLICT (name, seconds) DO UPDATE SET newest = excluded.newest, counts = excluded.counts"""
            ),
            {
                "name": self._name,
                "seconds": window.seconds,
                "newest": newest,
                "counts": [counts[0] + calls, *counts[1:]],
            },
        )

    def _counts(self, connection: Connection, window: Window, now: datetime) -> tuple[int, list[int]]:
        """The number of the running slice, and the calls in it and in the twenty before it, newest first."""
        row = connection.execute(
            text("SELECT newest, counts FROM budget.windows WHERE name = :name AND seconds = :seconds"),
            {"name": self._name, "seconds": window.seconds},
        ).first()
        return _slices(window, (row.newest, row.counts) if row else None, now)

    def _take_slot(self, name: str, holder: UUID, longest_hold: float) -> bool:
        now = self._clock.now()
        with self._engine.begin() as connection:
            taken = connection.execute(
                text(
                    """INSERT INTO budget.slots AS s (name, slot, holder, until)
                       SELECT :name, free.slot, :holder, :until FROM generate_series(1, :slots) AS free (slot)
                       WHERE NOT EXISTS (SELECT FROM budget.slots o
                                         WHERE o.name = :name AND o.slot = free.slot AND o.until > :now)
                       ORDER BY free.slot LIMIT 1
                       ON CONFLICT (name, slot) DO UPDATE SET holder = excluded.holder, until = excluded.until
                       WHERE s.until <= :now"""
                ),
                {
                    "name": name,
                    "slots": self._slots,
                    "holder": holder,
                    "now": now,
                    "until": now + timedelta(seconds=longest_hold),
                },
            )
            return taken.rowcount > 0


def calls_left(connection: Connection, windows: Mapping[str, Window], now: datetime) -> dict[str, int]:
    """Calls left in one window of each budget, by the budget's name, in one statement."""
    rows = connection.execute(
        text(
            """SELECT name, newest, counts FROM budget.windows
               JOIN unnest(CAST(:names AS text[]), CAST(:seconds AS int[])) AS asked (name, seconds) USING (name, seconds)"""
        ),
        {"names": list(windows), "seconds": [window.seconds for window in windows.values()]},
    )
    kept = {row.name: (row.newest, row.counts) for row in rows}
    return {
        name: max(0, window.limit - sum(_slices(window, kept.get(name), now)[1])) for name, window in windows.items()
    }


def _slices(window: Window, kept: tuple[int, Sequence[int]] | None, now: datetime) -> tuple[int, list[int]]:
    """The number of the running slice, and the calls in it and in the twenty before it, newest first, of what was kept."""
    running = int(now.timestamp() * SLICES // window.seconds)
    if kept is None:
        return running, [0] * (SLICES + 1)
    newest, counts = kept
    if running < newest:
        # The clock was set back: what was counted stays counted until the clock is there again.
        return newest, list(counts)
    return running, ([0] * min(running - newest, SLICES + 1) + list(counts))[: SLICES + 1]


def _when_fallen_out(window: Window, newest: int, counts: Sequence[int], over: int) -> datetime:
    """When so many calls have left the window: the oldest slices go first."""
    for age in range(SLICES, -1, -1):
        over -= counts[age]
        if over <= 0:
            break
    return datetime.fromtimestamp((newest - age + SLICES + 1) * window.seconds / SLICES, UTC)
