"""Plain values -> settings of a relation, and the price that a source comes to."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import Money
from domain.price_source import PriceSource
from domain.relation_settings import AS_NEW, BadSettings, RelationSettings
from domain.unit_rule import UnitRule

COST, PRICE = Money.parse("3.40", "USD"), Money.parse("4.00", "USD")


@pytest.mark.parametrize("given", [None, {}, {"rule": None, "price": {}, "note": None}], ids=["none", "empty", "nulls"])
def test_without_values_they_are_those_of_a_new_relation(given: object) -> None:
    assert RelationSettings.parse(given) == AS_NEW


def test_all_values_are_taken() -> None:
    given = {
        "rule": {"included": "2", "pack_size": 10, "rounding": "up", "minimum": "1"},
        "price": {"source": "custom", "amount": "47.50", "currency": "usd"},
        "note": "packs of ten",
    }
    assert RelationSettings.parse(given) == RelationSettings(
        UnitRule(Decimal(2), 10, "up", 1), PriceSource("custom", Money.parse("47.50", "USD")), "packs of ten"
    )


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"rules": {}}, id="unknown part"),
        pytest.param({"rule": {"pack_size": "1.5"}}, id="part of a licence"),
        pytest.param({"rule": {"included": "many"}}, id="no number"),
        pytest.param({"rule": {"included": "NaN"}}, id="NaN"),
        pytest.param({"rule": {"included": "1e999"}}, id="beyond all billing"),
        pytest.param({"price": {"source": "guess"}}, id="unknown source"),
        pytest.param({"price": {"source": "custom"}}, id="custom without a price"),
        pytest.param({"price": {"source": "custom", "amount": "5"}}, id="price without currency"),
        pytest.param({"price": {"source": "custom", "amount": "-5", "currency": "USD"}}, id="price below 0"),
        pytest.param({"price": {"source": "custom", "amount": "5.00001", "currency": "USD"}}, id="five places"),
        pytest.param({"price": {"source": "custom", "amount": "5", "currency": "dollars"}}, id="no currency"),
        pytest.param({"price": {"source": "cost_plus"}}, id="no markup"),
        pytest.param({"price": {"source": "agreement", "markup_percent": "5"}}, id="markup without its source"),
        pytest.param({"note": "x" * 2_001}, id="long note"),
        pytest.param("as is", id="text"),
    ],
)
def test_values_that_are_no_settings_are_refused(given: Any) -> None:
    with pytest.raises(BadSettings):
        RelationSettings.parse(given)


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.floats(),
        lambda s: st.lists(s) | st.dictionaries(st.sampled_from(["rule", "price", "note", "pack_size", "source"]), s),
    )
)
def test_whatever_is_given_is_taken_or_refused(given: Any) -> None:
    with suppress(BadSettings):
        RelationSettings.parse(given)


@pytest.mark.parametrize(
    ("source", "price"),
    [
        pytest.param(PriceSource(), None, id="agreement"),
        pytest.param(PriceSource("catalogue"), PRICE, id="catalogue"),
        pytest.param(PriceSource("custom", Money.parse("5", "USD")), Money.parse("5.0000", "USD"), id="custom"),
        pytest.param(PriceSource("cost_plus", None, Decimal("12.5")), Money.parse("3.8250", "USD"), id="cost plus"),
    ],
)
def test_what_a_source_comes_to(source: PriceSource, price: Money | None) -> None:
    assert source.unit_price(COST, PRICE) == price


def test_a_price_that_is_reckoned_from_an_unknown_is_left_alone() -> None:
    assert PriceSource("cost_plus", None, Decimal(5)).unit_price(None, PRICE) is None
    assert PriceSource("catalogue").unit_price(COST, None) is None
