"""A log of count changes -> P6: a fold that must run in Python, against PBASE; and our own fold against a named peer's.

The house has no such projection: all of its read models are SQL. What runs in Python are the reactors, so the fold stands in
one of these: catch_up reads and decodes a slice, a dictionary is folded, and one upsert takes what came out.
"""

import time
from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, Connection, Engine, MetaData, Numeric, Table, Text

from domain.envelope import Envelope
from domain.events import ResourceCountChanged
from domain.keys import MspId
from plumbing.catch_up import Reactor, catch_up
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.upsert import upsert
from services.reporting.replay import replay
from tests.bench.append import MSP, append_all, event_log
from tests.bench.baseline import pbase
from tests.bench.generate import count_changes
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.turns import Child, in_turns

P6 = Goal("P6", "a fold that runs in Python", "PBASE", "events/s", 0.25, 0.38)
PEER = Goal("PEER", "rebuild of resources", "eventsourcing's ProjectionRunner", "events/s", 10, 50)
PEER_EVENTS = 20_000

_MONTHS = Table(
    "months",
    MetaData(schema="public"),
    Column("resource", Text, primary_key=True),
    Column("month", Text, primary_key=True),
    Column("changes", BigInteger, nullable=False),
    Column("newest", Numeric),
)


def in_python(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """P6: 100,000 events (quick: 20,000), 5,000 at once, into rows of a resource and a month."""
    events = 20_000 if quick else 100_000
    with ground.database() as url:
        engine = make_engine(url, "bench")
        append_all(engine, list(count_changes(1, events // 50, events)), event_log.append_copied)
        ours, limits = in_turns(rounds, lambda: events / _folded(engine), lambda: events / _bare(url))
        read = events / _read(engine, events)
        engine.dispose()
    note = f"reading and decoding alone: {read:,.0f} events/s; the house itself folds nothing in Python"
    return [Measured(P6, ours, limits, [note])]


def peer(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """20,000 count changes of 400 resources; the peer has them as events of 400 aggregates and keeps the newest count of
    each, in a transaction an event, as its documentation does. It stops after 20 s (quick: 5)."""
    ours, limits = in_turns(
        rounds, lambda: PEER_EVENTS / _rebuilt(ground), lambda: _peers_rate(ground, 5 if quick else 20)
    )
    return [Measured(PEER, ours, limits)]


def _folded(engine: Engine) -> float:
    with engine.begin() as connection:
        _MONTHS.drop(connection, checkfirst=True)
        _MONTHS.create(connection)
        connection.exec_driver_sql("DELETE FROM reporting.positions")
    begun = time.perf_counter()
    catch_up(engine, Reactor("bench", "reporting", (ResourceCountChanged.type,), _fold, 5_000), MSP, Clock())
    return time.perf_counter() - begun


def _fold(connection: Connection, _: MspId, events: Sequence[Envelope]) -> None:
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for each in events:
        month = each.occurred_at.isoformat()[:7]
        row = rows.setdefault((each.stream, month), {"resource": each.stream, "month": month, "changes": 0})
        row["changes"] += 1
        row["newest"] = each.event.count
    upsert(connection, _MONTHS, list(rows.values()))


def _bare(url: str) -> float:
    return pbase(url, [ResourceCountChanged.type])[1]


def _read(engine: Engine, events: int) -> float:
    begun = time.perf_counter()
    with engine.connect() as connection:
        for start in range(0, events, 5_000):
            event_log.read(connection, MSP, start, start + 5_000)
    return time.perf_counter() - begun


def _rebuilt(ground: Ground) -> float:
    with ground.database() as url:
        engine = make_engine(url, "bench")
        append_all(engine, list(count_changes(1, 400, PEER_EVENTS)), event_log.append_copied)
        begun = time.perf_counter()
        replay(engine, ["resources"], MSP, workers=1)
        seconds = time.perf_counter() - begun
        engine.dispose()
    return seconds


def _peers_rate(ground: Ground, longest: int) -> float:
    with ground.database() as url, Child("tests.bench.peer_process", url, str(PEER_EVENTS), str(longest)) as child:
        return float(child.answer()["rate"])
