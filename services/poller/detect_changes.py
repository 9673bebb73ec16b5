"""(known, snapshot) -> events: what changed in ODIN since the subscription was last read whole.

Nothing here lowers a count on a missing answer: what a read does not show is only named as missing. It disappears when a
direct read has shown it missing in so many whole polls (see confirm_missing.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from domain.events import (
    CompanyObserved,
    Event,
    ResourceCostChanged,
    ResourceCountChanged,
    ResourceDiscovered,
    ResourceRenamed,
    SubscriptionObserved,
)
from domain.events.names import OdinNames
from domain.keys import CompanyId, ConnectionId, ResourceId
from services.poller.known_model import KnownResource, KnownSubscription
from services.poller.sources.port import Company, Resource, Snapshot, SubscriptionRow

ResourceInCompany = tuple[CompanyId, ResourceId]


@dataclass(frozen=True, slots=True)
class Detected:
    """The events of one read, in order, and the living resources that it did not show, with the reason in words."""

    events: tuple[Event, ...]
    missing: tuple[ResourceInCompany, ...]
    missing_reason: str


@dataclass(frozen=True, slots=True)
class Names:
    """How the companies of a connection are called at this moment."""

    connection_id: ConnectionId
    companies: Mapping[CompanyId, str]

    def company(self, company_id: CompanyId) -> str:
        """The company's name; its id as long as no list has shown it."""
        return self.companies.get(company_id, company_id)

    def of(self, row: SubscriptionRow, company_id: CompanyId, resource_id: ResourceId, name: str) -> dict[str, Any]:
        """The fields of OdinNames for one resource."""
        return {
            "connection_id": self.connection_id,
            "company_id": company_id,
            "company_name": self.company(company_id),
            "subscription_id": row.subscription_id,
            "subscription_name": row.name,
            "resource_id": resource_id,
            "resource_name": name,
        }


def detect_changes(known: KnownSubscription | None, snapshot: Snapshot, names: Names) -> Detected:
    """What one whole read says that was not known. Of an ended subscription only its status is believed: whatever counts
    it still shows bill nobody."""
    row = snapshot.row
    observed = _observed(known, row, names)
    before = {each.key: each for each in known.resources} if known else {}
    if row.ended:
        living = tuple(key for key, each in before.items() if not each.ended)
        return Detected(observed, living, f"the subscription is {row.status}")
    if snapshot.resources is None:
        return Detected(observed, (), "")
    shown = {(row.company_id, each.resource_id): each for each in snapshot.resources}
    events = [
        event
        for key, resource in shown.items()
        for event in _resource_events(before.get(key), resource, known.row if known else row, row, names)
    ]
    missing = tuple(key for key, each in before.items() if not each.ended and key not in shown)
    moved = known is not None and known.row.company_id != row.company_id
    reason = (
        f"the subscription moved to company {row.company_id}" if moved else "it is not on the subscription any more"
    )
    return Detected((*observed, *events), missing, reason)


def detect_gone(known: KnownSubscription) -> Detected:
    """What a direct read says that finds no subscription of this id."""
    return Detected((), tuple(each.key for each in known.live_resources), "the marketplace has no such subscription")


def detect_company_change(known: Company | None, company: Company, connection_id: ConnectionId) -> Event | None:
    """CompanyObserved for a company that is new or has another name or status."""
    if known == company:
        return None
    return CompanyObserved(
        connection_id=connection_id,
        company_id=company.company_id,
        company_name=company.name,
        previous_company_name=known.name if known else None,
        status=company.status,
        previous_status=known.status if known else None,
    )


def renamed_with_company(known: KnownSubscription, previous_name: str, names: Names) -> tuple[ResourceRenamed, ...]:
    """The living resources of a company that is called otherwise now."""
    return tuple(
        ResourceRenamed(
            **names.of(known.row, each.company_id, each.resource.resource_id, each.resource.name),
            previous_company_name=previous_name,
            previous_subscription_name=known.row.name,
            previous_resource_name=each.resource.name,
        )
        for each in known.live_resources
        if each.company_id == known.row.company_id
    )


def _observed(known: KnownSubscription | None, row: SubscriptionRow, names: Names) -> tuple[Event, ...]:
    if known is not None and _term(known.row) == _term(row):
        return ()
    return (
        SubscriptionObserved(
            connection_id=names.connection_id,
            company_id=row.company_id,
            company_name=names.company(row.company_id),
            subscription_id=row.subscription_id,
            subscription_name=row.name,
            previous_subscription_name=known.row.name if known else None,
            status=row.status,
            previous_status=known.row.status if known else None,
            billing_period=row.billing_period,
            subscription_period=row.subscription_period,
            renewal_date=row.renewal_date,
            renews=row.renews,
        ),
    )


def _term(row: SubscriptionRow) -> tuple[object, ...]:
    return (
        row.company_id,
        row.name,
        row.status,
        row.billing_period,
        row.subscription_period,
        row.renewal_date,
        row.renews,
    )


def _resource_events(
    known: KnownResource | None, resource: Resource, known_row: SubscriptionRow, row: SubscriptionRow, names: Names
) -> Iterator[Event]:
    called = OdinNames(**names.of(row, row.company_id, resource.resource_id, resource.name))
    if known is None or known.ended or known.usage_based != row.usage_based:
        yield _discovered(called, resource, usage_based=row.usage_based)
        return
    before = known.resource
    if before.name != resource.name or known_row.name != row.name:
        yield ResourceRenamed(
            **_fields(called),
            previous_company_name=called.company_name,
            previous_subscription_name=known_row.name,
            previous_resource_name=before.name,
        )
    if before.count != resource.count:
        yield ResourceCountChanged(**_fields(called), previous_count=before.count, count=resource.count)
    if (before.unit_cost, before.unit_price) != (resource.unit_cost, resource.unit_price):
        yield ResourceCostChanged(
            **_fields(called),
            previous_unit_cost=before.unit_cost,
            unit_cost=resource.unit_cost,
            previous_unit_price=before.unit_price,
            unit_price=resource.unit_price,
        )


def _discovered(called: OdinNames, resource: Resource, *, usage_based: bool) -> ResourceDiscovered:
    return ResourceDiscovered(
        **_fields(called),
        count=resource.count,
        unit=None,
        unit_cost=resource.unit_cost,
        unit_price=resource.unit_price,
        usage_based=usage_based,
        mpn=resource.mpn,
        vendor=resource.vendor,
        vendor_subscription_id=resource.vendor_subscription_id,
    )


def _fields(called: OdinNames) -> dict[str, Any]:
    return {name: getattr(called, name) for name in OdinNames.__dataclass_fields__}
