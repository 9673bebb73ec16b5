"""Deliveries that are due -> sent, or tried again later, ever more rarely, or given up; each outside any transaction.

Whoever sends a delivery holds it for a while; other replicas pass it by. A process that dies after sending and before
writing that down leaves it to be sent again, under the same id. One rule has one delivery in hand at a time, the oldest: a
target that takes nothing is asked once, not once for each, and holds up nobody else. When it takes one again, what waited
follows at once.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from eventlet import GreenPool
from sqlalchemy import Row, text
from sqlalchemy.exc import SQLAlchemyError

from domain.keys import ConnectionId, MspId
from domain.notifications import SECRET
from plumbing import mail
from plumbing.house import House
from plumbing.secrets import NotForUs, unseal
from plumbing.undelivered import Undelivered
from plumbing.way_out import WayOut
from services.reporting.notifying import webhook
from services.reporting.notifying.settings import ReportingSettings

log = logging.getLogger(__name__)
AT_ONCE = 8
# Longer than one sending can take (see webhook.LIMITS, mail.SECONDS for each of its few steps).
HELD = timedelta(minutes=3)
# Pauses after each failed try; after the one that follows the last pause it is given up, a day after the first.
PAUSES = tuple(timedelta(seconds=s) for s in (10, 60, 300, 1_800, 7_200, 21_600, 43_200))
# What waits behind a delivery that is tried ever more rarely is not kept that long.
LONGEST_BEHIND = timedelta(minutes=5)

# The oldest of a rule may be in hand: then nothing of that rule is taken.
_TAKE = """
WITH oldest AS (
    SELECT DISTINCT ON (d.msp_id, d.rule_id) d.delivery_id, d.next_try_at FROM reporting.deliveries d
    WHERE d.state = 'waiting' AND d.next_try_at <= :now
    ORDER BY d.msp_id, d.rule_id, d.number
), due AS (
    SELECT delivery_id FROM reporting.deliveries
    WHERE delivery_id IN (SELECT delivery_id FROM oldest ORDER BY next_try_at LIMIT :many)
        AND state = 'waiting' AND (held_until IS NULL OR held_until <= :now)
    FOR UPDATE SKIP LOCKED
)
UPDATE reporting.deliveries d SET held_until = :until, attempts = d.attempts + 1, tried_at = :now
FROM due JOIN reporting.deliveries own USING (delivery_id)
LEFT JOIN setup.notification_rules r ON r.msp_id = own.msp_id AND r.rule_id = own.rule_id AND r.removed_at IS NULL
WHERE d.delivery_id = due.delivery_id
RETURNING d.delivery_id, d.msp_id, d.rule_id, d.channel, d.subject_line, d.body, d.attempts,
    r.rule_id IS NOT NULL AS ruled, r.target, r.sealed
"""
# A try that was overtaken, because its holder was silent for too long, tells only of success.
_SENT = """
UPDATE reporting.deliveries SET state = 'sent', sent_at = :now, held_until = NULL, next_try_at = NULL, last_answer = :said
WHERE delivery_id = :delivery_id
"""
_FAILED = """
UPDATE reporting.deliveries SET state = :state, held_until = NULL, next_try_at = :next_try_at, last_answer = :said
WHERE delivery_id = :delivery_id AND attempts = :attempts AND state = 'waiting'
"""
_WAIT_TOO = """
UPDATE reporting.deliveries SET next_try_at = :again_at
WHERE msp_id = :msp_id AND rule_id = :rule_id AND state = 'waiting' AND next_try_at < :again_at AND delivery_id <> :delivery_id
"""
_FOLLOW = """
UPDATE reporting.deliveries SET next_try_at = :now
WHERE msp_id = :msp_id AND rule_id = :rule_id AND state = 'waiting' AND next_try_at > :now
"""


@dataclass(frozen=True)
class Sender:
    """Sends what is due, for one process."""

    house: House

    def send_due(self) -> int:
        """How many deliveries were tried."""
        tried = 0
        while taken := self._take():
            for _ in GreenPool(AT_ONCE).imap(self._try, taken):
                tried += 1
        return tried

    def _take(self) -> list[Row[Any]]:
        now = self.house.clock.now()
        with self.house.engine.begin() as connection:
            found = connection.execute(text(_TAKE), {"now": now, "until": now + HELD, "many": AT_ONCE})
            return list(found)

    def _try(self, row: Row[Any]) -> None:
        about = {"msp_id": row.msp_id, "delivery_id": row.delivery_id, "channel": row.channel, "attempt": row.attempts}
        try:
            try:
                said = self._send(row)
            except Undelivered as fault:
                state = self._record_failure(row, str(fault))
                log.warning("delivery failed", extra=about | {"state": state, "reason": str(fault)})
                return
            with self.house.engine.begin() as connection:
                own = {"delivery_id": row.delivery_id, "msp_id": row.msp_id, "rule_id": row.rule_id}
                values = own | {"said": said, "now": self.house.clock.now()}
                connection.execute(text(_SENT), values)
                connection.execute(text(_FOLLOW), values)
            log.info("delivery sent", extra=about)
        except SQLAlchemyError as fault:
            # It stays held, and is tried again when that has passed.
            log.error("what became of a delivery cannot be written down", extra=about, exc_info=fault)

    def _send(self, row: Row[Any]) -> str:
        settings = self.house.settings
        assert isinstance(settings, ReportingSettings)  # noqa: S101 the runner reads this service's settings
        if not row.ruled:
            raise Undelivered("the rule was removed")
        if row.channel != "webhook":
            return mail.send(
                settings.smtp_url, settings.mail_from, row.delivery_id, row.target, row.subject_line, row.body
            )
        try:
            secret = unseal(
                settings.private_key, MspId(row.msp_id), ConnectionId(row.rule_id), SECRET, row.sealed or ""
            )
        except NotForUs as fault:
            raise Undelivered("the rule's secret does not open with this service's key: set it anew") from fault
        return webhook.post(
            row.target,
            row.delivery_id,
            row.body,
            secret,
            self.house.clock,
            WayOut(settings.private_addresses),
        )

    def _record_failure(self, row: Row[Any], said: str) -> str:
        now = self.house.clock.now()
        next_try_at = None if not row.ruled else next_try(row.attempts, now)
        state = "waiting" if next_try_at else "given_up"
        said = said if next_try_at else f"given up after {row.attempts} tries: {said}"
        values = {"delivery_id": row.delivery_id, "msp_id": row.msp_id, "rule_id": row.rule_id}
        with self.house.engine.begin() as connection:
            own = {"attempts": row.attempts, "state": state, "next_try_at": next_try_at, "said": said}
            connection.execute(text(_FAILED), values | own)
            if next_try_at:
                connection.execute(text(_WAIT_TOO), values | {"again_at": min(next_try_at, now + LONGEST_BEHIND)})
        return state


def next_try(attempts: int, now: datetime) -> datetime | None:
    """When to try again after so many failed tries; None: not any more."""
    return now + PAUSES[attempts - 1] if attempts <= len(PAUSES) else None
