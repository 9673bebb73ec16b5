"""A slice of events -> reconciler's rows: counts, costs, relations, products, and which requests were brought to their end."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select, text

from domain.codec import encode_part
from domain.envelope import Envelope
from domain.events import (
    AdjustmentPosted,
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
    ResourceRenamed,
    SubscriptionObserved,
    SubscriptionRenewed,
    UnitsFoundEqual,
)
from domain.events.names import OdinNames, PsaNames
from domain.keys import MspId, SubscriptionId
from domain.relation_settings import AS_NEW
from plumbing.upsert import upsert
from services.reconciler import tables
from services.reconciler.cost_for_period import billing_months, period_months

Row = dict[str, Any]
_RESOURCE_EVENTS = (
    ResourceDiscovered
    | ResourceCountChanged
    | ResourceCostChanged
    | ResourceRenamed
    | ResourceDisappeared
    | RelationSet
)
_UNKNOWN: Row = {
    "usage_based": False,
    "count": None,
    "unit_cost": None,
    "cost_currency": None,
    "catalogue_price": None,
    "price_currency": None,
    "billing_months": None,
}
_RELATION_EVENTS = RelationSet | RelationCleared | RelationSettingsSaved | RelationFrozen | RelationUnfrozen


def keep(connection: Connection, msp_id: MspId, envelopes: Sequence[Envelope]) -> None:
    """Writes what the slice leaves behind: the newest state of everything in it, whatever happened in between."""
    events = [envelope.event for envelope in envelopes]
    _keep_subscriptions(connection, msp_id, [e for e in events if isinstance(e, SubscriptionObserved)])
    _keep_resources(connection, msp_id, [e for e in events if isinstance(e, _RESOURCE_EVENTS)])
    _take_billing_months(connection, msp_id, events)
    _inherit_counts(connection, msp_id, [e for e in events if isinstance(e, SubscriptionRenewed)])
    _keep_products(connection, msp_id, [e for e in events if isinstance(e, PsaProductObserved | RelationSet)])
    _keep_relations(connection, msp_id, [e for e in events if isinstance(e, _RELATION_EVENTS)])
    _close_requests(connection, msp_id, [e for e in events if isinstance(e, AdjustmentPosted | UnitsFoundEqual)])


def names(event: object, kind: type[OdinNames] | type[PsaNames]) -> Row:
    """The ids and names in an event that carries them among other things."""
    return {name: getattr(event, name) for name in kind.__dataclass_fields__}


def _keep_subscriptions(connection: Connection, msp_id: MspId, events: Iterable[SubscriptionObserved]) -> None:
    rows = {
        (event.connection_id, event.subscription_id): {
            "msp_id": msp_id,
            "connection_id": event.connection_id,
            "subscription_id": event.subscription_id,
            "billing_months": billing_months(event.billing_period),
        }
        for event in events
    }
    upsert(connection, tables.subscriptions, list(rows.values()))


def _keep_resources(connection: Connection, msp_id: MspId, events: Sequence[_RESOURCE_EVENTS]) -> None:
    rows = _resource_rows(connection, msp_id, {str(event.resource_key(msp_id)) for event in events})
    for event in events:
        resource_key = str(event.resource_key(msp_id))
        before = rows.get(resource_key, _UNKNOWN | {"msp_id": msp_id, "resource_key": resource_key})
        rows[resource_key] = before | names(event, OdinNames) | _change(before, event)
    upsert(connection, tables.resources, list(rows.values()))


def _change(before: Row, event: _RESOURCE_EVENTS) -> Row:
    """What an event changes in a resource's row. A count of None keeps the last one known: None is not 0."""
    match event:
        case ResourceDiscovered():
            known = event.count is not None and not event.usage_based
            count = event.count if known else before["count"]
            return {"usage_based": event.usage_based, "count": count} | _cost(event)
        case ResourceCountChanged() if event.count is not None and not before["usage_based"]:
            return {"count": event.count}
        case ResourceCostChanged():
            return _cost(event)
        case ResourceDisappeared():
            return {"count": 0}
    return {}


def _cost(event: ResourceDiscovered | ResourceCostChanged) -> Row:
    cost, price = event.unit_cost, event.unit_price
    return {
        "unit_cost": cost.amount if cost else None,
        "cost_currency": cost.currency if cost else None,
        "catalogue_price": price.amount if price else None,
        "price_currency": price.currency if price else None,
    }


def _resource_rows(connection: Connection, msp_id: MspId, keys: Iterable[str]) -> dict[str, Row]:
    rows = connection.execute(
        select(tables.resources).where(
            tables.resources.c.msp_id == msp_id, tables.resources.c.resource_key == text("ANY(:keys)")
        ),
        {"keys": sorted(keys)},
    )
    return {row.resource_key: dict(row._mapping) for row in rows}


def _take_billing_months(connection: Connection, msp_id: MspId, events: Iterable[object]) -> None:
    """Brings the months of a subscription onto its resources, whichever of the two was seen first."""
    seen = {
        (event.connection_id, event.subscription_id)
        for event in events
        if isinstance(event, SubscriptionObserved | ResourceDiscovered)
    }
    if not seen:
        return
    connection.execute(
        text(
            """UPDATE reconciler.resources r SET billing_months = s.billing_months
               FROM reconciler.subscriptions s
               WHERE s.msp_id = :msp_id AND (s.connection_id, s.subscription_id) IN (
                       SELECT * FROM unnest(CAST(:connections AS text[]), CAST(:subscriptions AS text[])))
                 AND r.msp_id = s.msp_id AND r.connection_id = s.connection_id
                 AND r.subscription_id = s.subscription_id
                 AND r.billing_months IS DISTINCT FROM s.billing_months"""
        ),
        {
            "msp_id": msp_id,
            "connections": [connection_id for connection_id, _ in seen],
            "subscriptions": [subscription_id for _, subscription_id in seen],
        },
    )


def _inherit_counts(connection: Connection, msp_id: MspId, events: Iterable[SubscriptionRenewed]) -> None:
    """A renewed resource whose count ODIN has not given yet goes on with the count it had under the old id."""
    for event in events:
        connection.execute(
            text(
                """UPDATE reconciler.resources new SET count = old.count
                   FROM reconciler.resources old
                   WHERE new.msp_id = :msp_id AND new.connection_id = :connection_id
                     AND new.subscription_id = :subscription_id AND new.count IS NULL AND NOT new.usage_based
                     AND old.msp_id = :msp_id AND old.connection_id = :connection_id
                     AND old.subscription_id = :previous AND old.resource_id = new.resource_id
                     AND old.company_id = new.company_id"""
            ),
            {
                "msp_id": msp_id,
                "connection_id": event.connection_id,
                "subscription_id": event.subscription_id,
                "previous": event.previous_subscription_id,
            },
        )


def _keep_products(connection: Connection, msp_id: MspId, events: Sequence[PsaProductObserved | RelationSet]) -> None:
    """Names come with every event, period and currency with the PSA's own; what was last asked for is left as it is."""
    named: dict[tuple[str, str], Row] = {}
    observed: dict[tuple[str, str], Row] = {}
    for event in events:
        key = (event.psa_connection_id, event.psa_product_id)
        named[key] = {"msp_id": msp_id} | names(event, PsaNames)
        if isinstance(event, PsaProductObserved):
            currency = event.unit_cost.currency if event.unit_cost else None
            observed[key] = {"period_months": period_months(event.period_type), "cost_currency": currency}
    upsert(connection, tables.products, [row for key, row in named.items() if key not in observed])
    upsert(connection, tables.products, [named[key] | row for key, row in observed.items()])


def _keep_relations(connection: Connection, msp_id: MspId, events: Sequence[_RELATION_EVENTS]) -> None:
    """A relation that follows a renewal feeds its product under the old resource until it is set for the new one, and goes on
    with the settings it had; one that is set anew begins without any."""
    rows = _relation_rows(connection, msp_id, events)
    cleared: set[str] = set()
    for event in events:
        resource_key = str(event.resource_key(msp_id))
        row = rows.get(resource_key)
        match event:
            case RelationSet():
                old = _followed(msp_id, event)
                before = rows.pop(old, None) if old else None
                cleared |= {old} if old else set()
                rows[resource_key] = {
                    "msp_id": msp_id,
                    "resource_key": resource_key,
                    "relation_id": event.relation_id,
                    "psa_connection_id": event.psa_connection_id,
                    "psa_product_id": event.psa_product_id,
                    "settings": before["settings"] if before else None,
                    "frozen": bool(before and before["frozen"]),
                }
            case RelationCleared() if event.followed_to is None:
                rows.pop(resource_key, None)
                cleared.add(resource_key)
            case RelationSettingsSaved() if row and row["relation_id"] == event.relation_id:
                row["settings"] = None if _says_nothing(event) else orjson.dumps(encode_part(event.settings)).decode()
            case RelationFrozen() | RelationUnfrozen() if row and row["relation_id"] == event.relation_id:
                row["frozen"] = isinstance(event, RelationFrozen)
    gone = sorted(cleared - rows.keys())
    if gone:
        connection.execute(
            delete(tables.relations).where(
                tables.relations.c.msp_id == msp_id, tables.relations.c.resource_key == text("ANY(:keys)")
            ),
            {"keys": gone},
        )
    upsert(connection, tables.relations, list(rows.values()))


def _relation_rows(connection: Connection, msp_id: MspId, events: Iterable[_RELATION_EVENTS]) -> dict[str, Row]:
    keys = {str(event.resource_key(msp_id)) for event in events}
    keys |= {old for event in events if isinstance(event, RelationSet) and (old := _followed(msp_id, event))}
    if not keys:
        return {}
    rows = connection.execute(
        text(
            """SELECT msp_id, resource_key, relation_id, psa_connection_id, psa_product_id, settings::text, frozen
               FROM reconciler.relations WHERE msp_id = :msp_id AND resource_key = ANY(:keys)"""
        ),
        {"msp_id": msp_id, "keys": sorted(keys)},
    )
    return {row.resource_key: dict(row._mapping) for row in rows}


def _followed(msp_id: MspId, event: RelationSet) -> str | None:
    if event.followed_from is None:
        return None
    old = replace(event.resource_key(msp_id), subscription_id=SubscriptionId(event.followed_from))
    return str(old)


def _says_nothing(event: RelationSettingsSaved) -> bool:
    """Whether planning comes to the same as without settings: a note alone changes nothing."""
    return replace(event.settings, note="") == AS_NEW


def _close_requests(
    connection: Connection, msp_id: MspId, events: Iterable[AdjustmentPosted | UnitsFoundEqual]
) -> None:
    ended = [event.request_id for event in events if isinstance(event, UnitsFoundEqual) or event.completes_request]
    if ended:
        connection.execute(
            text(
                """UPDATE reconciler.products SET request_open = false
                   WHERE msp_id = :msp_id AND request_open AND request_id = ANY(:ended)"""
            ),
            {"msp_id": msp_id, "ended": ended},
        )
