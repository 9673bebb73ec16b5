"""(marketplace connections, the ends of their polls in the log, the clock) -> PollLate where a poll does not come.

The poller cannot say that it is down. How its polls ended stands in the log, and how often they are due in the set-up, so
whoever reads both can.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from domain.envelope import NewEvent
from domain.events import PollLate
from domain.keys import MspId
from plumbing import event_log, setup
from plumbing.clock import Clock
from plumbing.logs import correlation_id
from plumbing.setup import OutsideConnection

log = logging.getLogger(__name__)
# A poll may take ten minutes, and its message may wait for a free worker.
GRACE = timedelta(minutes=15)
# After these failures a connection is not polled for a while, on purpose, and people were told so.
PAUSING = ("quota", "rate_limited", "set_up", "unauthorised")

# The newest end of a poll, and what was told of a late one since; of each connection given.
_POLLS = """
SELECT c.msp_id, c.connection_id, e.occurred_at AS ended_at, e.payload ->> 'kind' AS kind,
    c.stream, l.stream_version, coalesce(l.position > coalesce(e.position, 0), false) AS told
FROM (
    SELECT msp_id, connection_id, 'late-poll/' || reporting.key_part(connection_id) AS stream
    FROM unnest(CAST(:msps AS text[]), CAST(:connections AS text[])) AS given (msp_id, connection_id)
) c
LEFT JOIN LATERAL (
    SELECT position, occurred_at, payload FROM log.events
    WHERE msp_id = c.msp_id AND stream = 'poll/' || reporting.key_part(c.connection_id)
    ORDER BY stream_version DESC LIMIT 1
) e ON true
LEFT JOIN LATERAL (
    SELECT position, stream_version FROM log.events WHERE msp_id = c.msp_id AND stream = c.stream
    ORDER BY stream_version DESC LIMIT 1
) l ON true
"""


def tell_late_polls(engine: Engine, clock: Clock) -> int:
    """How many connections were told of: those that are late, each once until a poll of it ends."""
    with engine.connect() as connection:
        known = {(each.msp_id, each.connection_id): each for each in setup.connections(connection, "odin")}
        found = _polls(connection, list(known.values()))
    late = [known[row.msp_id, row.connection_id] for row in found if _untold(row, known, clock.now())]
    return sum(_tell(engine, each, clock) for each in late)


def due_at(target: OutsideConnection, ended_at: datetime | None, kind: str | None, now: datetime) -> datetime | None:
    """When the poll of the connection was due, if it is late by more than one period; else None. ended_at: when its newest
    poll ended, None: there was none; kind: why that one failed, None: it completed."""
    if ended_at is not None and ended_at > target.saved_at and kind in PAUSING:
        return None
    period = setup.poll_period(target)
    # What is saved anew is polled at once, whatever was before.
    due = max(target.saved_at, ended_at or target.saved_at) + period
    return due if now - due > max(period, GRACE) else None


def _polls(connection: Connection, targets: list[OutsideConnection]) -> list[Row[Any]]:
    given = {"msps": [each.msp_id for each in targets], "connections": [each.connection_id for each in targets]}
    return list(connection.execute(text(_POLLS), given))


def _untold(row: Row[Any], known: dict[Any, OutsideConnection], now: datetime) -> bool:
    target = known[row.msp_id, row.connection_id]
    return not row.told and due_at(target, row.ended_at, row.kind, now) is not None


def _tell(engine: Engine, target: OutsideConnection, clock: Clock) -> bool:
    """Looks once more while nobody else can append: a poll that ends at this moment is not late, and one replica tells."""
    with engine.begin() as connection:
        connection.execute(text("SELECT FROM log.heads WHERE msp_id = :m FOR UPDATE"), {"m": target.msp_id})
        (row,) = _polls(connection, [target])
        now = clock.now()
        due = due_at(target, row.ended_at, row.kind, now)
        if row.told or due is None:
            return False
        late = PollLate(connection_id=target.connection_id, due_at=due)
        new = NewEvent(stream=row.stream, stream_version=(row.stream_version or 0) + 1, event=late, occurred_at=now)
        event_log.append(
            connection,
            MspId(row.msp_id),
            [new],
            recorded_at=now,
            recorded_by="reporting",
            correlation_id=correlation_id(),
        )
    log.warning("poll is late", extra={"msp_id": row.msp_id, "connection_id": row.connection_id, "due_at": due})
    return True
