""" "Why 12?": in the running house, from a line of the PSA to the very answer of ODIN that says so, and what it said before."""

from collections.abc import Iterator

import orjson
import pytest

from tests.flow.test_the_way_of_a_change import linked
from tests.gateway.serving import Answering, gateway
from tests.house import House, MspHouse
from tests.servers import role_url

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]

WHY = """query ($msp: String!, $product: String!, $asOf: Past) {
  explainUnits(mspId: $msp, psaConnectionId: "autotask", psaProductId: $product, asOf: $asOf) {
    units count equal steps { kind text by position payloadId } } }"""
PAYLOAD = "query ($msp: String!, $id: String!) { payload(mspId: $msp, id: $id) { text mark } }"
HISTORY = """query ($msp: String!, $resource: String!) { resourceHistory(mspId: $msp, resourceKey: $resource) {
    edges { node { kind countBefore countAfter unitsBefore unitsAfter } } } }"""


@pytest.fixture
def served(house: House) -> Iterator[Answering]:
    """A gateway of the house, under its own role."""
    with gateway(role_url(house.url, "trueup_gateway"), house.rabbitmq_url) as answering:
        yield answering


def number_marked(served: Answering, msp: MspHouse, payload_id: str) -> object:
    """The value at the mark of a payload."""
    shown = served.data(PAYLOAD, msp=msp.msp_id, id=payload_id)["payload"]
    value = orjson.loads(shown["text"])
    for part in shown["mark"].split("/")[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def test_why_twelve_leads_to_the_answer_of_odin_that_says_so_and_before_it_was_four(
    msp: MspHouse, served: Answering
) -> None:
    # given
    resource, line, _ = linked(msp, count=4, units=4)
    before = served.data(WHY, msp=msp.msp_id, product=str(line))["explainUnits"]
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 12)
    msp.poll()
    msp.quiet()

    # when
    why = served.data(WHY, msp=msp.msp_id, product=str(line))["explainUnits"]

    # then
    assert (why["units"], why["count"], why["equal"]) == (12, "12", True)
    assert [step["kind"] for step in why["steps"]] == [
        "units_read",
        "posted",
        "requested",
        "relation_set",
        "count_changed",
    ]
    posted, linked_by, said = why["steps"][1], why["steps"][3], why["steps"][-1]
    assert posted["text"].startswith("Trueup posted +8 units (4 → 12) on ")
    assert linked_by["text"].startswith("mara linked Exchange Online (Plan 1) to Exchange Online (Plan 1) (")
    assert said["text"].startswith("ODIN said 12 on ")
    assert said["text"].endswith("; before it had said 4.")
    assert number_marked(served, msp, said["payloadId"]) == 12

    # when asked as of the place in the log just before
    position = str(int(said["position"]) - 1)
    then = served.data(WHY, msp=msp.msp_id, product=str(line), asOf=position)["explainUnits"]

    # then it says what it said on that day
    assert then == before
    assert (then["units"], then["count"], then["equal"]) == (4, "4", True)
    assert number_marked(served, msp, then["steps"][-1]["payloadId"]) == 4
    history = served.data(HISTORY, msp=msp.msp_id, resource=str(resource))["resourceHistory"]["edges"]
    counted = next(edge["node"] for edge in history if edge["node"]["kind"] == "count_changed")
    assert (counted["countBefore"], counted["countAfter"]) == ("4", "12")


def test_a_renewal_is_explained_under_both_subscription_ids(msp: MspHouse, served: Answering) -> None:
    # given
    resource, line, _ = linked(msp, count=6, units=6)
    renewed = msp.odin.renew(resource.subscription_id)
    msp.poll()
    msp.quiet()
    msp.odin.set_count(renewed, resource.resource_id, 8)
    msp.poll()
    msp.quiet()

    # when
    why = served.data(WHY, msp=msp.msp_id, product=str(line))["explainUnits"]
    old = served.data(HISTORY, msp=msp.msp_id, resource=str(resource))
    key = "/".join([*str(resource).split("/")[:3], renewed, resource.resource_id])
    new = served.data(HISTORY, msp=msp.msp_id, resource=key)

    # then
    assert (why["units"], why["count"], why["equal"]) == (8, "8", True)
    assert number_marked(served, msp, why["steps"][-1]["payloadId"]) == 8
    assert old == new
    assert {"renewed", "relation_cleared"} <= {edge["node"]["kind"] for edge in new["resourceHistory"]["edges"]}
