"""A read model of a million rows -> PAGES: a client that knows only the schema file turns all of its pages, forwards and
backwards, while rows are added everywhere among them; how many rows it met twice, and how many it missed.

A row is missed when it was there before the page was asked for in which it belongs. So a row that is added behind the
reader, or in the very moment in which its page is read, may be met or not, but never twice.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from domain.envelope import NewEvent
from plumbing import event_log
from plumbing.catch_up import catch_up
from plumbing.clock import Clock
from plumbing.database import make_engine
from services.reporting.projections import READ_MODELS
from tests.bench.append import MSP
from tests.bench.exporting import forget_peak, peak
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.names import FIRST_MOMENT
from tests.bench.reports import serving
from tests.gateway.serving import Answering
from tests.gateway.turning import SCHEMA, paged_reports
from tests.reporting import history as h

PAGES = Goal("PAGES", "rows met twice or missed", "", "rows", 0, 0, at_most=True)
ADDED_A_SECOND = 20
# Where a row of the adjustment log stands: the newest first, and of one moment the one told last.
Place = tuple[datetime, int]


@dataclass(frozen=True)
class Added:
    """A row that came while pages were turned, and when it could be read."""

    place: Place
    readable_at: float


@dataclass
class Turned:
    """What one who turned all pages met. met: position -> how often; pages: for each, when it was asked for and the place
    of its last row."""

    met: bytearray
    pages: list[tuple[float, Place]]
    seconds: float = 0.0

    def twice(self) -> int:
        """Rows that were met more than once."""
        return sum(times > 1 for times in self.met)

    def missed(self, there: int, added: list[Added], *, backward: bool) -> int:
        """Rows that were not met, of the first `there` positions and of those that were added before their page."""
        sign = 1 if backward else -1
        # Rising in the direction of reading, so that it can be searched.
        ends = [(sign * place[0].timestamp(), sign * place[1]) for _, place in self.pages]
        missed = self.met[1 : there + 1].count(0)
        for one in added:
            page = bisect_left(ends, (sign * one.place[0].timestamp(), sign * one.place[1]))
            # The last page is also that of all that stands beyond its last row.
            asked_at = self.pages[min(page, len(self.pages) - 1)][0]
            missed += one.readable_at < asked_at and not self.met[one.place[1]]
        return missed


def turning(ground: Ground, _rounds: int, *, quick: bool) -> list[Measured]:
    """PAGES: a million rows (quick: 20,000) once in each direction, and 20 a second that are added among them."""
    rows = 20_000 if quick else 1_000_000
    found = []
    with serving(ground, rows) as (url, answering):
        there = rows
        for backward in (False, True):
            before = forget_peak(answering.process.pid)
            with adding(url, there) as added:
                turned = _turn(answering, 2 * rows, backward=backward)
            way = "backwards" if backward else "forwards"
            twice, missed = turned.twice(), turned.missed(there, added, backward=backward)
            met = len(turned.met) - turned.met.count(0)
            notes = [
                f"{met:,} rows on {len(turned.pages):,} pages in {turned.seconds:.0f} s; {twice} met twice, {missed} missed",
                f"{len(added):,} rows were added meanwhile, {met - there:,} of them met",
                f"gateway: {before:.0f} MB before, {peak(answering.process.pid):.0f} MB at most",
            ]
            found.append(Measured(replace(PAGES, what=f"{PAGES.what}, {way}"), [twice + missed], [], notes))
            there += len(added)
    return found


@contextmanager
def adding(url: str, after: int) -> Iterator[list[Added]]:
    """Rows are added, each at a random moment of the year, after so many that stand in the log, until the block ends."""
    added: list[Added] = []
    over = threading.Event()
    writer = threading.Thread(target=_add, args=(url, after, added, over))
    writer.start()
    try:
        yield added
    finally:
        over.set()
        writer.join()


def _add(url: str, after: int, added: list[Added], over: threading.Event) -> None:
    engine, random, clock = make_engine(url, "bench adding"), Random(after), Clock()
    names, product = h.odin(), h.psa()
    model = READ_MODELS["adjustments"].living()
    while not over.wait(1 / ADDED_A_SECOND):
        number = after + len(added) + 1
        moment = FIRST_MOMENT + timedelta(seconds=random.randrange(after * 30))
        event = h.posted(names, product, f"added-{number}")
        with engine.begin() as connection:
            position = event_log.append(
                connection,
                MSP,
                [NewEvent(stream=f"adjustment/added-{number}", stream_version=1, event=event, occurred_at=moment)],
                recorded_at=clock.now(),
                recorded_by="bench",
                correlation_id="bench",
            )
        catch_up(engine, model, MSP, clock)
        added.append(Added((moment, position), time.perf_counter()))
    engine.dispose()


def _turn(answering: Answering, most: int, *, backward: bool) -> Turned:
    turned = Turned(bytearray(most), [])
    paged = paged_reports(SCHEMA.read_text("utf-8"))["adjustments"]("position", "postedAt", "unitChange", "companyName")
    begun = asked_at = time.perf_counter()
    for rows in paged.turn(answering.data, MSP, backward=backward):
        for row in rows:
            turned.met[int(row["position"])] += 1
        if rows:
            moment = datetime.fromisoformat(rows[-1]["postedAt"]).astimezone(UTC)
            turned.pages.append((asked_at, (moment, int(rows[-1]["position"]))))
        asked_at = time.perf_counter()
    turned.seconds = time.perf_counter() - begun
    return turned
