"""Calls over real HTTP that go wrong: what may be said about each, for a read and for a create (reliability A1-A3, A6-A9)."""

import gzip
import socket
import threading
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import Response
from urllib3.util.connection import create_connection

from deploy.sandbox.serving import CutOff, Hang, Trickle
from domain.keys import PsaAgreementId, PsaProductId
from plumbing.clock import FrozenClock
from plumbing.way_out import WayOut
from services.psa_writer.psa.autotask_soap import AutotaskSoap
from services.psa_writer.psa.port import AdjustmentOrder, Applied, PsaFailure, Refused, Unknown
from tests.psa_writer.psa.wire import (
    INSIDE,
    PASSWORD,
    QUICK,
    TRACKING,
    Wire,
    account,
    always,
    autotask,
    entity,
    envelope,
    fault,
    html,
    in_turn,
    listed,
    no_limit,
    refused,
    result,
    xml,
    zone_reply,
)

ORDERS = [
    AdjustmentOrder(PsaAgreementId("29730001"), PsaProductId(str(8001 + n)), date(2026, 8, 14), 8, None)
    for n in range(2)
]
CREATED = result(
    "create",
    entity("ContractServiceAdjustment", 70001) + entity("ContractServiceAdjustment", 70002),
    "contractserviceadjustment",
)
ACCOUNT = entity("Account", 0, AccountName="Blue Yonder", Active="true")
LOCKED = "The user account has been locked.  Please see your Autotask Administrator for details."
THREADS = "The Autotask API thread threshold of 3 threads has been exceeded."
TRUNCATED = CREATED[: CREATED.index("</ReturnCode>") + 8]


def create(client: AutotaskSoap):
    return client.create_adjustments(ORDERS)


def read(client: AutotaskSoap):
    return [each for page in client.customers() for each in page]


def test_a_create_is_applied_when_the_whole_reply_says_so():
    wire = always(xml(CREATED))

    with autotask(wire) as client:
        outcome = create(client)

    assert outcome == Applied(("70001", "70002"))
    assert [each.operation for each in wire.signed_in()] == ["create"]


@pytest.mark.parametrize(
    "reply",
    [
        CREATED.replace("7000", "0000"),
        CREATED.replace("<id>70001</id>", "").replace("<id>70002</id>", '<id xsi:nil="true"/>'),
        result("create"),
    ],
    ids=["ids of 0", "no ids", "no entities"],
)
def test_a_create_is_applied_without_ids_too(reply: str):
    reply = reply.replace("00001", "0").replace("00002", "0")

    with autotask(always(xml(reply))) as client:
        assert create(client) == Applied((None, None))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(xml(TRUNCATED), id="truncated XML with its length told right"),
        pytest.param(CutOff(xml(CREATED), after_bytes=len(TRUNCATED)), id="closed in the middle"),
        pytest.param(CutOff(xml(CREATED), after_bytes=len(TRUNCATED), reset=True), id="reset in the middle"),
        pytest.param(CutOff(reset=True), id="reset without an answer"),
        pytest.param(Hang(30, xml(CREATED)), id="no answer in time"),
        pytest.param(Trickle(xml(CREATED), bytes_at_once=1, every=0.2), id="a trickle"),
        pytest.param(xml(""), id="empty 200"),
        pytest.param(html(200), id="HTML with 200"),
        pytest.param(html(302), id="redirect"),
        pytest.param(html(400), id="400"),
        pytest.param(html(403), id="403"),
        pytest.param(html(404), id="404"),
        pytest.param(html(500), id="500"),
        pytest.param(html(502), id="502"),
        pytest.param(xml("", 503), id="empty 503"),
        pytest.param(xml(CREATED.replace("70001", "7\x0b1")), id="control character"),
        pytest.param(xml(CREATED, 500), id="success with status 500"),
        pytest.param(xml(result("create", code=0)), id="code 0"),
        pytest.param(xml(result("create", code=1, errors=("Something",))), id="success with errors"),
        pytest.param(xml(result("query", ACCOUNT, "account")), id="reply to another call"),
        pytest.param(xml("<!DOCTYPE a>" + CREATED.partition("?>")[2]), id="document type"),
        pytest.param(xml(gzip.compress(b"a" * 2**26), content_encoding="gzip"), id="gzip bomb"),
        pytest.param(fault("Server was unable to process request. ---> Object reference not set."), id="unknown fault"),
        pytest.param(fault("Server was unable to process request. ---> Timeout expired."), id="time-out inside"),
        pytest.param(refused("Timeout expired.", "record number[1]"), id="time-out told as an error"),
    ],
)
def test_a3_a_create_without_a_whole_believable_reply_is_unknown_and_never_sent_again(answer):
    wire = always(answer)

    with autotask(wire, limits=replace(QUICK, largest=2**22)) as client:
        outcome = create(client)

    assert isinstance(outcome, Unknown)
    assert len(wire.signed_in()) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(xml(TRUNCATED.replace("create", "query")), "malformed", id="truncated XML"),
        pytest.param(CutOff(listed("Account", ACCOUNT), after_bytes=300), "unreachable", id="closed in the middle"),
        pytest.param(CutOff(reset=True), "unreachable", id="reset"),
        pytest.param(Hang(30, listed("Account")), "unreachable", id="no answer in time"),
        pytest.param(Trickle(listed("Account"), bytes_at_once=1, every=0.2), "unreachable", id="a trickle"),
        pytest.param(xml(""), "malformed", id="empty 200"),
        pytest.param(html(200), "malformed", id="HTML with 200"),
        pytest.param(html(302), "malformed", id="redirect"),
        pytest.param(html(404), "rejected", id="404"),
        pytest.param(html(500), "unreachable", id="500"),
        pytest.param(html(503), "unreachable", id="503"),
        pytest.param(xml(envelope("<a/>")), "malformed", id="another body"),
        pytest.param(xml(CREATED), "malformed", id="reply to another call"),
        pytest.param(xml(result("query", "", "account", code=0)), "malformed", id="code 0"),
        pytest.param(
            xml(result("query", "", "account").replace("EntityResults", "Entities")), "malformed", id="no list"
        ),
        pytest.param(listed("Contract"), "malformed", id="another entity's list"),
        pytest.param(listed("account", entity("Contract", 1)), "malformed", id="another entity's record"),
        pytest.param(listed("Account", entity("Account", 1, Active="true"), ACCOUNT), "malformed", id="falling ids"),
        pytest.param(listed("Account", ACCOUNT, ACCOUNT), "malformed", id="one record twice"),
        pytest.param(
            listed("Account", entity("Account", 1, Active="maybe")), "malformed", id="a field that is no flag"
        ),
        pytest.param(refused("Invalid query syntax.", operation="query"), "rejected", id="refused"),
        pytest.param(refused(operation="query"), "rejected", id="refused without words"),
        pytest.param(refused("Timeout expired", operation="query"), "unreachable", id="busy"),
        pytest.param(fault("Object reference not set."), "unreachable", id="server fault"),
        pytest.param(fault("Server did not recognize the value", "Client"), "rejected", id="client fault"),
    ],
)
def test_a_read_that_goes_wrong_is_a_failure_of_its_kind_with_a_fix(answer, kind: str):
    with autotask(always(answer)) as client, pytest.raises(PsaFailure) as failed:
        read(client)

    assert failed.value.kind == kind
    assert failed.value.message
    assert failed.value.fix


def test_a_page_that_fails_after_good_ones_fails_the_read_as_a_whole():
    full = listed("Account", *(entity("Account", n, AccountName=n, Active="true") for n in range(500)))

    with autotask(in_turn(full, html(502))) as client:
        pages = client.customers()
        next(pages)
        with pytest.raises(PsaFailure):
            next(pages)


def test_a_server_that_ignores_the_last_id_does_not_pass_for_a_short_list():
    full = listed("Account", *(entity("Account", n, AccountName=n, Active="true") for n in range(500)))
    wire = always(full)

    with autotask(wire) as client, pytest.raises(PsaFailure, match="do not rise"):
        read(client)

    assert len(wire.signed_in()) == 2


def test_a_control_character_in_a_name_does_not_hide_the_customer():
    with autotask(always(listed("Account", ACCOUNT.replace("Yonder", "&#x0B;Yonder")))) as client:
        [customer] = read(client)

    assert customer.name.split() == ["Blue", "Yonder"]


@contextmanager
def answering_in_bytes(answer: bytes):
    """A server that takes one call and sends these bytes, whatever they are; gives its port."""

    def serve():
        line, _ = listener.accept()
        with line:
            line.recv(2**16)
            line.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        yield listener.getsockname()[1]
        server.join(10)


@pytest.mark.parametrize(
    "head",
    [
        b"garbage",
        b"HTTP/1.1 200 OK\r\nConte",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 No\r\nRetry-After: \xb2\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a3_an_answer_that_is_not_even_http_leaves_a_create_unknown(head: bytes):
    with answering_in_bytes(head) as port:
        elsewhere = f"http://127.0.0.1:{port}/zone1"
        with autotask(Wire(lambda _asked: html(), zone=lambda _wire: zone_reply(elsewhere))) as client:
            assert isinstance(create(client), Unknown)


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize("act", [create, read])
def test_a_refused_connection_is_unreachable_and_certainly_not_applied(act):
    wire = Wire(lambda _asked: html(), zone=lambda _wire: zone_reply(f"http://127.0.0.1:{unused_port()}/zone1"))

    with autotask(wire) as client, pytest.raises(PsaFailure) as failed:
        act(client)

    assert failed.value.kind == "unreachable"


@pytest.mark.parametrize("act", [create, read])
def test_a_name_that_does_not_resolve_is_unreachable(act):
    client = AutotaskSoap(
        account("http://autotask.invalid/atws.asmx"), no_limit, FrozenClock(datetime.now(UTC)), QUICK, way=INSIDE
    )

    with pytest.raises(PsaFailure) as failed:
        act(client)

    assert failed.value.kind == "unreachable"


@contextmanager
def hidden_from_tracebacks(*secrets: str):
    with pytest.raises(PsaFailure) as failed:
        yield failed
    told = "".join(map(str, [failed.value.message, failed.value.fix, failed.getrepr(showlocals=False)]))
    assert not [secret for secret in secrets if secret in told]


@pytest.mark.parametrize("act", [create, read])
def test_a9_a_refused_sign_in_is_tried_once_and_the_zone_asked_again(act):
    wire = always(html(401))

    with autotask(wire) as client, hidden_from_tracebacks(PASSWORD, TRACKING) as failed:
        act(client)

    assert failed.value.kind == "unauthorised"
    assert [each.operation for each in wire.asked if each.operation != "getZoneInfo"] == [wire.signed_in()[0].operation]
    assert len(wire.asked) == 3


@pytest.mark.parametrize("act", [create, read])
def test_after_a_refused_sign_in_the_call_goes_to_the_zone_that_the_user_moved_to(act):
    answers = {"/zone1": html(401), "/zone2": xml(CREATED) if act is create else listed("Account", ACCOUNT)}
    wire = Wire(lambda asked: answers[asked.path])

    with autotask(wire) as client:
        client.zone()
        wire.zone_path = "/zone2"
        act(client)
        act(client)

    assert [each.path for each in wire.signed_in()] == ["/zone1", "/zone2", "/zone2"]


def test_a_zone_that_cannot_be_asked_again_leaves_the_sign_in_refused():
    zones = iter([None, html(503)])
    wire = Wire(lambda _asked: html(401), zone=lambda wire: next(zones) or zone_reply(wire.base + "/zone1"))

    with autotask(wire) as client, pytest.raises(PsaFailure) as failed:
        read(client)

    assert failed.value.kind == "unauthorised"
    assert len(wire.signed_in()) == 1


@pytest.mark.parametrize(
    "answer",
    [fault(LOCKED, status=401), xml(LOCKED, 401), fault(LOCKED), refused(LOCKED), refused(LOCKED, operation="query")],
    ids=["fault with 401", "text with 401", "fault", "refusal of a create", "refusal of a query"],
)
def test_a_locked_user_is_told_apart_and_left_alone(answer):
    act = read if b"query" in answer.body else create
    wire = always(answer)

    with autotask(wire) as client, pytest.raises(PsaFailure) as failed:
        act(client)

    assert failed.value.kind == "unauthorised"
    assert "Unlock it" in failed.value.fix
    assert len(wire.signed_in()) == 1


@pytest.mark.parametrize("act", [create, read])
@pytest.mark.parametrize(("status", "kind"), [(401, "unauthorised"), (429, "rate_limited")])
def test_a_status_at_the_door_counts_whatever_unknown_words_come_with_it(act, status: int, kind: str):
    wire = always(fault("Some words of another year.", status=status))

    with autotask(wire) as client, pytest.raises(PsaFailure) as failed:
        act(client)

    assert failed.value.kind == kind
    assert len(wire.signed_in()) == 1


def test_a_locked_user_is_left_alone_at_a_zone_that_it_moved_to_as_well():
    zones = iter(["/zone1", "/zone2"])
    wire = Wire(lambda _asked: xml(LOCKED, 401), zone=lambda wire: zone_reply(wire.base + next(zones)))

    with autotask(wire) as client, pytest.raises(PsaFailure, match="locked"):
        read(client)

    assert [each.path for each in wire.signed_in()] == ["/zone1"]


@pytest.mark.parametrize("act", [create, read])
@pytest.mark.parametrize(
    ("answer", "retry_after"),
    [
        (html(429), None),
        (Response("", 429, headers={"Retry-After": "17"}), 17),
        (fault(THREADS), None),
        (xml(fault(THREADS).body, 429, Retry_After="0"), 0),
        (fault("Your request threshold of 10000 has been exceeded."), None),
    ],
    ids=["429", "429 with a wait", "threads", "threads with 429", "usage"],
)
def test_a7_a8_too_many_calls_is_rate_limited_also_for_a_create(act, answer, retry_after):
    wire = always(answer)

    with autotask(wire) as client, pytest.raises(PsaFailure) as failed:
        act(client)

    assert (failed.value.kind, failed.value.retry_after) == ("rate_limited", retry_after)
    assert len(wire.signed_in()) == 1


def test_a11_refused_adjustments_are_named_by_their_place():
    wrong = "effectiveDate must be between the start date and end date of the Contract referenced by contractID"

    with autotask(always(refused(wrong, "Error creating entity for record number[2]."))) as client:
        outcome = create(client)

    assert isinstance(outcome, Refused)
    assert {place: refusal.message for place, refusal in outcome.refusals.items()} == {1: wrong}


def test_a6_a_duplicate_is_a_refusal_that_says_so_also_as_a_fault():
    text = "Attempt to insert duplicate data into contract_service_period"

    for answer in (refused(text, "record number[1]"), fault(text)):
        with autotask(always(answer)) as client:
            outcome = client.create_adjustments(ORDERS[:1])
        assert isinstance(outcome, Refused)
        assert outcome.refusals[0].duplicate


def test_a_fault_that_blames_the_request_proves_that_nothing_was_done():
    with (
        autotask(always(fault("Server was unable to read request.", "Client"))) as client,
        pytest.raises(PsaFailure) as no,
    ):
        create(client)

    assert no.value.kind == "rejected"


def test_a_create_goes_over_a_connection_of_its_own_because_a_kept_one_may_be_closing():
    def answer(asked):
        kept = [each.connection for each in wire.asked].count(asked.connection) > 1
        return (CutOff(reset=True) if kept else xml(CREATED)) if asked.operation == "create" else listed("Account")

    wire = Wire(answer)
    with autotask(wire) as client:
        read(client)
        outcomes = [create(client), create(client)]

    assert [type(each) for each in outcomes] == [Applied, Applied]
    assert len({each.connection for each in wire.asked}) == 3


@pytest.mark.parametrize("number", [0, 201])
def test_a_create_takes_1_to_200_adjustments(number: int):
    wire = always(xml(CREATED))

    with autotask(wire) as client, pytest.raises(ValueError, match="1 to 200"):
        client.create_adjustments([ORDERS[0]] * number)

    assert wire.asked == []


def test_a_signed_in_call_carries_what_autotask_asks_for():
    wire = always(listed("Account"))

    with autotask(wire) as client:
        read(client)

    zone, query = wire.asked
    expected = b64encode(f"api@msp.example:{PASSWORD}".encode()).decode()
    assert query.headers["authorization"] == f"Basic {expected}"
    assert query.headers["soapaction"] == '"http://autotask.net/ATWS/v1_6/query"'
    assert query.headers["content-type"] == "text/xml; charset=utf-8"
    assert TRACKING.encode() in query.body
    assert "authorization" not in zone.headers
    assert TRACKING.encode() not in zone.body


def test_every_signed_in_call_waits_for_leave_by_entity_and_the_zone_does_not():
    asked, wire = [], in_turn(listed("Account"), xml(CREATED))

    with autotask(wire, limiter=lambda of: asked.append(of) or no_limit(of)) as client:
        read(client)
        create(client)

    assert asked == ["Account", "ContractServiceAdjustment"]


def test_without_leave_nothing_is_sent():
    class NoLeave(Exception):
        pass

    def limiter(_entity: str):
        raise NoLeave

    wire = always(xml(CREATED))
    with autotask(wire, limiter=limiter) as client, pytest.raises(NoLeave):
        create(client)

    assert wire.signed_in() == []


def test_the_zone_is_kept_for_twelve_hours():
    clock, wire = FrozenClock(datetime(2026, 8, 14, 12, tzinfo=UTC)), always(listed("Account"))

    with autotask(wire, clock=clock) as client:
        read(client)
        clock.moment += timedelta(hours=11, minutes=59)
        read(client)
        assert len(wire.asked) == 3
        clock.moment += timedelta(minutes=1)
        read(client)

    assert [each.operation for each in wire.asked] == ["getZoneInfo", "query", "query", "getZoneInfo", "query"]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/atws.asmx",
        "https://autotask.net.evil.example/atws.asmx",
        "https://evilautotask.net/atws.asmx",
        "http://webservices2.autotask.net/atws.asmx",
        "https://user@webservices2.autotask.net/atws.asmx",
        "https://webservices2.autotask.net@evil.example/atws.asmx",
        "https://127.0.0.1/atws.asmx",
        "http://localhost/atws.asmx",
        "file:///etc/passwd",
        "//evil.example",
        "atws.asmx",
    ],
)
def test_a_zone_that_leads_away_from_autotask_gets_no_password(url: str):
    wire = Wire(lambda _asked: html(), zone=lambda _wire: zone_reply(url))

    with autotask(wire) as client, pytest.raises(PsaFailure) as failed:
        read(client)

    assert failed.value.kind == "malformed"
    assert wire.signed_in() == []


@pytest.mark.parametrize("act", [create, read])
def test_an_address_that_leads_inside_is_not_called_and_says_what_to_change(act):
    wire = always(xml(CREATED))

    with autotask(wire, way=WayOut(private_addresses=False)) as client, pytest.raises(PsaFailure) as failed:
        act(client)

    assert failed.value.kind == "unreachable"
    assert "only https addresses are called" in str(failed.value)
    assert "Check the address of Autotask's web service in the connection" in failed.value.fix
    assert wire.asked == []


def test_a_create_leaves_by_the_same_way_on_its_connection_of_its_own():
    dialled = []

    def dial(place: tuple[str, int], *given: Any, **more: Any) -> socket.socket:
        dialled.append(place)
        return create_connection(place, *given, **more)

    with autotask(always(xml(CREATED)), way=replace(INSIDE, dial=dial)) as client:
        create(client)

    assert len(dialled) == 2  # the zone, the create


@pytest.mark.parametrize(
    "url", ["https://webservices2.autotask.net/ATServices/1.6/atws.asmx", "https://AUTOTASK.net/a"]
)
def test_a_zone_at_autotask_is_taken(url: str):
    with autotask(Wire(lambda _asked: html(), zone=lambda _wire: zone_reply(url))) as client:
        assert client.zone() == url


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (zone_reply("", -2), "unauthorised"),
        (zone_reply("https://webservices2.autotask.net/a", -1), "unauthorised"),
        (zone_reply(""), "unauthorised"),
        (html(200), "malformed"),
        (html(503), "unreachable"),
        (fault("Object reference not set."), "unreachable"),
    ],
)
def test_a_zone_that_is_not_told_is_a_failure_before_anything_is_sent(answer, kind: str):
    wire = Wire(lambda _asked: xml(CREATED), zone=lambda _wire: answer)

    with autotask(wire) as client, pytest.raises(PsaFailure) as failed:
        create(client)

    assert failed.value.kind == kind
    assert wire.signed_in() == []
