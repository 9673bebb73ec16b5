"""ODIN's numbers -> exact counts -> whole units, or a refusal (reliability.md O5)."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.units import LARGEST_COUNT, BadCount, NotWholeUnits, parse_count, whole_units


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (10, "10"),
        ("10", "10"),
        ("10.0", "10"),
        ("10.50", "10.5"),
        ("1e3", "1000"),
        (Decimal("8.000"), "8"),
        ("0", "0"),
        ("-0", "0"),
    ],
)
def test_a_count_is_exact(value: Any, count: str) -> None:
    assert parse_count(value) == Decimal(count)


@pytest.mark.parametrize(
    "value", ["", "ten", "NaN", "Infinity", "-1", -1, "10,5", True, 2**63, "1e400", "0x10", "2147483648"]
)
def test_what_is_no_count_is_refused(value: Any) -> None:
    with pytest.raises(BadCount, match="not a count"):
        parse_count(value)


@given(count=st.decimals(min_value=0, max_value=LARGEST_COUNT, allow_nan=False, places=3))
def test_a_count_is_never_rounded_and_reading_it_again_changes_nothing(count: Decimal) -> None:
    parsed = parse_count(format(count, "f"))
    assert parsed == count
    assert parse_count(str(parsed)) == parsed
    assert str(parse_count(str(parsed))) == str(parsed)


@given(count=st.integers(0, int(LARGEST_COUNT)))
def test_a_whole_count_is_as_many_units(count: int) -> None:
    assert whole_units(parse_count(str(count))) == count


@pytest.mark.parametrize("count", ["10.5", "0.001"])
def test_a_count_that_is_not_whole_is_refused_not_rounded(count: str) -> None:
    with pytest.raises(NotWholeUnits, match=count):
        whole_units(parse_count(count))
