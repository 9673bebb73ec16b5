"""What shall be sent -> rows of reporting.deliveries, one for each rule and occasion however often it is put."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, text

from domain.keys import MspId
from domain.notifications import Rule
from services.reporting.notifying.messages import Message


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
