"""Decimals, days, moments and positions <-> strings, so that no browser rounds them."""

from datetime import UTC, date, datetime
from decimal import Decimal as Number
from decimal import InvalidOperation
from typing import Any

import graphene
from graphql import GraphQLError, StringValueNode, ValueNode


class Text(graphene.Scalar):
    """Written and read as text."""

    class Meta:
        abstract = True

    @classmethod
    def parse_literal(cls, node: ValueNode, _variables: Any = None) -> Any:
        """The value in a document: it must be quoted."""
        if not isinstance(node, StringValueNode):
            raise GraphQLError(f"a {cls.__name__} is written as a string", node)
        return cls.parse_value(node.value)

    @staticmethod
    def parse_value(value: Any) -> Any:
        """The value in the variables."""
        raise NotImplementedError


class Decimal(Text):
    """An exact decimal number as a string, such as "12" or "-3.40"."""

    @staticmethod
    def serialize(value: Any) -> str:
        """Plain digits, never an exponent."""
        return value if isinstance(value, str) else format(value, "f")

    @staticmethod
    def parse_value(value: Any) -> Number:
        """The number in a string."""
        try:
            number = Number(value) if isinstance(value, str) and len(value) <= 40 else None
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite():
            raise GraphQLError('a Decimal is a string such as "12.50"')
        return number


class Date(Text):
    """A day as a string, such as "2018-07-28"."""

    @staticmethod
    def serialize(value: Any) -> str:
        """ISO 8601; text is passed on as it is."""
        return value if isinstance(value, str) else str(value.isoformat())

    @staticmethod
    def parse_value(value: Any) -> date:
        """The day in a string."""
        try:
            return date.fromisoformat(value)
        except (ValueError, TypeError):
            raise GraphQLError('a Date is a string such as "2018-07-28"') from None


class DateTime(Text):
    """A moment in UTC as a string, such as "2018-07-28T14:02:11Z"."""

    @staticmethod
    def serialize(value: Any) -> str:
        """ISO 8601 with Z; text is passed on as it is."""
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

    @staticmethod
    def parse_value(value: Any) -> datetime:
        """The moment in a string; it must say its time zone."""
        try:
            moment = datetime.fromisoformat(value)
        except (ValueError, TypeError):
            moment = None
        if moment is None or moment.tzinfo is None:
            raise GraphQLError('a DateTime is a string with a time zone, such as "2018-07-28T14:02:11Z"')
        return moment


class Position(Text):
    """A place in the MSP's log, or another number that may pass 32 bits: a whole number as a string."""

    @staticmethod
    def serialize(value: Any) -> str:
        """Its digits."""
        return str(value)

    @staticmethod
    def parse_value(value: Any) -> int:
        """The number in a string."""
        if not isinstance(value, str) or not value.isdecimal() or len(value) > 18:
            raise GraphQLError('a Position is a string of digits such as "1041"')
        return int(value)


def entry(name: str, _default: Any, row: Any, _info: Any, **_: Any) -> Any:
    """Rows are plain dicts; a plain lookup is the fastest way to a field."""
    return row[name]


class Money(graphene.ObjectType):
    """An exact amount and its currency."""

    class Meta:
        default_resolver = entry

    amount = Decimal(required=True, description="The amount.")
    currency = graphene.String(required=True, description="The currency's three letters (ISO 4217).")
