"""prorate: what a change comes to for the rest of its billing period, held to the sandbox's own reckoning."""

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.autotask.billing import TWO_PLACES, approve_and_post
from deploy.sandbox.autotask.records import Adjustment
from domain.money import Money
from domain.periods import Period
from services.psa_writer.prorate import prorate
from tests.psa_writer.engine_rows import LINE, START, adjust, as_read, make_engine

JULY = Period(date(2026, 7, 1), date(2026, 7, 31))
COST, PRICE = Money(Decimal("3.40"), "USD"), Money(Decimal("10.00"), "USD")


def to_two_places(amount: Decimal) -> Decimal:
    """As an invoice shows it."""
    return amount.quantize(TWO_PLACES, ROUND_HALF_UP)


def test_seven_more_units_from_the_11th_of_july_bill_47_42() -> None:
    found = prorate(JULY, date(2026, 7, 11), 5, 12, COST, COST, PRICE, PRICE)

    assert found.price == Money(Decimal("47.4194"), "USD")
    assert found.price.rounded() == Money(Decimal("47.42"), "USD")
    assert found.cost == Money(Decimal("16.1226"), "USD")


def test_a_change_on_the_first_day_counts_whole_and_on_the_last_for_one_day() -> None:
    first = prorate(JULY, date(2026, 7, 1), 5, 6, COST, COST, PRICE, PRICE)
    last = prorate(JULY, date(2026, 7, 31), 5, 6, COST, COST, PRICE, PRICE)

    assert first.price == Money(Decimal("10.0000"), "USD")
    assert last.price == Money(Decimal("0.3226"), "USD")


def test_a_decrease_is_a_credit() -> None:
    found = prorate(JULY, date(2026, 7, 11), 12, 5, COST, COST, PRICE, PRICE)

    assert found.price == Money(Decimal("-47.4194"), "USD")


def test_a_new_cost_counts_for_all_units_from_the_day_on() -> None:
    found = prorate(JULY, date(2026, 7, 11), 5, 5, COST, Money(Decimal("4.00"), "USD"), PRICE, PRICE)

    assert found.cost == Money(Decimal("2.0323"), "USD")
    assert found.price == Money(Decimal("0.0000"), "USD")


def test_what_is_not_known_is_not_guessed() -> None:
    found = prorate(JULY, date(2026, 7, 11), 5, 6, None, None, None, None)

    assert (found.cost, found.price) == (None, None)


@settings(max_examples=150, deadline=None)
@given(
    units=st.integers(0, 50),
    change=st.integers(0, 50),
    cost=st.none() | st.decimals("0.01", 99, places=4),
    day=st.integers(0, 364),
    period=st.sampled_from(["monthly", "quarterly", "semi-annual", "yearly"]),
)
def test_our_reckoning_is_the_sandboxs_to_four_places(units, change, cost, day, period) -> None:
    engine = make_engine(units, period=period)
    day = START + timedelta(day)
    before = as_read(engine, day)
    adjust(engine, day, change, cost)

    (booked,) = engine.books.all(Adjustment)
    after = Money(engine.line(LINE).unit_cost, "USD")
    found = prorate(before.period(day), day, units, units + change, before.unit_cost, after, PRICE, PRICE)

    assert found.cost is not None
    assert found.price is not None
    assert abs(found.cost.amount - booked.proration_cost) <= Decimal("0.0001")
    assert abs(found.price.amount - booked.proration_price) <= Decimal("0.0001")


@settings(max_examples=1_000, deadline=None)
@given(
    start=st.dates(date(2023, 1, 1), date(2025, 12, 31)) | st.sampled_from([date(2024, 1, 31), date(2024, 2, 29)]),
    period=st.sampled_from(["monthly", "quarterly", "semi-annual", "yearly"]),
    offset=st.integers(0, 1_000),
    units=st.integers(0, 400),
    target=st.integers(0, 400),
    price=st.decimals("0.01", "9999.99", places=2) | st.decimals("0.0001", "99", places=4),
)
def test_the_price_that_a_preview_shows_is_what_the_sandbox_invoices_to_the_cent(
    start, period, offset, units, target, price
) -> None:
    # given a contract of three years and a change on some day of it
    engine = make_engine(units, start, start + timedelta(1_094), period, price)
    day = start + timedelta(offset)
    before = as_read(engine, day)
    shown = prorate(before.period(day), day, units, target, None, None, Money(price, "USD"), Money(price, "USD")).price

    # when the sandbox takes it and invoices
    adjust(engine, day, target - units)
    (booked,) = engine.books.all(Adjustment)
    items = approve_and_post(engine, day)

    # then
    (billed,) = [item.total for item in items if item.adjustment_id] or [to_two_places(booked.proration_price)]
    assert shown is not None
    assert shown.rounded().amount == billed
