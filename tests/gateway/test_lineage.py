"""Why a number is what it is, asked over HTTP: explained, unrolled, shown raw, as of any past, and only to its own MSP."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest

from domain.keys import MspId
from plumbing import evidence
from plumbing.database import make_engine
from plumbing.evidence import Answer, Reading
from tests.gateway.serving import Answering, gateway
from tests.msps import add_msp
from tests.reporting.test_lineage import four_become_twelve
from tests.servers import Postgres, role_url
from tests.world import MORNING, ODIN, World

KEY = f"acme/odin/{ODIN.company_id}/{ODIN.subscription_id}/{ODIN.resource_id}"
EXPLAIN = """query ($msp: String!, $connection: String, $product: String, $resource: String, $asOf: Past) {
  explainUnits(mspId: $msp, psaConnectionId: $connection, psaProductId: $product, resourceKey: $resource, asOf: $asOf) {
    units count equal steps { kind text at by eventId position payloadId } } }"""
HISTORY = """query ($msp: String!, $resource: String!, $asOf: Past, $first: Int, $after: String) {
  resourceHistory(mspId: $msp, resourceKey: $resource, asOf: $asOf, first: $first, after: $after) {
    edges { cursor node { at kind text countBefore countAfter unitsBefore unitsAfter by eventId position payloadId } }
    pageInfo { hasNextPage endCursor } } }"""
PAYLOAD = """query ($msp: String!, $id: String!) { payload(mspId: $msp, id: $id) {
    id contentType text mark whole position eventType occurredAt } }"""
LINE = """query ($msp: String!, $product: String!, $asOf: Past, $first: Int) {
  psaLine(mspId: $msp, psaConnectionId: "autotask", psaProductId: $product, asOf: $asOf, first: $first) {
    psaCustomerName psaAgreementName psaProductName vendor periodType units unitCost { amount currency }
    unitPrice { amount } unitsReadAt active gone readAt
    transactions { unitChange unitsBefore unitsAfter effectiveDate proratedCost { amount } operationId postedAt position } } }"""


def tell(database: str) -> dict[str, int]:
    """The positions of what happened, in the same way, to the MSPs acme and other."""
    engine = make_engine(database, "test")
    answer = Answer(
        "application/json", b'{"products":[{"id":"100234","quantity":12}]}', {"100234/count": "/products/0/quantity"}
    )
    for msp_id in ("other", "acme"):
        positions = four_become_twelve(World(engine, add_msp(engine, msp_id)))
        with engine.begin() as connection:
            reading = Reading(ODIN.subscription_id, MORNING, answer)
            evidence.keep(connection, MspId(msp_id), ODIN.connection_id, "p2", [reading])
    engine.dispose()
    return positions


@pytest.fixture(scope="module")
def told(postgres: Postgres, migrated_template: str) -> Iterator[tuple[str, dict[str, int]]]:
    """A database that the tests of this module share, and the positions in it: they only read."""
    name = f"gateway_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    yield postgres.database_url(name), tell(postgres.database_url(name))
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="module")
def at(told: tuple[str, dict[str, int]]) -> dict[str, int]:
    return told[1]


@pytest.fixture(scope="module")
def served(told: tuple[str, dict[str, int]]) -> Iterator[Answering]:
    """A gateway under its own role, without a broker."""
    with gateway(role_url(told[0], "trueup_gateway")) as answering:
        yield answering


def test_four_questions_lead_from_the_line_to_the_number_in_the_answer_of_odin(served: Answering) -> None:
    # when
    why = served.data(EXPLAIN, msp="acme", connection="autotask", product="1401")["explainUnits"]
    said = why["steps"][-1]
    shown = served.data(PAYLOAD, msp="acme", id=said["payloadId"])["payload"]

    # then
    assert (why["units"], why["count"], why["equal"]) == (12, "12", True)
    assert said["text"] == "ODIN said 12 on 3 Aug 2026 08:00; before it had said 4."
    assert (said["at"], said["by"]) == ("2026-08-03T08:00:00Z", "test")
    assert (shown["contentType"], shown["mark"], shown["whole"]) == ("application/json", "/products/0/quantity", True)
    assert orjson.loads(shown["text"])["products"][0]["quantity"] == 12
    assert (shown["position"], shown["eventType"]) == (said["position"], "ResourceCountChanged")
    assert served.data(EXPLAIN, msp="acme", resource=KEY)["explainUnits"] == why


def test_as_of_a_position_and_as_of_a_day(served: Answering, at: dict[str, int]) -> None:
    # when
    before = served.data(EXPLAIN, msp="acme", resource=KEY, asOf=str(at["level"]))["explainUnits"]
    that_day = served.data(EXPLAIN, msp="acme", resource=KEY, asOf=MORNING.date().isoformat())["explainUnits"]
    day_before = (MORNING - timedelta(days=1)).date().isoformat()

    # then
    assert (before["units"], before["count"], before["equal"]) == (4, "4", True)
    assert (that_day["units"], that_day["count"]) == (12, "12")
    assert served.refusal(EXPLAIN, msp="acme", resource=KEY, asOf=day_before)["code"] == "NO_SUCH_RESOURCE"
    assert served.data(LINE, msp="acme", product="1401", asOf=str(at["level"]))["psaLine"]["units"] == 4


def test_a_history_is_turned_by_its_cursors(served: Answering) -> None:
    # when
    whole = served.data(HISTORY, msp="acme", resource=KEY)["resourceHistory"]
    pages, after = [], None
    while True:
        page = served.data(HISTORY, msp="acme", resource=KEY, first=2, after=after)["resourceHistory"]
        pages += page["edges"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break

    # then
    assert pages == whole["edges"]
    assert [edge["node"]["kind"] for edge in pages][:3] == ["posted", "requested", "count_changed"]
    counted = pages[2]["node"]
    assert (counted["countBefore"], counted["countAfter"], counted["unitsBefore"]) == ("4", "12", None)
    assert pages[0]["node"]["unitsAfter"] == 12


def test_a_line_is_shown_with_its_transactions(served: Answering) -> None:
    # when
    line = served.data(LINE, msp="acme", product="1401", first=1)["psaLine"]

    # then
    assert (line["psaProductName"], line["periodType"], line["units"]) == ("Hosted mail", "monthly", 12)
    assert line["unitCost"] == {"amount": "3.00", "currency": "USD"}
    assert [(each["unitsBefore"], each["unitChange"]) for each in line["transactions"]] == [(4, 8)]
    assert line["transactions"][0]["effectiveDate"] == "2026-08-03"


@pytest.mark.parametrize(
    ("query", "given", "code"),
    [
        (EXPLAIN, {"connection": "autotask", "product": "nothing"}, "NO_SUCH_PRODUCT"),
        (EXPLAIN, {"resource": "acme/odin/c/s/r"}, "NO_SUCH_RESOURCE"),
        (EXPLAIN, {"resource": "no key"}, "BAD_QUESTION"),
        (EXPLAIN, {"resource": "acme/odin/c/s/\x00"}, "BAD_REQUEST"),
        (EXPLAIN, {"connection": "autotask", "product": "\x00"}, "BAD_REQUEST"),
        (EXPLAIN, {}, "BAD_QUESTION"),
        (EXPLAIN, {"connection": "autotask"}, "BAD_QUESTION"),
        (EXPLAIN, {"connection": "autotask", "product": "1401", "resource": KEY}, "BAD_QUESTION"),
        (EXPLAIN, {"resource": KEY, "asOf": "yesterday"}, "BAD_REQUEST"),
        (HISTORY, {"resource": KEY, "first": 101}, "BAD_QUESTION"),
        (HISTORY, {"resource": KEY, "after": "x"}, "BAD_QUESTION"),
        (HISTORY, {"resource": "acme/odin/c/s/r"}, "NO_SUCH_RESOURCE"),
        (PAYLOAD, {"id": "1/acme"}, "NO_SUCH_PAYLOAD"),
        (PAYLOAD, {"id": "\x00"}, "BAD_REQUEST"),
        (LINE, {"product": "nothing"}, "NO_SUCH_PRODUCT"),
        (LINE, {"product": "1401", "first": 0}, "BAD_QUESTION"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(
    served: Answering, query: str, given: dict[str, object], code: str
) -> None:
    # when
    refusal = served.refusal(query, msp="acme", **given)

    # then
    assert refusal["code"] == code
    assert refusal["message"]
    assert refusal["fix"]


def test_the_ids_of_another_msp_are_refused_as_if_there_were_none(served: Answering) -> None:
    # given
    payload_id = served.data(EXPLAIN, msp="acme", resource=KEY)["explainUnits"]["steps"][-1]["payloadId"]

    # when
    refusals = [
        served.refusal(EXPLAIN, msp="other", resource=KEY),
        served.refusal(HISTORY, msp="other", resource=KEY),
        served.refusal(PAYLOAD, msp="other", id=payload_id),
        served.refusal(PAYLOAD, msp="other", id="999/other"),
        served.refusal(EXPLAIN, msp="nobody", resource=KEY),
    ]

    # then
    codes = [refusal["code"] for refusal in refusals]
    assert codes == ["NO_SUCH_RESOURCE", "NO_SUCH_RESOURCE", "NO_SUCH_PAYLOAD", "NO_SUCH_PAYLOAD", "NO_SUCH_MSP"]
    assert refusals[2]["message"] == refusals[3]["message"]
    assert not [refusal for refusal in refusals if "acme" in refusal["message"]]
