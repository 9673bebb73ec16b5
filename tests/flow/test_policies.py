"""An admin looks at what other policies would do to what waits, saves them, and just that happens."""

from typing import Any
from uuid import uuid4

import pytest

from gateway.people.permissions import Role
from tests.gateway.browser import Browser, add_user
from tests.gateway.serving import gateway
from tests.house import House
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]
PREVIEW = """query ($msp: String!, $changes: [PolicyChangeInput!]!) { previewPolicies(mspId: $msp, changes: $changes) {
  version token adjustments posted held heldNow unitChange pricePerMonth { amount currency }
  holds { reason adjustments message } } }"""
SAVE = """mutation ($msp: String!, $changes: [PolicyChangeInput!]!, $version: Int!, $token: String, $operation: String!) {
  savePolicies(mspId: $msp, changes: $changes, version: $version, token: $token, operationId: $operation) {
    version results { ok refusal { code message } } } }"""


@pytest.mark.timeout(400)
def test_what_a_preview_of_policies_shows_is_what_happens_once_they_are_saved(house: House) -> None:
    # given two companies whose counts rise by 80, too much to go out by themselves, on a day that is not near a month's end
    msp = house.add_msp(brake=True)
    msp.decide("freeze_hours", "0")
    lines = {}
    for company in ("Transcorr", "Hall"):
        resource = msp.add_resource(company, "Exchange Online (Plan 1)", 4)
        lines[resource] = msp.add_line(company, "Exchange Online (Plan 1)", 4)
    msp.poll()
    for resource, line in lines.items():
        msp.read_catalogue(line)
        msp.link(resource, line)
    msp.quiet()
    (large, large_line), (_, other_line) = lines.items()
    for resource in lines:
        msp.odin.set_count(resource.subscription_id, resource.resource_id, 84)
    msp.poll()
    wait_for(lambda: msp.count_of("AdjustmentHeld") == 2, 60, what="both to be held")
    changes = [{"name": "brake_rise_units", "value": "500", "companyId": large.company_id}]

    with gateway(role_url(house.url, "trueup_gateway"), house.rabbitmq_url) as answering:
        add_user(house.engine, msp.msp_id, f"{msp.msp_id}@acme.example", Role.ADMIN)
        ada = Browser(answering.url)
        ada.sign_in(f"{msp.msp_id}@acme.example")

        # when
        shown = ada.data(PREVIEW, msp=msp.msp_id, changes=changes)["previewPolicies"]
        given: dict[str, Any] = {"changes": changes, "version": shown["version"], "token": shown["token"]}
        saved = ada.data(SAVE, msp=msp.msp_id, operation=uuid4().hex, **given)["savePolicies"]

    # then
    assert (shown["adjustments"], shown["posted"], shown["held"], shown["heldNow"]) == (2, 1, 1, 2)
    assert (shown["unitChange"], shown["pricePerMonth"]) == (80, [{"amount": "800.00", "currency": "USD"}])
    assert [(hold["reason"], hold["adjustments"]) for hold in shown["holds"]] == [("rise", 1)]
    assert saved == {"version": 2, "results": [{"ok": True, "refusal": None}]}
    wait_for(lambda: msp.units(large_line) == 84, 60, what="the post")
    assert [adjustment.unit_change for adjustment in msp.ledger(large_line)] == [80]
    assert (msp.units(other_line), msp.count_of("AdjustmentReleased")) == (4, 0)
