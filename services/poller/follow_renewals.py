"""(subscriptions of a company that ended, those that live) -> which new id continues which old one, or that it is unclear.

ODIN may end a subscription id at renewal and begin another for the same thing (monthly terms above all). Taken at its word
that is a cancellation and a new purchase; the relation would fall to zero and the PSA would credit the customer. Evidence,
all inside one company: the same vendor subscription id, else the same product with adjacent dates. Two possible
successors, or one for two ended subscriptions, are for a person.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from domain.events import RenewalCandidate, SubscriptionRenewalUnclear, SubscriptionRenewed
from domain.keys import SubscriptionId
from services.poller.detect_changes import Names
from services.poller.known_model import KnownResource, KnownSubscription, State

# A successor begins on the day the old one ends; the marketplace's days have no zone, and it may be late by a weekend.
ADJACENT = timedelta(days=3)
# With an equal vendor subscription id the days say less, but a sister that lived beside the old one is no successor.
SAME_VENDOR_ID_WITHIN = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Renewal:
    """A subscription that a new id continues, and what says so, in words."""

    ended: KnownSubscription
    successor: KnownSubscription
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnclearRenewal:
    """A subscription that ended, and those that could be its renewal."""

    ended: KnownSubscription
    candidates: tuple[RenewalCandidate, ...]


@dataclass(frozen=True, slots=True)
class _Likely:
    subscription: KnownSubscription
    same_vendor_id: bool
    same_product: bool
    evidence: tuple[str, ...]

    def as_candidate(self) -> RenewalCandidate:
        row = self.subscription.row
        return RenewalCandidate(subscription_id=row.subscription_id, subscription_name=row.name, evidence=self.evidence)


def follow_renewals(company: Sequence[KnownSubscription]) -> tuple[list[Renewal], list[UnclearRenewal]]:
    """The renewals among all known subscriptions of one company. All of them must have been read: with a candidate unread
    an unclear case would look clear."""
    likely = {
        ended.row.subscription_id: (ended, candidates)
        for ended in company
        if _has_ended(ended) and (candidates := _best(list(_likely(ended, company))))
    }
    wanted: dict[SubscriptionId, int] = {}
    for _, candidates in likely.values():
        for candidate in candidates:
            successor_id = candidate.subscription.row.subscription_id
            wanted[successor_id] = wanted.get(successor_id, 0) + 1
    renewals: list[Renewal] = []
    unclear: list[UnclearRenewal] = []
    for ended, candidates in likely.values():
        only = candidates[0]
        if len(candidates) == 1 and only.same_product and wanted[only.subscription.row.subscription_id] == 1:
            renewals.append(Renewal(ended, only.subscription, only.evidence))
        elif ended.state is State.CONFIRMING:
            unclear.append(UnclearRenewal(ended, tuple(each.as_candidate() for each in candidates)))
    return renewals, unclear


def renewal_event(renewal: Renewal | UnclearRenewal, names: Names) -> SubscriptionRenewed | SubscriptionRenewalUnclear:
    """The event that tells of it."""
    row = renewal.ended.row
    if isinstance(renewal, UnclearRenewal):
        return SubscriptionRenewalUnclear(
            connection_id=names.connection_id,
            company_id=row.company_id,
            company_name=names.company(row.company_id),
            subscription_id=row.subscription_id,
            subscription_name=row.name,
            candidates=renewal.candidates,
        )
    return SubscriptionRenewed(
        connection_id=names.connection_id,
        company_id=row.company_id,
        company_name=names.company(row.company_id),
        previous_subscription_id=row.subscription_id,
        subscription_id=renewal.successor.row.subscription_id,
        subscription_name=renewal.successor.row.name,
        evidence=renewal.evidence,
    )


def after_renewal(renewal: Renewal | UnclearRenewal) -> list[KnownSubscription]:
    """Both subscriptions after the renewal: what the new one continues has ended without disappearing."""
    ended = renewal.ended
    if isinstance(renewal, UnclearRenewal):
        return [replace(ended, state=State.HELD)]
    successor = renewal.successor
    continued = {each.resource.resource_id for each in successor.live_resources}
    parts = tuple(
        replace(each, ended=True) if each.resource.resource_id in continued else each for each in ended.resources
    )
    after = replace(ended, resources=parts, continued_by=successor.row.subscription_id)
    if not after.live_resources:
        after = replace(after, state=State.ENDED)
    return [after, replace(successor, continues=ended.row.subscription_id)]


def _has_ended(known: KnownSubscription) -> bool:
    """Whether something may continue it. One that has disappeared already may: the successor was late."""
    waits = known.state in (State.CONFIRMING, State.ENDED) and known.continued_by is None
    return waits and known.ended_on is not None and bool(_carried(known))


def _carried(known: KnownSubscription) -> tuple[KnownResource, ...]:
    return known.resources if known.state is State.ENDED else known.live_resources


def _best(candidates: list[_Likely]) -> list[_Likely]:
    return [each for each in candidates if each.same_vendor_id] or candidates


def _likely(ended: KnownSubscription, company: Sequence[KnownSubscription]) -> Iterator[_Likely]:
    for other in company:
        if other.state is not State.LIVE or other.continues or other.row.subscription_id == ended.row.subscription_id:
            continue
        gap = _gap(ended, other.row.created_date)
        if gap is None or not other.live_resources:
            continue
        products = _common(ended, other, "resource_id")
        mpns = _common(ended, other, "mpn")
        vendor_ids = _common(ended, other, "vendor_subscription_id")
        close = gap <= ADJACENT and bool(products or mpns)
        if close or (vendor_ids and gap <= SAME_VENDOR_ID_WITHIN):
            yield _Likely(other, bool(vendor_ids), bool(products), _evidence(products, mpns, vendor_ids, gap))


def _gap(ended: KnownSubscription, began: date | None) -> timedelta | None:
    """How far the beginning of the one lies from the end of the other; None when it began no later than the other did."""
    created = ended.row.created_date
    if began is None or (created is not None and began <= created):
        return None
    ends = [day for day in (ended.row.renewal_date, ended.ended_on) if day is not None]
    return min(abs(began - day) for day in ends)


def _common(one: KnownSubscription, other: KnownSubscription, field: str) -> set[str]:
    def values(known: KnownSubscription) -> set[str]:
        return {getattr(each.resource, field) for each in _carried(known)} - {None}

    return values(one) & values(other)


def _evidence(products: set[str], mpns: set[str], vendor_ids: set[str], gap: timedelta) -> tuple[str, ...]:
    said = ["same company"]
    said += [f"same vendor subscription id {each}" for each in sorted(vendor_ids)]
    said += [f"same product {each}" for each in sorted(products)]
    said += [f"same part number {each}" for each in sorted(mpns) if not products]
    return (*said, f"begun {gap.days} days from the end of the other")
