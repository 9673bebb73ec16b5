"""Messages, the timer and calls -> posts to PSAs and readings of their catalogues, shared out over replicas."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any

from nameko.contextdata import ContextDataProvider

from domain.keys import ConnectionId, MspId
from plumbing import setup, topology
from plumbing.answering import rpc
from plumbing.broker import BadMessage, consume
from plumbing.budget import BudgetSpent
from plumbing.catch_up import catch_up, sweep
from plumbing.hearing import hear
from plumbing.house import House, HouseProvider
from plumbing.logs import correlated
from plumbing.resealing import OpensSecrets
from plumbing.settings import OutsideSettings, setting
from plumbing.setup import UNSAVED
from plumbing.sweeping import sweeping
from services.psa_writer import by_hand, deciding
from services.psa_writer.catalogue import read_catalogue
from services.psa_writer.outside import TEST_SECONDS, opener
from services.psa_writer.posting import post_due
from services.psa_writer.preview import preview
from services.psa_writer.preview_policies import preview_policies
from services.psa_writer.psa.port import PsaFailure
from services.psa_writer.reactor import CATALOGUE, POSTS, TYPES, reactor
from services.psa_writer.reread import reread_units
from services.psa_writer.schedule import put_due_work
from services.psa_writer.writer import Writer


@dataclass(frozen=True, kw_only=True)
class PsaWriterSettings(OutsideSettings):
    """What the writer needs as well. All are seconds."""

    second_look_seconds: int = setting(5, help="between the two readings that decide an unclear outcome")
    lease_seconds: int = setting(120, help="for which agreements are held while nothing is sent")
    send_within_seconds: int = setting(60, help="in which a create must leave once it is marked as sent")
    outcome_margin_seconds: int = setting(
        30, help="added to the PSA's longest execution before an outcome is read back"
    )


SETTINGS = PsaWriterSettings
# A round spends its time waiting for the PSA, up to five minutes a call; the rest is for bells, the timer and calls.
CONNECTIONS_AT_ONCE, CATALOGUES_AT_ONCE = 4, 2
WORKERS = CONNECTIONS_AT_ONCE + CATALOGUES_AT_ONCE + 4


class CorrelationId(ContextDataProvider):
    """The correlation id of the message in hand."""

    context_key = "correlation_id"


class Service(OpensSecrets):
    """The one door to the PSA."""

    name = "psa_writer"
    house = HouseProvider()
    correlation_id = CorrelationId()

    @hear(topology.bell_queue("psa_writer", TYPES), lambda house: [reactor(house.clock)])
    def on_bells(self, msp_id: MspId) -> None:
        """Reads the MSP's log up to its head."""
        catch_up(self.house.engine, reactor(self.house.clock), msp_id, self.house.clock)

    @consume(topology.work_queue(POSTS), prefetch=CONNECTIONS_AT_ONCE)
    def post(self, body: Any, _message_id: str) -> None:
        """Posts what is due on a connection. The message is only a hint: leases and intents see to it that nothing is
        posted twice, however often it comes."""
        with correlated(self.correlation_id):
            post_due(writer_of(self.house), *_connection(body))

    @consume(topology.work_queue(CATALOGUE), prefetch=CATALOGUES_AT_ONCE)
    def read_catalogue(self, body: Any, _message_id: str) -> None:
        """Reads the catalogue of a connection. A second message finds the lease taken, or reads again and tells nothing."""
        with correlated(self.correlation_id):
            read_catalogue(writer_of(self.house), *_connection(body))

    @sweeping
    def sweep(self) -> None:
        """Looks for lost bells, and puts what is due into the queues: posts to try again, outcomes to decide, catalogues.
        Tells of the calls that were made."""
        sweep(self.house.engine, [reactor(self.house.clock)], self.house.clock)
        put_due_work(self.house.engine, self.house.clock)
        self.house.calls.tell(self.house.engine, self.house.clock, self.name)

    @rpc
    def retry(self, msp_id: str, request_ids: list[str], actor: str) -> dict[str, Any]:
        """{"results": [{"id", "ok", "refusal"}]}: waiting adjustments tried again at once."""
        return by_hand.retry(writer_of(self.house), MspId(msp_id), request_ids, actor)

    @rpc
    def release(self, msp_id: str, request_ids: list[str], actor: str) -> dict[str, Any]:
        """The same shape: adjustments let out although a contradiction parked them."""
        return by_hand.release(writer_of(self.house), MspId(msp_id), request_ids, actor)

    @rpc
    def approve(
        self, msp_id: str, items: list[dict[str, Any]], effective: str, comment: str, operation_id: str, actor: str
    ) -> dict[str, Any]:
        """The same shape: held adjustments {"request_id", "target_units", "units_before"} approved as they were seen."""
        return deciding.approve(writer_of(self.house), MspId(msp_id), items, effective, comment, operation_id, actor)

    @rpc
    def refuse(self, msp_id: str, request_ids: list[str], reason: str, operation_id: str, actor: str) -> dict[str, Any]:
        """The same shape: held adjustments that stay unposted."""
        return deciding.refuse(writer_of(self.house), MspId(msp_id), request_ids, reason, operation_id, actor)

    @rpc
    def move(self, msp_id: str, request_ids: list[str], operation_id: str, actor: str) -> dict[str, Any]:
        """The same shape: waiting adjustments planned anew from the next billing period on."""
        return deciding.move(writer_of(self.house), MspId(msp_id), request_ids, operation_id, actor)

    @rpc
    def drop(self, msp_id: str, request_ids: list[str], reason: str, operation_id: str, actor: str) -> dict[str, Any]:
        """The same shape: adjustments that did not go out, given up."""
        return deciding.drop(writer_of(self.house), MspId(msp_id), request_ids, reason, operation_id, actor)

    @rpc
    def preview(self, msp_id: str, wishes: list[dict[str, Any]]) -> dict[str, Any]:
        """{"rows", "refusal"}: what would be posted for each wish, see preview.py."""
        return _or_refusal("rows", lambda: preview(writer_of(self.house), MspId(msp_id), wishes))

    @rpc
    def preview_policies(self, msp_id: str, decided: list[dict[str, Any]]) -> dict[str, Any]:
        """What would become of the open requests if this were all that the MSP had decided, see preview_policies.py."""
        return preview_policies(writer_of(self.house), MspId(msp_id), decided)

    @rpc
    def reread_units(self, msp_id: str, products: list[dict[str, str]]) -> dict[str, Any]:
        """{"results", "refusal"}: the units of products read again now. See reread.py."""
        return _or_refusal("results", lambda: reread_units(writer_of(self.house), MspId(msp_id), products))

    @rpc
    def test_connection(self, msp_id: str, connection_id: str, unsaved: dict[str, Any] | None = None) -> dict[str, Any]:
        """{"steps": [{"step", "ok", "milliseconds", "message", "fix"}], "refusal"}: the connection tried step by step, a
        wrong password exactly once. unsaved: {"kind", "settings", "sealed"} that are tried instead of what is saved."""
        key = MspId(msp_id), ConnectionId(connection_id)
        return _or_refusal("steps", lambda: _tested(self.house, *key, unsaved))


@cache
def writer_of(house: House) -> Writer:
    """The writer of this process: its opened clients are kept from one message to the next."""
    given = house.settings
    assert isinstance(given, PsaWriterSettings)  # noqa: S101 the runner reads SETTINGS
    return Writer(
        house.engine,
        house.clock,
        opener(house.engine, house.clock, given, house.calls),
        time.sleep,
        second_look=given.second_look_seconds,
        lease=given.lease_seconds,
        send_within=given.send_within_seconds,
        margin=given.outcome_margin_seconds,
    )


def _tested(house: House, msp_id: MspId, connection_id: ConnectionId, unsaved: dict[str, Any] | None) -> dict[str, Any]:
    writer = writer_of(house)
    with house.engine.connect() as connection:
        outside = setup.to_be_tried(connection, msp_id, connection_id, unsaved)
    # Opened for this alone, also when it is saved: what an older client has learned would not be tried.
    opened = writer.open_psa(replace(outside, version=UNSAVED))
    opened.send_by(house.clock.now() + timedelta(seconds=TEST_SECONDS))
    try:
        return {"steps": [asdict(step) for step in opened.psa.test()], "refusal": None}
    finally:
        opened.close()


def _or_refusal(name: str, answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return answer()
    except KeyError as missing:
        refusal = ("unknown", f"There is no {missing}.", "Check the MSP, the connection and its settings.")
    except PsaFailure as failure:
        refusal = (failure.kind, failure.message, failure.fix)
    except BudgetSpent as spent:
        refusal = ("rate_limited", str(spent), "Try again later, or raise calls_per_hour of the connection.")
    return {name: [], "refusal": dict(zip(("code", "message", "fix"), refusal, strict=True))}


def _connection(body: Any) -> tuple[MspId, ConnectionId]:
    match body:
        case {"msp_id": str(msp_id), "connection_id": str(connection_id)} if msp_id and connection_id:
            return MspId(msp_id), ConnectionId(connection_id)
    raise BadMessage("work has msp_id and connection_id")
