"""Notifications from now on -> a delivery for each rule that tells them: never replayed, and never of the past."""

from sqlalchemy import Connection

from domain.envelope import Envelope
from domain.keys import MspId
from plumbing.catch_up import Reactor
from plumbing.clock import Clock
from services.reporting.notifying import deliveries
from services.reporting.notifying.messages import message_of
from services.reporting.notifying.news import MOST, news_between
from services.reporting.projections.notifications import NOTIFICATIONS

# The events at whose places notifications stand.
TYPES = (
    "AdjustmentFailed",
    "AdjustmentHeld",
    "AdjustmentParked",
    "AgreementMoveUnclear",
    "CatalogueReadFailed",
    "CloseDue",
    "ConsumerResumed",
    "ConsumerStopped",
    "PlanRefused",
    "PollCompleted",
    "PollFailed",
    "PollLate",
    "PsaUnitsObserved",
    "SubscriptionRenewalUnclear",
)


def reactor(clock: Clock) -> Reactor:
    """The reactor that puts deliveries; it follows the projection of notifications, whose living rows it reads."""

    def react(connection: Connection, msp_id: MspId, events: list[Envelope]) -> None:
        rules = [rule for rule in deliveries.rules_of(connection, msp_id) if rule.channel != "digest"]
        if not rules or events[-1].position <= min(rule.after_position for rule in rules):
            return
        now = clock.now()
        for news in news_between(connection, msp_id, events[0].position - 1, events[-1].position):
            for rule in rules:
                if news["kind"] in rule.kinds and news["position"] > rule.after_position:
                    message = message_of(rule.channel, msp_id, news)
                    deliveries.put(connection, rule, f"notification/{news['notification_id']}", message, now)

    # Two notifications may stand at one place; a batch must not have more of them than are read at once.
    return Reactor("reporting.deliveries", "reporting", TYPES, react, batch=MOST // 2, follows=NOTIFICATIONS.consumer)
