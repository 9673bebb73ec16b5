"""Units rows as stored -> units on a day, whatever form the PSA stores changes and last days in."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.keys import PsaProductId
from services.psa_writer.psa.port import UnitsRow
from services.psa_writer.psa.units_on import MidPeriodRows, units_on


def row(row_id: int, first: tuple[int, int], last: tuple[int, int], units: int) -> UnitsRow:
    days = date(2026, *first), date(2026, *last)
    return UnitsRow(PsaProductId("8001"), *days, str(row_id), units, Decimal(0), Decimal(0), posted=False)


def july(day: int) -> date:
    return date(2026, 7, day)


def test_a_product_without_rows_has_no_units():
    assert units_on([], july(1), "total") == 0
    assert units_on([], july(1), "change") == 0


@pytest.mark.parametrize("form", ["total", "change"])
def test_a_day_before_the_first_row_has_no_units_and_a_day_behind_the_last_has_its(form: MidPeriodRows):
    rows = [row(1, (7, 1), (7, 31), 10)]

    assert [units_on(rows, day, form) for day in [date(2026, 6, 30), july(1), july(31), date(2026, 12, 1)]] == [
        0,
        10,
        10,
        10,
    ]


@pytest.mark.parametrize("cut_on", [10, 11], ids=["the day before", "the effective date itself"])
def test_a_row_inside_a_period_with_the_new_total_counts_from_its_first_day(cut_on: int):
    rows = [row(1, (7, 1), (7, cut_on), 10), row(3, (7, 11), (7, 31), 17), row(2, (8, 1), (8, 31), 17)]

    assert [units_on(rows, july(day), "total") for day in [1, 10, 11, 31]] == [10, 10, 17, 17]


def test_a_row_inside_a_period_with_the_change_adds_to_its_period():
    rows = [
        row(1, (7, 1), (7, 31), 10),
        row(3, (7, 11), (7, 31), 7),
        row(4, (7, 20), (7, 31), -2),
        row(2, (8, 1), (8, 31), 15),
    ]

    assert [units_on(rows, july(day), "change") for day in [1, 11, 20, 31]] == [10, 17, 15, 15]
    assert units_on(rows, date(2026, 8, 1), "change") == 15


def test_changes_carry_on_where_the_next_period_has_no_row_yet():
    rows = [row(1, (7, 1), (7, 31), 10), row(3, (7, 11), (7, 31), 7)]

    assert units_on(rows, date(2026, 9, 1), "change") == 17


def test_a_period_that_ends_on_the_next_ones_first_day_is_not_counted_twice():
    rows = [row(1, (7, 1), (8, 1), 10), row(3, (7, 11), (8, 1), 7), row(2, (8, 1), (9, 1), 17)]

    assert units_on(rows, date(2026, 8, 1), "change") == 17


def test_two_changes_on_one_date_both_count_and_of_two_totals_the_later_made_counts():
    base = row(9, (7, 1), (7, 31), 10)

    changes = [base, row(10, (7, 11), (7, 31), 7), row(11, (7, 11), (7, 31), 1)]
    totals = [base, row(99, (7, 11), (7, 31), 17), row(100, (7, 11), (7, 31), 18)]

    assert units_on(changes, july(11), "change") == 18
    assert units_on(totals, july(11), "total") == 18


@given(
    st.integers(0, 50),
    st.dictionaries(st.integers(0, 89), st.integers(-20, 20), max_size=6),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_both_forms_tell_the_same_units_on_every_day_of_three_periods(begin, changes, ends_on_effective_date, shuffle):
    # given the true units of 90 days in periods of 30, after changes on some days
    start, units, truth = date(2026, 1, 1), begin, []
    for day in range(90):
        units += changes.get(day, 0)
        truth.append(units)

    # when they are stored as totals and as changes
    totals, made_changes = [], []
    for period in (0, 30, 60):
        cuts = [day for day in range(period + 1, period + 30) if changes.get(day)]
        for first, following in zip([period, *cuts], [*cuts, period + 30], strict=True):
            whole_period = following == period + 30
            last = following if ends_on_effective_date and not whole_period else following - 1
            totals.append((first, last, truth[first]))
            made_changes.append((first, period + 29, truth[first] if first == period else changes[first]))

    # then both are read alike
    for form, stored in (("total", totals), ("change", made_changes)):
        rows = [
            UnitsRow(
                PsaProductId("1"),
                start + timedelta(days=first),
                start + timedelta(days=last),
                str(number),
                count,
                None,
                None,
                posted=False,
            )
            for number, (first, last, count) in enumerate(stored, 1)
        ]
        shuffle.shuffle(rows)
        assert [units_on(rows, start + timedelta(days=day), form) for day in range(90)] == truth
