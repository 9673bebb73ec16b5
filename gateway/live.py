"""(bells, a sweep) -> those who watch an MSP are woken when its log grew, and again when a read model has reached that.

One look at an MSP serves all who watch it: its pulse, and which types of event came since the last look. Nobody is kept
waiting in a queue: who is slow finds the newest standing when it comes back, and misses only what was overtaken.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from prometheus_client import Counter, Gauge
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from domain.keys import MspId
from gateway.beating import beat
from gateway.errors import Refusal
from plumbing.clock import Clock
from plumbing.row_security import of_msp
from services.reporting.queries import WATCHED, feeds, newest_of_types

log = logging.getLogger(__name__)
watched_msps = Gauge("trueup_watched_msps", "MSPs that are looked at because somebody listens")
looks = Counter("trueup_live_looks_total", "Looks at an MSP for those who listen")
SWEEP_SECONDS = 5.0
# Looks at one MSP are at least this far apart; while a read model lags they go on without a bell, ever more rarely.
LOOK_SECONDS = 0.1
LOOKERS = 2


@dataclass
class _Watched:
    """One MSP that somebody watches. changed: report -> the newest position known to have changed it and to be folded; aim:
    report -> the position that folding has yet to reach before it is told; fault: why nobody looks any more."""

    msp_id: MspId
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    watchers: set[asyncio.Event] = field(default_factory=set)
    beat: dict[str, Any] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    aim: dict[str, int] = field(default_factory=dict)
    fault: Exception | None = None
    following: asyncio.Task[None] | None = None

    @property
    def positions(self) -> dict[str, int]:
        """Read model -> how far it is folded."""
        return {one["name"].removeprefix("reporting."): one["position"] for one in self.beat["consumers"]}

    def wake(self) -> None:
        """Tells the watchers that something is new."""
        for woken in self.watchers:
            woken.set()


class Live:
    """The watched MSPs of one gateway process. Used from its event loop, but for `rung`."""

    def __init__(self, reader: Engine, clock: Clock) -> None:
        self._reader, self._clock = reader, clock
        self._watched: dict[MspId, _Watched] = {}
        self._looking = anyio.CapacityLimiter(LOOKERS)
        self._loop = asyncio.get_running_loop()

    def rung(self, msp_id: MspId) -> None:
        """A bell rang for the MSP. From any thread; a bell that tells nothing new costs the event loop nothing."""
        watched = self._watched.get(msp_id)
        if watched and not watched.rung.is_set():
            with suppress(RuntimeError):  # the loop has ended: nobody watches any more
                self._loop.call_soon_threadsafe(watched.rung.set)

    async def pulses(self, msp_id: MspId) -> AsyncGenerator[dict[str, Any]]:
        """The MSP's pulse at once, and again whenever it is another. Refusal."""
        told = None
        async with aclosing(self._news(msp_id)) as news:
            async for watched in news:
                if watched.beat != told:
                    told = watched.beat
                    yield told

    async def changes(self, msp_id: MspId, report: str) -> AsyncGenerator[int]:
        """The position at which the report stands, at once, and again whenever events that change it are folded. Refusal."""
        told = None
        async with aclosing(self._news(msp_id)) as news:
            async for watched in news:
                if told is None:
                    told = _folded(report, watched.positions)
                    yield told
                elif watched.changed.get(report, 0) > told:
                    told = watched.changed[report]
                    yield told

    async def _news(self, msp_id: MspId) -> AsyncGenerator[_Watched]:
        """The watched MSP once it was looked at, and again whenever something is new. What ends the looking is raised."""
        watched = self._watched.get(msp_id) or self._begin(msp_id)
        woken = asyncio.Event()
        watched.watchers.add(woken)
        if watched.beat:
            woken.set()
        try:
            while True:
                await woken.wait()
                woken.clear()
                if watched.fault:
                    raise watched.fault
                yield watched
        finally:
            watched.watchers.discard(woken)
            if not watched.watchers:
                watched.rung.set()

    def _begin(self, msp_id: MspId) -> _Watched:
        watched = self._watched[msp_id] = _Watched(msp_id)
        watched.following = asyncio.create_task(self._follow(watched))
        watched_msps.set(len(self._watched))
        return watched

    async def _follow(self, watched: _Watched) -> None:
        """Looks as long as somebody watches. It is never cut short in a look: there is one at a time for an MSP, however
        fast its watchers come and go."""
        try:
            await self._look(watched)
            watched.wake()
            await self._look_again(watched)
        except Exception as fault:  # noqa: BLE001 each watcher is told, whatever it was
            watched.fault = fault
        finally:
            del self._watched[watched.msp_id]
            watched_msps.set(len(self._watched))
            watched.wake()

    async def _look_again(self, watched: _Watched) -> None:
        """At every bell, while a read model lags, and at every sweep."""
        pause = LOOK_SECONDS
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await watched.rung.wait()
                    pause = LOOK_SECONDS
            watched.rung.clear()
            if not watched.watchers:
                return
            before = watched.beat
            try:
                await self._look(watched)
            except SQLAlchemyError as fault:
                log.warning("live updates cannot look", extra={"msp_id": watched.msp_id, "reason": str(fault)})
                pause = SWEEP_SECONDS
                continue
            if watched.beat != before:
                pause = LOOK_SECONDS
                watched.wake()
            lags = any(one["lag"] > 0 for one in watched.beat["consumers"])
            pause = min(2 * pause, SWEEP_SECONDS) if lags else SWEEP_SECONDS

    async def _look(self, watched: _Watched) -> None:
        looks.inc()
        first = not watched.beat
        seen = None if first else watched.beat["head"]
        watched.beat, newest = await anyio.to_thread.run_sync(self._read, watched.msp_id, seen, limiter=self._looking)
        watched.newest |= newest
        if not first:
            _tell_changes(watched)

    def _read(self, msp_id: MspId, seen: int | None) -> tuple[dict[str, Any], dict[str, int]]:
        """The pulse, and type -> its newest position after what was seen."""
        with of_msp(self._reader, msp_id).connect() as connection:
            found = beat(connection, msp_id, self._clock.now())
            if found is None:
                said = f"There is no MSP {msp_id!r}."
                raise Refusal("NO_SUCH_MSP", said, "Add it with `trueup msp add`.")
            if seen is None:
                # What is not folded yet will change reports after whoever asks now has read them.
                seen = min((one["position"] for one in found["consumers"]), default=0)
            if found["head"] <= seen:
                return found, {}
            return found, newest_of_types(connection, msp_id, seen, found["head"])


def _tell_changes(watched: _Watched) -> None:
    positions = watched.positions
    for report in WATCHED:
        types = frozenset[str]().union(*feeds(report).values())
        newest = max((watched.newest.get(one, 0) for one in types), default=0)
        folded = _folded(report, positions)
        # While events come faster than they are folded, the newest is always ahead: the aim stays until it is reached.
        aim = newest if newest <= folded else watched.aim.setdefault(report, newest)
        if watched.changed.get(report, 0) < aim <= folded:
            watched.changed[report] = aim
            watched.aim.pop(report, None)


def _folded(report: str, positions: dict[str, int]) -> int:
    """How far the report's rows are folded: as far as the read model that is furthest behind."""
    return min((positions.get(model, 0) for model in feeds(report)), default=0)
