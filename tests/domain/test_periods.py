"""Billing periods count from the contract's start, month ends clipped (reliability.md E12, A13)."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.periods import OutsideContract, Period, PeriodType, add_months, next_period, period_at, periods

starts = st.dates(date(2000, 1, 1), date(2040, 12, 31))
lengths = st.integers(0, 2000)
kinds = st.sampled_from(PeriodType)


@given(start=starts, kind=kinds, length=lengths)
def test_periods_tile_the_contract_without_gap_or_overlap(start: date, kind: PeriodType, length: int) -> None:
    # given
    end = start + timedelta(days=length)

    # when
    tiles = list(periods(start, kind, end))

    # then
    assert (tiles[0].first_day, tiles[-1].last_day) == (start, end)
    assert all(b.first_day == a.last_day + timedelta(days=1) for a, b in pairwise(tiles))
    assert sum(tile.days for tile in tiles) == length + 1


@given(start=starts, kind=kinds, length=lengths, data=st.data())
def test_the_period_of_a_day_is_the_tile_that_holds_it(
    start: date, kind: PeriodType, length: int, data: st.DataObject
) -> None:
    # given
    end = start + timedelta(days=length)
    day = data.draw(st.dates(start, end))

    # when
    period = period_at(start, kind, day, end)

    # then
    tiles = list(periods(start, kind, end))
    assert [tile for tile in tiles if day in tile] == [period]
    following = next_period(start, kind, day, end)
    assert following == (tiles[tiles.index(period) + 1] if period != tiles[-1] else None)


@given(start=starts, kind=kinds, data=st.data())
def test_shares_of_the_days_of_a_period_fall_from_one_by_equal_steps(
    start: date, kind: PeriodType, data: st.DataObject
) -> None:
    period = period_at(start, kind, start)
    day = data.draw(st.dates(period.first_day, period.last_day))
    assert period.share_from(period.first_day) == 1
    assert period.share_from(day) == Decimal(period.days_from(day)) / period.days
    assert period.days_from(day) + (day - period.first_day).days == period.days


@pytest.mark.parametrize(
    ("start", "kind", "day", "first_day", "last_day"),
    [
        ("2026-01-31", "monthly", "2026-02-27", "2026-01-31", "2026-02-27"),
        ("2026-01-31", "monthly", "2026-02-28", "2026-02-28", "2026-03-30"),
        ("2024-01-31", "monthly", "2024-02-29", "2024-02-29", "2024-03-30"),
        ("2024-01-30", "monthly", "2024-03-15", "2024-02-29", "2024-03-29"),
        ("2024-02-29", "yearly", "2025-02-28", "2025-02-28", "2026-02-27"),
        ("2024-02-29", "yearly", "2028-02-29", "2028-02-29", "2029-02-27"),
        ("2025-11-30", "quarterly", "2026-03-01", "2026-02-28", "2026-05-29"),
        ("2025-08-31", "half_yearly", "2026-02-28", "2026-02-28", "2026-08-30"),
        ("2026-08-01", "monthly", "2026-08-31", "2026-08-01", "2026-08-31"),
    ],
)
def test_month_ends_are_clipped_in_short_months_and_back_in_long_ones(
    start: str, kind: str, day: str, first_day: str, last_day: str
) -> None:
    period = period_at(date.fromisoformat(start), PeriodType(kind), date.fromisoformat(day))
    assert period == Period(date.fromisoformat(first_day), date.fromisoformat(last_day))


def test_the_end_of_the_contract_cuts_the_last_period() -> None:
    period = period_at(date(2026, 1, 1), PeriodType.QUARTERLY, date(2026, 5, 1), date(2026, 5, 15))
    assert period == Period(date(2026, 4, 1), date(2026, 5, 15))
    assert next_period(date(2026, 1, 1), PeriodType.QUARTERLY, date(2026, 5, 1), date(2026, 5, 15)) is None


@pytest.mark.parametrize("day", [date(2025, 12, 31), date(2026, 12, 31)])
def test_a_day_outside_the_contract_has_no_period(day: date) -> None:
    with pytest.raises(OutsideContract, match=str(day)):
        period_at(date(2026, 1, 1), PeriodType.MONTHLY, day, date(2026, 12, 30))


def test_days_before_and_behind_a_period_are_not_charged_twice() -> None:
    period = Period(date(2026, 8, 1), date(2026, 8, 31))
    assert period.days_from(date(2026, 7, 1)) == 31
    assert period.days_from(date(2026, 9, 1)) == 0
    assert period.share_from(date(2026, 8, 31)) == Decimal(1) / 31


@given(day=starts, months=st.integers(-100, 100))
def test_months_on_is_the_same_day_or_the_last_of_a_shorter_month(day: date, months: int) -> None:
    moved = add_months(day, months)
    assert (moved.year - day.year) * 12 + moved.month - day.month == months
    assert moved.day == day.day or (moved.day < day.day and (moved + timedelta(days=1)).day == 1)
