"""What shall be sent -> rows of reporting.deliveries, one for each rule and occasion however often it is put."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, text

from domain.keys import MspId
from domain.notifications import Rule
from services.reporting.notifying.messages import Message

KEPT = timedelta(days=90)
_AT_ONCE = 1_000


def put(
    connection: Connection,
    rule: Row[Any],
    occasion: str,
    message: Message | None,
    now: datetime,
    upto: int | None = None,
) -> bool:
    """Whether the delivery is new. message None: there is nothing to tell, and that is written down."""
    shown = Rule(kinds=(), channel=rule.channel, target=rule.target).shown_target()
    made = connection.execute(
        text(
            """INSERT INTO reporting.deliveries (delivery_id, msp_id, rule_id, occasion, channel, target, subject_line, body,
                   upto, state, attempts, made_at, next_try_at)
               VALUES (:delivery_id, :msp_id, :rule_id, :occasion, :channel, :target, :subject_line, :body,
                   :upto, :state, 0, :now, :next_try_at)
               ON CONFLICT (msp_id, rule_id, occasion) DO NOTHING"""
        ),
        {
            "delivery_id": f"msg_{uuid4().hex}",
            "msp_id": rule.msp_id,
            "rule_id": rule.rule_id,
            "occasion": occasion,
            "channel": rule.channel,
            "target": shown,
            "subject_line": message.subject_line if message else "Nothing to tell",
            "body": message.body if message else "",
            "upto": upto,
            "state": "waiting" if message else "empty",
            "now": now,
            "next_try_at": now if message else None,
        },
    )
    return bool(made.rowcount)


def rules_of(connection: Connection, msp_id: MspId) -> list[Row[Any]]:
    """The rules of the MSP that send something, the oldest first."""
    found = connection.execute(
        text(
            """SELECT msp_id, rule_id, kinds, channel, target, hour, after_position, made_at
               FROM setup.notification_rules
               WHERE msp_id = :msp_id AND removed_at IS NULL AND channel <> 'in_app' ORDER BY made_at, rule_id"""
        ),
        {"msp_id": msp_id},
    )
    return list(found)


def forget_old(connection: Connection, now: datetime) -> int:
    """How many deliveries that came to their end more than 90 days ago were dropped: at most a thousand, so that nobody waits
    for it. What a rule told last stays, since a digest begins where the one before ended."""
    gone = connection.execute(
        text(
            """DELETE FROM reporting.deliveries WHERE delivery_id IN (
                SELECT d.delivery_id FROM reporting.deliveries d
                WHERE d.made_at < :before AND d.state <> 'waiting' AND EXISTS (
                    SELECT 1 FROM reporting.deliveries newer
                    WHERE newer.msp_id = d.msp_id AND newer.rule_id = d.rule_id AND newer.number > d.number)
                LIMIT :most)"""
        ),
        {"before": now - KEPT, "most": _AT_ONCE},
    )
    return int(gone.rowcount)
