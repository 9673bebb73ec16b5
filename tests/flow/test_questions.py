"""What ended is followed or asked about, on the running house; a person answers through the gateway."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.flow.test_the_way_of_a_change import changes, linked
from tests.gateway.serving import Answering, gateway
from tests.house import House, MspHouse
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]

OPEN = """query ($msp: String!) { questions(mspId: $msp, filter: {state: {in: ["open"]}}) { edges { node {
  questionId kind subjectId } } } }"""
ONE = """query ($msp: String!, $id: String!) { question(mspId: $msp, questionId: $id) {
  kind subjectName customerName state candidates { id name evidence } } }"""
ANSWER = """mutation ($msp: String!, $id: String!, $choice: String, $operation: String!) { answerQuestion(mspId: $msp,
  questionId: $id, candidateId: $choice, reason: "I rang them", operationId: $operation) {
  results { ok refusal { code message fix } } } }"""


@pytest.fixture
def served(house: House) -> Iterator[Answering]:
    """A gateway of the house, under its own role."""
    with gateway(role_url(house.url, "trueup_gateway"), house.rabbitmq_url) as answering:
        yield answering


def asked(served: Answering, msp: MspHouse, kind: str) -> dict[str, Any]:
    """The one open question, with its candidates."""

    def found() -> str | None:
        edges = served.data(OPEN, msp=msp.msp_id)["questions"]["edges"]
        return edges[0]["node"]["questionId"] if edges else None

    question_id = wait_for(found, what="the question")
    question: dict[str, Any] = served.data(ONE, msp=msp.msp_id, id=question_id)["question"]
    assert (question["kind"], question["state"]) == (kind, "open")
    return question | {"id": question_id}


def answer(served: Answering, msp: MspHouse, question_id: str, choice: str | None) -> dict[str, Any]:
    given = {"msp": msp.msp_id, "id": question_id, "choice": choice, "operation": uuid4().hex}
    (result,) = served.data(ANSWER, **given)["answerQuestion"]["results"]
    return dict(result)


def test_an_unclear_renewal_keeps_the_units_until_a_person_names_the_successor(
    msp: MspHouse, served: Answering
) -> None:
    # given: two subscriptions of the same product begin on the day on which the old one ends
    resource, line, _ = linked(msp, count=6, units=6)
    new = msp.odin.renew(resource.subscription_id, keeps_vendor_id=False)
    other = msp.odin.add_subscription(resource.company_id, "Bought beside", monthly=True)
    msp.odin.add_resource(other, resource.resource_id, "Exchange Online (Plan 1)", 2)
    for _ in range(4):
        msp.poll()
    msp.quiet()
    question = asked(served, msp, "renewal")
    assert {each["id"] for each in question["candidates"]} == {new, other}
    assert changes(msp, line) == []

    # when
    refused = answer(served, msp, question["id"], "4711")
    done = answer(served, msp, question["id"], new)

    # then
    assert refused["refusal"]["code"] == "no_successor"
    assert done["ok"], done
    wait_for(lambda: msp.events("RelationSet", subscription_id=new), what="the relation to follow")
    msp.quiet()
    assert changes(msp, line) == []
    msp.odin.set_count(new, resource.resource_id, 8)
    msp.poll()
    msp.quiet()
    assert [change for _, change in changes(msp, line)] == [2]
    assert served.data(OPEN, msp=msp.msp_id)["questions"]["edges"] == []
    again = answer(served, msp, question["id"], other)
    assert again["refusal"]["code"] == "answered"


def test_relations_follow_to_the_next_contract_and_its_line_is_levelled(msp: MspHouse) -> None:
    # given: the contract ended yesterday, the next one carries a service of the same name with 1 unit
    resource, line, _ = linked(msp, count=6, units=6)
    (relation,) = msp.events("RelationSet")
    today = msp.psa.clock.today()
    msp.psa.set_contract_end(int(relation["psa_agreement_id"]), today - timedelta(days=1))
    customer, ends = int(relation["psa_customer_id"]), today + timedelta(days=365)
    following = msp.psa.add_contract(customer, today, ends, name="Cloud Services, the next year")
    next_line = msp.psa.add_line(following, "Exchange Online (Plan 1)", 1, "3.40", "10.00")

    # when
    msp.read_catalogue(next_line)

    # then
    wait_for(lambda: msp.events("RelationSet", psa_product_id=str(next_line)), what="the relation to follow")
    msp.quiet()
    assert msp.units(next_line) == 6
    assert [change for _, change in changes(msp, next_line)] == [5]
    assert changes(msp, line) == []
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 8)
    msp.poll()
    msp.quiet()
    # Today is taken by the +5, so the two more count from tomorrow.
    assert (msp.units(next_line), msp.units(next_line, today + timedelta(days=1))) == (6, 8)
    (settled,) = msp.events("AgreementMoveSettled")
    assert (settled["moved_to"], settled["relations"]) == (str(following), 1)
    assert msp.psa.oracle() == []
    assert msp.units(line, today - timedelta(days=2)) == 6
