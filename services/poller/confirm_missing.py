"""(known, what a whole poll did not show) -> counted once more, or disappeared for certain."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from domain.events import Event, ResourceDisappeared, SubscriptionObserved
from services.poller.detect_changes import Names, ResourceInCompany
from services.poller.known_model import KnownSubscription, State

NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True)
class Missing:
    """Living resources that a direct read of this poll did not show. gone: nor the subscription itself."""

    resources: tuple[ResourceInCompany, ...]
    reason: str
    gone: bool


def confirm_missing(
    known: KnownSubscription, missing: Missing, names: Names, ended_after: int
) -> tuple[KnownSubscription, list[Event]]:
    """The subscription after one more whole poll in which something of it was missing, and what has disappeared with it."""
    still = {key for key in missing.resources if key in {each.key for each in known.live_resources}}
    gone: list[Event] = list(disappear(known, still, names, missing.reason, ended_after))
    parts = tuple(
        replace(
            each,
            missing_polls=each.missing_polls + 1,
            ended=each.missing_polls + 1 >= ended_after,
        )
        if each.key in still
        else each
        for each in known.resources
    )
    after = replace(known, resources=parts)
    waits = any(each.missing_polls and not each.ended for each in parts)
    if waits:
        return after, gone
    if known.ended_on is None:
        return replace(after, state=State.LIVE), gone
    if missing.gone:
        after = replace(after, row=replace(known.row, status=NOT_FOUND))
        gone.append(_observed_gone(known, names))
    return replace(after, state=State.ENDED), gone


def disappear(
    known: KnownSubscription, missing: Collection[ResourceInCompany], names: Names, reason: str, ended_after: int
) -> tuple[ResourceDisappeared, ...]:
    """The resources that are gone for certain: with this poll they were missing in ended_after whole polls in a row."""
    return tuple(
        ResourceDisappeared(
            **names.of(known.row, each.company_id, each.resource.resource_id, each.resource.name),
            previous_count=each.resource.count,
            reason=reason,
            confirmed_by_polls=each.missing_polls + 1,
        )
        for each in known.live_resources
        if each.key in missing and each.missing_polls + 1 >= ended_after
    )


def _observed_gone(known: KnownSubscription, names: Names) -> SubscriptionObserved:
    row = known.row
    return SubscriptionObserved(
        connection_id=names.connection_id,
        company_id=row.company_id,
        company_name=names.company(row.company_id),
        subscription_id=row.subscription_id,
        subscription_name=row.name,
        previous_subscription_name=row.name,
        status=NOT_FOUND,
        previous_status=row.status,
        billing_period=row.billing_period,
        subscription_period=row.subscription_period,
        renewal_date=row.renewal_date,
        renews=row.renews,
    )
