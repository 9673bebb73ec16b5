"""check_brake: which plans wait for a person, in which words, and for how many people."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.keys import CompanyId, ResourceId
from domain.money import Money
from domain.policies import WHOLE_MSP, Policies, Scope
from services.psa_writer.check_brake import (
    Approved,
    Facts,
    Held,
    Limits,
    Shadow,
    check_brake,
    check_hour,
    check_swing,
    limits_of,
)
from services.psa_writer.decide_post import Change, Plan

TODAY, AUGUST = date(2026, 7, 11), date(2026, 8, 1)
FREE = Limits(
    brake_fall_units=10**9,
    brake_fall_percent=10**9,
    brake_small_units=1,
    brake_rise_units=10**9,
    brake_rise_percent=10**9,
    brake_to_zero="post",
    second_person_units=10**9,
)
units = st.integers(0, 10_000)


def plan(before: int, target: int, day: date = TODAY) -> Plan:
    """One change from so many units to so many."""
    step = target - before
    return Plan((Change(day, step, before, target, None),) if step else (), before)


def said(before: int, target: int, limits: Limits = Limits(), **facts: object) -> Held | Shadow | None:  # noqa: B008
    return check_brake(plan(before, target), target, limits, Facts(**facts))  # type: ignore[arg-type]


def rule(before: int, target: int, limits: Limits = Limits(), **facts: object) -> str | None:  # noqa: B008
    held = said(before, target, limits, **facts)
    return held.rule if isinstance(held, Held) else None


@pytest.mark.parametrize(
    ("before", "target", "held"),
    [
        (304, 8, "fall"),
        (1000, 974, "fall"),
        (1000, 975, None),
        (20, 16, None),
        (20, 15, "fall"),
        (4, 1, None),
        (3, 0, "to_zero"),
        (4, 54, None),
        (4, 55, "rise"),
        (100, 151, "rise"),
        (102, 153, None),
        (0, 51, "rise"),
        (8, 8, None),
    ],
)
def test_each_limit_by_itself(before: int, target: int, held: str | None) -> None:
    assert rule(before, target) == held


def test_the_rule_is_told_with_its_numbers() -> None:
    fall, rise = said(304, 8), said(4, 60)

    assert isinstance(fall, Held)
    assert fall.message == "Falls from 304 to 8 units: by 296 units, limit 25; by 97 %, limit 20 %."
    assert (fall.severity, fall.people_needed) == ("high", 2)
    assert isinstance(rise, Held)
    assert rise.message == "Rises from 4 to 60 units: by 56 units, limit 50; by 1400 %, limit 50 %."
    assert (rise.severity, rise.people_needed) == ("normal", 1)


def test_a_share_just_beyond_the_limit_does_not_read_as_the_limit() -> None:
    held = said(1000, 796, replace(FREE, brake_fall_percent=20))
    assert isinstance(held, Held)
    assert held.message == "Falls from 1000 to 796 units: by 20.40 %, limit 20 %."


@given(units, units)
def test_with_limits_out_of_reach_everything_goes(before: int, target: int) -> None:
    assert said(before, target, FREE) is None


@given(units, units, units, units)
def test_a_narrower_limit_never_lets_out_what_a_wider_one_holds(before: int, target: int, one: int, other: int) -> None:
    narrow, wide = sorted((one + 1, other + 1))
    for name in ("brake_fall_units", "brake_fall_percent"):
        if rule(before, target, replace(FREE, **{name: wide})):
            assert rule(before, target, replace(FREE, **{name: narrow})) == "fall"


@given(units, units)
def test_a_small_fall_never_waits_for_its_share(before: int, fall: int) -> None:
    target = max(0, before - fall)
    limits = replace(FREE, brake_fall_percent=1, brake_small_units=5)
    if before - target <= 5:
        assert rule(before, target, limits) is None


@given(units, units)
def test_two_people_are_needed_exactly_for_what_moves_more_units_than_one_may_let_out(before: int, target: int) -> None:
    held = said(before, target, Limits(mode="approve"))
    if isinstance(held, Held):
        assert held.people_needed == (2 if abs(target - before) > 100 else 1)


@given(units, units)
def test_shadow_goes_before_everything_even_what_people_approved(before: int, target: int) -> None:
    approved = Approved(target, before, "mode")
    found = said(before, target, Limits(mode="shadow"), approved=approved, frozen_until=AUGUST, hold_first=True)
    assert found == (Shadow() if before != target else None)


@given(units, units, units)
def test_what_was_approved_goes_out_only_as_it_was_approved(before: int, now: int, target: int) -> None:
    approved = Approved(target, before, "fall")
    found = rule(now, target, Limits(mode="approve"), approved=approved)
    assert found == (None if now in (before, target) else "changed")


def test_two_steps_are_held_by_their_sum_and_by_each_of_them() -> None:
    up = (Change(TODAY, 40, 10, 50, None), Change(AUGUST, 40, 50, 90, None))
    assert check_brake(Plan(up, 10), 90, Limits(), Facts()).rule == "rise"  # type: ignore[union-attr]
    there_and_back = (Change(TODAY, 60, 10, 70, None), Change(AUGUST, -60, 70, 10, None))
    held = check_brake(Plan(there_and_back, 10), 10, Limits(), Facts())
    assert isinstance(held, Held)


def test_a_month_that_stands_still_holds_what_counts_from_a_day_before_its_end() -> None:
    held = check_brake(plan(4, 5), 5, FREE, Facts(frozen_until=AUGUST))
    assert isinstance(held, Held)
    assert (held.rule, held.until) == ("freeze", AUGUST)
    assert check_brake(plan(4, 5, AUGUST), 5, FREE, Facts(frozen_until=AUGUST)) is None


@pytest.mark.parametrize(("seen", "held"), [("freeze", None), ("fall", "freeze")])
def test_a_month_that_stands_still_is_passed_only_by_who_saw_that(seen: str, held: str | None) -> None:
    assert rule(4, 5, frozen_until=AUGUST, approved=Approved(5, 4, seen)) == held


def test_a_changed_cost_alone_is_held_by_the_mode_and_by_no_limit() -> None:
    cost = Plan((Change(TODAY, 0, 0, 0, Money(Decimal(4), "USD")),), 0)
    assert check_brake(cost, 0, Limits(), Facts(short_answer="It saw half.")) is None
    assert check_brake(cost, 0, Limits(mode="approve"), Facts()).rule == "mode"  # type: ignore[union-attr]
    assert check_brake(cost, 0, Limits(mode="shadow"), Facts()) == Shadow()


def test_a_fall_after_a_short_answer_waits_a_rise_does_not() -> None:
    assert rule(100, 90, FREE, short_answer="It saw half.") == "short_answer"
    assert rule(90, 100, FREE, short_answer="It saw half.") is None


def test_of_several_resources_the_strictest_wins() -> None:
    hall, repair, mail = CompanyId("501"), CompanyId("502"), ResourceId("100234")
    policies = Policies(
        1,
        {
            WHOLE_MSP: {"mode": "approve", "brake_fall_units": "30"},
            Scope(hall): {"mode": "unattended", "brake_fall_units": "40", "brake_to_zero": "post"},
        },
    )
    assert limits_of(policies, [(hall, mail)]) == Limits("unattended", 40, brake_to_zero="post")
    assert limits_of(policies, [(hall, mail), (repair, mail)]) == Limits("approve", 30)
    assert limits_of(policies, []) == Limits("approve", 30)


def test_swing_and_hour_hold_beyond_their_limit_and_say_so() -> None:
    policies = Policies(1, {WHOLE_MSP: {"brake_swing_units": "10", "brake_hour_units": "20"}})
    change = plan(4, 8)
    assert check_swing(change, 10, policies, FREE) is None
    assert check_hour(change, 16, policies, FREE) is None
    swing, hour = check_swing(change, 11, policies, FREE), check_hour(change, 17, policies, FREE)
    assert (swing and swing.message) == "The poll that brought this moves 11 units over all customers, limit 10."
    assert (hour and hour.message) == "17 units were changed in the last hour; 4 more exceed the limit of 20."
