"""Events -> which resources and products they touch, and in what words the reports shall say so."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from domain.envelope import Envelope
from domain.events import (
    PolicyChanged,
    PsaProductObserved,
    RelationCleared,
    RelationFrozen,
    RelationSet,
    RelationSettingsSaved,
    RelationUnfrozen,
    ResourceCostChanged,
    ResourceCountChanged,
    ResourceDisappeared,
    ResourceDiscovered,
    SubscriptionObserved,
)
from domain.keys import MspId
from services.reconciler.plan_units import Touch

ProductId = tuple[str, str]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Cause:
    """Why a product is planned, and the event that led to it. The heavier of several reasons is told."""

    weight: int
    position: int
    correlation_id: str
    touch: Touch

    def heavier(self, other: "Cause | None") -> "Cause":
        """Of two causes of one product the one to tell; asking anyway and holding are kept from either."""
        if other is None:
            return self
        first = max(self, other, key=lambda cause: (cause.weight, cause.position))
        ask = self.touch.ask_anyway or other.touch.ask_anyway
        hold = self.touch.hold_first or other.touch.hold_first
        touch = replace(first.touch, ask_anyway=ask, hold_first=hold)
        return Cause(first.weight, first.position, first.correlation_id, touch)


@dataclass
class Touched:
    """Causes by what they touch: resources by key, subscriptions by (connection, subscription), products by id."""

    resources: dict[str, Cause]
    subscriptions: dict[tuple[str, str], Cause]
    products: dict[ProductId, Cause]
    everything: Cause | None


def touched(msp_id: MspId, envelopes: Iterable[Envelope]) -> Touched:
    """What the events of a slice touch. A relation that follows a renewal is planned when it is set, not when it is
    cleared: in between nothing may fall to zero."""
    found = Touched({}, {}, {}, None)
    for envelope in envelopes:
        event = envelope.event
        match event:
            case ResourceDiscovered() | ResourceCountChanged() | ResourceCostChanged() | ResourceDisappeared():
                resource_key = str(event.resource_key(msp_id))
                _note(found.resources, resource_key, envelope, _RESOURCE_REASONS[type(event)], resource_key)
            case SubscriptionObserved():
                subscription = (event.connection_id, event.subscription_id)
                _note(found.subscriptions, subscription, envelope, (1, "billing period observed"))
            case PsaProductObserved():
                key = (event.psa_connection_id, event.psa_product_id)
                _note(found.products, key, envelope, (1, "product observed in the PSA"))
            case RelationSet():
                reason = "subscription renewed" if event.followed_from else "relation set"
                _note_relation(found, msp_id, envelope, event, (4, reason))
            case RelationCleared() if event.followed_to is None:
                _note_relation(found, msp_id, envelope, event, (3, "relation cleared"))
            case RelationSettingsSaved():
                _note_relation(found, msp_id, envelope, event, (3, "relation settings saved"))
            case RelationFrozen():
                _note_relation(found, msp_id, envelope, event, (3, "relation frozen"))
            case RelationUnfrozen():
                _note_relation(found, msp_id, envelope, event, (4, "relation unfrozen"))
            case PolicyChanged() if event.policy == "unit_cost":
                touch = Touch("", "policy changed")
                found.everything = Cause(0, envelope.position, envelope.correlation_id, touch)
    return found


_RESOURCE_REASONS: dict[type, tuple[int, str]] = {
    ResourceDiscovered: (3, "resource discovered"),
    ResourceCountChanged: (3, "count changed"),
    ResourceDisappeared: (3, "resource disappeared"),
    ResourceCostChanged: (2, "cost changed"),
}


def _note_relation(
    found: Touched,
    msp_id: MspId,
    envelope: Envelope,
    event: RelationSet | RelationCleared | RelationSettingsSaved | RelationFrozen | RelationUnfrozen,
    reason: tuple[int, str],
) -> None:
    key = (event.psa_connection_id, event.psa_product_id)
    _note(
        found.products,
        key,
        envelope,
        reason,
        str(event.resource_key(msp_id)),
        ask_anyway=isinstance(event, RelationSet | RelationUnfrozen),
        hold_first=isinstance(event, RelationSet) and event.hold_first,
    )


def _note(
    causes: dict[K, Cause],
    key: K,
    envelope: Envelope,
    reason: tuple[int, str],
    resource_key: str = "",
    *,
    ask_anyway: bool = False,
    hold_first: bool = False,
) -> None:
    weight, words = reason
    touch = Touch(resource_key, words, ask_anyway, hold_first)
    cause = Cause(weight, envelope.position, envelope.correlation_id, touch)
    causes[key] = cause.heavier(causes.get(key))
