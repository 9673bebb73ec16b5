"""Events -> P1, P2, P3: how fast they get into the log, against PostgreSQL being handed ready rows."""

import io
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import psycopg2
from sqlalchemy import Engine, text

from domain.envelope import NewEvent
from domain.keys import MspId
from plumbing import event_log
from plumbing.database import make_engine
from tests.bench.generate import count_changes
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.turns import Child, in_turns

P1 = Goal("P1", "bulk append by COPY, 1,000 a commit", "one COPY of the same rows, one commit", "events/s", 0.80, 0.95)
P2 = Goal("P2", "append under eventlet, 1,000 a call", "one COPY of the same rows, one commit", "events/s", 0.30, 0.40)
P3 = Goal("P3", "single ordered append, 8 writers, 1 MSP", "plain single-row insert, 1 client", "events/s", 0.90, 1.00)

WRITERS = 8
BATCH = 1_000
MSP = MspId("bench")
_COLUMNS = (
    "msp_id, position, stream, stream_version, type, version, payload, occurred_at, recorded_at,"
    " correlation_id, caused_by, recorded_by, actor"
)


def bulk(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """P1 and P2, which share their limit. 100,000 events (quick: 20,000), each figure in a fresh database."""
    events = list(count_changes(1, 20_000, 20_000 if quick else 100_000))
    ready = _as_copy_text(ground, events)
    measured = []
    ours, limits = in_turns(
        rounds, lambda: _rate(ground, events, _copied), lambda: _limit_rate(ground, len(events), ready)
    )
    measured.append(Measured(P1, ours, limits))
    with Child("tests.bench.append_patched", str(len(events))) as child:
        child.answer()
        ours, limits = in_turns(
            rounds, lambda: _patched_rate(ground, child), lambda: _limit_rate(ground, len(events), ready)
        )
    measured.append(Measured(P2, ours, limits))
    return measured


def single(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """P3: for so many seconds each of 8 processes appends one event after the other to the same MSP's log."""
    seconds = 1 if quick else 4
    children = [Child("tests.bench.append_single", str(number)) for number in range(WRITERS)]
    try:
        ours, limits = in_turns(
            rounds,
            lambda: _together(ground, children, "append", seconds),
            lambda: _together(ground, children[:1], "insert", seconds),
        )
        in_transactions = _together(ground, children, "transaction", seconds)
    finally:
        for child in children:
            child.__exit__(None, None, None)
    note = (
        f"with BEGIN and COMMIT around each append, as a service that writes rows beside it: {in_transactions:,.0f}/s"
    )
    return [Measured(P3, ours, limits, [note])]


def append_all(
    engine: Engine, events: Sequence[NewEvent], way: Callable[..., int], batch: int = BATCH, msp_id: MspId = MSP
) -> float:
    """The seconds that it takes to append the events to a new MSP's log, so many a commit."""
    add_log(engine, msp_id)
    begun = time.perf_counter()
    for start in range(0, len(events), batch):
        with engine.begin() as connection:
            way(
                connection,
                msp_id,
                events[start : start + batch],
                recorded_at=events[0].occurred_at,
                recorded_by="poller",
                correlation_id="bench",
            )
    return time.perf_counter() - begun


def add_log(engine: Engine, msp_id: MspId) -> None:
    """A new MSP's empty log."""
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO log.heads (msp_id) VALUES (:id)"), {"id": msp_id})


_copied = event_log.append_copied


def _rate(ground: Ground, events: Sequence[NewEvent], way: Callable[..., int]) -> float:
    with ground.database() as url:
        engine = make_engine(url, "bench")
        seconds = append_all(engine, events, way)
        engine.dispose()
    return len(events) / seconds


def _patched_rate(ground: Ground, child: Child) -> float:
    with ground.database() as url:
        return float(child.ask(url=url)["rate"])


def _limit_rate(ground: Ground, how_many: int, ready: str) -> float:
    with ground.database() as url, closing(psycopg2.connect(url)) as connection:
        lines = io.StringIO(ready)
        begun = time.perf_counter()
        connection.cursor().copy_expert(f"COPY log.events ({_COLUMNS}) FROM STDIN", lines)
        connection.commit()
        return how_many / (time.perf_counter() - begun)


def _as_copy_text(ground: Ground, events: Sequence[NewEvent]) -> str:
    """The rows that our own append leaves behind, as PostgreSQL itself writes them."""
    ready = io.StringIO()
    with ground.database() as url:
        engine = make_engine(url, "bench")
        append_all(engine, events, _copied)
        engine.dispose()
        with closing(psycopg2.connect(url)) as connection:
            connection.cursor().copy_expert(
                f"COPY (SELECT {_COLUMNS} FROM log.events ORDER BY position) TO STDOUT", ready
            )
    return ready.getvalue()


def _together(ground: Ground, children: Sequence[Child], way: str, seconds: float) -> float:
    with ground.database() as url:
        engine = make_engine(url, "bench")
        add_log(engine, MSP)
        engine.dispose()
        for child in children:
            child.ask(do="connect", url=url, way=way)
        for child in children:
            child.tell(do="go", seconds=seconds)
        return sum(child.answer()["appended"] for child in children) / seconds
