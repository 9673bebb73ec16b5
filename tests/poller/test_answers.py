"""The raw answers behind the poller's events: kept once, masked, found from the event, forgotten in time."""

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from deploy.sandbox.odin import OdinAccount
from domain.envelope import Envelope
from domain.events import ResourceCountChanged, ResourceDisappeared, ResourceDiscovered
from domain.keys import ConnectionId, MspId
from plumbing import event_log, evidence
from plumbing.evidence import Answer, Reading, Sought
from plumbing.logs import correlated
from services.poller.answers import MASK, masked
from tests.msps import add_msp
from tests.poller.desk import Desk

EXAMPLE = ("1000823", "100234")
CANARIES = (
    "anna.canary@example.com",
    "Canaryperson",
    "+1 555 0199",
    "5550199",
    "13 Canary Street",
    "Bearer c4n4ry-token-value",
    "eyJhbGciOi.eyJjYW5hcnki.c2ln",
    "sk-canary-0123456789abcdef0123456789abcdef01",
)


def polled(desk: Desk) -> str:
    """The id of a poll that went through as one from the queue does: under its id."""
    poll_id = uuid4().hex
    with correlated(poll_id):
        desk.poll(poll_id)
    return poll_id


def envelopes(desk: Desk, kind: type) -> list[Envelope]:
    with desk.engine.connect() as connection:
        upto = event_log.head(connection, desk.msp_id)
        return event_log.read(connection, desk.msp_id, 0, upto, [kind.type])


def sought(envelope: Envelope) -> Sought:
    event = envelope.event
    return Sought(event.connection_id, event.subscription_id, envelope.correlation_id, envelope.occurred_at)


def found(desk: Desk, envelope: Envelope) -> Answer | None:
    with desk.engine.connect() as connection:
        return evidence.find(connection, desk.msp_id, sought(envelope))


def at(document: object, pointer: str) -> object:
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def rows(desk: Desk) -> tuple[int, int]:
    """How many readings and how many answers there are."""
    with desk.engine.connect() as connection:
        return tuple(
            connection.scalar(text(f"SELECT count(*) FROM evidence.{table}")) for table in ("readings", "answers")
        )


def planted(**more: object) -> bytes:
    """An answer with personal data and secrets wherever a marketplace might put them."""
    mail, person, phone, digits, street, token, signed, secret = CANARIES
    return orjson.dumps(
        {
            "id": "1000823",
            "customerId": "1200000501",
            "name": f"Office 365 for {mail} ({phone})",
            "status": "active",
            "attributes": {"contact": person, mail: 1, "nested": [{"phone": int(digits)}]},
            "contactPersons": [{"firstName": person, "email": mail, "phoneNumber": phone}],
            "address": {"streetAddress": street},
            "billingPeriod": {"type": "month", "duration": 1, "note": person},
            "orderParameters": [{"name": "password", "value": secret}],
            "products": [
                {
                    "id": "100234",
                    "name": f"Exchange {token} {signed}",
                    "vendor": secret,
                    "quantity": 8,
                    "unitCost": {"currency": "USD", "amount": "3.40", "bookedBy": person},
                    "mpn": {"surprise": person},
                }
            ],
            person.lower(): person,
            mail: street,
        }
        | more
    )


def test_an_answer_that_led_to_an_event_is_found_from_it_and_shows_where_the_number_stands(
    desk: Desk, odin: OdinAccount
) -> None:
    # given
    polled(desk)
    odin.set_count(*EXAMPLE, 12)

    # when
    poll_id = polled(desk)

    # then
    (event,) = envelopes(desk, ResourceCountChanged)
    assert event.correlation_id == poll_id
    answer = found(desk, event)
    assert answer is not None
    shown = orjson.loads(answer.text)
    assert shown["id"] == EXAMPLE[0]
    assert Decimal(str(at(shown, answer.marks[f"{EXAMPLE[1]}/count"]))) == 12
    first = next(e for e in envelopes(desk, ResourceDiscovered) if e.event.subscription_id == EXAMPLE[0])
    assert Decimal(str(at(orjson.loads(found(desk, first).text), answer.marks[f"{EXAMPLE[1]}/count"]))) == 8


def test_a_poll_that_tells_nothing_keeps_nothing(desk: Desk, odin: OdinAccount) -> None:
    # given
    polled(desk)
    before = rows(desk)

    # when everything is read again, and nothing has changed
    desk.later(days=2)
    polled(desk)

    # then
    assert rows(desk) == before


def test_an_answer_that_differs_only_in_what_no_event_tells_is_not_kept(desk: Desk, odin: OdinAccount) -> None:
    # given
    polled(desk)
    before = rows(desk)

    # when a count went up and came back between two polls, which leaves another day of modification
    odin.set_count(*EXAMPLE, 12)
    odin.set_count(*EXAMPLE, 8)
    with correlated("p"):
        assert desk.completed().subscriptions_read == 1

    # then
    assert envelopes(desk, ResourceCountChanged) == []
    assert rows(desk) == before


def test_the_same_answer_is_kept_once_and_found_from_each_of_its_events(desk: Desk, odin: OdinAccount) -> None:
    # given
    polled(desk)
    for count in (12, 8, 12):
        odin.set_count(*EXAMPLE, count)
        polled(desk)

    # when
    events = envelopes(desk, ResourceCountChanged)

    # then
    readings, answers = rows(desk)
    assert readings == answers + 1
    texts = [found(desk, event).text for event in events]
    assert texts[0] == texts[2] != texts[1]


def test_a_disappearance_leads_to_the_answer_that_did_not_show_the_resource_any_more(
    desk: Desk, odin: OdinAccount
) -> None:
    # given
    desk.policy("ended_after_polls", "1")
    polled(desk)

    # when
    odin.cancel(EXAMPLE[0])
    polled(desk)

    # then
    event = next(e for e in envelopes(desk, ResourceDisappeared) if e.event.subscription_id == EXAMPLE[0])
    answer = found(desk, event)
    assert at(orjson.loads(answer.text), answer.marks["status"]) in ("removed", "terminated")


def test_a_resource_that_is_listed_no_more_leads_to_the_list_without_it(desk: Desk, odin: OdinAccount) -> None:
    # given
    desk.policy("ended_after_polls", "1")
    polled(desk)

    # when
    odin.remove(*EXAMPLE)
    polled(desk)

    # then
    (event,) = envelopes(desk, ResourceDisappeared)
    answer = found(desk, event)
    assert at(orjson.loads(answer.text), answer.marks["resources"]) == []


def test_what_is_personal_or_secret_is_masked_wherever_it_stands() -> None:
    # when
    answer = masked(planted())

    # then
    for canary in CANARIES:
        assert canary.lower() not in answer.text.decode().lower()
    shown = orjson.loads(answer.text)
    assert shown[MASK] == "6 more fields"
    assert shown["name"] == f"Office 365 for {MASK} ({MASK})"
    assert shown["products"][0]["quantity"] == 8
    assert shown["products"][0]["unitCost"] == {"currency": "USD", "amount": "3.40", MASK: "1 more fields"}


def test_no_canary_reaches_the_database_or_the_log(
    desk: Desk, odin: OdinAccount, caplog: pytest.LogCaptureFixture
) -> None:
    # given
    caplog.set_level(logging.DEBUG)

    # when
    with desk.engine.begin() as connection:
        evidence.keep(
            connection,
            desk.msp_id,
            desk.connection_id,
            "p1",
            [Reading("1000823", datetime.now(UTC), masked(planted()))],
        )

    # then
    with desk.engine.connect() as connection:
        kept = evidence.find(connection, desk.msp_id, Sought(desk.connection_id, "1000823", "p1", datetime.now(UTC)))
    stored = kept.text.decode() + repr(kept.marks) + caplog.text
    assert not [canary for canary in CANARIES if canary.lower() in stored.lower()]


@given(
    # A text that is not of the mask's own words: it stands beside a character that they have not.
    st.dictionaries(st.sampled_from(["name", "status", "x"]), st.text(max_size=12).map("§{}".format)),
    st.text("0123456789", min_size=1),
)
def test_masking_takes_whatever_comes_and_leaves_numbers_as_they_were_written(
    texts: dict[str, str], fraction: str
) -> None:
    # given
    products = f'[{{"id": "r1", "quantity": 12.{fraction}}}]'
    raw = b'{"products": %s, "billingPeriod": %s}' % (products.encode(), orjson.dumps(texts))

    # when
    answer = masked(raw)

    # then
    shown = msgspec.json.decode(answer.text, type=dict[str, msgspec.Raw])
    assert bytes(shown["products"]) == b'[{"id":"r1","quantity":12.%s}]' % fraction.encode()
    assert not [each for each in texts.values() if len(each) > 3 and each in bytes(shown["billingPeriod"]).decode()]


def test_answers_are_forgotten_after_the_days_of_the_policy_and_not_before(desk: Desk, odin: OdinAccount) -> None:
    # given an answer of each of two MSPs, one of which keeps them for ten days
    other = add_msp(desk.engine, "other")
    moment = datetime(2026, 8, 3, tzinfo=UTC)
    desk.policy("payload_days", "10")
    for msp_id in (desk.msp_id, other):
        with desk.engine.begin() as connection:
            reading = Reading("s1", moment, Answer("application/json", b"{}", {}))
            evidence.keep(connection, msp_id, ConnectionId("odin"), "p1", [reading])

    def left(days: int) -> list[MspId]:
        with desk.engine.begin() as connection:
            evidence.forget(connection, moment + timedelta(days=days))
        wanted = Sought(ConnectionId("odin"), "s1", "p1", moment)
        with desk.engine.connect() as connection:
            return [m for m in (desk.msp_id, other) if evidence.find(connection, m, wanted)]

    # then
    assert left(9) == [desk.msp_id, other]
    assert left(11) == [other]
    assert left(401) == []
    assert rows(desk) == (0, 0)


def test_an_answer_is_kept_as_long_as_its_last_reading(desk: Desk, odin: OdinAccount) -> None:
    # given the same answer, read twice with 300 days between
    moment = datetime(2026, 8, 3, tzinfo=UTC)
    for number, days in enumerate((0, 300)):
        with desk.engine.begin() as connection:
            reading = Reading("s1", moment + timedelta(days=days), Answer("application/json", b"{}", {}))
            evidence.keep(connection, desk.msp_id, ConnectionId("odin"), f"p{number}", [reading])

    # when
    with desk.engine.begin() as connection:
        evidence.forget(connection, moment + timedelta(days=500))

    # then
    assert rows(desk) == (1, 1)


def test_no_msp_finds_the_answer_of_another(desk: Desk, odin: OdinAccount) -> None:
    # given
    other = add_msp(desk.engine, "other")
    wanted = Sought(ConnectionId("odin"), "s1", "p1", datetime.now(UTC))

    # when
    with desk.engine.begin() as connection:
        reading = Reading("s1", wanted.at, Answer("application/json", b"{}", {}))
        evidence.keep(connection, desk.msp_id, wanted.connection_id, "p1", [reading])

    # then
    with desk.engine.connect() as connection:
        assert evidence.are_kept(connection, desk.msp_id, [wanted, wanted]) == [True, True]
        assert evidence.are_kept(connection, other, [wanted]) == [False]
        assert evidence.find(connection, other, wanted) is None
