"""An event type -> Hypothesis examples of it, drawn field by field from the type hints."""

import types
import typing
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from domain.money import Money
from domain.price_source import PriceSource
from domain.unit_rule import UnitRule

# What PostgreSQL and JSON can carry: any letter of any script, but no NUL and no half of a surrogate pair.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
amounts = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4)
_MONEY = st.builds(Money, amounts, st.sampled_from(["USD", "EUR", "GBP"]))
_UP_TO_A_PSA = st.integers(0, 2**31 - 1)
rules = st.builds(
    UnitRule,
    included=st.decimals(0, 1_000, places=2),
    pack_size=st.integers(1, 1_000),
    rounding=st.sampled_from(["up", "down", "nearest"]),
    minimum=st.integers(0, 1_000),
) | st.builds(UnitRule, included=st.integers(0, 1_000).map(Decimal), minimum=_UP_TO_A_PSA)
_PRICES = st.decimals(0, 10**9, places=4)
price_sources = st.one_of(
    st.sampled_from(["agreement", "catalogue"]).map(PriceSource),
    st.builds(Money, _PRICES, st.just("USD")).map(lambda price: PriceSource("custom", price)),
    st.decimals(-100, 10_000, places=2).map(lambda markup: PriceSource("cost_plus", None, markup)),
)
_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(-(2**31), 2**31),
    bool: st.booleans(),
    Decimal: amounts,
    date: st.dates(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    Money: _MONEY,
    UnitRule: rules,
    PriceSource: price_sources,
}


def examples(hint: Any) -> st.SearchStrategy[Any]:
    """Values that a field with this type may have."""
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    if hint in _SCALARS:
        return _SCALARS[hint]
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return st.one_of(*(st.none() if arm is types.NoneType else examples(arm) for arm in arguments))
    if typing.get_origin(hint) is tuple:
        return st.lists(examples(arguments[0]), max_size=3).map(tuple)
    assert is_dataclass(hint), f"no examples of {hint}"
    hints = typing.get_type_hints(hint)
    return st.builds(hint, **{field.name: examples(hints[field.name]) for field in fields(hint)})
