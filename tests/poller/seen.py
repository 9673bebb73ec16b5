"""Subscriptions and resources with defaults, for decisions that need no marketplace."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from domain.money import Money
from services.poller.detect_changes import Names
from services.poller.known_model import KnownResource, KnownSubscription, State
from services.poller.sources.port import Resource, SubscriptionRow

NOW = datetime(2026, 8, 3, 8, 0, tzinfo=UTC)
NAMES = Names("odin", {"c1": "Repair and Wear", "c2": "Other"})


def row(subscription_id: str = "s1", **changes: Any) -> SubscriptionRow:
    given = {
        "subscription_id": subscription_id,
        "company_id": "c1",
        "name": "Office 365",
        "status": "active",
        "usage_based": False,
        "billing_period": "1 month",
        "subscription_period": "1 month",
        "created_date": date(2026, 7, 3),
        "renewal_date": date(2026, 8, 3),
        "modified_date": date(2026, 7, 3),
        "renews": True,
    }
    return SubscriptionRow(**(given | changes))


def resource(resource_id: str = "r1", count: Any = 8, **changes: Any) -> Resource:
    given = {
        "resource_id": resource_id,
        "name": "Exchange Online (Plan 1)",
        "count": None if count is None else Decimal(count),
        "unit_cost": Money(Decimal("3.4"), "USD"),
        "unit_price": Money(Decimal(4), "USD"),
        "mpn": f"MPN-{resource_id}",
        "vendor": "Microsoft",
        "vendor_subscription_id": None,
    }
    return Resource(**(given | changes))


def known(
    *resources: Resource, state: State = State.LIVE, ended_on: date | None = None, missing: int = 0, **changes: Any
) -> KnownSubscription:
    shown = row(**changes)
    parts = tuple(KnownResource(shown.company_id, each, shown.usage_based, missing) for each in resources)
    return KnownSubscription(shown, state, NOW, parts, ended_on)
