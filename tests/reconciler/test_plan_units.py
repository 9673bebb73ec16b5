"""The plan of one product, by examples and by properties; no database."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import AdjustmentRequested, AdjustmentSuperseded, PlanRefused
from domain.money import Money
from domain.units import LARGEST_COUNT
from services.reconciler.cost_for_period import billing_months, cost_for_period, period_months
from services.reconciler.plan_units import Feed, Plan, Product, Request, Touch, plan_units
from tests.world import PSA, odin

COUNT_CHANGED = Touch("", "count changed")
RELATION_SET = Touch("", "relation set", ask_anyway=True)


def product(last: Request | None = None, refused: str = "") -> Product:
    """A product billed by the month in dollars."""
    return Product(PSA, 1, "USD", last, refused)


def feed(
    count: str | None, cost: str | None = "3.40", months: int | None = 1, resource_id: str = "1", currency: str = "USD"
) -> Feed:
    """A linked resource."""
    money = None if cost is None else Money.parse(cost, currency)
    return Feed(resource_id, odin(resource_id=resource_id), None if count is None else Decimal(count), money, months)


def asked(units: int, cost: str | None = "3.40", *, is_open: bool = False) -> Request:
    """What was asked before."""
    return Request("before", is_open, units, None if cost is None else Money.parse(cost, "USD"))


def planned(before: Product, *feeds: Feed, touch: Touch = COUNT_CHANGED, post_cost: bool = True) -> Plan:
    """The plan under the request id "now"."""
    return plan_units(before, feeds, touch, "now", post_cost=post_cost)


def test_units_that_are_asked_for_already_are_not_asked_for_again() -> None:
    for is_open in (True, False):
        before = product(asked(8, is_open=is_open))
        assert planned(before, feed("8")) == Plan(before)


def test_eight_licences_that_nothing_was_asked_for_are_asked_for() -> None:
    plan = planned(product(), feed("8"))
    [request] = plan.events
    assert isinstance(request, AdjustmentRequested)
    assert (request.request_id, request.target_units, request.target_unit_cost) == ("now", 8, Money.parse("3.4", "USD"))
    assert plan.product.last == Request("now", True, 8, Money.parse("3.4", "USD"))


def test_the_open_request_gives_way_before_the_new_one_is_made() -> None:
    plan = planned(product(asked(8, is_open=True)), feed("9"))
    superseded, request = plan.events
    assert isinstance(superseded, AdjustmentSuperseded)
    assert (superseded.request_id, superseded.superseded_by) == ("before", "now")
    assert isinstance(request, AdjustmentRequested)


@pytest.mark.parametrize(("is_open", "events"), [(True, 0), (False, 1)])
def test_a_new_relation_asks_once_unless_the_same_is_being_asked(*, is_open: bool, events: int) -> None:
    plan = planned(product(asked(8, is_open=is_open)), feed("8"), touch=RELATION_SET)
    assert len(plan.events) == events


def test_without_feeds_the_open_request_ends_and_what_was_asked_is_forgotten() -> None:
    plan = planned(product(asked(8, is_open=True)))
    [superseded] = plan.events
    assert isinstance(superseded, AdjustmentSuperseded)
    assert superseded.superseded_by is None
    assert plan.product == product()
    assert planned(plan.product).events == ()


def test_a_feed_without_any_known_count_stops_the_plan_and_is_not_zero() -> None:
    before = product(asked(8, is_open=True))
    assert planned(before, feed("8"), feed(None, resource_id="2")) == Plan(before)


def test_a_count_of_none_licences_is_a_target_of_no_units() -> None:
    [request] = planned(product(asked(8)), feed("0")).events
    assert isinstance(request, AdjustmentRequested)
    assert (request.target_units, request.target_unit_cost) == (0, None)


@pytest.mark.parametrize("counts", [("10.5",), ("10.5", "10.5"), (str(LARGEST_COUNT), "1")])
def test_counts_that_no_psa_can_bill_are_refused_once_with_a_fix(counts: tuple[str, ...]) -> None:
    # given
    feeds = [feed(count, resource_id=str(number)) for number, count in enumerate(counts)]

    # when
    plan = planned(product(asked(8, is_open=True)), *feeds)

    # then
    superseded, refused = plan.events
    assert isinstance(superseded, AdjustmentSuperseded)
    assert isinstance(refused, PlanRefused)
    assert refused.fix
    assert planned(plan.product, *feeds) == Plan(plan.product)


def test_after_a_refusal_the_same_units_are_asked_for_again() -> None:
    plan = planned(product(refused="The count was 8.5."), feed("8"))
    assert len(plan.events) == 1
    assert plan.product.refused == ""


@pytest.mark.parametrize(
    ("feeds", "cost"),
    [
        ([feed("1", "3.40"), feed("2", "3.40")], "3.40"),
        ([feed("1", "3.40"), feed("2", "3.4000")], "3.40"),
        ([feed("1", "3.40"), feed("2", "40.80", 12)], "3.40"),
        ([feed("1", "3.40"), feed("0", "9.99")], "3.40"),
        ([feed("1", "3.40"), feed("2", "3.50")], None),
        ([feed("1", "3.40"), feed("2", None)], None),
        ([feed("1", "3.40", None)], None),
        ([feed("1", "3.40", currency="EUR")], None),
        ([feed("1", "34.00", 12)], "2.8333"),
        ([feed("1", "0")], "0"),
    ],
)
def test_the_cost_is_asked_for_when_all_that_is_billed_agrees_on_one(feeds: list[Feed], cost: str | None) -> None:
    plan = planned(product(), *feeds)
    assert plan.product.last is not None
    assert plan.product.last.target_unit_cost == (None if cost is None else Money.parse(cost, "USD"))


def test_a_product_whose_cost_or_period_is_not_known_keeps_its_cost() -> None:
    for unknown in (Product(PSA, None, "USD"), Product(PSA, 1, None)):
        plan = planned(unknown, feed("8"))
        assert plan.product.last == Request("now", True, 8, None)


def test_a_cost_change_alone_is_asked_for_and_by_policy_not() -> None:
    before = product(asked(8, "3.40"))
    assert len(planned(before, feed("8", "3.60")).events) == 1
    assert planned(before, feed("8", "3.60"), post_cost=False).events == ()


def test_an_open_request_for_a_cost_gives_way_when_no_cost_is_wished_any_more() -> None:
    [superseded, request] = planned(product(asked(8, is_open=True)), feed("8"), post_cost=False).events
    assert isinstance(superseded, AdjustmentSuperseded)
    assert isinstance(request, AdjustmentRequested)
    assert request.target_unit_cost is None


counts = st.one_of(st.none(), st.integers(0, 40).map(str), st.sampled_from(["0.5", "2.5", "2147483647"]))
feeds = st.lists(
    st.builds(
        feed,
        counts,
        st.sampled_from(["3.40", "40.80", None]),
        st.sampled_from([1, 12, None]),
        st.sampled_from(["1", "2", "3"]),
    ),
    max_size=4,
    unique_by=lambda each: each.resource_key,
)
befores = st.builds(
    product,
    st.none() | st.builds(asked, st.integers(0, 40), st.sampled_from(["3.40", None]), is_open=st.booleans()),
    st.sampled_from(["", "The count was 8.5."]),
)


@given(before=befores, feeds=feeds, ask_anyway=st.booleans(), post_cost=st.booleans())
def test_planning_twice_plans_nothing_the_second_time(
    *, before: Product, feeds: list[Feed], ask_anyway: bool, post_cost: bool
) -> None:
    once = planned(before, *feeds, touch=Touch("", "", ask_anyway), post_cost=post_cost)
    assert planned(once.product, *feeds, post_cost=post_cost) == Plan(once.product)


@given(before=befores, slices=st.lists(feeds, max_size=6), post_cost=st.booleans())
def test_there_is_at_most_one_open_request_and_it_asks_for_the_sum(
    *, before: Product, slices: list[list[Feed]], post_cost: bool
) -> None:
    # given
    now, still_open = before, {before.last.request_id} if before.last and before.last.open else set()

    # when
    for number, linked in enumerate(slices):
        plan = plan_units(now, linked, COUNT_CHANGED, f"request {number}", post_cost=post_cost)
        for event in plan.events:
            if isinstance(event, AdjustmentSuperseded):
                still_open.remove(event.request_id)
            if isinstance(event, AdjustmentRequested):
                still_open.add(event.request_id)
                assert event.target_units == sum(each.count for each in linked)
                assert event.target_units == sum(cause.count for cause in event.causes)
            assert len(still_open) <= 1
        now = plan.product

    # then
    assert still_open == ({now.last.request_id} if now.last and now.last.open else set())


@pytest.mark.parametrize(
    ("period", "months"),
    [
        ("1 month", 1),
        ("12 months", 12),
        ("1 year", 12),
        ("3 years", 36),
        ("30 days", None),
        ("0 months", None),
        (None, None),
        ("monthly", None),
    ],
)
def test_a_billing_period_is_counted_in_whole_months_or_not_at_all(period: str | None, months: int | None) -> None:
    assert billing_months(period) == months


def test_a_cost_is_brought_to_another_period_to_four_places() -> None:
    assert cost_for_period(Money.parse("34", "USD"), 12, 1) == Money.parse("2.8333", "USD")
    assert cost_for_period(Money.parse("2.8333", "USD"), 1, 12) == Money.parse("33.9996", "USD")
    assert cost_for_period(Money.parse("3.4", "USD"), 1, 3) == Money.parse("10.2", "USD")
    assert (period_months("quarterly"), period_months("fortnightly")) == (3, None)


HELD = Touch("", "relation set", ask_anyway=True, hold_first=True)


def holds(plan: Plan) -> list[bool]:
    return [event.hold_first for event in plan.events if isinstance(event, AdjustmentRequested)]


def test_a_relation_that_is_set_to_hold_its_first_post_holds_that_and_what_takes_its_place() -> None:
    first = planned(product(), feed("8"), touch=HELD)
    newer = planned(first.product, feed("9"))
    assert newer.product.last is not None
    gone_out = Product(PSA, 1, "USD", replace(newer.product.last, open=False))

    assert (holds(first), holds(newer)) == ([True], [True])
    assert holds(planned(gone_out, feed("10"))) == [False]
    assert holds(planned(product(), feed("8"), touch=RELATION_SET)) == [False]


@given(adopted=st.integers(0, 99), target=st.integers(0, 99), cost=st.sampled_from(["3.40", "3.50", None]))
def test_adopted_units_are_left_alone_for_as_long_as_the_counts_come_to_the_same(
    adopted: int, target: int, cost: str | None
) -> None:
    before = Product(PSA, 1, "USD", asked(adopted, cost), adopted_for=target)
    same, other = planned(before, feed(str(target), cost)), planned(before, feed(str(target + 1), cost))

    # a cost that changes goes out with the adopted units, never with the counts'
    asks = [event.target_units for event in planned(before, feed(str(target), "9.99")).events if target]
    assert set(asks) <= {adopted}
    assert [event.target_units for event in same.events if isinstance(event, AdjustmentRequested)] in ([], [adopted])
    assert other.product.adopted_for is None
    assert other.product.last is not None
    assert other.product.last.target_units == target + 1
    assert planned(same.product, feed(str(target), cost)).events == ()


def test_a_relation_that_is_set_asks_for_the_counts_whatever_was_adopted() -> None:
    before = Product(PSA, 1, "USD", asked(9), adopted_for=8)

    plan = planned(before, feed("8"), touch=RELATION_SET)

    assert [event.target_units for event in plan.events if isinstance(event, AdjustmentRequested)] == [8]
    assert plan.product.adopted_for is None
