"""decide_post: from units as read and a target to the changes of at most two dates, proven against the sandbox's own engine."""

from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.autotask.billing import approve_and_post
from deploy.sandbox.autotask.engine import Engine, Refused
from deploy.sandbox.autotask.oracle import violations
from deploy.sandbox.autotask.records import Adjustment
from domain.money import Money
from services.psa_writer.as_read import AsRead
from services.psa_writer.decide_post import MoreRows, Plan, PostPolicies, Target, decide_post
from services.psa_writer.hindrance import Hindrance
from tests.psa_writer.engine_rows import END, LINE, START, adjust, as_read, make_engine

TODAY = date(2026, 7, 11)
AUGUST = date(2026, 8, 1)
DEFAULTS = PostPolicies()
BOTH_WAYS_TODAY = PostPolicies(decrease_effective="today")


def steps(plan: Plan | MoreRows | Hindrance) -> list[tuple[date, int]]:
    assert isinstance(plan, Plan), plan
    return [(change.effective_date, change.unit_change) for change in plan.changes]


def decide(
    product: AsRead, units: int, policies: PostPolicies = DEFAULTS, today: date = TODAY
) -> Plan | MoreRows | Hindrance:
    return decide_post(product, today, Target(units), policies)


def test_nothing_is_planned_when_the_psa_has_the_target() -> None:
    assert steps(decide(as_read(make_engine(12), TODAY), 12)) == []


def test_a_count_that_rises_from_4_to_12_posts_eight_more_units_today() -> None:
    plan = decide(as_read(make_engine(4), TODAY), 12)

    assert steps(plan) == [(TODAY, 8)]
    assert (plan.changes[0].units_before, plan.changes[0].units_after, plan.units_now) == (4, 12, 4)


def test_a_decrease_waits_for_the_next_billing_period() -> None:
    assert steps(decide(as_read(make_engine(10), TODAY), 8)) == [(AUGUST, -2)]


def test_an_increase_after_a_scheduled_decrease_takes_back_only_what_is_too_much() -> None:
    # 10 now, 8 scheduled by hand, 9 wanted
    engine = make_engine(10)
    adjust(engine, AUGUST, -2)

    assert steps(decide(as_read(engine, TODAY), 9)) == [(AUGUST, 1)]


def test_a_scheduled_decrease_of_our_own_gives_way_by_a_day_because_its_date_is_taken() -> None:
    engine = make_engine(10)
    adjust(engine, AUGUST, -2)

    assert steps(decide(as_read(engine, TODAY, taken=frozenset({AUGUST})), 9)) == [(date(2026, 8, 2), 1)]


def test_a_rise_above_both_dates_is_split_between_them() -> None:
    engine = make_engine(10)
    adjust(engine, AUGUST, -2)

    assert steps(decide(as_read(engine, TODAY), 12)) == [(TODAY, 2), (AUGUST, 2)]


def test_increases_may_wait_for_the_next_period_by_policy() -> None:
    policies = PostPolicies(increase_effective="next_period")

    assert steps(decide(as_read(make_engine(4), TODAY), 12, policies)) == [(AUGUST, 8)]


def test_both_ways_today_is_one_post_when_nothing_is_scheduled() -> None:
    assert steps(decide(as_read(make_engine(10), TODAY), 7, BOTH_WAYS_TODAY)) == [(TODAY, -3)]


def test_both_ways_today_with_a_scheduled_decrease_sends_the_later_increase_first() -> None:
    engine = make_engine(10)
    adjust(engine, AUGUST, -8)

    plan = decide(as_read(engine, TODAY), 5, BOTH_WAYS_TODAY)

    assert steps(plan) == [(TODAY, -5), (AUGUST, 8)]
    assert [change.unit_change for change in plan.in_sending_order()] == [8, -5]


def test_a_second_rise_on_one_day_counts_from_the_next() -> None:
    engine = make_engine(4)
    adjust(engine, TODAY, 8)

    assert steps(decide(as_read(engine, TODAY, taken=frozenset({TODAY})), 15)) == [(date(2026, 7, 12), 3)]


def test_a_rise_never_lifts_a_later_day_of_the_period_above_the_target() -> None:
    # 12 today, 15 from tomorrow on: the target is reached without us
    engine = make_engine(12)
    adjust(engine, TODAY + timedelta(1), 3)

    assert steps(decide(as_read(engine, TODAY), 15)) == []


def test_the_last_day_of_a_period_rises_for_one_day_and_stays() -> None:
    assert steps(decide(as_read(make_engine(4), TODAY), 12, today=date(2026, 7, 31))) == [(date(2026, 7, 31), 8)]


def test_on_a_leap_day_the_period_ends_with_it() -> None:
    engine = make_engine(10, start=date(2028, 1, 1), end=date(2028, 12, 31))

    plan = decide(as_read(engine, date(2028, 2, 29)), 8, today=date(2028, 2, 29))

    assert steps(plan) == [(date(2028, 3, 1), -2)]


def test_an_invoiced_period_sends_everything_to_the_next_one_that_is_not() -> None:
    engine = make_engine(4)
    approve_and_post(engine, date(2026, 8, 31))

    assert steps(decide(as_read(engine, TODAY), 12)) == [(date(2026, 9, 1), 8)]


def test_an_invoiced_period_is_refused_by_policy() -> None:
    engine = make_engine(4)
    approve_and_post(engine, TODAY)

    found = decide(as_read(engine, TODAY), 12, PostPolicies(posted_period="refuse"))

    assert isinstance(found, Hindrance)
    assert found.code == "posted_period"


def test_a_decrease_that_would_count_only_after_the_agreement_is_told() -> None:
    engine = make_engine(10, end=date(2026, 7, 31))

    found = decide(as_read(engine, TODAY), 8)

    assert isinstance(found, Hindrance)
    assert found.code == "agreement_ends"


def test_an_increase_in_the_last_period_of_an_agreement_is_posted() -> None:
    engine = make_engine(10, end=date(2026, 7, 31))

    assert steps(decide(as_read(engine, TODAY), 12)) == [(TODAY, 2)]


def test_a_decrease_below_what_someone_scheduled_later_is_refused() -> None:
    engine = make_engine(10)
    adjust(engine, date(2026, 10, 1), -9)

    found = decide(as_read(engine, TODAY), 8)

    assert isinstance(found, Hindrance)
    assert (found.code, "2026-10-01" in found.message) == ("below_zero", True)


def test_a_decrease_asks_for_the_rows_of_all_later_periods() -> None:
    product = as_read(make_engine(10), TODAY, since=date(2026, 7, 1), until=date(2026, 8, 7))

    assert decide(product, 8) == MoreRows(date(2026, 7, 1), END)


def test_a_read_that_shows_no_row_is_widened_and_never_taken_for_zero() -> None:
    product = replace(as_read(make_engine(10), TODAY, since=date(2026, 7, 1)), rows=())

    assert decide(product, 8) == MoreRows(START, END)
    found = decide(replace(product, read_since=START), 8)
    assert isinstance(found, Hindrance)
    assert found.code == "no_units_rows"


def test_rows_that_the_psa_makes_late_carry_the_last_units_on() -> None:
    engine = make_engine(10, future_rows="made_late")

    assert steps(decide(as_read(engine, TODAY), 12)) == [(TODAY, 2)]
    assert steps(decide(as_read(engine, TODAY), 7)) == [(AUGUST, -3)]


def test_rows_that_can_be_read_in_two_ways_wait_for_the_calibration() -> None:
    engine = make_engine(4, mid_period_row="change")
    adjust(engine, date(2026, 7, 5), 8)

    found = decide(as_read(engine, TODAY, calibration="unknown"), 15)

    assert isinstance(found, Hindrance)
    assert found.code == "uncalibrated"
    assert steps(decide(as_read(engine, TODAY), 15)) == [(TODAY, 3)]


def test_full_periods_need_no_calibration() -> None:
    assert steps(decide(as_read(make_engine(4), TODAY, calibration="unknown"), 12)) == [(TODAY, 8)]


@pytest.mark.parametrize(("units", "dates"), [(5, [TODAY]), (8, [TODAY]), (3, [AUGUST])])
def test_a_cost_goes_with_the_first_change_or_alone(units: int, dates: list[date]) -> None:
    plan = decide_post(
        as_read(make_engine(5), TODAY), TODAY, Target(units, Money(Decimal("4.00"), "USD")), PostPolicies()
    )

    assert isinstance(plan, Plan)
    assert [change.effective_date for change in plan.changes] == dates
    assert plan.changes[0].unit_cost == Money(Decimal("4.00"), "USD")


@pytest.mark.parametrize("cost", ["3.40", "3.4000", "3.40004"])
def test_a_cost_that_is_the_same_at_four_places_is_not_posted(cost: str) -> None:
    plan = decide_post(as_read(make_engine(5), TODAY), TODAY, Target(5, Money(Decimal(cost), "USD")), PostPolicies())

    assert steps(plan) == []


def test_a_cost_is_only_reported_by_policy() -> None:
    target = Target(5, Money(Decimal("4.00"), "USD"))

    assert steps(decide_post(as_read(make_engine(5), TODAY), TODAY, target, PostPolicies(unit_cost="report"))) == []


# Random histories, against the engine

DAYS = st.integers(0, 364).map(lambda number: START + timedelta(number))
POLICIES = st.builds(
    PostPolicies,
    increase_effective=st.sampled_from(["today", "next_period"]),
    decrease_effective=st.sampled_from(["today", "next_period"]),
)
EDITS = st.lists(st.tuples(DAYS, st.integers(0, 20)), max_size=3)
WISHES = st.lists(st.tuples(st.integers(0, 45), st.integers(0, 25)), min_size=1, max_size=8)


@settings(max_examples=120, deadline=None)
@given(
    units=st.integers(0, 20),
    edits=EDITS,
    wishes=WISHES,
    policies=POLICIES,
    period=st.sampled_from(["monthly", "quarterly", "semi-annual", "yearly"]),
    start=st.dates(date(2025, 11, 28), date(2026, 1, 1)),
    first_day=DAYS,
    rows=st.sampled_from(["total", "change"]),
    row_end=st.sampled_from(["day_before", "effective_date"]),
    late=st.sampled_from(["made_ahead", "made_late"]),
    posting=st.booleans(),
)
def test_whatever_happened_before_the_plan_reaches_the_target_and_planning_again_comes_to_rest(
    units: int, edits, wishes, policies, period, start, first_day, rows, row_end, late, posting
) -> None:
    engine = make_engine(
        units, start, period=period, mid_period_row=rows, row_end=row_end, future_rows=late, same_date="duplicate"
    )
    for day, wanted in edits:
        with suppress(Refused):
            engine.set_units_by_hand(LINE, wanted, day)
    by_hand = frozenset(adjustment.effective_date for adjustment in engine.books.all(Adjustment))
    today, taken = first_day, frozenset[date]()
    for pause, target in wishes:
        today = today + timedelta(pause)
        if today > END:
            break
        if posting:
            approve_and_post(engine, today - timedelta(20))
        product = as_read(engine, today, taken | by_hand)
        plan = decide_post(product, today, Target(target), policies)
        if isinstance(plan, Hindrance):
            assert plan.code in {"agreement_ends", "below_zero"}
            continue
        taken = carry_out(engine, plan, target, today, taken, by_hand)
        for _ in range(3):
            again = decide_post(as_read(engine, today, taken | by_hand), today, Target(target), policies)
            if isinstance(again, Hindrance) or not again.changes:
                break
            # Only what people scheduled inside the running period leaves anything to do, and ever less of it.
            assert by_hand
            taken = carry_out(engine, again, target, today, taken, by_hand)
        else:
            raise AssertionError(again)
    assert [each for each in violations(engine) if each.kind == "below_zero" or each.kind.startswith("same_date")] == []


def carry_out(engine: Engine, plan, target: int, today: date, taken: frozenset, by_hand: frozenset) -> frozenset[date]:
    """The taken dates after the plan was posted and checked."""
    assert isinstance(plan, Plan)
    before = {day: engine.units(LINE, day) for day in days_from(today)}
    for change in plan.in_sending_order():
        adjust(engine, change.effective_date, change.unit_change)
    dates = {change.effective_date for change in plan.changes}
    assert not dates & taken
    check(engine, before, plan, target, today, as_read(engine, today, taken | by_hand))
    return taken | dates


def check(engine: Engine, before: dict[date, int], plan: Plan, target: int, today: date, product: AsRead) -> None:
    """Each change is told with the units of its day; the running period is not carried past the target; what follows is."""
    for change in plan.changes:
        assert engine.units(LINE, change.effective_date) == change.units_after
    last = product.period(today).last_day
    for day, units in before.items():
        now = engine.units(LINE, day)
        assert now >= 0
        if day <= last:
            low, high = sorted((units, target))
            assert low <= now <= high
    later = product.period_after(today)
    if later is not None and not product.is_posted(later):
        settled = product.first_free_day(later.first_day, product.end_date)
        assert settled is None or engine.units(LINE, settled) == target


def days_from(day: date) -> list[date]:
    return [day + timedelta(number) for number in range((END - day).days + 1)]
