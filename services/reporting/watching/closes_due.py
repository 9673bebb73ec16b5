"""(PSA connections, the checklists of their months, the clock) -> CloseDue when the first check is red, and when none is any more.

A checklist of 100,000 resources takes seconds, so each is looked at once an hour, by one of the replicas, a few at a time.
"""

import logging
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, Row, text

from domain.envelope import NewEvent
from domain.events import CloseDue
from domain.keys import ConnectionId, MspId
from domain.months import Month
from plumbing import event_log
from plumbing.clock import Clock
from plumbing.logs import correlation_id
from services.reporting.closing.checklist import Checklist, read_checklist
from services.reporting.closing.checks import State

log = logging.getLogger(__name__)
# So many days before its invoice is due a close is watched, until that of the next month is.
DUE_DAYS = 3
EVERY = timedelta(hours=1)
LOOKS_AT_ONCE = 5

_CLAIM = """
WITH waits AS (
    SELECT c.msp_id, c.connection_id FROM setup.connections c
    LEFT JOIN reporting.close_looks l ON l.msp_id = c.msp_id AND l.psa_connection_id = c.connection_id
    WHERE c.kind <> 'odin' AND (l.looked_at IS NULL OR l.looked_at <= :before)
    ORDER BY l.looked_at NULLS FIRST, c.msp_id, c.connection_id LIMIT 1
), claimed AS (
    INSERT INTO reporting.close_looks AS k (msp_id, psa_connection_id, looked_at)
    SELECT msp_id, connection_id, :now FROM waits
    ON CONFLICT (msp_id, psa_connection_id) DO UPDATE SET looked_at = excluded.looked_at WHERE k.looked_at <= :before
    RETURNING msp_id, psa_connection_id
)
SELECT k.msp_id, k.psa_connection_id, m.time_zone, m.added_at FROM claimed k JOIN setup.msps m USING (msp_id)
"""
_TOLD = """
SELECT stream_version, jsonb_array_length(payload -> 'red') > 0 AS red FROM log.events
WHERE msp_id = :msp_id AND stream = :stream ORDER BY stream_version DESC LIMIT 1
"""


def tell_closes_due(engine: Engine, clock: Clock) -> int:
    """How many closes were told of, of those whose look was due."""
    told = 0
    for _ in range(LOOKS_AT_ONCE):
        now = clock.now()
        with engine.begin() as connection:
            claimed = connection.execute(text(_CLAIM), {"now": now, "before": now - EVERY}).first()
        if claimed is None:
            break
        told += _look(engine, claimed, now)
    return told


def month_in_hand(today: date) -> Month:
    """The month whose invoice is due within DUE_DAYS, or was due last."""
    soon = today + timedelta(days=DUE_DAYS)
    return Month((soon.replace(day=1) - timedelta(days=1)).replace(day=1))


def _look(engine: Engine, row: Row[Any], now: datetime) -> bool:
    zone = ZoneInfo(row.time_zone)
    month = month_in_hand(now.astimezone(zone).date())
    if month.due_on <= row.added_at.astimezone(zone).date():
        return False  # it was over before the MSP came, and is not its to close here
    try:
        with engine.begin() as connection:
            found = read_checklist(connection, MspId(row.msp_id), ConnectionId(row.psa_connection_id), month, now)
            return found is not None and _level(connection, found, now)
    except event_log.StreamMoved:
        return False  # another replica, an hour later, was faster


def _level(connection: Connection, found: Checklist, now: datetime) -> bool:
    """Whether it was told that the close turned red, or is red no more. One that is signed off has nothing red."""
    stream = f"close-due/{found.psa_connection_id}/{found.month}"
    told = connection.execute(text(_TOLD), {"msp_id": found.msp_id, "stream": stream}).first()
    red, amber = _titles(found, State.RED), _titles(found, State.AMBER)
    if bool(red) == bool(told and told.red):
        return False
    due = CloseDue(
        psa_connection_id=found.psa_connection_id,
        period=str(found.month),
        due_on=found.due_on,
        red=red,
        amber=amber,
    )
    version = told.stream_version + 1 if told else 1
    event_log.append(
        connection,
        found.msp_id,
        [NewEvent(stream=stream, stream_version=version, event=due, occurred_at=now)],
        recorded_at=now,
        recorded_by="reporting",
        correlation_id=correlation_id(),
    )
    log.info("close due", extra={"msp_id": found.msp_id, "period": due.period, "red": red})
    return True


def _titles(found: Checklist, state: State) -> tuple[str, ...]:
    return tuple(check.title for check in found.checks if check.state == state)
