"""What a person asks of deliveries: send one once more, try a rule out. Row by row: done, or refused with what to do."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from domain.keys import MspId
from plumbing.house import House
from services.reporting.notifying import deliveries
from services.reporting.notifying.messages import trial_of

Result = dict[str, Any]
_RESEND = """
UPDATE reporting.deliveries SET state = 'waiting', attempts = 0, next_try_at = :now, held_until = NULL
WHERE msp_id = :msp_id AND delivery_id = :delivery_id AND state <> 'empty' AND (held_until IS NULL OR held_until <= :now)
"""


def resend(house: House, msp_id: MspId, delivery_ids: Sequence[str]) -> list[Result]:
    """Each is put on its way again under its id, whether it was sent, given up or waits for its next try."""
    with house.engine.begin() as connection:
        return [_resend(connection, house, msp_id, delivery_id) for delivery_id in delivery_ids]


def try_rule(house: House, msp_id: MspId, rule_id: str, operation_id: str, actor: str) -> Result:
    """A test is put on its way by the rule, once for each operation; the delivery tells what became of it."""
    with house.engine.begin() as connection:
        rule = next((each for each in deliveries.rules_of(connection, msp_id) if each.rule_id == rule_id), None)
        if rule is None:
            return _refused(rule_id, "NO_SUCH_RULE", "No rule of this id sends anything.", "Look at notificationRules.")
        message = trial_of(rule.channel, msp_id, actor)
        deliveries.put(connection, rule, f"test/{operation_id}", message, house.clock.now())
    return {"id": rule_id, "ok": True, "refusal": None}


def _resend(connection: Connection, house: House, msp_id: MspId, delivery_id: str) -> Result:
    values = {"msp_id": msp_id, "delivery_id": delivery_id, "now": house.clock.now()}
    if connection.execute(text(_RESEND), values).rowcount:
        return {"id": delivery_id, "ok": True, "refusal": None}
    state = connection.scalar(
        text("SELECT state FROM reporting.deliveries WHERE msp_id = :msp_id AND delivery_id = :delivery_id"), values
    )
    if state is None:
        return _refused(delivery_id, "NO_SUCH_DELIVERY", "There is no such delivery.", "Look at webhookDeliveries.")
    if state == "empty":
        return _refused(delivery_id, "NOTHING_TO_SEND", "That day had nothing to tell.", "Nothing is to be done.")
    return _refused(delivery_id, "IN_HAND", "It is being sent right now.", "Look at it again in a minute.")


def _refused(row_id: str, code: str, message: str, fix: str) -> Result:
    return {"id": row_id, "ok": False, "refusal": {"code": code, "message": message, "fix": fix}}
