"""The positions of a service's consumers -> ConsumerStopped and ConsumerResumed in the logs of their MSPs, each told once.

What was told last stands beside the position and is written in the transaction that tells it. So whoever looks levels the
two, whatever was killed in between; and a consumer that stays stopped is told of no second time.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from domain.envelope import NewEvent
from domain.events import ConsumerResumed, ConsumerStopped, Event
from domain.keys import MspId
from plumbing import event_log
from plumbing.clock import Clock
from plumbing.logs import correlation_id

log = logging.getLogger(__name__)
_UNTOLD = """SELECT consumer, msp_id FROM {schema}.positions
             WHERE consumer = ANY(:consumers) AND stopped_at IS DISTINCT FROM told_stopped_at ORDER BY consumer, msp_id"""
# Held by whoever works for the consumer or tells of it: then another look, soon, tells what is left.
_HOLD = """SELECT consumer, msp_id, position, stopped_at, stopped_reason, told_stopped_at FROM {schema}.positions
           WHERE consumer = :consumer AND msp_id = :msp_id AND stopped_at IS DISTINCT FROM told_stopped_at
           FOR UPDATE SKIP LOCKED"""
_TOLD = "UPDATE {schema}.positions SET told_stopped_at = stopped_at WHERE consumer = :consumer AND msp_id = :msp_id"
_NEXT = "SELECT type, version FROM log.events WHERE msp_id = :msp_id AND position = :position + 1"
_NEWEST = "SELECT coalesce(max(stream_version), 0) FROM log.events WHERE msp_id = :msp_id AND stream = :stream"


def tell_stops(engine: Engine, schema: str, consumers: Sequence[str], clock: Clock) -> int:
    """How many events were appended. consumers: names of consumers whose positions stand in the schema of the service."""
    with engine.connect() as connection:
        untold = connection.execute(text(_UNTOLD.format(schema=schema)), {"consumers": list(consumers)}).all()
    return sum(_tell(engine, schema, {"consumer": consumer, "msp_id": msp_id}, clock) for consumer, msp_id in untold)


def _tell(engine: Engine, schema: str, key: dict[str, str], clock: Clock) -> int:
    with engine.begin() as connection:
        row = connection.execute(text(_HOLD.format(schema=schema)), key).first()
        if row is None:
            return 0
        events = _events(connection, row, clock)
        connection.execute(text(_TOLD.format(schema=schema)), key)
        event_log.append(
            connection,
            MspId(row.msp_id),
            events,
            recorded_at=clock.now(),
            recorded_by=schema,
            correlation_id=correlation_id(),
        )
    log.info("consumer stopped or resumed: told", extra=key | {"events": [new.event.type for new in events]})
    return len(events)


def _events(connection: Connection, row: Row[Any], clock: Clock) -> list[NewEvent]:
    """That it went on, if it was told to stand still; that it stands still, if it does. Both: it stopped anew meanwhile."""
    told: list[tuple[Event, datetime]] = []
    if row.told_stopped_at is not None:
        told.append((ConsumerResumed(consumer=row.consumer, position=row.position), clock.now()))
    if row.stopped_at is not None:
        told.append((_stopped(connection, row), row.stopped_at))
    stream = f"consumer/{row.consumer}"
    newest = connection.scalar(text(_NEWEST), {"msp_id": row.msp_id, "stream": stream})
    return [
        NewEvent(stream=stream, stream_version=int(newest or 0) + number, event=event, occurred_at=at)
        for number, (event, at) in enumerate(told, 1)
    ]


def _stopped(connection: Connection, row: Row[Any]) -> ConsumerStopped:
    """Of the reason only the class of the fault: the rest may quote the event. Health tells all of it."""
    at = {"msp_id": row.msp_id, "position": row.position}
    hindering = connection.execute(text(_NEXT), at).one()
    return ConsumerStopped(
        consumer=row.consumer,
        position=row.position,
        event_type=hindering.type,
        event_version=hindering.version,
        fault=row.stopped_reason.partition(":")[0],
    )
