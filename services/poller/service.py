"""Messages, the timer and calls -> polls of marketplaces, shared out over replicas through the work queue."""

from typing import Any

from nameko.contextdata import ContextDataProvider

from domain.keys import ConnectionId, MspId, SubscriptionId
from plumbing import topology
from plumbing.answering import rpc
from plumbing.broker import consume
from plumbing.house import HouseProvider
from plumbing.logs import correlated
from plumbing.resealing import OpensSecrets
from plumbing.settings import OutsideSettings
from plumbing.sweeping import sweeping
from services.poller.answer_renewal import Answer, NoAnswer
from services.poller.answering import refusal_of, take_answer
from services.poller.place import Place
from services.poller.schedule import QUEUE, put_due_polls
from services.poller.try_connection import try_connection
from services.poller.work import PollWork, do_poll

SETTINGS = OutsideSettings
# A poll spends its time waiting for the marketplace; some workers stay free for the timer and for calls.
POLLS_AT_ONCE = 6
WORKERS = POLLS_AT_ONCE + 4


class CorrelationId(ContextDataProvider):
    """The correlation id of the message in hand."""

    context_key = "correlation_id"


class Service(OpensSecrets):
    """Reads ODIN and records what changed."""

    name = "poller"
    house = HouseProvider()
    correlation_id = CorrelationId()

    @consume(topology.work_queue(QUEUE), prefetch=POLLS_AT_ONCE)
    def poll(self, body: Any, _message_id: str) -> None:
        """Runs the poll of the message."""
        with correlated(self.correlation_id):
            do_poll(self.house, PollWork.parse(body))

    @sweeping
    def put_due_polls(self) -> None:
        """Puts polls that are due into the queue, and tells of the calls that were made."""
        put_due_polls(self.house.engine, self.house.clock)
        self.house.calls.tell(self.house.engine, self.house.clock, self.name)

    @rpc
    def test_connection(self, msp_id: str, connection_id: str, unsaved: dict[str, Any] | None = None) -> dict[str, Any]:
        """{"steps": [{"step", "ok", "milliseconds", "message", "fix"}]}: whether the connection opens and can be read.
        unsaved: {"kind", "settings", "sealed"} that are tried instead of what is saved."""
        house, key = self.house, (MspId(msp_id), ConnectionId(connection_id))
        return try_connection(house.engine, house.settings, house.clock, *key, house.calls.through(*key), unsaved)

    @rpc
    def answer_renewal(
        self, msp_id: str, connection_id: str, subscription_id: str, continued_by: str | None, reason: str, actor: str
    ) -> dict[str, Any]:
        """{"refusal"}: what became of a subscription whose renewal was unclear. continued_by None: it was not renewed."""
        answer = Answer(
            SubscriptionId(subscription_id), SubscriptionId(continued_by) if continued_by else None, actor, reason
        )
        place = Place(MspId(msp_id), ConnectionId(connection_id))
        try:
            take_answer(self.house.engine, self.house.clock, place, answer)
        except NoAnswer as fault:
            return {"refusal": refusal_of(fault)}
        return {"refusal": None}
