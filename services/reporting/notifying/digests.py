"""(digest rules, the hour in the MSP's time zone) -> one delivery a day with all that was not told by the one before."""

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, Row, text

from domain.keys import MspId
from plumbing.clock import Clock
from services.reporting.notifying import deliveries
from services.reporting.notifying.messages import digest_of
from services.reporting.notifying.news import news_between
from services.reporting.projections.notifications import NOTIFICATIONS

_RULES = """
SELECT r.msp_id, r.rule_id, r.kinds, r.channel, r.target, r.hour, r.after_position, r.made_at, m.time_zone,
    d.newest, coalesce(d.upto, r.after_position) AS told, coalesce(p.position, 0) AS folded
FROM setup.notification_rules r
JOIN setup.msps m USING (msp_id)
LEFT JOIN reporting.positions p ON p.msp_id = r.msp_id AND p.consumer = :notifications
CROSS JOIN LATERAL (
    SELECT max(occasion) AS newest, max(upto) AS upto FROM reporting.deliveries d
    WHERE d.msp_id = r.msp_id AND d.rule_id = r.rule_id AND d.upto IS NOT NULL
) d
WHERE r.removed_at IS NULL AND r.channel = 'digest'
"""


def put_due(engine: Engine, clock: Clock) -> int:
    """How many digests were put on their way; those of days with nothing to tell are written down as empty."""
    now = clock.now()
    with engine.connect() as connection:
        rules = connection.execute(text(_RULES), {"notifications": NOTIFICATIONS.consumer}).all()
    due = [(rule, day) for rule in rules if (day := due_day(now, rule.time_zone, rule.hour, rule.made_at))]
    put = 0
    for rule, day in due:
        if rule.newest is None or rule.newest < _occasion(day):
            with engine.begin() as connection:
                put += _put(connection, rule, day, now)
    return put


def due_day(now: datetime, time_zone: str, hour: int, made_at: datetime) -> date | None:
    """The day whose digest is due; None before the hour, or when the rule was made after it. A night that lacks the hour
    has its digest after it, one that has it twice only once."""
    local = now.astimezone(ZoneInfo(time_zone))
    begins = datetime.combine(local.date(), time(hour), local.tzinfo)
    # Two moments with one time zone are compared by what the clock on the wall shows.
    return local.date() if begins <= local and made_at < begins.astimezone(UTC) else None


def _put(connection: Connection, rule: Row[Any], day: date, now: datetime) -> bool:
    msp_id = MspId(rule.msp_id)
    found = news_between(connection, msp_id, rule.told, rule.folded)
    wanted = [news for news in found if news["kind"] in rule.kinds]
    message = digest_of(msp_id, rule.time_zone, wanted) if wanted else None
    return deliveries.put(connection, rule, _occasion(day), message, now, upto=max(rule.told, rule.folded))


def _occasion(day: date) -> str:
    return f"digest/{day.isoformat()}"
