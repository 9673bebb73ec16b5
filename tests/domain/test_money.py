"""Exact money: one currency in one sum, no float, rounding as invoices do."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import BadMoney, MixedCurrencies, Money
from tests.domain.strategies import amounts


def usd(amount: str) -> Money:
    """Dollars."""
    return Money.parse(amount, "USD")


def test_money_is_read_from_text_exactly() -> None:
    assert Money.parse("3.4000", "usd") == Money(Decimal("3.4"), "USD")
    assert str(usd("3.4000").amount) == "3.4000"


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("3,40", "USD"),
        ("", "USD"),
        ("NaN", "USD"),
        ("Infinity", "USD"),
        ("$3", "USD"),
        ("3", "US"),
        ("3", "12A"),
        ("3", "ÄÖÜ"),
        ("3", ""),
    ],
)
def test_what_a_person_would_have_to_interpret_is_no_money(amount: str, currency: str) -> None:
    with pytest.raises(BadMoney):
        Money.parse(amount, currency)


@pytest.mark.parametrize(
    ("amount", "rounded"), [("2.345", "2.35"), ("2.344", "2.34"), ("-2.345", "-2.35"), ("0.005", "0.01"), ("2", "2.00")]
)
def test_halves_are_rounded_away_from_zero(amount: str, rounded: str) -> None:
    assert str(usd(amount).rounded().amount) == rounded


@given(a=amounts, b=amounts)
def test_what_is_added_and_taken_away_again_leaves_no_trace(a: Decimal, b: Decimal) -> None:
    assert Money(a, "USD") + Money(b, "USD") - Money(b, "USD") == Money(a, "USD")
    assert -Money(a, "USD") + Money(a, "USD") == Money(Decimal(0), "USD")


@given(amount=amounts, places=st.integers(0, 4))
def test_rounding_twice_changes_nothing_the_second_time(amount: Decimal, places: int) -> None:
    once = Money(amount, "USD").rounded(places)
    assert once.rounded(places) == once
    assert abs(once.amount - amount) <= Decimal(1).scaleb(-places) / 2


def test_two_currencies_never_meet_in_one_sum() -> None:
    with pytest.raises(MixedCurrencies, match="USD and EUR"):
        usd("1") + Money.parse("1", "EUR")
    with pytest.raises(MixedCurrencies):
        usd("1") - Money.parse("1", "EUR")
    assert usd("1") != Money.parse("1", "EUR")


def test_an_amount_taken_so_many_times_is_not_rounded() -> None:
    assert usd("3.3333").times(Decimal("3")) == usd("9.9999")
