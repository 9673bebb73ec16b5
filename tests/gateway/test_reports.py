"""Reports over HTTP: the shape of connections, filters and orders, numbers as strings, and refusals that say what to do."""

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from services.reporting.queries import REPORTS
from tests.gateway.serving import Answering
from tests.reporting import history as h

pytestmark = [pytest.mark.postgres]
UNLINKED = """
query Unlinked($filter: UnlinkedResourceFilter, $orderBy: [UnlinkedResourceOrder!], $first: Int, $after: String) {
  unlinked(mspId: "acme", filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    totalCount asOf { position recordedAt } totals { rows count pricePerMonth { amount currency } }
    edges { cursor node { ...Odin3 count unit unitCost { amount currency } firstSeenAt } }
    pageInfo { hasNextPage endCursor hasPreviousPage startCursor } } }
fragment Odin3 on UnlinkedResource {
  resourceKey companyId companyName subscriptionId subscriptionName resourceId resourceName }
"""


def test_a_report_has_the_shape_of_every_list(served: Answering) -> None:
    unlinked = served.data(UNLINKED)["unlinked"]

    assert unlinked["totalCount"] == 2
    assert unlinked["totals"] == {"rows": 2, "count": "12.50", "pricePerMonth": []}
    assert unlinked["asOf"]["position"] == "9"
    assert unlinked["asOf"]["recordedAt"].endswith("Z")
    first, second = (edge["node"] for edge in unlinked["edges"])
    assert (first["resourceKey"], first["count"]) == ("acme/odin/1200000501/2/b", None)
    assert second["count"] == "12.50"
    assert second["unitCost"] == {"amount": "3.4000", "currency": "USD"}
    assert unlinked["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": unlinked["edges"][0]["cursor"],
        "endCursor": unlinked["edges"][1]["cursor"],
    }


def test_filter_order_and_cursor_go_through(served: Answering) -> None:
    order = [{"field": "COUNT", "direction": "DESC"}]
    first = served.data(UNLINKED, orderBy=order, first=1)["unlinked"]
    second = served.data(UNLINKED, orderBy=order, first=1, after=first["pageInfo"]["endCursor"])["unlinked"]
    counted = served.data(UNLINKED, filter={"count": {"gte": "12.5"}, "resourceId": {"in": ["c", "d"]}})["unlinked"]

    assert [page["edges"][0]["node"]["resourceId"] for page in (first, second)] == ["b", "c"]
    assert (second["pageInfo"]["hasNextPage"], second["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert counted["totalCount"] == 1


def test_the_adjustment_log_shows_a_fall_below_zero_and_its_day(served: Answering) -> None:
    query = """{ adjustments(mspId: "acme", filter: {adjustmentDate: {from: "2026-03-01", to: "2026-03-01"}}) {
        totals { unitChange proratedCost { amount currency } }
        edges { node { adjustmentDate effectiveDate unitChange unitsBefore unitsAfter position } } } }"""

    adjustments = served.data(query)["adjustments"]

    assert adjustments["totals"] == {"unitChange": "-2", "proratedCost": [{"amount": "27.20", "currency": "USD"}]}
    assert adjustments["edges"][0]["node"] == {
        "adjustmentDate": "2026-03-01",
        "effectiveDate": "2026-03-01",
        "unitChange": -2,
        "unitsBefore": 4,
        "unitsAfter": 2,
        "position": "8",
    }


def test_failures_say_why_and_what_to_do(served: Answering) -> None:
    query = """{ failures(mspId: "acme", filter: {state: {in: ["open", "parked"]}}) {
        edges { node { requestId kind errorMessage fix attempts nextTryAt state } } } }"""

    (edge,) = served.data(query)["failures"]["edges"]

    assert edge["node"] == {
        "requestId": "q2",
        "kind": "unreachable",
        "errorMessage": "Autotask cannot be reached.",
        "fix": "Nothing: it is tried again.",
        "attempts": 1,
        "nextTryAt": "2026-03-01T08:01:00Z",
        "state": "open",
    }


GROUPS = """
query($filter: ResourceFilter, $by: ResourceColumn!, $first: Int!, $own: Boolean = false, $step: GroupStep) {
  subscriptions(mspId: "acme", filter: $filter) {
    groups(by: $by, first: $first, ignoreOwnFilter: $own, step: $step) {
      key label other rows count costPerMonth { amount currency } share } } }
"""


def test_groups_come_with_sums_and_exact_shares(served: Answering) -> None:
    groups = served.data(GROUPS, by="COMPANY_ID", first=1)["subscriptions"]["groups"]

    assert groups == [
        {
            "key": "9",
            "label": "Company 9",
            "other": False,
            "rows": 1,
            "count": "12.50",
            "costPerMonth": [],
            "share": "0.757576",
        },
        {
            "key": None,
            "label": "Other",
            "other": True,
            "rows": 2,
            "count": "4",
            "costPerMonth": [{"amount": "13.60", "currency": "USD"}],
            "share": "0.242424",
        },
    ]


def test_groups_leave_their_own_filter_out_and_take_steps_of_time(served: Answering) -> None:
    wanted = {"companyId": {"in": ["9"]}}
    own = served.data(GROUPS, by="COMPANY_ID", first=5, filter=wanted, own=True)["subscriptions"]["groups"]
    other = served.data(GROUPS, by="RESOURCE_ID", first=5, filter=wanted, own=True)["subscriptions"]["groups"]
    months = served.data(GROUPS, by="FIRST_SEEN_AT", step="MONTH", first=5)["subscriptions"]["groups"]

    assert [group["key"] for group in own] == ["9", "1200000501"]
    assert [group["key"] for group in other] == ["c"]
    assert [(group["key"], group["rows"]) for group in months] == [("2026-03-01", 3)]


def test_a_page_and_its_groups_come_in_one_answer_by_aliases(served: Answering) -> None:
    query = """{ subscriptions(mspId: "acme") { totalCount
        a: groups(by: COMPANY_ID) { rows } b: groups(by: STATUS) { key rows } } }"""

    answer = served.data(query)["subscriptions"]

    assert (answer["totalCount"], len(answer["a"]), answer["b"]) == (3, 2, [{"key": "active", "rows": 3}])


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_answers_with_every_column(served: Answering, name: str) -> None:
    camel = [_camel(column.name) for column in REPORTS[name].columns.values()]
    money = {_camel(c.name) for c in REPORTS[name].columns.values() if c.currency is not None}
    node = " ".join(f"{field} {{ amount currency }}" if field in money else field for field in camel)
    msp = '(mspId: "acme")' if REPORTS[name].model else ""

    answer = served.data(f"{{ {_camel(name)}{msp} {{ totalCount edges {{ node {{ {node} }} }} }} }}")

    if name not in (
        "companies",  # these two need a PSA connection: test_billing.py
        "relation_candidates",
        "excluded",
        "psa_customers",
        "psa_agreements",
        "held_adjustments",
        "shadow",
        "api_calls",
        "close_acts",
        "notification_rules",
        "webhook_deliveries",
    ):
        assert answer[_camel(name)]["edges"]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def test_the_pulse_says_how_far_everything_is(own: Answering, engine: Engine, told: MspId) -> None:
    h.append(engine, told, [h.poll_failed()])
    query = """{ pulse(mspId: "acme") { position timeZone open failed
        consumers { name position lag stoppedReason } } }"""

    beat = own.data(query)["pulse"]

    assert (beat["position"], beat["timeZone"], beat["failed"]) == ("10", "UTC", 1)
    assert {consumer["lag"] for consumer in beat["consumers"]} == {1}


@pytest.mark.parametrize(
    ("query", "code", "word"),
    [
        ('{ unlinked(mspId: "nobody") { totalCount } }', "NO_SUCH_MSP", "nobody"),
        ('{ pulse(mspId: "nobody") { position } }', "NO_SUCH_MSP", "nobody"),
        ('{ unlinked(mspId: "nobody") { groups(by: COMPANY_ID) { rows } } }', "NO_SUCH_MSP", "nobody"),
        ('{ unlinked(mspId: "acme") { groups(by: COMPANY_ID, first: 301) { rows } } }', "BAD_QUESTION", "1 to 300"),
        ('{ unlinked(mspId: "acme") { groups(by: UNIT_COST) { rows } } }', "BAD_QUESTION", "money"),
        ('{ unlinked(mspId: "acme", first: 101) { totalCount } }', "BAD_QUESTION", "1 to 100 rows"),
        ('{ unlinked(mspId: "acme", after: "x") { totalCount } }', "BAD_QUESTION", "cursor"),
        (
            '{ unlinked(mspId: "acme", filter: {companyName: {contains: "\\u0000"}}) { totalCount } }',
            "BAD_REQUEST",
            "NUL",
        ),
        ('{ unlinked(mspId: "acme", filter: {count: {gte: "many"}}) { totalCount } }', "BAD_REQUEST", "Decimal"),
    ],
)
def test_a_refusal_has_a_code_a_message_a_fix_and_an_id(served: Answering, query: str, code: str, word: str) -> None:
    refusal = served.refusal(query)

    assert (refusal["code"], word in refusal["message"]) == (code, True), refusal
    assert refusal["fix"]
    assert len(refusal["id"]) == 32


def test_one_report_that_fails_leaves_the_other_whole(own: Answering, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE reporting.failures RENAME TO failures_hidden"))

    query = """query($on: Boolean = true) {
        failures(mspId: "acme") @include(if: $on) { totalCount } linked(mspId: "acme") { totalCount } }"""
    both = own.post(query).json()
    alone = own.data('{ linked(mspId: "acme") { totalCount } }')

    (error,) = both["errors"]
    assert (error["message"], error["extensions"]["code"]) == ("Something went wrong here.", "INTERNAL")
    assert "reporting" not in str(both)
    assert alone["linked"]["totalCount"] == 1


@pytest.mark.parametrize(
    ("nothing", "null"),
    [
        ("groups(by: COMPANY_ID) { rows }", "groups(by: COMPANY_ID, first: null, ignoreOwnFilter: null) { rows }"),
        ("edges { cursor }", "edges { cursor }"),
    ],
)
def test_null_for_what_has_a_value_of_its_own_is_as_if_it_were_left_out(
    served: Answering, nothing: str, null: str
) -> None:
    order = "orderBy: [{{field: COMPANY_ID{}}}]"
    left_out = served.data(f'{{ subscriptions(mspId: "acme", {order.format("")}) {{ {nothing} }} }}')
    given = served.data(f'{{ subscriptions(mspId: "acme", {order.format(", direction: null")}) {{ {null} }} }}')

    assert given == left_out
    assert served.data('{ apiBudget(mspId: "acme", source: ODIN, range: null) { stepSeconds } }')
