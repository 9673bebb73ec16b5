"""What is told as it happens: the pulse, and reports only when their rows can be read; by bells, or else by the sweep."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from domain.keys import MspId
from plumbing import topology
from plumbing.publisher import Message, Publisher
from tests.gateway.listening import Listener, listening
from tests.gateway.serving import Answering, gateway
from tests.reporting import history as h
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres]
A = h.odin("a")
CHANGED = 'subscription($report: ReportName!) { reportChanged(mspId: "acme", report: $report) { report position } }'
PULSE = (
    """subscription { pulseChanged(mspId: "acme") { position openFailures consumers { name lag stoppedReason } } }"""
)
ROWS = '{ subscriptions(mspId: "acme") { totalCount asOf { position } } }'


@pytest.fixture
def ringing(told: MspId, database: str, vhost: str) -> Iterator[Answering]:
    """A gateway with a broker."""
    topology.declare(vhost, [], [])
    with gateway(role_url(database, "trueup_gateway"), vhost) as answering:
        yield answering


def ring(vhost: str, upto: int) -> None:
    publisher = Publisher(vhost)
    body = json.dumps({"msp_id": "acme", "upto": upto}).encode()
    publisher.publish([Message(topology.BELLS.name, "ResourceDiscovered", body, message_id="1")])
    publisher.close()


def silent(listener: Listener, seconds: float) -> bool:
    try:
        listener.next(seconds)
    except TimeoutError:
        return True
    return False


def test_the_pulse_is_told_at_once_and_again_when_it_is_another(own: Answering, engine: Engine, told: MspId) -> None:
    with listening(own) as listener:
        listener.subscribe(PULSE)
        first = listener.data()
        h.append(engine, told, [h.poll_failed()])
        grown = listener.data()
        h.project(engine, told)
        folded = listener.data()

    assert (first["position"], {one["lag"] for one in first["consumers"]}) == ("9", {0})
    assert (grown["position"], {one["lag"] for one in grown["consumers"]}) == ("10", {1})
    assert (folded["openFailures"], {one["lag"] for one in folded["consumers"]}) == (first["openFailures"] + 1, {0})


def test_a_report_is_told_only_when_its_rows_can_be_read(own: Answering, engine: Engine, told: MspId) -> None:
    with listening(own) as listener:
        listener.subscribe(CHANGED, report="SUBSCRIPTIONS")
        assert listener.data() == {"report": "SUBSCRIPTIONS", "position": "9"}
        h.append(engine, told, [h.discovered(h.odin("new"), "1")])
        assert silent(listener, 7)  # a sweep has passed
        h.project(engine, told)
        assert listener.data()["position"] == "10"

        rows = own.data(ROWS)["subscriptions"]

    assert rows == {"totalCount": 4, "asOf": {"position": "10"}}


def test_a_report_is_not_told_of_what_does_not_change_it(own: Answering, engine: Engine, told: MspId) -> None:
    with listening(own) as listener:
        listener.subscribe(CHANGED, report="PSA_CUSTOMERS")
        listener.data()
        listener.subscribe(CHANGED, "2", report="FAILURES")
        listener.data("2")
        h.append(engine, told, [h.poll_failed()])
        h.project(engine, told)
        assert listener.data("2") == {"report": "FAILURES", "position": "10"}
        h.append(engine, told, [h.customer(h.psa("p"))])
        h.project(engine, told)
        assert {listener.next()["id"], listener.next()["id"]} == {"1", "2"}


def test_what_was_appended_but_not_folded_is_told_to_who_comes_in_between(
    own: Answering, engine: Engine, told: MspId
) -> None:
    h.append(engine, told, [h.discovered(h.odin("new"), "1")])
    with listening(own) as listener:
        listener.subscribe(CHANGED, report="SUBSCRIPTIONS")
        assert listener.data()["position"] == "9"
        h.project(engine, told)
        assert listener.data()["position"] == "10"


@pytest.mark.rabbitmq
def test_a_bell_is_heard_at_once_and_by_every_gateway(
    ringing: Answering, engine: Engine, told: MspId, database: str, vhost: str
) -> None:
    with (
        gateway(role_url(database, "trueup_gateway"), vhost) as other,
        listening(ringing) as one,
        listening(other) as two,
    ):
        for listener in (one, two):
            listener.subscribe(CHANGED, report="SUBSCRIPTIONS")
            listener.data()
        for number in range(3):
            at = h.append(engine, told, [h.discovered(h.odin(f"n{number}"), "1")])
            h.project(engine, told)
            ring(vhost, at)
            for listener in (one, two):
                assert json.loads(listener.connection.recv(timeout=3))["payload"]["data"]["reportChanged"] == {
                    "report": "SUBSCRIPTIONS",
                    "position": str(at),
                }


@pytest.mark.rabbitmq
def test_the_queue_of_bells_goes_with_its_gateway(told: MspId, database: str, vhost: str, rabbitmq) -> None:
    def queues() -> list[str]:
        found = rabbitmq.api("GET", f"queues/{vhost.rsplit('/', 1)[1]}")
        return [queue["name"] for queue in found if queue["name"].startswith("amq.gen")]

    with gateway(role_url(database, "trueup_gateway"), vhost):
        wait_for(lambda: len(queues()) == 1, what="the queue")
    wait_for(lambda: queues() == [], what="its end")


@pytest.mark.rabbitmq
def test_nobody_is_looked_at_whom_nobody_watches(ringing: Answering, engine: Engine, told: MspId) -> None:
    def looks() -> int:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(
                """SELECT count(*) FROM pg_stat_activity WHERE usename = 'trueup_gateway' AND datname = current_database()
                   AND query LIKE '%%log.heads%%' AND query_start > now() - interval '1 second'"""
            )
            return int(rows.scalar_one())

    with listening(ringing) as listener:
        listener.subscribe(PULSE)
        listener.data()
        listener.send(type="complete", id="1")
        wait_for(lambda: looks() == 0, what="silence")
        assert silent(listener, 6)
