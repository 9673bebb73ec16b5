"""(projections of one schema, an MSP) -> all of them at the head of its log, in one transaction a step instead of one each.

One statement holds those that lag and tells which types of events the slice has; only those that know one of them fold,
and all move at once. The guarantees are catch_up's: rows go with positions, nobody waits for a projection that is held
elsewhere, and an event that one of them cannot take stops that one only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from domain.codec import UnknownEvent
from domain.events import EVENT_TYPES
from domain.keys import MspId
from plumbing import event_log, metrics
from plumbing.catch_up import PASSING, Projection, Slice, catch_up
from plumbing.clock import Clock

# Only those that lag are held: the last look of whoever worked here turns nobody away.
_HOLD = """
WITH head AS MATERIALIZED (SELECT position FROM log.heads WHERE msp_id = %(msp_id)s),
held AS MATERIALIZED (
    SELECT consumer, position FROM {schema}.positions
    WHERE msp_id = %(msp_id)s AND consumer = ANY(%(consumers)s) AND position < (SELECT position FROM head)
    FOR UPDATE SKIP LOCKED
),
slice AS MATERIALIZED (
    SELECT min(held.position) AS after, least(min(held.position) + %(batch)s, min(head.position)) AS upto FROM held, head
)
SELECT slice.after, slice.upto, head.position AS head,
    (SELECT array_agg(consumer) FROM held WHERE position = slice.after) AS consumers,
    (SELECT jsonb_object_agg(type, version) FROM (
        SELECT type, max(version) AS version FROM log.events e
        WHERE msp_id = %(msp_id)s AND e.position > slice.after AND e.position <= slice.upto GROUP BY type
    ) kinds) AS kinds,
    (SELECT count(*) FROM {schema}.positions WHERE msp_id = %(msp_id)s AND consumer = ANY(%(consumers)s)) AS known
FROM head, slice
"""
_BEGIN = """INSERT INTO {schema}.positions (consumer, msp_id, position)
            SELECT consumer, %(msp_id)s, 0 FROM unnest(%(consumers)s) AS c (consumer) ON CONFLICT DO NOTHING"""
_MOVE = """UPDATE {schema}.positions SET position = %(upto)s, stopped_at = NULL, stopped_reason = NULL
           WHERE msp_id = %(msp_id)s AND consumer = ANY(%(consumers)s)"""


@dataclass(frozen=True)
class _Step:
    """Projections that are held at one position, the newest version of each type of event in the slice before them, and
    where the log ended when they were held."""

    held: list[Projection]
    part: Slice
    kinds: Mapping[str, int]
    head: int


class _Hindered(Exception):
    """One of the projections could not fold the slice: the step was taken back."""

    def __init__(self, step: _Step) -> None:
        self.step = step
        super().__init__()


def catch_up_together(
    engine: Engine,
    projections: Sequence[Projection],
    msp_id: MspId,
    clock: Clock,
    told: Callable[[Projection, int, int], None] = lambda *_: None,
) -> int:
    """The number of positions passed, summed over the projections, until each stood at the head of the MSP's log or was
    held elsewhere or stopped; told hears after each commit where each stands, and where the log ended. UnknownMsp."""
    left, passed = list(projections), 0
    with engine.connect() as connection:
        while left:
            try:
                step = _one_step(connection, left, msp_id)
            except _Hindered as hindered:
                # Each by itself: catch_up finds the one and the event, and says so.
                passed += sum(catch_up(engine, each, msp_id, clock) for each in hindered.step.held)
                left = [each for each in left if each not in hindered.step.held]
                continue
            if step is None:
                break
            for each in step.held:
                metrics.positions_passed.labels(each.name).inc(step.part.upto - step.part.after)
                told(each, step.part.upto, step.head)
            passed += (step.part.upto - step.part.after) * len(step.held)
    return passed


def _one_step(connection: Connection, projections: Sequence[Projection], msp_id: MspId) -> _Step | None:
    schema = projections[0].schema
    given = {"msp_id": msp_id, "consumers": [each.name for each in projections]}
    batch = min(each.batch for each in projections)
    with connection.begin():
        found = connection.exec_driver_sql(_HOLD.format(schema=schema), given | {"batch": batch}).first()
        if found is None:
            raise event_log.UnknownMsp(msp_id)
        if found.after is not None:
            held = [each for each in projections if each.name in found.consumers]
            step = _Step(held, Slice(msp_id, found.after, found.upto), found.kinds, found.head)
            _fold(connection, step)
            return step
        if found.known == len(projections):
            return None
        # Committed before anyone is held, or a second replica would wait for the new rows.
        connection.exec_driver_sql(_BEGIN.format(schema=schema), given)
    return _one_step(connection, projections, msp_id)


def _fold(connection: Connection, step: _Step) -> None:
    try:
        for each in step.held:
            known = [name for name in each.types if name in step.kinds]
            for name in known:
                if step.kinds[name] > EVENT_TYPES[name].version:
                    raise UnknownEvent(f"{name} version {step.kinds[name]}")
            if known:
                each.fold(connection, step.part)
        given = {
            "msp_id": step.part.msp_id,
            "upto": step.part.upto,
            "consumers": [each.name for each in step.held],
        }
        connection.exec_driver_sql(_MOVE.format(schema=step.held[0].schema), given)
    except PASSING:
        raise
    except Exception as fault:
        raise _Hindered(step) from fault
