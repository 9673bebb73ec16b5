"""A person sees what something comes to, then does just that: scenarios 5, 9, 10 and 11 over GraphQL, on the whole house."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from domain.keys import ResourceKey
from tests.flow.test_the_way_of_a_change import changes
from tests.gateway.serving import Answering, gateway
from tests.house import House, MspHouse
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]
ROWS = """token expiresAt rows { id resourceName count countReadAt feeds units unitsReadAt targetUnits unitChange
    effectiveDate period { from to posted } days { charged of } changes { effectiveDate unitChange }
    priceNow { amount currency } priceMonth { amount } costMonth { amount } marginMonth { amount }
    preflight { code severity message fix } brake { held reason } }
  totals { rows blocked held products unitChange money { currency priceNow priceMonth } }"""
PREVIEW = f"""query($msp: String!, $pairs: [RelationPair!]!, $operation: String) {{
  previewRelations(mspId: $msp, pairs: $pairs, operationId: $operation) {{ {ROWS} }} }}"""
SET = f"""mutation($msp: String!, $token: String!, $operation: String!, $hold: Boolean) {{
  setRelations(mspId: $msp, token: $token, operationId: $operation, holdFirst: $hold) {{
    operationId results {{ id ok relationId refusal {{ code message fix }} }} refusal {{ code }} fresh {{ {ROWS} }} }} }}"""


@pytest.fixture(scope="module")
def people(house: House) -> Iterator[Answering]:
    """The gateway of the house."""
    with gateway(role_url(house.url, "trueup_gateway"), house.rabbitmq_url) as answering:
        yield answering


def known(msp: MspHouse, count: int, units: int) -> tuple[ResourceKey, int]:
    """A resource and a line that could be linked."""
    resource = msp.add_resource("Repair and Wear", "Exchange Online (Plan 1)", count, begun_days_ago=31)
    line = msp.add_line("Repair and Wear", "Exchange Online (Plan 1)", units)
    msp.poll()
    msp.read_catalogue(line)
    msp.quiet()
    return resource, line


def pair(resource: ResourceKey, line: int | str, **more: str) -> dict[str, str]:
    return {"resourceKey": str(resource), "psaConnectionId": "autotask", "psaProductId": str(line), **more}


def shown(people: Answering, msp: MspHouse, *pairs: dict[str, str]) -> dict[str, Any]:
    return people.data(PREVIEW, msp=msp.msp_id, pairs=list(pairs))["previewRelations"]


def done(people: Answering, msp: MspHouse, token: str, operation: str = "o1", *, hold: bool = False) -> dict[str, Any]:
    given = {"msp": msp.msp_id, "token": token, "operation": operation, "hold": hold}
    return people.data(SET, **given)["setRelations"]


def cents(amount: Decimal) -> str:
    return str(amount.quantize(Decimal("0.01"), ROUND_HALF_UP))


def test_seven_more_units_are_shown_with_their_money_and_posted_once_for_just_that(
    people: Answering, msp: MspHouse
) -> None:
    # given
    resource, line = known(msp, count=8, units=1)

    # when
    preview = shown(people, msp, pair(resource, line, id="row", score="0.97"))

    # then: nothing is posted yet
    (row,) = preview["rows"]
    assert (row["id"], row["count"], row["units"], row["targetUnits"], row["unitChange"]) == ("row", "8", 1, 8, 7)
    assert (row["preflight"], row["brake"], row["effectiveDate"]) == ([], None, str(msp.psa.clock.today()))
    assert [row[name]["amount"] for name in ("priceMonth", "costMonth", "marginMonth")] == ["70.00", "23.80", "46.20"]
    assert (preview["totals"]["unitChange"], preview["totals"]["money"][0]["priceMonth"]) == (7, "70.00")
    assert (msp.ledger(line), msp.count_of("RelationSet")) == ([], 0)

    # when it is set, by a double click
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: done(people, msp, preview["token"]), range(2))
    msp.quiet()

    # then
    assert first == second
    assert [(result["id"], result["ok"]) for result in first["results"]] == [("row", True)]
    (posted,) = msp.ledger(line)
    assert (posted.unit_change, msp.units(line)) == (7, 8)
    assert cents(posted.proration_price) == row["priceNow"]["amount"]
    (relation,) = msp.events("RelationSet")
    assert (relation["score"], relation["hold_first"]) == ("0.97", False)
    assert msp.psa.oracle() == []

    # and the token is spent
    again = people.refusal(SET, msp=msp.msp_id, token=preview["token"], operation="o2", hold=False)
    assert again["code"] == "PREVIEW_USED"


def test_a_count_that_changes_between_preview_and_set_is_shown_afresh_and_nothing_is_done(
    people: Answering, msp: MspHouse
) -> None:
    # given
    resource, line = known(msp, count=8, units=1)
    preview = shown(people, msp, pair(resource, line))
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 9)
    msp.poll()

    # when
    outcome = done(people, msp, preview["token"], "first")

    # then
    assert (outcome["refusal"]["code"], outcome["results"]) == ("PREVIEW_STALE", [])
    (fresh,) = outcome["fresh"]["rows"]
    assert (fresh["count"], fresh["unitChange"]) == ("9", 8)
    assert msp.count_of("RelationSet") == 0

    # when somebody edits the units by hand meanwhile, then it is stale once more
    msp.psa.edit_units(line, 2)
    stale = done(people, msp, outcome["fresh"]["token"], "second")
    assert (stale["refusal"]["code"], stale["fresh"]["rows"][0]["unitChange"]) == ("PREVIEW_STALE", 7)

    # when the fresh one is taken
    set_now = done(people, msp, stale["fresh"]["token"], "third")
    msp.quiet()

    # then
    assert set_now["results"][0]["ok"]
    assert msp.units(line) == 9


def test_a_token_is_for_its_maker_and_what_was_held_first_is_asked_for_as_held(
    people: Answering, msp: MspHouse
) -> None:
    resource, line = known(msp, count=8, units=8)
    preview = shown(people, msp, pair(resource, line))

    unknown = people.refusal(SET, msp=msp.msp_id, token="guessed", operation="o", hold=True)
    outcome = done(people, msp, preview["token"], hold=True)

    assert unknown["code"] == "NO_SUCH_PREVIEW"
    assert outcome["results"][0]["ok"]
    (request,) = wait_for(lambda: msp.events("AdjustmentRequested"), what="the request")
    assert (request["hold_first"], preview["rows"][0]["unitChange"]) == (True, 0)


def test_of_41_pairs_38_are_linked_three_are_refused_and_the_sums_are_the_sandboxs(
    people: Answering, msp: MspHouse
) -> None:
    # given 41 resources of one company, as many lines of one contract, and a line of somebody else's
    first = msp.add_resource("Hall Bros.", "Licence 0", 3, begun_days_ago=31)
    more = [
        msp.add_to(first.company_id, first.subscription_id, f"r{n}", f"Licence {n}", 3 + n % 5, cost="3.40", price="4")
        for n in range(1, 41)
    ]
    line = msp.add_line("Hall Bros.", "Service 0", 1)
    contract = msp.psa.database.engine.line(line).contract_id
    lines = [line, *(msp.psa.add_line(contract, f"Service {n}", 1, "3.40", "10.00") for n in range(1, 40))]
    elsewhere = msp.add_line("Somebody else", "Service", 1)
    msp.poll()
    msp.read_catalogue(elsewhere)
    msp.quiet()
    pairs = [pair(*each) for each in zip([first, *more[:37]], lines, strict=False)]
    bad = [pair(more[37], "999999"), pair(more[38], elsewhere), pair(more[39], lines[39]) | {"resourceKey": "no key"}]

    # when
    preview = people.data(PREVIEW, msp=msp.msp_id, pairs=[*pairs, *bad], operation="look")["previewRelations"]
    outcome = done(people, msp, preview["token"])
    msp.quiet(120)

    # then
    codes = [[verdict["code"] for verdict in row["preflight"]] for row in preview["rows"]]
    assert codes == [[]] * 38 + [["product_unknown"], ["company_linked"], ["bad_row"]]
    assert [result["ok"] for result in outcome["results"]] == [True] * 38 + [False] * 3
    assert [result["refusal"]["code"] for result in outcome["results"][38:]] == [code for (code,) in codes[38:]]
    totals = preview["totals"]
    assert (totals["rows"], totals["blocked"], totals["products"]) == (41, 3, 38)
    posted = [each for line in lines for each in msp.ledger(line)]
    assert totals["unitChange"] == sum(each.unit_change for each in posted)
    (money,) = totals["money"]
    assert money["priceNow"] == str(sum(Decimal(cents(each.proration_price)) for each in posted))
    assert msp.psa.oracle() == []


def test_several_resources_of_one_product_are_shown_as_one_sum(people: Answering, msp: MspHouse) -> None:
    resource, line = known(msp, count=8, units=1)
    second = msp.add_to(resource.company_id, resource.subscription_id, "r2", "Plan 2", 4, cost="3.40", price="4.00")
    msp.poll()
    msp.quiet()

    preview = shown(people, msp, pair(resource, line), pair(second, line))

    assert [(row["count"], row["feeds"], row["targetUnits"]) for row in preview["rows"]] == [("8", 2, 12), ("4", 2, 12)]
    assert preview["totals"]["unitChange"] == 11
    done(people, msp, preview["token"])
    msp.quiet()
    assert msp.units(line) == 12


def test_unset_shows_what_stays_and_stops_posting(people: Answering, msp: MspHouse) -> None:
    # given
    resource, line = known(msp, count=8, units=8)
    relation = done(people, msp, shown(people, msp, pair(resource, line))["token"])["results"][0]["relationId"]
    msp.quiet()

    # when
    given = {"msp": msp.msp_id, "ids": [relation]}
    (asks,) = people.data(
        """query($msp: String!, $ids: [String!]!) { previewClear(mspId: $msp, relationIds: $ids) {
            unitsThatStay openRequests row { resourceName feeds unitChange } } }""",
        **given,
    )["previewClear"]
    cleared = people.data(
        """mutation($msp: String!, $ids: [String!]!) {
            clearRelations(mspId: $msp, relationIds: $ids, operationId: "clear") { results { ok } } }""",
        **given,
    )["clearRelations"]
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 12)
    msp.poll()
    msp.quiet()

    # then
    assert (asks["unitsThatStay"], asks["openRequests"], asks["row"]["feeds"]) == (8, 0, 0)
    assert cleared["results"] == [{"ok": True}]
    assert (changes(msp, line), msp.units(line)) == ([], 8)


def test_an_undo_is_shown_as_the_opposite_change_with_its_money(people: Answering, msp: MspHouse) -> None:
    resource, line = known(msp, count=8, units=1)
    done(people, msp, shown(people, msp, pair(resource, line))["token"])
    msp.quiet()
    (posted,) = people.data(
        "query($msp: String!) { adjustments(mspId: $msp) { edges { node { position } } } }", msp=msp.msp_id
    )["adjustments"]["edges"]

    undo = people.data(
        """query($msp: String!, $id: Position!) { previewUndo(mspId: $msp, adjustmentId: $id) {
            unitChange row { units targetUnits unitChange effectiveDate priceMonth { amount } } } }""",
        msp=msp.msp_id,
        id=posted["node"]["position"],
    )["previewUndo"]

    assert undo == {
        "unitChange": 7,
        "row": {
            "units": 8,
            "targetUnits": 1,
            "unitChange": -7,
            "effectiveDate": str(msp.next_period_start()),
            "priceMonth": {"amount": "-70.00"},
        },
    }


LOOK = f"""query($msp: String!, $ids: [String!]!) {{ previewDrift(mspId: $msp, relationIds: $ids) {{ {ROWS} }} }}"""
RESOLVE = """mutation($msp: String!, $token: String!, $resolution: DriftResolution!) {
  resolveDrift(mspId: $msp, token: $token, resolution: $resolution, reason: "We asked them.", operationId: "drift") {
    results { ok refusal { code } } refusal { code } } }"""
DRIFT = "query($msp: String!) { drift(mspId: $msp) { edges { node { kind psaUnits ledgerUnits psaProductKey } } } }"


def edited_by_hand(people: Answering, msp: MspHouse) -> tuple[ResourceKey, int, str]:
    """A linked resource of 4 whose product somebody has edited to 5, read again: (resource, line, token of a preview)."""
    resource, line = known(msp, count=4, units=4)
    relation = done(people, msp, shown(people, msp, pair(resource, line))["token"])["results"][0]["relationId"]
    msp.quiet()
    msp.psa.edit_units(line, 5)
    key = f"{msp.msp_id}/autotask/{line}"
    people.data(
        """mutation($msp: String!, $keys: [String!]!) {
            rereadUnits(mspId: $msp, psaProductKeys: $keys, operationId: "reread") { results { ok } } }""",
        msp=msp.msp_id,
        keys=[key],
    )
    msp.quiet()
    assert drifting(people, msp) == {"kind": "edited_by_hand", "psaUnits": 5, "ledgerUnits": 4, "psaProductKey": key}
    preview = people.data(LOOK, msp=msp.msp_id, ids=[relation])["previewDrift"]
    assert [(row["units"], row["targetUnits"], row["unitChange"]) for row in preview["rows"]] == [(5, 4, -1)]
    return resource, line, preview["token"]


def drifting(people: Answering, msp: MspHouse) -> dict[str, Any]:
    (edge,) = people.data(DRIFT, msp=msp.msp_id)["drift"]["edges"]
    return edge["node"]


def test_adopted_drift_posts_nothing_until_the_count_changes(people: Answering, msp: MspHouse) -> None:
    # given, when
    resource, line, token = edited_by_hand(people, msp)
    for _ in range(2):
        outcome = people.data(RESOLVE, msp=msp.msp_id, token=token, resolution="ADOPT")["resolveDrift"]
    people.data('mutation($msp: String!) { pollNow(mspId: $msp, operationId: "p") { operationId } }', msp=msp.msp_id)
    msp.house.ask("reconciler", "replan", msp_id=msp.msp_id)
    msp.quiet()

    # then
    assert outcome == {"results": [{"ok": True, "refusal": None}], "refusal": None}
    assert (drifting(people, msp)["kind"], drifting(people, msp)["ledgerUnits"]) == ("adopted", 5)
    assert (msp.ledger(line), msp.units(line), msp.count_of("DriftAdopted")) == ([], 5, 1)

    # when
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 7)
    msp.poll()
    msp.quiet()

    # then
    assert ([change for _, change in changes(msp, line)], msp.units(line)) == ([2], 7)


def test_overwritten_drift_posts_the_difference_once(people: Answering, msp: MspHouse) -> None:
    _, line, token = edited_by_hand(people, msp)

    for _ in range(2):
        outcome = people.data(RESOLVE, msp=msp.msp_id, token=token, resolution="OVERWRITE")["resolveDrift"]
    msp.quiet()

    # then: a fall counts from the next period
    assert outcome["results"] == [{"ok": True, "refusal": None}]
    assert changes(msp, line) == [(msp.next_period_start(), -1)]
    assert msp.units(line, msp.next_period_start()) == 4


def test_drift_that_moves_on_after_it_was_looked_at_is_not_resolved(people: Answering, msp: MspHouse) -> None:
    _, line, token = edited_by_hand(people, msp)
    msp.psa.edit_units(line, 6)

    outcome = people.data(RESOLVE, msp=msp.msp_id, token=token, resolution="ADOPT")["resolveDrift"]

    assert (outcome["refusal"], outcome["results"]) == ({"code": "PREVIEW_STALE"}, [])
    assert msp.count_of("DriftAdopted") == 0
