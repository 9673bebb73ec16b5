"""(connections, the clock) -> polls that are due, each put into the work queue once, however many replicas look.

A connection's polls fall on slots of its own, spread by a hash of its name, so that a hundred connections are not polled at
one instant. A connection that the marketplace refused is not polled until someone has changed its set-up.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zlib import crc32

from sqlalchemy import Connection, Engine

from plumbing import outbox, setup
from plumbing.clock import Clock
from plumbing.setup import OutsideConnection
from services.poller.lease import add_connections
from services.poller.place import Place

QUEUE = "poller.polls"
# A poll that was put into the queue and not heard of for so many of its periods is taken for lost.
LOST_AFTER_PERIODS = 2

_CLAIM = """
UPDATE poller.connections k
SET next_poll_at = c.next_at, open_poll_id = c.poll_id, open_poll_at = %(now)s,
    stopped_version = NULL, stopped_at = NULL, stopped_reason = NULL
FROM unnest(%(msps)s::text[], %(connections)s::text[], %(versions)s::int[], %(next)s::timestamptz[],
            %(lost)s::timestamptz[], %(polls)s::text[]) AS c (msp_id, connection_id, version, next_at, lost_at, poll_id)
WHERE k.msp_id = c.msp_id AND k.connection_id = c.connection_id
  AND (k.next_poll_at <= %(now)s OR k.stopped_version <> c.version)
  AND (k.stopped_version IS NULL OR k.stopped_version <> c.version)
  AND (k.open_poll_id IS NULL OR k.open_poll_at < c.lost_at)
  AND (k.held_until IS NULL OR k.held_until < %(now)s)
RETURNING k.msp_id, k.connection_id, k.open_poll_id
"""


def put_due_polls(engine: Engine, clock: Clock) -> int:
    """Puts the polls that are due into the queue; answers how many."""
    now = clock.now()
    with engine.begin() as connection:
        found = setup.connections(connection, "odin")
        if not found:
            return 0
        add_connections(connection, [place_of(each) for each in found], now)
        claimed = connection.exec_driver_sql(_CLAIM, _claims(found, now)).all()
        for msp_id, connection_id, poll_id in claimed:
            body = {"msp_id": msp_id, "connection_id": connection_id, "poll_id": poll_id, "reason": "due"}
            outbox.put(connection, QUEUE, [body], correlation_id=poll_id, put_at=now)
    return len(claimed)


def next_slot(place: Place, period: timedelta, now: datetime) -> datetime:
    """The connection's next slot after now: slots lie one period apart, at a place of the connection's own."""
    seconds = max(1, int(period.total_seconds()))
    phase = crc32(f"{place.msp_id}/{place.connection_id}".encode()) % seconds
    passed = int(now.timestamp()) - phase
    return datetime.fromtimestamp((passed // seconds + 1) * seconds + phase, UTC)


def place_of(connection: OutsideConnection) -> Place:
    """Where a connection's rows belong."""
    return Place(connection.msp_id, connection.connection_id)


def stopped_reason(connection: Connection, place: Place, setup_version: int) -> str | None:
    """Why the connection is stopped with this version of its set-up; None when it is not."""
    reason = connection.exec_driver_sql(
        """SELECT stopped_reason FROM poller.connections
           WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s AND stopped_version = %(version)s""",
        place.key | {"version": setup_version},
    ).scalar()
    return None if reason is None else str(reason)


def stop(connection: Connection, place: Place, setup_version: int, reason: str, now: datetime) -> None:
    """Polls no more until the set-up has another version: a marketplace locks users that come with a wrong password."""
    connection.exec_driver_sql(
        """UPDATE poller.connections SET stopped_version = %(version)s, stopped_at = %(now)s, stopped_reason = %(reason)s
           WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s""",
        place.key | {"version": setup_version, "now": now, "reason": reason},
    )


def resume(engine: Engine, place: Place, clock: Clock) -> None:
    """Polls again at once: a person has tried the connection and it opened."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            """UPDATE poller.connections
               SET stopped_version = NULL, stopped_at = NULL, stopped_reason = NULL, next_poll_at = %(now)s
               WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s AND stopped_version IS NOT NULL""",
            place.key | {"now": clock.now()},
        )


def put_off(connection: Connection, place: Place, until: datetime) -> None:
    """Lets the next poll wait: the calls are used up until then."""
    connection.exec_driver_sql(
        """UPDATE poller.connections SET next_poll_at = greatest(next_poll_at, %(until)s)
           WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s""",
        place.key | {"until": until},
    )


def _claims(found: list[OutsideConnection], now: datetime) -> dict[str, Any]:
    periods = [setup.poll_period(each) for each in found]
    return {
        "now": now,
        "msps": [each.msp_id for each in found],
        "connections": [each.connection_id for each in found],
        "versions": [each.version for each in found],
        "next": [next_slot(place_of(each), period, now) for each, period in zip(found, periods, strict=True)],
        "lost": [now - LOST_AFTER_PERIODS * period for period in periods],
        "polls": [uuid4().hex for _ in found],
    }
