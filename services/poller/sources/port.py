"""What the poller asks of any marketplace API, and the one model in which all of them answer.

A source reads and never writes. What it answers is whole and exact, or it raises OutsideFailure or BudgetSpent.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Protocol

from domain.keys import CompanyId, ResourceId, SubscriptionId
from domain.money import Money

ENDED_STATUSES = frozenset({"removed", "terminated"})
OPEN_ORDER_STATUSES = frozenset({"submitted", "processing"})


@dataclass(frozen=True, slots=True)
class Company:
    """Level 1: a customer of the MSP on the marketplace."""

    company_id: CompanyId
    name: str
    status: str


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """Level 2 as lists show it. Periods as "1 month"; renews None: not told. created_date and renewal_date are the
    marketplace's days; they are compared with each other and never with our clock."""

    subscription_id: SubscriptionId
    company_id: CompanyId
    name: str
    status: str
    usage_based: bool
    billing_period: str | None
    subscription_period: str | None
    created_date: date | None
    renewal_date: date | None
    modified_date: date | None
    renews: bool | None

    @property
    def ended(self) -> bool:
        """Whether the marketplace has ended it; on hold is not ended."""
        return self.status in ENDED_STATUSES


@dataclass(frozen=True, slots=True)
class Resource:
    """Level 3: what is counted. count None: no count was given, which is not 0. Cost and price are per unit and billing
    period."""

    resource_id: ResourceId
    name: str
    count: Decimal | None
    unit_cost: Money | None
    unit_price: Money | None
    mpn: str | None
    vendor: str | None
    vendor_subscription_id: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One subscription read whole. resources None: the answer did not speak of them, which is not "there are none". answer:
    the bytes that came ("": not kept). They may hold personal data: answers.py masks them before they are kept."""

    row: SubscriptionRow
    resources: tuple[Resource, ...] | None
    answer: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One order as lists show it: a hint that something changes, never a fact about counts. created_date: the
    marketplace's day; None: not told."""

    order_id: str
    company_id: CompanyId
    status: str
    created_date: date | None

    @property
    def open(self) -> bool:
        """Whether it may still take effect."""
        return self.status in OPEN_ORDER_STATUSES


@dataclass(frozen=True, slots=True)
class Order:
    """One order with the subscriptions it names; empty when it names none."""

    order_id: str
    company_id: CompanyId
    status: str
    subscription_ids: tuple[SubscriptionId, ...]

    @property
    def open(self) -> bool:
        """Whether it may still take effect."""
        return self.status in OPEN_ORDER_STATUSES


class Source(Protocol):
    """One marketplace account. Lists are walked whole. Failures: OutsideFailure by kind, BudgetSpent."""

    @property
    def calls(self) -> int:
        """Calls made so far, tokens included."""

    def companies(self) -> list[Company]:
        """All companies."""

    def subscriptions(self) -> list[SubscriptionRow]:
        """All subscriptions, ended ones too."""

    def subscription(self, subscription_id: SubscriptionId) -> Snapshot | None:
        """One subscription, whole; None when the marketplace says that there is none of this id."""

    def newest_orders(self, known: Collection[str]) -> list[OrderRow]:
        """Orders, newest first, back to where a known one was met; without a known one a single page."""

    def orders_in(self, status: str) -> list[OrderRow]:
        """All orders that have this status."""

    def order(self, order_id: str) -> Order | None:
        """One order; None when the marketplace says that there is none of this id."""
