"""(a database, MSPs, a rate) -> events that arrive at that rate, and for each how long after its commit all read models had it."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from sqlalchemy import Engine

from domain.envelope import NewEvent
from domain.keys import MspId
from plumbing import event_log
from plumbing.clock import Clock
from plumbing.database import make_engine
from services.reporting.projections import READ_MODELS
from tests.bench.life import life
from tests.waiting import wait_for

AT_ONCE = 5
LINKS = 200
LOOK_EVERY = 0.005
_FOLDED = """SELECT msp_id, min(position) FROM reporting.positions
             WHERE consumer = ANY(%(consumers)s) AND msp_id = ANY(%(msps)s) GROUP BY 1 HAVING count(*) = %(how_many)s"""


class Arriving:
    """Appends to the MSPs' logs in turn, five events a commit, and watches the positions of their read models."""

    def __init__(self, url: str, msps: Sequence[MspId], per_second: int, seconds: float, look_every: float) -> None:
        self._engine: Engine = make_engine(url, "bench arriving")
        self._msps, self._pause, self._look_every = msps, AT_ONCE / per_second, look_every
        self._appends = int(seconds * per_second / AT_ONCE)
        own = -(-self._appends // len(msps)) * AT_ONCE
        self._coming = {msp_id: iter(list(_new(seed, LINKS, own))) for seed, msp_id in enumerate(msps)}
        self._committed: dict[MspId, list[tuple[int, float]]] = defaultdict(list)
        self._lags: list[float] = []
        self._writer = threading.Thread(target=self._write)
        self._watcher = threading.Thread(target=self._watch)
        self._over = False
        self.seconds = 0.0

    def wait(self) -> None:
        """Until all have arrived."""
        self._writer.join()

    def lags(self, seconds: float = 120) -> list[float]:
        """How many seconds each commit was ahead of the read models, in rising order, once the last was folded."""
        self._writer.join()
        wait_for(lambda: len(self._lags) == self._appends, seconds, what="the read models")
        return sorted(self._lags)

    def _write(self) -> None:
        clock, begun = Clock(), time.perf_counter()
        for number in range(self._appends):
            msp_id = self._msps[number % len(self._msps)]
            time.sleep(max(0.0, begun + number * self._pause - time.perf_counter()))
            with self._engine.begin() as connection:
                position = event_log.append(
                    connection,
                    msp_id,
                    list(islice(self._coming[msp_id], AT_ONCE)),
                    recorded_at=clock.now(),
                    recorded_by="bench",
                    correlation_id="bench",
                )
            self._committed[msp_id].append((position, time.perf_counter()))
        self.seconds = time.perf_counter() - begun

    def _watch(self) -> None:
        asked = {
            "consumers": [model.consumer for model in READ_MODELS.values()],
            "msps": list(self._msps),
            "how_many": len(READ_MODELS),
        }
        seen: dict[MspId, int] = defaultdict(int)
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not self._over:
                found = connection.exec_driver_sql(_FOLDED, asked).all()
                now = time.perf_counter()
                for msp_id, folded in found:
                    waiting = self._committed[msp_id]
                    while seen[msp_id] < len(waiting) and waiting[seen[msp_id]][0] <= folded:
                        # A commit may be seen by others before we have noted it.
                        self._lags.append(max(0.0, now - waiting[seen[msp_id]][1]))
                        seen[msp_id] += 1
                time.sleep(self._look_every)

    def start(self) -> None:
        """Both threads."""
        self._watcher.start()
        self._writer.start()

    def stop(self) -> None:
        """Both have ended, whatever was still to come."""
        self._appends = 0
        self._over = True
        self._writer.join()
        self._watcher.join()
        self._engine.dispose()


def _new(seed: int, links: int, how_many: int) -> Iterator[NewEvent]:
    """In streams of their own: an MSP that has a log already may get them as well."""
    return (replace(each, stream=f"arriving/{each.stream}") for each in life(seed, links, how_many))


@contextmanager
def arriving(
    url: str, msps: Sequence[MspId], per_second: int, seconds: float, look_every: float = LOOK_EVERY
) -> Iterator[Arriving]:
    """Begun; ended when the block ends."""
    stream = Arriving(url, msps, per_second, seconds, look_every)
    stream.start()
    try:
        yield stream
    finally:
        stream.stop()


def at(part: float, rising: Sequence[float]) -> float:
    """The value below which this part of them lies."""
    return rising[min(len(rising) - 1, int(part * len(rising)))]
