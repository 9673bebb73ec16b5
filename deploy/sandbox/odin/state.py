"""What one marketplace account of the sandbox consists of, in shapes that a state file can hold."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from deploy.sandbox.books import Company, PastChange, Subscription


@dataclass(frozen=True, slots=True)
class OrderedChange:
    """What a change order asks for: a signed change of the count, as the marketplace writes it; never the new count."""

    product_id: str
    count_change: Decimal


@dataclass(frozen=True, slots=True)
class Order:
    """A marketplace order. It takes effect at due_at; until then its status is processing."""

    order_id: str
    number: str
    type: str
    company_id: str
    subscription_id: str
    created_at: datetime
    due_at: datetime
    status: str
    changes: tuple[OrderedChange, ...] = ()
    target_subscription_id: str = ""


@dataclass(frozen=True, slots=True)
class TrueChange:
    """One line of the ledger: what really changed in this account, and when.

    field is count, cost, price, name, status, company, renewed (old and new are subscription ids), appeared or gone.
    """

    at: datetime
    field: str
    company_id: str
    subscription_id: str
    product_id: str
    old: str
    new: str

    @property
    def key(self) -> tuple[str, str, str]:
        """(company, subscription, product); the product is "" when the change concerns the whole subscription."""
        return self.company_id, self.subscription_id, self.product_id


@dataclass(frozen=True, slots=True)
class Switches:
    """How this account's marketplace behaves where the real one is slow, limited, odd or not known.

    token_seconds: life of a token. calls_per_minute, calls_per_day: the gateway's limits per key; None is off.
    tell_retry_after: whether a 429 says when to come back. limit_over_500: accept, clamp or refuse a longer page.
    not_found_status: 404 or 400. quantity_as: 8, 8.0, "8.0" or 8e0. amounts_as: "3.4", "3.4000" or as kept ("3.40").
    moments_as: 2026-08-01T00:00:00Z or +00:00. report_format_upper: XLSX or xlsx. extra_fields: unknown fields
    everywhere. tell_cost: False hides every unitCost. brief_customers: list rows with four fields only.
    changes_move_last_modified: whether a change of count moves lastModifiedDate. renewals_swap_ids: whether a
    monthly term that ends is followed by a new subscription id. latency: 0 off, 1 as slow as the real one.
    """

    token_seconds: float = 1500
    calls_per_minute: int | None = None
    calls_per_day: int | None = None
    tell_retry_after: bool = True
    limit_over_500: Literal["accept", "clamp", "refuse"] = "accept"
    not_found_status: Literal[404, 400] = 404
    quantity_as: Literal["integer", "decimal", "text", "exponent"] = "integer"
    amounts_as: Literal["shortest", "four places", "as kept"] = "shortest"
    moments_as: Literal["Z", "+00:00"] = "Z"
    report_format_upper: bool = True
    extra_fields: bool = False
    tell_cost: bool = True
    brief_customers: bool = False
    changes_move_last_modified: bool = True
    renewals_swap_ids: bool = False
    latency: float = 0


@dataclass(slots=True)
class AccountState:
    """One marketplace user and the books that this user sees.

    gone holds subscriptions that the marketplace no longer answers for; shown holds raw JSON for single fields
    ("1000823/100234" or "1000823" -> field -> JSON text, None = leave the field out).
    """

    name: str
    user: str
    password: str
    secret: str
    marketplace: str
    region: str
    active: bool
    companies: dict[str, Company]
    subscriptions: dict[str, Subscription]
    history: list[PastChange]
    next_subscription_id: int
    next_order_id: int
    orders: dict[str, Order] = field(default_factory=dict)
    gone: dict[str, Subscription] = field(default_factory=dict)
    shown: dict[str, dict[str, str | None]] = field(default_factory=dict)
    ledger: list[TrueChange] = field(default_factory=list)
    switches: Switches = field(default_factory=Switches)
