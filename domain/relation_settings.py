"""Plain values of a call or a file -> what a person settled for a relation: unit rule, price source and a note."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from domain.money import BadMoney, Money
from domain.price_source import LEFT_AS_IT_IS, BadPrice, PriceSource
from domain.unit_rule import AS_IS, BadRule, UnitRule

LONGEST_NOTE = 2_000


class BadSettings(ValueError):
    """The values are no settings of a relation; the message says which and why."""


@dataclass(frozen=True)
class RelationSettings:
    """What holds for a relation beside its two ends. As built without values: what a new relation has."""

    rule: UnitRule = AS_IS
    price: PriceSource = LEFT_AS_IT_IS
    note: str = ""

    @classmethod
    def parse(cls, given: object) -> "RelationSettings":
        """From {"rule": {...}, "price": {"source", "amount", "currency", "markup_percent"}, "note"}, numbers as text or
        whole numbers; what is missing or None is the default. BadSettings."""
        values = _mapping(given, ("rule", "price", "note"))
        note = values.get("note") or ""
        if not isinstance(note, str) or len(note) > LONGEST_NOTE:
            raise BadSettings(f"The note is a text of at most {LONGEST_NOTE} letters.")
        try:
            return cls(parse_rule(values.get("rule")), _price(values.get("price")), note)
        except (BadPrice, BadMoney) as fault:
            raise BadSettings(str(fault)) from None


def parse_rule(given: object) -> UnitRule:
    """The unit rule in {"included", "pack_size", "rounding", "minimum"}; BadSettings."""
    values = _mapping(given, ("included", "pack_size", "rounding", "minimum"))
    try:
        return UnitRule(
            included=_decimal(values.get("included"), "included", "0"),
            pack_size=_whole(values.get("pack_size"), "pack_size", 1),
            rounding=str(values.get("rounding") or "none"),
            minimum=_whole(values.get("minimum"), "minimum", 0),
        )
    except BadRule as fault:
        raise BadSettings(str(fault)) from None


def _price(given: object) -> PriceSource:
    values = _mapping(given, ("source", "amount", "currency", "markup_percent"))
    amount, currency, markup = values.get("amount"), values.get("currency"), values.get("markup_percent")
    if (amount is None) != (currency is None):
        raise BadSettings("A price has an amount and a currency.")
    return PriceSource(
        str(values.get("source") or "agreement"),
        None if amount is None else Money(_decimal(amount, "amount", "0"), str(currency).upper()),
        None if markup is None else _decimal(markup, "markup_percent", "0"),
    )


def _mapping(given: object, names: tuple[str, ...]) -> Mapping[str, Any]:
    values = {} if given is None else given
    if not isinstance(values, Mapping) or set(values) - {*names}:
        raise BadSettings(f"Settings are given as {', '.join(names)}.")
    return values


def _decimal(value: object, name: str, default: str) -> Decimal:
    try:
        number = Decimal(default if value is None else str(value))
    except InvalidOperation:
        raise BadSettings(f"{name} is a number, not {value!r}.") from None
    if not number.is_finite() or abs(number.adjusted()) > 20:
        raise BadSettings(f"{name} is a number that can be billed, not {value!r}.")
    return number


def _whole(value: object, name: str, default: int) -> int:
    number = _decimal(value, name, str(default))
    if number != number.to_integral_value():
        raise BadSettings(f"{name} is a whole number, not {value!r}.")
    return int(number)


AS_NEW = RelationSettings()
