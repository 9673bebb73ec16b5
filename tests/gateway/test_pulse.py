"""The pulse over GraphQL: asked and listened to alike, with what is unread by whoever asks; posting paused and resumed."""

import uuid

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from tests.gateway.listening import listening
from tests.gateway.serving import Answering
from tests.reporting import history as h

pytestmark = [pytest.mark.postgres]
FIELDS = """phase done of nextPollAt lastPoll { completedAt complete subscriptions changes } psaReadAt
  open held failed failingSince unread calls { odinLeft psaLeft } mode paused { by at reason }"""
ASK = f'{{ pulse(mspId: "acme") {{ {FIELDS} }} }}'
LISTEN = f'subscription {{ pulseChanged(mspId: "acme") {{ {FIELDS} }} }}'
PAUSE = """mutation($operation: String!, $reason: String!) { pausePosting(mspId: "acme", operationId: $operation,
  reason: $reason) { operationId results { id ok refusal { code message fix } } } }"""
RESUME = """mutation($operation: String!) { resumePosting(mspId: "acme", operationId: $operation) {
  results { id ok refusal { code } } } }"""
ACTIVITY = '{ activities(mspId: "acme", first: 2) { edges { node { actor action reason } } } }'


def pause(own: Answering, reason: str = "Autotask is being upgraded.", operation: str | None = None) -> dict:
    answer = own.data(PAUSE, operation=operation or uuid.uuid4().hex, reason=reason)["pausePosting"]
    return answer["results"][0]


def resume(own: Answering) -> dict:
    return own.data(RESUME, operation=uuid.uuid4().hex)["resumePosting"]["results"][0]


def test_what_is_asked_and_what_is_listened_to_say_the_same(own: Answering, engine: Engine, told: MspId) -> None:
    with engine.begin() as connection:
        for name in ("odin", "autotask"):
            connection.execute(
                text("INSERT INTO setup.connections VALUES ('acme', :name, :name, '{}', '{}', 1, now())"),
                {"name": name},
            )
    h.append(engine, told, [h.poll_completed()])
    h.project(engine, told)

    asked = own.data(ASK)["pulse"]
    with listening(own) as listener:
        listener.subscribe(LISTEN)
        heard = listener.data()

    assert heard == asked
    assert (asked["phase"], asked["open"], asked["failed"], asked["mode"]) == ("FAILING", 0, 1, "UNATTENDED")
    assert asked["lastPoll"]["complete"] is True
    assert asked["calls"] == {"odinLeft": 5000, "psaLeft": 2500}
    assert asked["unread"] > 0


def test_posting_is_paused_once_and_who_did_it_is_told(own: Answering, engine: Engine, told: MspId) -> None:
    # when
    first = pause(own, operation="o1")
    again = pause(own, operation="o1")
    other = pause(own, "I did not see it.")
    paused = own.data(ASK)["pulse"]

    # then
    assert first == again == {"id": "acme", "ok": True, "refusal": None}
    assert other["refusal"]["code"] == "ALREADY_PAUSED"
    assert (paused["phase"], paused["paused"]["reason"]) == ("PAUSED", "Autotask is being upgraded.")
    assert paused["paused"]["by"] == "operator"

    # when
    assert resume(own)["ok"]
    late = pause(own, operation="o1")
    h.project(engine, told)

    # then an operation that comes late once more does not pause again
    assert late["ok"]
    assert own.data(ASK)["pulse"]["paused"] is None
    told_of = [edge["node"] for edge in own.data(ACTIVITY)["activities"]["edges"]]
    assert told_of == [
        {"actor": "operator", "action": "posting_resumed", "reason": None},
        {"actor": "operator", "action": "posting_paused", "reason": "Autotask is being upgraded."},
    ]


def test_what_cannot_be_paused_or_resumed_is_refused_in_words(own: Answering) -> None:
    assert resume(own)["refusal"]["code"] == "NOT_PAUSED"
    assert pause(own, "  ")["refusal"]["code"] == "REASON_MISSING"
    assert pause(own, "x" * 1001)["refusal"]["code"] == "BAD_REASON"
    assert own.refusal(PAUSE.replace("acme", "nobody"), operation="o", reason="r")["code"] == "NO_SUCH_MSP"


def test_a_pause_is_told_to_whoever_listens(own: Answering) -> None:
    with listening(own) as listener:
        listener.subscribe(LISTEN)
        assert listener.data()["paused"] is None
        pause(own)
        assert listener.data()["phase"] == "PAUSED"
