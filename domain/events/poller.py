"""What the poller saw in ODIN. Counts are licences, exact; None means that ODIN gave no count, which is not 0."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from domain.events.names import OdinNames
from domain.keys import CompanyId, ConnectionId, SubscriptionId
from domain.money import Money


@dataclass(frozen=True, kw_only=True)
class CompanyObserved:
    """A company was seen for the first time, or under a new name or status. Stream: company/<connection>/<company>."""

    type: ClassVar[str] = "CompanyObserved"
    version: ClassVar[int] = 1
    connection_id: ConnectionId
    company_id: CompanyId
    company_name: str
    previous_company_name: str | None
    status: str
    previous_status: str | None


@dataclass(frozen=True, kw_only=True)
class SubscriptionObserved:
    """A subscription was seen for the first time, or with another name, status or term.
    Stream: subscription/<connection>/<subscription>. Periods as "1 month", "1 year"."""

    type: ClassVar[str] = "SubscriptionObserved"
    version: ClassVar[int] = 1
    connection_id: ConnectionId
    company_id: CompanyId
    company_name: str
    subscription_id: SubscriptionId
    subscription_name: str
    previous_subscription_name: str | None
    status: str
    previous_status: str | None
    billing_period: str | None
    subscription_period: str | None
    renewal_date: date | None
    renews: bool | None


@dataclass(frozen=True, kw_only=True)
class ResourceDiscovered(OdinNames):
    """A resource was seen for the first time, or again after it had disappeared. Cost and price are per unit and billing
    period; usage-based resources have no count to bill and are not offered for linking.
    Stream of this and the four below: resource/<connection>/<company>/<subscription>/<resource>."""

    type: ClassVar[str] = "ResourceDiscovered"
    version: ClassVar[int] = 1
    count: Decimal | None
    unit: str | None
    unit_cost: Money | None
    unit_price: Money | None
    usage_based: bool
    mpn: str | None
    vendor: str | None
    vendor_subscription_id: str | None


@dataclass(frozen=True, kw_only=True)
class ResourceCountChanged(OdinNames):
    """The licence count rose or fell."""

    type: ClassVar[str] = "ResourceCountChanged"
    version: ClassVar[int] = 1
    previous_count: Decimal | None
    count: Decimal | None


@dataclass(frozen=True, kw_only=True)
class ResourceCostChanged(OdinNames):
    """What ODIN bills the MSP for a unit changed, or the price it advises for the customer."""

    type: ClassVar[str] = "ResourceCostChanged"
    version: ClassVar[int] = 1
    previous_unit_cost: Money | None
    unit_cost: Money | None
    previous_unit_price: Money | None
    unit_price: Money | None


@dataclass(frozen=True, kw_only=True)
class ResourceRenamed(OdinNames):
    """Company, subscription or resource is called otherwise now; the names in the event are the new ones."""

    type: ClassVar[str] = "ResourceRenamed"
    version: ClassVar[int] = 1
    previous_company_name: str
    previous_subscription_name: str
    previous_resource_name: str


@dataclass(frozen=True, kw_only=True)
class ResourceDisappeared(OdinNames):
    """The resource is gone for certain: a direct read said so and so many complete polls in a row agreed."""

    type: ClassVar[str] = "ResourceDisappeared"
    version: ClassVar[int] = 1
    previous_count: Decimal | None
    reason: str
    confirmed_by_polls: int


@dataclass(frozen=True, kw_only=True)
class SubscriptionRenewed:
    """ODIN ended one subscription id and began another for the same thing; relations follow the new id.
    Stream: subscription/<connection>/<new subscription>."""

    type: ClassVar[str] = "SubscriptionRenewed"
    version: ClassVar[int] = 1
    connection_id: ConnectionId
    company_id: CompanyId
    company_name: str
    previous_subscription_id: SubscriptionId
    subscription_id: SubscriptionId
    subscription_name: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RenewalCandidate:
    """A subscription that could continue another, and what speaks for it, in words."""

    subscription_id: SubscriptionId
    subscription_name: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SubscriptionRenewalUnclear:
    """A subscription ended and several new ones could be its renewal: its resources stay as they were until a person
    decides. Stream of this and the next: subscription/<connection>/<ended subscription>."""

    type: ClassVar[str] = "SubscriptionRenewalUnclear"
    version: ClassVar[int] = 2
    connection_id: ConnectionId
    company_id: CompanyId
    company_name: str
    subscription_id: SubscriptionId
    subscription_name: str
    candidates: tuple[RenewalCandidate, ...]


@dataclass(frozen=True, kw_only=True)
class SubscriptionRenewalSettled:
    """It is no question any more what became of an ended subscription: a person named the one that continues it, or said
    that none does (continued_by None), or the marketplace shows it alive again."""

    type: ClassVar[str] = "SubscriptionRenewalSettled"
    version: ClassVar[int] = 1
    connection_id: ConnectionId
    company_id: CompanyId
    company_name: str
    subscription_id: SubscriptionId
    subscription_name: str
    continued_by: SubscriptionId | None
    continued_by_name: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class PollCompleted:
    """A poll ended. complete: the lists were read whole and every chosen subscription too. Stream: poll/<connection>."""

    type: ClassVar[str] = "PollCompleted"
    version: ClassVar[int] = 1
    connection_id: ConnectionId
    poll_id: str
    complete: bool
    subscriptions: int
    subscriptions_read: int
    subscriptions_put_off: int
    changes: int
    calls: int


@dataclass(frozen=True, kw_only=True)
class PollFailed:
    """A poll could not begin or go on; nothing that it had not read whole is believed. Stream: poll/<connection>."""

    type: ClassVar[str] = "PollFailed"
    version: ClassVar[int] = 1
    connection_id: ConnectionId
    poll_id: str
    kind: str
    message: str
    fix: str
