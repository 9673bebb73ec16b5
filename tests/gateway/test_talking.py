"""The WebSocket's door: who may come in, what is spoken there, and how much of it."""

import json
import time
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidStatus

from gateway import talking
from tests.gateway.listening import Listener, connected, deaf, listening
from tests.gateway.serving import TOKEN, Answering
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres]
# A close frame has less room than this takes.
LONG = "\N{HEAVY BLACK HEART}" * talking.LONGEST_ID
PULSE = 'subscription { pulseChanged(mspId: "acme") { position } }'


def signed_in(listener: Listener, **payload: str) -> None:
    listener.send(type="connection_init", payload=payload)
    assert listener.next() == {"type": "connection_ack"}


def test_a_browser_that_cannot_send_headers_signs_in_by_its_first_message(served: Answering) -> None:
    with connected(served, token=None) as listener:
        signed_in(listener, authorization=f"Bearer {TOKEN}")
        listener.subscribe(PULSE)
        assert listener.data() == {"position": "9"}


@pytest.mark.parametrize(("token", "payload"), [(None, {}), ("wrong", {}), (None, {"authorization": "Bearer wrong"})])
def test_without_the_token_the_connection_is_closed(
    served: Answering, token: str | None, payload: dict[str, str]
) -> None:
    with connected(served, token=token) as listener:
        listener.send(type="connection_init", payload=payload)
        assert listener.closed() == (4403, "Nobody is signed in, or not any more.")


def test_nothing_is_told_before_the_sign_in(served: Answering) -> None:
    with connected(served) as listener:
        listener.subscribe(PULSE)
        assert listener.closed()[0] == 4401


def test_a_page_of_another_origin_is_refused_and_its_own_is_not(served: Answering) -> None:
    own = served.url
    for foreign in ("https://evil.example", own.replace("http", "https") + ".evil.example", "null"):
        with pytest.raises(InvalidStatus, match="403"), connected(served, origin=foreign):
            pass
    with connected(served, origin=own) as listener:
        signed_in(listener)


def test_another_protocol_is_refused(served: Answering) -> None:
    with connected(served, subprotocols=["graphql-ws"]) as listener:
        assert listener.closed()[0] == 4406


def test_ping_is_answered_by_pong_and_pong_by_nothing(served: Answering) -> None:
    with listening(served) as listener:
        listener.send(type="pong")
        listener.send(type="ping")
        assert listener.next() == {"type": "pong"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", 4400),
        ("[]", 4400),
        ('{"type": 1}', 4400),
        ('{"type": "start"}', 4400),
        ('{"type": "subscribe", "id": "", "payload": {"query": "x"}}', 4400),
        ('{"type": "subscribe", "payload": {"query": "x"}}', 4400),
        ('{"type": "connection_init"}', 4429),
        ('{"type": "subscribe", "id": "taken", "payload": {"query": "subscription { x }"}}', 4409),
        (json.dumps({"type": "ping", "payload": "x" * 40_000}), 1009),
        pytest.param(json.dumps({"type": LONG}), 4400, id="a long type"),
        pytest.param(json.dumps({"type": "subscribe", "id": LONG, "payload": {}}), 4409, id="a long id"),
    ],
)
def test_what_is_not_spoken_here_closes_the_connection(served: Answering, text: str, code: int) -> None:
    with listening(served) as listener:
        listener.subscribe(PULSE, "taken")
        listener.subscribe(PULSE, LONG)
        listener.connection.send(text)
        assert listener.closed()[0] == code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('{ pulse(mspId: "acme") { position } }', "BAD_REQUEST"),
        ("subscription { nothing }", "BAD_REQUEST"),
        ("subscription {", "BAD_REQUEST"),
        ('subscription { pulseChanged(mspId: "nobody") { position } }', "NO_SUCH_MSP"),
        ('subscription { a: pulseChanged(mspId: "a") { position } pulseChanged(mspId: "b") { lag } }', "BAD_REQUEST"),
        ("subscription { pulseChanged(mspId: 1) { " + "position " * 9 + "} }", "TOO_COMPLEX"),
        (" ", "BAD_REQUEST"),
    ],
)
def test_what_cannot_be_told_is_refused_for_that_subscription_only(served: Answering, query: str, code: str) -> None:
    with listening(served) as listener:
        listener.subscribe(query)
        message = listener.next()
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == code
        assert message["payload"][0]["extensions"]["fix"]
        listener.subscribe(PULSE, "1")  # its name is free again
        assert listener.data()


def test_subscriptions_are_not_answered_by_post(served: Answering) -> None:
    assert served.refusal(PULSE)["code"] == "BAD_REQUEST"


def test_a_connection_has_so_many_subscriptions_and_no_more_until_one_is_completed(served: Answering) -> None:
    with listening(served) as listener:
        for number in range(talking.MOST_SUBSCRIPTIONS):
            listener.subscribe(PULSE, str(number))
            listener.data(str(number))
        listener.subscribe(PULSE, "one more")
        assert listener.next()["payload"][0]["extensions"]["code"] == "TOO_MANY"
        listener.send(type="complete", id="0")
        listener.subscribe(PULSE, "one more")
        assert listener.data("one more")


def test_so_many_connections_and_no_more_until_one_has_gone(served: Answering) -> None:
    with ExitStack() as opened:
        for _ in range(talking.MOST_CONNECTIONS):
            opened.callback(opened.enter_context(connected(served)).vanish)
        with pytest.raises(InvalidStatus, match="403"), connected(served):
            pass

    def free() -> bool:
        try:
            with listening(served):
                return True
        except InvalidStatus:
            return False

    assert wait_for(free, what="a free place")


def test_who_does_not_sign_in_is_sent_away(served: Answering) -> None:
    begun = time.monotonic()
    with connected(served) as listener:
        assert listener.closed()[0] == 4408
    assert time.monotonic() - begun >= talking.SIGN_IN_SECONDS - 1


def test_a_listener_that_takes_nothing_is_dropped(served: Answering) -> None:
    with deaf(served) as client:
        assert client.cut_within(talking.SEND_SECONDS + 5)
    wait_for(lambda: served.metric("trueup_listeners") == 0, what="its place")
