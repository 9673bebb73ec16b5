"""(bells, a sweep) -> those who watch an MSP are woken when its log grew, and again when a read model has reached that.

One look at an MSP serves all who watch it: its pulse, and which types of event came since the last look. Nobody is kept
waiting in a queue: who is slow finds the newest standing when it comes back, and misses only what was overtaken.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from domain.keys import MspId
from gateway.errors import Refusal
from services.reporting.queries import WATCHED, feeds, newest_of_types, pulse

log = logging.getLogger(__name__)
SWEEP_SECONDS = 5.0
# Looks at one MSP are at least this far apart; while a read model lags they go on without a bell, ever more rarely.
LOOK_SECONDS = 0.1
LOOKERS = 2


@dataclass
class _Watched:
    """One MSP that somebody watches. changed: report -> the newest position that has changed it and is folded."""

    msp_id: MspId
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    watchers: set[asyncio.Event] = field(default_factory=set)
    beat: dict[str, Any] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    seen: int = 0
    changed: dict[str, int] = field(default_factory=dict)

    def positions(self) -> dict[str, int]:
        """Read model -> how far it is folded."""
        return {one["name"].removeprefix("reporting."): one["position"] for one in self.beat["consumers"]}


class Live:
    """The watched MSPs of one gateway process. Used from its event loop, but for `rung`."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader
        self._watched: dict[MspId, _Watched] = {}
        self._tasks: dict[MspId, asyncio.Task[None]] = {}
        self._looking = anyio.CapacityLimiter(LOOKERS)
        self._loop = asyncio.get_running_loop()

    def rung(self, msp_id: MspId) -> None:
        """A bell rang for the MSP. From any thread."""
        with suppress(RuntimeError):  # the loop has ended: nobody watches any more
            self._loop.call_soon_threadsafe(self._ring, msp_id)

    async def pulses(self, msp_id: MspId) -> AsyncGenerator[dict[str, Any]]:
        """The MSP's pulse at once, and again whenever it is another. Refusal."""
        with self._watching(msp_id) as (watched, woken):
            await self._first_look(watched)
            told = None
            while True:
                if watched.beat != told:
                    told = watched.beat
                    yield told
                await woken.wait()
                woken.clear()

    async def changes(self, msp_id: MspId, report: str) -> AsyncGenerator[int]:
        """The position at which the report stands, at once, and again whenever events that change it are folded. Refusal."""
        with self._watching(msp_id) as (watched, woken):
            await self._first_look(watched)
            told = _folded(report, watched.positions())
            yield told
            while True:
                await woken.wait()
                woken.clear()
                newest = watched.changed.get(report, 0)
                if newest > told:
                    told = newest
                    yield told

    def _ring(self, msp_id: MspId) -> None:
        if msp_id in self._watched:
            self._watched[msp_id].rung.set()

    @contextmanager
    def _watching(self, msp_id: MspId) -> Iterator[tuple[_Watched, asyncio.Event]]:
        watched = self._watched.setdefault(msp_id, _Watched(msp_id))
        woken = asyncio.Event()
        watched.watchers.add(woken)
        try:
            yield watched, woken
        finally:
            watched.watchers.discard(woken)
            if not watched.watchers:
                self._watched.pop(msp_id, None)
                if task := self._tasks.pop(msp_id, None):
                    task.cancel()

    async def _first_look(self, watched: _Watched) -> None:
        if not watched.beat:
            await self._look(watched)
        if watched.msp_id not in self._tasks:
            self._tasks[watched.msp_id] = asyncio.create_task(self._follow(watched))

    async def _follow(self, watched: _Watched) -> None:
        """Looks at every bell, while a read model lags, and at every sweep; wakes the watchers when something is new."""
        pause = LOOK_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await watched.rung.wait()
                    pause = LOOK_SECONDS
            watched.rung.clear()
            try:
                moved = await self._look(watched)
            except SQLAlchemyError as fault:
                log.warning("live updates cannot look", extra={"msp_id": watched.msp_id, "reason": str(fault)})
                moved, pause = False, SWEEP_SECONDS
            if moved:
                for woken in watched.watchers:
                    woken.set()
            lags = any(one["lag"] > 0 for one in watched.beat["consumers"])
            pause = min(2 * pause, SWEEP_SECONDS) if lags else SWEEP_SECONDS
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, watched: _Watched) -> bool:
        """Whether anything is new."""
        before = watched.beat
        beat, newest = await anyio.to_thread.run_sync(self._read, watched, limiter=self._looking)
        watched.beat, watched.seen = beat, beat["head"]
        watched.newest |= newest
        if before:
            self._tell_changes(watched)
        return bool(beat != before)

    def _read(self, watched: _Watched) -> tuple[dict[str, Any], dict[str, int]]:
        with self._reader.connect() as connection:
            beat = pulse(connection, watched.msp_id)
            if beat is None:
                said = f"There is no MSP {watched.msp_id!r}."
                raise Refusal("NO_SUCH_MSP", said, "Add it with `trueup msp add`.")
            if not watched.beat:
                # What is not folded yet will change reports after whoever asks now has read them.
                watched.seen = min((one["position"] for one in beat["consumers"]), default=0)
            if beat["head"] <= watched.seen:
                return beat, {}
            return beat, newest_of_types(connection, watched.msp_id, watched.seen, beat["head"])

    def _tell_changes(self, watched: _Watched) -> None:
        positions = watched.positions()
        for report in WATCHED:
            types = frozenset[str]().union(*feeds(report).values())
            newest = max((watched.newest.get(one, 0) for one in types), default=0)
            if watched.changed.get(report, 0) < newest <= _folded(report, positions):
                watched.changed[report] = newest


def _folded(report: str, positions: dict[str, int]) -> int:
    """How far the report's rows are folded: as far as the read model that is furthest behind."""
    return min((positions.get(model, 0) for model in feeds(report)), default=0)
