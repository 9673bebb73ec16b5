"""A count -> units by a unit rule: examples of each step, and what holds for every rule."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.unit_rule import AS_IS, BadRule, UnitRule
from domain.units import LARGEST_COUNT, NotWholeUnits
from tests.domain.strategies import rules

counts = st.decimals(0, 10**7, places=2)
whole = st.integers(0, int(LARGEST_COUNT)).map(Decimal)


@given(whole)
def test_as_is_is_the_count_itself(count: Decimal) -> None:
    assert AS_IS.units(count) == count


@pytest.mark.parametrize(
    ("rule", "count", "units"),
    [
        pytest.param(UnitRule(included=Decimal(5)), "12", 7, id="included is taken away"),
        pytest.param(UnitRule(included=Decimal(5)), "3", 0, id="but never below 0"),
        pytest.param(UnitRule(pack_size=10, rounding="up"), "12", 2, id="a begun pack is a unit"),
        pytest.param(UnitRule(pack_size=10, rounding="down"), "19", 1, id="only whole packs are units"),
        pytest.param(UnitRule(pack_size=10, rounding="nearest"), "15", 2, id="half a pack is rounded up"),
        pytest.param(UnitRule(pack_size=10, rounding="nearest"), "14", 1, id="less than half is not"),
        pytest.param(UnitRule(minimum=5), "3", 5, id="the minimum"),
        pytest.param(UnitRule(minimum=5), "0", 5, id="the minimum stands at 0 too"),
        pytest.param(UnitRule(rounding="up"), "2.1", 3, id="rounding without packs"),
        pytest.param(UnitRule(Decimal(2), 10, "up", 1), "12", 1, id="included first, packs then"),
        pytest.param(UnitRule(Decimal(2), 10, "up", 3), "12", 3, id="the minimum last"),
    ],
)
def test_each_step_in_its_order(rule: UnitRule, count: str, units: int) -> None:
    assert rule.units(Decimal(count)) == units


def test_what_is_not_whole_is_refused_unless_the_rule_rounds() -> None:
    with pytest.raises(NotWholeUnits):
        UnitRule(included=Decimal("0.5")).units(Decimal(2))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"pack_size": 0}, id="no pack"),
        pytest.param({"pack_size": 10}, id="packs without a rounding"),
        pytest.param({"included": Decimal(-1)}, id="included below 0"),
        pytest.param({"minimum": -1}, id="minimum below 0"),
        pytest.param({"rounding": "sideways"}, id="unknown rounding"),
        pytest.param({"minimum": 2**31}, id="beyond 32 bits"),
    ],
)
def test_values_that_make_no_rule_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(BadRule):
        UnitRule(**values)  # type: ignore[arg-type]


rounding_rules = rules.filter(lambda rule: rule.rounding != "none")


@given(rounding_rules, counts, counts)
def test_units_never_fall_when_the_count_rises(rule: UnitRule, one: Decimal, other: Decimal) -> None:
    fewer, more = sorted((one, other))
    assert rule.units(fewer) <= rule.units(more)


@given(rounding_rules, counts)
def test_units_are_never_below_the_minimum(rule: UnitRule, count: Decimal) -> None:
    assert rule.units(count) >= rule.minimum


@given(st.integers(1, 1_000), counts)
def test_rounding_up_bills_every_licence_and_less_than_a_pack_too_much(pack_size: int, count: Decimal) -> None:
    units = UnitRule(pack_size=pack_size, rounding="up").units(count)
    assert count <= units * pack_size < count + pack_size
