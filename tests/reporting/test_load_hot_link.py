"""Scenario 2: 10,000 events of one stream, from writers that race: in order, without a gap, and no append reads more for it."""

import threading
from itertools import pairwise
from statistics import median
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from domain.envelope import NewEvent
from domain.keys import MspId
from plumbing import event_log
from plumbing.catch_up import Slice
from plumbing.database import make_engine
from services.reporting.projections import READ_MODELS
from services.reporting.read_model import _FOR_SMALL, fold
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
EVENTS, WRITERS = 10_000, 4
HOT = h.odin()
STREAM = "resource/hot"
EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
# What is folded from a change of a count, as it comes.
FOLDED = [model for model in READ_MODELS.values() if "ResourceCountChanged" in model.types]
TOLD: dict[str, Any] = {"recorded_at": h.BEGAN, "recorded_by": "test", "correlation_id": "c"}


def change(version: int) -> NewEvent:
    """The count becomes the version."""
    changed = h.counted(HOT, str(version - 1), str(version))
    return NewEvent(stream=STREAM, stream_version=version, event=changed, occurred_at=h.BEGAN)


def newest(connection: Connection, msp_id: MspId) -> int:
    """The newest version of the stream."""
    found = text("SELECT max(stream_version) FROM log.events WHERE msp_id = :m AND stream = :s")
    return connection.scalar(found, {"m": msp_id, "s": STREAM}) or 0


def race(database: str, msp_id: MspId, upto: int, moved: list[int]) -> None:
    """Appends what it believes to be next, over and over, until there are enough. moved: where another was faster."""
    engine = make_engine(database, "racer")
    version = 0
    while version < upto:
        try:
            with engine.begin() as connection:
                version = newest(connection, msp_id)
                if version < upto:
                    event_log.append(connection, msp_id, [change(version + 1)], **TOLD)
        except event_log.StreamMoved:
            moved.append(version)
    engine.dispose()


def raced(database: str, msp_id: MspId, upto: int) -> list[int]:
    """Writers race until the stream has so many events; answers where one was overtaken."""
    moved: list[int] = []
    racers = [threading.Thread(target=race, args=(database, msp_id, upto, moved)) for _ in range(WRITERS)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    return moved


def blocks(plan: Any) -> int:
    """The blocks that a statement has looked at, in memory or not."""
    whole = plan[0]["Plan"]
    return whole["Shared Hit Blocks"] + whole["Shared Read Blocks"]


def appending(engine: Engine, msp_id: MspId) -> float:
    """The blocks that the next append looks at; the median of five, for now and then one splits a page of an index."""
    found = []
    for _ in range(5):
        with engine.begin() as connection:
            new = change(newest(connection, msp_id) + 1)
            given = {"msp_id": msp_id, "caused_by": None, "actor": "test", **TOLD, **event_log._one(new)}
            found.append(blocks(connection.exec_driver_sql(EXPLAIN + event_log._APPEND_ONE, given).scalar()))
    return median(found)


def folding(engine: Engine, msp_id: MspId) -> dict[str, int]:
    """The blocks that folding the newest event into each read model looks at, by the statements that fold it."""
    found = {}
    with engine.connect() as connection:
        head = event_log.head(connection, msp_id)
        for model in FOLDED:
            with connection.begin_nested() as taken_back:
                fold(connection, model, Slice(msp_id, head - 1, head), None)
                taken_back.rollback()
            connection.exec_driver_sql(_FOR_SMALL)
            given = {"msp_id": msp_id, "after": head - 1, "upto": head, "types": list(model.types)}
            executed = "EXECUTE {} (%(msp_id)s, %(after)s, %(upto)s, %(types)s, 0)"
            own = [name for name in connection.info["prepared folds"] if model.fingerprint[:24] in name]
            assert len(own) == len(model.statements)
            plans = [connection.exec_driver_sql(EXPLAIN + executed.format(name), given).scalar() for name in own]
            found[model.name] = sum(map(blocks, plans))
            connection.rollback()
    return found


def test_a_stream_that_everything_falls_on_stays_in_order_and_as_cheap_as_at_first(
    engine: Engine, msp_id: MspId, database: str
) -> None:
    # given
    h.append(engine, msp_id, [h.discovered(HOT, "0")])
    raced(database, msp_id, 200)
    h.project(engine, msp_id)
    first, folded_first = appending(engine, msp_id), folding(engine, msp_id)

    # when
    with engine.begin() as connection:
        version = newest(connection, msp_id)
        event_log.append(connection, msp_id, [change(n) for n in range(version + 1, EVENTS - 300)], **TOLD)
    moved = raced(database, msp_id, EVENTS - 5)
    h.project(engine, msp_id, batch=2_000)
    last, folded_last = appending(engine, msp_id), folding(engine, msp_id)
    h.project(engine, msp_id)

    # then
    assert moved, "no two writers ever wanted the same version: nothing was proved"
    with engine.connect() as connection:
        told = connection.execute(
            text("SELECT position, stream_version, payload FROM log.events WHERE stream = :s ORDER BY position"),
            {"s": STREAM},
        ).all()
        # A tree of 10,000 keys may be two levels deeper than one of 200, and that for each key of the table.
        deeper = 2 * connection.scalar(text("SELECT count(*) FROM pg_index WHERE indrelid = 'log.events'::regclass"))
    assert [row.stream_version for row in told] == list(range(1, EVENTS + 1))
    assert all(after.position == before.position + 1 for before, after in pairwise(told))
    assert all(row.payload["count"] == str(row.stream_version) for row in told)
    assert [row["count"] for row in h.rows(engine, "resources", msp_id)] == [EVENTS]
    assert last <= first + deeper
    assert {name: n for name, n in folded_last.items() if n > folded_first[name] + deeper} == {}
