"""JSON of the Simple API -> the normalised model, typed, exact, only the fields we want; contacts are never decoded.

Fields and types: spec 1.15 of the Simple API. Unknown fields are passed over. A number is taken from its text, so a count
of 10.5 or a cost of "3.4000" never goes through a float; what a person would have to interpret is refused.
"""

import re
from datetime import date
from decimal import Decimal
from typing import TypeVar

import msgspec

from domain.keys import CompanyId, ResourceId, SubscriptionId
from domain.money import BadMoney, Money
from domain.units import BadCount, parse_count
from plumbing.http import OutsideFailure
from services.poller.sources.port import Company, Order, OrderRow, Resource, Snapshot, SubscriptionRow

# Usage is billed by what was used, so such a resource has no count that a PSA could be levelled to.
USAGE_BASED = "chargeExternalRating"
UNKNOWN = "unknown"
_EXACT_NUMBER = re.compile(rb'("?)(-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?)\1')
_ABSENT = (b"", b"null")
# A price of a unit beyond this is a fault of the sender.
LARGEST_AMOUNT = Decimal(10) ** 12

T = TypeVar("T")


class _Amount(msgspec.Struct):
    amount: msgspec.Raw
    currency: str


class _Period(msgspec.Struct):
    type: str
    duration: int


class CompanyShape(msgspec.Struct):
    """A row of /customers."""

    id: str
    name: str | None = None
    status: str | None = None

    def model(self) -> Company:
        """The company."""
        return Company(CompanyId(_id(self.id)), _text(self.name or self.id), _text(self.status or UNKNOWN))


class SubscriptionShape(msgspec.Struct, rename="camel"):
    """A row of /subscriptions."""

    id: str
    customer_id: str
    status: str | None = None
    name: str | None = None
    renewal_status: bool | None = None
    billing_model: str | None = None
    billing_period: _Period | None = None
    subscription_period: _Period | None = None
    creation_date: str | None = None
    renewal_date: str | None = None
    last_modified_date: str | None = None

    def model(self) -> SubscriptionRow:
        """The subscription as lists show it."""
        return SubscriptionRow(
            subscription_id=SubscriptionId(_id(self.id)),
            company_id=CompanyId(_id(self.customer_id)),
            name=_text(self.name or self.id),
            status=_text(self.status or UNKNOWN),
            usage_based=self.billing_model == USAGE_BASED,
            billing_period=_period(self.billing_period),
            subscription_period=_period(self.subscription_period),
            created_date=_day(self.creation_date),
            renewal_date=_day(self.renewal_date),
            modified_date=_day(self.last_modified_date),
            renews=self.renewal_status,
        )


class _ProductShape(msgspec.Struct, rename="camel"):
    id: str
    name: str | None = None
    quantity: msgspec.Raw = msgspec.Raw(b"")
    unit_cost: _Amount | None = None
    unit_price: _Amount | None = None
    mpn: str | None = None
    vendor: str | None = None
    vendor_subscription_id: str | None = None

    def model(self) -> Resource:
        return Resource(
            resource_id=ResourceId(_id(self.id)),
            name=_text(self.name or self.mpn or self.id),
            count=_count(self.quantity),
            unit_cost=_money(self.unit_cost),
            unit_price=_money(self.unit_price),
            mpn=_text(self.mpn or "") or None,
            vendor=_text(self.vendor or "") or None,
            vendor_subscription_id=_text(self.vendor_subscription_id or "") or None,
        )


class SubscriptionDetailedShape(SubscriptionShape, rename="camel"):
    """The answer of /subscriptions/{id}."""

    products: list[_ProductShape] | None = None

    def snapshot(self) -> Snapshot:
        """The subscription, whole; BadCount, BadMoney, ValueError when a part is not exact."""
        if self.products is None:
            return Snapshot(self.model(), None)
        resources = tuple(product.model() for product in self.products)
        if len({resource.resource_id for resource in resources}) < len(resources):
            raise ValueError("it lists a product twice")
        return Snapshot(self.model(), resources)


class OrderShape(msgspec.Struct, rename="camel"):
    """A row of /orders."""

    id: str
    customer_id: str
    status: str
    creation_date: str | None = None

    def model(self) -> OrderRow:
        """The order as lists show it."""
        return OrderRow(_id(self.id), CompanyId(_id(self.customer_id)), self.status, _day(self.creation_date))


class OrderDetailedShape(OrderShape, rename="camel"):
    """The answer of /orders/{id}."""

    subscription_id: str | None = None
    target_subscription_id: str | None = None

    def order(self) -> Order:
        """The order with the subscriptions it names."""
        named = (self.subscription_id, self.target_subscription_id)
        subscriptions = tuple(SubscriptionId(each) for each in named if each)
        return Order(_id(self.id), CompanyId(_id(self.customer_id)), self.status, subscriptions)


class Pagination(msgspec.Struct):
    """Where a page stands in its list."""

    offset: int
    total: int


class CompanyPage(msgspec.Struct):
    """A page of /customers."""

    data: list[CompanyShape]
    pagination: Pagination


class SubscriptionPage(msgspec.Struct):
    """A page of /subscriptions."""

    data: list[SubscriptionShape]
    pagination: Pagination


class OrderPage(msgspec.Struct):
    """A page of /orders."""

    data: list[OrderShape]
    pagination: Pagination


class TokenShape(msgspec.Struct, rename="camel"):
    """The answer of /token."""

    token: str
    expires_in_seconds: int


def decoded(body: bytes, shape: type[T]) -> T:
    """The answer as that shape; OutsideFailure "malformed" for anything else. The message holds no value of the body."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise OutsideFailure("malformed", f"the answer is not what the API speaks: {fault}") from None


def snapshot(body: bytes) -> Snapshot:
    """A subscription read whole from JSON; OutsideFailure "malformed" when any part of it is unclear."""
    shape = decoded(body, SubscriptionDetailedShape)
    try:
        return shape.snapshot()
    except (BadCount, BadMoney, ValueError) as fault:
        raise OutsideFailure("malformed", f"subscription {shape.id}: {fault}") from None


def _number(raw: msgspec.Raw) -> Decimal | None:
    text = bytes(raw)
    if text in _ABSENT:
        return None
    found = _EXACT_NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40].decode(errors='replace')} is not a number")
    return Decimal(found[2].decode())


def _count(raw: msgspec.Raw) -> Decimal | None:
    number = _number(raw)
    return None if number is None else parse_count(number)


def _money(amount: _Amount | None) -> Money | None:
    number = None if amount is None else _number(amount.amount)
    if amount is None or number is None:
        return None
    if abs(number) >= LARGEST_AMOUNT or number.as_tuple().exponent < -12:  # type: ignore[operator]
        raise ValueError(f"{number} is not an amount of money")
    return Money(number, amount.currency.upper())


def _id(text: str) -> str:
    if not text or len(text) > 100 or "\x00" in text:
        raise OutsideFailure("malformed", "an id is empty, too long or holds a NUL")
    return text


def _text(text: str) -> str:
    """The text as it came, but for NUL, which PostgreSQL cannot keep."""
    return text.replace("\x00", "")


def _period(period: _Period | None) -> str | None:
    return None if period is None else f"{period.duration} {period.type}"


def _day(text: str | None) -> date | None:
    """The day in "2024-02-12" or a moment that begins with it; what is no day is not told."""
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        return None
