"""The real service, as its own process with its own role, on a real vhost: bells in, requests out."""

from collections.abc import Iterator

import orjson
import pytest

from plumbing import rpc, topology
from plumbing.publisher import Message, Publisher
from services.reconciler.reactor import REPLANS
from tests.processes import Process
from tests.reconciler.conftest import Reconciler
from tests.servers import role_url
from tests.waiting import wait_for
from tests.world import ODIN, count_changed, relation_set


@pytest.fixture
def service(reconciler: Reconciler, database: str, vhost: str) -> Iterator[str]:
    """The URL of the broker on which the service listens; it sweeps so seldom that only bells can wake it."""
    environment = {
        "TRUEUP_DATABASE_URL": role_url(database, "trueup_reconciler"),
        "TRUEUP_RABBITMQ_URL": vhost,
        "TRUEUP_SWEEP_SECONDS": "3600",
    }
    with Process("deploy.run_service", "reconciler", environment=environment) as process:
        wait_for(lambda: _answers(vhost) or not process.running, what="reconciler to answer")
        assert process.running, process.output
        yield vhost
        assert process.stop() == 0, process.output
        assert "Traceback" not in process.output


def _answers(vhost: str) -> bool:
    try:
        return bool(rpc.call(vhost, "reconciler", "replan", 2, msp_id="nobody")["refusal"]["fix"])
    except (rpc.ServiceSilent, rpc.ServiceRefused):
        return False


def publish(vhost: str, exchange: str, routing_key: str, body: dict[str, object]) -> None:
    """Puts a message where the relay would, once its queue is there."""
    publisher = Publisher(vhost)
    message = Message(exchange, routing_key, orjson.dumps(body), message_id="11111111-2222-3333-4444-555555555555")
    wait_for(lambda: publisher.publish([message]) == {}, what=f"a queue for {routing_key}")
    publisher.close()


def test_a_bell_makes_the_service_ask_for_units_and_a_call_plans_anew(reconciler: Reconciler, service: str) -> None:
    # when
    at = reconciler.append(relation_set())
    publish(service, topology.BELLS.name, "RelationSet", {"msp_id": reconciler.msp_id, "upto": at})
    wait_for(reconciler.requests, what="a request")
    reconciler.append(count_changed(ODIN, "12"))
    answer = rpc.call(service, "reconciler", "replan", msp_id=reconciler.msp_id)

    # then: planning anew has read the log first, where nothing is left to do
    assert answer == {"events": 0, "refusal": None}
    assert [request.target_units for request in reconciler.requests()] == [8, 12]


def test_work_to_plan_anew_is_taken_from_its_queue(reconciler: Reconciler, service: str) -> None:
    reconciler.append(relation_set())
    publish(service, topology.WORK.name, REPLANS, {"msp_id": reconciler.msp_id})
    wait_for(reconciler.requests, what="a request")
