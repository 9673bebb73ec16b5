"""The brake in the running house: a large fall waits for two people, and in shadow mode nothing reaches the PSA."""

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.flow.test_the_way_of_a_change import linked
from tests.flow.test_why import served
from tests.gateway.serving import Answering
from tests.house import House, MspHouse
from tests.waiting import wait_for

__all__ = ["served"]
pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]

HELD = """query ($msp: String!) {
  heldAdjustments(mspId: $msp) { edges { node { requestId rule ruleText severity unitsBefore targetUnits unitChange
    effectiveDate evidenceFor evidenceAgainst approvals approvedBy peopleNeeded heldSince } } }
  pulse(mspId: $msp) { held phase mode }
  notifications(mspId: $msp) { edges { node { kind severity linkReport text } } }
  adjustments(mspId: $msp) { edges { node { unitChange approvedBy } } }
  shadow(mspId: $msp) { edges { node { unitsBefore targetUnits state psaUnits difference } } } }"""
APPROVE = """mutation ($msp: String!, $items: [Approval!]!, $operation: String!) {
  approveAdjustments(mspId: $msp, items: $items, operationId: $operation, comment: "They sold the branch.") {
    results { id ok refusal { code message } } } }"""
REFUSE = """mutation ($msp: String!, $id: String!, $operation: String!) {
  refuseAdjustments(mspId: $msp, requestIds: [$id], reason: "A fault.", operationId: $operation) {
    results { ok refusal { code } } } }"""
MAKE_KEY = """mutation ($msp: String!, $name: String!, $scopes: [Scope!]!, $endsOn: Date!, $operation: String!) {
  createApiKey(mspId: $msp, operationId: $operation, name: $name, scopes: $scopes, endsOn: $endsOn) { key } }"""


@pytest.fixture
def msp(house: House) -> MspHouse:
    """An MSP whose brake is on, and whose months never stand still: this one may be near its end."""
    msp = house.add_msp(brake=True)
    msp.decide("freeze_hours", "0")
    return msp


def key(served: Answering, msp: MspHouse, name: str, *scopes: str) -> dict[str, str]:
    """Headers of somebody who may do so much."""
    ends = (date.today() + timedelta(30)).isoformat()  # noqa: DTZ011 a day far enough away
    given = {"msp": msp.msp_id, "name": name, "scopes": list(scopes), "endsOn": ends, "operation": uuid4().hex}
    made = served.data(MAKE_KEY, **given)["createApiKey"]["key"]
    return {"authorization": f"Bearer {made}"}


def held(served: Answering, msp: MspHouse) -> list[dict[str, Any]]:
    return [edge["node"] for edge in served.data(HELD, msp=msp.msp_id)["heldAdjustments"]["edges"]]


def notified(served: Answering, msp: MspHouse) -> list[dict[str, Any]]:
    rows = [edge["node"] for edge in served.data(HELD, msp=msp.msp_id)["notifications"]["edges"]]
    return [row for row in rows if row["kind"] == "held"]


def approve(served: Answering, msp: MspHouse, who: dict[str, str], row: dict[str, Any], operation: str = "") -> Any:
    """The one result."""
    item = {name: row[name] for name in ("requestId", "targetUnits", "unitsBefore")}
    given = {"msp": msp.msp_id, "items": [item], "operation": operation or uuid4().hex}
    answer = served.post(APPROVE, given, headers=who).json()
    return answer["data"]["approveAdjustments"]["results"][0] if answer.get("data") else answer["errors"][0]


def test_a_fall_from_304_to_8_is_held_and_posted_only_when_two_people_approved_it(
    msp: MspHouse, served: Answering
) -> None:
    # given
    anna, ben = (key(served, msp, name, "READ", "APPROVE") for name in ("anna", "ben"))
    clerk = key(served, msp, "clerk", "READ", "OPERATE")
    resource, line, _ = linked(msp, count=304, units=304)

    # when
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 8)
    msp.poll()
    [row] = wait_for(lambda: held(served, msp), 60, what="the hold")

    # then
    assert (row["rule"], row["unitsBefore"], row["targetUnits"], row["unitChange"]) == ("fall", 304, 8, -296)
    assert row["ruleText"] == "Falls from 304 to 8 units: by 296 units, limit 25; by 97 %, limit 20 %."
    assert (row["severity"], row["approvals"], row["peopleNeeded"]) == ("high", 0, 2)
    assert row["effectiveDate"] == msp.next_period_start().isoformat()
    [told] = wait_for(lambda: notified(served, msp), 30, what="the bell")
    assert (told["severity"], told["linkReport"]) == ("action", "held_adjustments")
    assert told["text"].endswith(row["ruleText"])
    assert served.data(HELD, msp=msp.msp_id)["pulse"]["held"] == 1

    # when one approves, twice; and somebody who may not
    assert approve(served, msp, clerk, row)["extensions"]["code"] == "FORBIDDEN"
    assert [approve(served, msp, anna, row, "o1")["ok"] for _ in range(2)] == [True, True]
    assert approve(served, msp, anna, row)["refusal"]["code"] == "same_person"
    wait_for(lambda: held(served, msp)[0]["approvals"] == 1, 30, what="the first approval")
    assert msp.ledger(line) == []

    # when the other one does
    assert approve(served, msp, ben, row)["ok"]
    msp.quiet()

    # then
    assert [(each.effective_date, each.unit_change) for each in msp.ledger(line)] == [(msp.next_period_start(), -296)]
    assert len(msp.events("AdjustmentApproved")) == 2
    said = served.data(HELD, msp=msp.msp_id)
    assert (said["heldAdjustments"]["edges"], said["pulse"]["held"]) == ([], 0)
    [posted] = said["adjustments"]["edges"]
    assert posted["node"] == {"unitChange": -296, "approvedBy": "api key anna, api key ben"}
    assert msp.psa.oracle() == []


def test_a_newer_count_replaces_what_is_held_and_who_looked_at_the_old_one_is_told(
    msp: MspHouse, served: Answering
) -> None:
    anna = key(served, msp, "anna", "READ", "APPROVE")
    resource, line, _ = linked(msp, count=60, units=60)
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 8)
    msp.poll()
    [old] = wait_for(lambda: held(served, msp), 60, what="the hold")

    msp.odin.set_count(resource.subscription_id, resource.resource_id, 12)
    msp.poll()
    wait_for(lambda: [row["targetUnits"] for row in held(served, msp)] == [12], 60, what="the newer hold")

    refusal = approve(served, msp, anna, old)["refusal"]
    assert refusal["message"] == "The count changed to 12 while you were looking: it is 60 → 12 now."
    [new] = held(served, msp)
    given = {"msp": msp.msp_id, "id": new["requestId"], "operation": uuid4().hex}
    assert served.data(REFUSE, **given)["refuseAdjustments"]["results"] == [{"ok": True, "refusal": None}]
    wait_for(lambda: not held(served, msp), 30, what="the refusal")
    assert msp.ledger(line) == []


def test_in_shadow_mode_nothing_is_posted_and_the_report_says_what_would_have_been(
    msp: MspHouse, served: Answering
) -> None:
    # given
    resource, line, _ = linked(msp, count=4, units=4)
    msp.decide("mode", "shadow")

    # when
    for count in (5, 8):
        msp.odin.set_count(resource.subscription_id, resource.resource_id, count)
        msp.poll()
        wait_for(lambda: msp.events("AdjustmentShadowed", target_units=count), 60, what="the plan")  # noqa: B023

    # then
    assert msp.psa.calls.count("create") == 0

    def shown() -> dict[int, str]:
        rows = [edge["node"] for edge in served.data(HELD, msp=msp.msp_id)["shadow"]["edges"]]
        return {row["targetUnits"]: row["state"] for row in rows}

    wait_for(lambda: shown() == {5: "superseded", 8: "would_post"}, 30, what="the report")
    wait_for(lambda: served.data(HELD, msp=msp.msp_id)["pulse"]["phase"] == "SHADOW", 30, what="the phase")

    # when another mode is chosen
    msp.decide("mode", "unattended")
    msp.quiet()

    # then
    assert [each.unit_change for each in msp.ledger(line)] == [4]
