"""What is told as it happens: the pulse, and reports only when their rows can be read; by bells, or else by the sweep."""

import json

import pytest
from sqlalchemy import Engine

from domain.keys import MspId
from tests.gateway.listening import listening, ring, silent
from tests.gateway.serving import Answering, gateway
from tests.reporting import history as h
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres]
A = h.odin("a")
CHANGED = 'subscription($report: ReportName!) { reportChanged(mspId: "acme", report: $report) { report position } }'
PULSE = """subscription { pulseChanged(mspId: "acme") { position failed consumers { name lag stoppedReason } } }"""
ROWS = '{ subscriptions(mspId: "acme") { totalCount asOf { position } } }'


def test_the_pulse_is_told_at_once_and_by_the_sweep_when_it_is_another(
    own: Answering, engine: Engine, told: MspId
) -> None:
    with listening(own) as listener:
        listener.subscribe(PULSE)
        first = listener.data()
        assert silent(listener, 0.5)
        h.append(engine, told, [h.poll_failed()])
        grown = listener.data()
        h.project(engine, told)
        # A look may fall between the folds of two read models.
        folded = listener.data()
        while any(one["lag"] for one in folded["consumers"]):
            folded = listener.data()

    assert (first["position"], {one["lag"] for one in first["consumers"]}) == ("9", {0})
    assert (grown["position"], {one["lag"] for one in grown["consumers"]}) == ("10", {1})
    assert (folded["failed"], {one["lag"] for one in folded["consumers"]}) == (first["failed"] + 1, {0})


@pytest.mark.rabbitmq
def test_a_report_is_told_only_when_its_rows_can_be_read(
    ringing: Answering, engine: Engine, told: MspId, vhost: str
) -> None:
    with listening(ringing) as listener, listening(ringing) as other:
        listener.subscribe(CHANGED, report="SUBSCRIPTIONS")
        assert listener.data() == {"report": "SUBSCRIPTIONS", "position": "9"}
        other.subscribe(PULSE)
        other.data()
        ring(vhost, h.append(engine, told, [h.discovered(h.odin("new"), "1")]))
        assert other.data()["position"] == "10"
        assert silent(listener, 0.5)
        h.project(engine, told)
        assert listener.data()["position"] == "10"

        rows = ringing.data(ROWS)["subscriptions"]

    assert rows == {"totalCount": 4, "asOf": {"position": "10"}}


@pytest.mark.rabbitmq
def test_a_report_is_told_while_events_come_faster_than_they_are_folded(
    ringing: Answering, engine: Engine, told: MspId, vhost: str
) -> None:
    with listening(ringing) as listener:
        listener.subscribe(CHANGED, report="SUBSCRIPTIONS")
        listener.data()
        ring(vhost, h.append(engine, told, [h.discovered(h.odin("new"), "1")]))
        assert silent(listener, 1.6)  # the next look without a bell is as far away
        h.project(engine, told)
        ring(vhost, h.append(engine, told, [h.discovered(h.odin("newer"), "1")]))
        assert listener.data()["position"] == "10"


@pytest.mark.rabbitmq
def test_a_report_is_not_told_of_what_does_not_change_it(
    ringing: Answering, engine: Engine, told: MspId, vhost: str
) -> None:
    with listening(ringing) as listener:
        listener.subscribe(CHANGED, report="PSA_CUSTOMERS")
        listener.data()
        listener.subscribe(CHANGED, "2", report="FAILURES")
        listener.data("2")
        at = h.append(engine, told, [h.poll_failed()])
        h.project(engine, told)
        ring(vhost, at)
        assert listener.data("2") == {"report": "FAILURES", "position": "10"}
        at = h.append(engine, told, [h.customer(h.psa("p"))])
        h.project(engine, told)
        ring(vhost, at)
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


def test_one_look_serves_all_who_come_at_once(own: Answering) -> None:
    with listening(own) as listener:
        for number in range(20):
            listener.subscribe(PULSE, str(number))
        assert {listener.next()["id"] for _ in range(20)} == {str(number) for number in range(20)}
        assert own.metric("trueup_live_looks_total") <= 3


def test_no_msp_is_looked_at_that_nobody_watches(own: Answering) -> None:
    with listening(own) as listener, listening(own) as other:
        for each in (listener, other):
            each.subscribe(PULSE)
            each.data()
        listener.send(type="complete", id="1")
        listener.send(type="ping")
        listener.next()
        assert own.metric("trueup_watched_msps") == 1
        other.send(type="complete", id="1")
        wait_for(lambda: own.metric("trueup_watched_msps") == 0, what="silence")


def test_what_ends_the_looking_is_told_to_all_who_listen(own: Answering, engine: Engine, told: MspId) -> None:
    with listening(own) as listener, listening(own) as other:
        for each in (listener, other):
            each.subscribe(PULSE)
            each.data()
        with engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql("DELETE FROM setup.msps")
        for each in (listener, other):
            assert each.next()["payload"][0]["extensions"]["code"] == "NO_SUCH_MSP"
        wait_for(lambda: own.metric("trueup_watched_msps") == 0, what="silence")
