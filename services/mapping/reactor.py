"""Events of ODIN and the PSA -> what can be linked; a renewal, or an agreement that ended -> relations that follow it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, select, text, tuple_, update

from domain.envelope import Envelope
from domain.events import (
    PsaAgreementObserved,
    PsaCustomerObserved,
    PsaProductObserved,
    PsaRecordGone,
    ResourceCountChanged,
    ResourceDisappeared,
    ResourceDiscovered,
    ResourceRenamed,
    SubscriptionObserved,
    SubscriptionRenewed,
)
from domain.events.names import OdinNames, PsaNames
from domain.keys import MspId, ResourceId
from domain.money import Money
from plumbing import setup
from plumbing.catch_up import Reactor
from plumbing.clock import Clock
from plumbing.upsert import upsert
from services.mapping import known, moving, record, suggesting, tables
from services.mapping.decide_relation import Relation, Resource
from services.mapping.follow_renewal import Move, follow_renewal

TYPES = tuple(
    event.type
    for event in (
        ResourceDiscovered,
        ResourceCountChanged,
        ResourceRenamed,
        ResourceDisappeared,
        SubscriptionObserved,
        SubscriptionRenewed,
        PsaCustomerObserved,
        PsaAgreementObserved,
        PsaProductObserved,
        PsaRecordGone,
    )
)
_PSA_EVENTS = PsaAgreementObserved | PsaProductObserved | PsaRecordGone
_RESOURCE_EVENTS = ResourceDiscovered | ResourceCountChanged | ResourceRenamed | ResourceDisappeared
Row = dict[str, Any]


def reactor(clock: Clock) -> Reactor:
    """The consumer that keeps mapping's rows and lets relations follow renewals and agreements."""

    def react(connection: Connection, msp_id: MspId, envelopes: list[Envelope]) -> None:
        known.lock(connection, msp_id)
        _keep_resources(connection, msp_id, envelopes)
        _keep_psa_records(connection, msp_id, envelopes)
        for envelope in envelopes:
            if isinstance(envelope.event, SubscriptionRenewed):
                _follow(connection, msp_id, envelope, envelope.event, clock.now())
        seen = [envelope for envelope in envelopes if isinstance(envelope.event, _PSA_EVENTS)]
        if seen:
            today = clock.today(setup.msp(connection, msp_id).time_zone)
            cause = record.Cause(seen[-1].correlation_id, "", seen[-1].position)
            moving.look(connection, msp_id, today, clock.now(), cause)
        if any(not isinstance(envelope.event, ResourceCountChanged) for envelope in envelopes):
            suggesting.mark(connection, msp_id)

    return Reactor("mapping.relations", "mapping", TYPES, react, batch=2_000)


def _keep_resources(connection: Connection, msp_id: MspId, envelopes: Iterable[Envelope]) -> None:
    events = [e.event for e in envelopes if isinstance(e.event, _RESOURCE_EVENTS)]
    rows = _resource_rows(connection, msp_id, {str(event.resource_key(msp_id)) for event in events})
    for event in events:
        resource_key = str(event.resource_key(msp_id))
        before = rows.get(resource_key, _UNSEEN)
        rows[resource_key] = (
            before
            | {"msp_id": msp_id, "resource_key": resource_key}
            | _names(event, OdinNames)
            | _resource_state(event)
        )
    upsert(connection, tables.resources, list(rows.values()))
    _note_subscriptions(connection, msp_id, [e.event for e in envelopes if isinstance(e.event, SubscriptionObserved)])


_UNSEEN: Row = {
    "counted": False,
    "usage_based": False,
    "gone": False,
    "mpn": None,
    "currency": None,
    "billing_period": None,
}


def _resource_state(event: _RESOURCE_EVENTS) -> Row:
    match event:
        case ResourceDiscovered():
            return {
                "counted": event.count is not None,
                "usage_based": event.usage_based,
                "gone": False,
                "mpn": event.mpn,
                "currency": _currency(event.unit_price, event.unit_cost),
            }
        case ResourceCountChanged():
            return {"counted": event.count is not None}
        case ResourceDisappeared():
            return {"gone": True}
    return {}


def _currency(*amounts: Money | None) -> str | None:
    return next((amount.currency for amount in amounts if amount is not None), None)


def _resource_rows(connection: Connection, msp_id: MspId, keys: Iterable[str]) -> dict[str, Row]:
    rows = connection.execute(
        select(tables.resources).where(
            tables.resources.c.msp_id == msp_id, tables.resources.c.resource_key == text("ANY(:keys)")
        ),
        {"keys": sorted(keys)},
    )
    return {row.resource_key: dict(row._mapping) for row in rows}


def _note_subscriptions(connection: Connection, msp_id: MspId, events: list[SubscriptionObserved]) -> None:
    newest = {(event.connection_id, event.company_id, event.subscription_id): event for event in events}.values()
    if not newest:
        return
    connection.execute(
        text(
            """UPDATE mapping.resources r
               SET company_name = n.company_name, subscription_name = n.subscription_name, billing_period = n.billing_period
               FROM unnest(CAST(:connections AS text[]), CAST(:companies AS text[]), CAST(:subscriptions AS text[]),
                           CAST(:company_names AS text[]), CAST(:subscription_names AS text[]), CAST(:periods AS text[]))
                    AS n (connection_id, company_id, subscription_id, company_name, subscription_name, billing_period)
               WHERE r.msp_id = :msp_id AND r.connection_id = n.connection_id AND r.company_id = n.company_id
                 AND r.subscription_id = n.subscription_id
                 AND (r.company_name, r.subscription_name, r.billing_period)
                     IS DISTINCT FROM (n.company_name, n.subscription_name, n.billing_period)"""
        ),
        {
            "msp_id": msp_id,
            "connections": [e.connection_id for e in newest],
            "companies": [e.company_id for e in newest],
            "subscriptions": [e.subscription_id for e in newest],
            "company_names": [e.company_name for e in newest],
            "subscription_names": [e.subscription_name for e in newest],
            "periods": [e.billing_period for e in newest],
        },
    )


def _keep_psa_records(connection: Connection, msp_id: MspId, envelopes: Iterable[Envelope]) -> None:
    rows: dict[str, dict[tuple[str, str], Row]] = {"customer": {}, "agreement": {}, "product": {}}
    gone: dict[str, set[tuple[str, str]]] = {"customer": set(), "agreement": set(), "product": set()}
    for envelope in envelopes:
        match envelope.event:
            case PsaRecordGone() as event if event.level in gone:
                gone[event.level].add((event.psa_connection_id, event.record_id))
            case PsaCustomerObserved() | PsaAgreementObserved() | PsaProductObserved() as event:
                level, record_id, row = _psa_row(msp_id, event)
                rows[level][event.psa_connection_id, record_id] = row
                gone[level].discard((event.psa_connection_id, record_id))
    for level, table in _PSA_TABLES.items():
        upsert(connection, table, list(rows[level].values()))
        if gone[level]:
            ids = tuple_(table.c.psa_connection_id, table.c[f"psa_{level}_id"])
            connection.execute(
                update(table).where(table.c.msp_id == msp_id, ids.in_(sorted(gone[level]))).values(gone=True)
            )


_PSA_TABLES = {"customer": tables.psa_customers, "agreement": tables.psa_agreements, "product": tables.psa_products}


def _psa_row(
    msp_id: MspId, event: PsaCustomerObserved | PsaAgreementObserved | PsaProductObserved
) -> tuple[str, str, Row]:
    shared: Row = {"msp_id": msp_id, "psa_connection_id": event.psa_connection_id, "gone": False}
    match event:
        case PsaCustomerObserved():
            names = {"psa_customer_id": event.psa_customer_id, "psa_customer_name": event.psa_customer_name}
            return "customer", event.psa_customer_id, shared | names
        case PsaAgreementObserved():
            row = {
                name: getattr(event, name)
                for name in ("psa_agreement_id", "psa_agreement_name", "active", "recurring", "start_date", "end_date")
            }
            return "agreement", event.psa_agreement_id, shared | row
    row = {
        "active": event.active,
        "period_type": event.period_type,
        "currency": _currency(event.unit_price, event.unit_cost),
    }
    return "product", event.psa_product_id, shared | _names(event, PsaNames) | row


def _follow(
    connection: Connection, msp_id: MspId, envelope: Envelope, renewed: SubscriptionRenewed, now: datetime
) -> None:
    """Relations of the ended subscription go over to the new one; both halves of each move stand in one append. Resources
    that were continued are gone from now on: the renewal ends them, no ResourceDisappeared follows."""
    at = (connection, msp_id, renewed.connection_id, renewed.company_id)
    successors = {r.names.resource_id: r for r in known.resources_of(*at, renewed.subscription_id)}
    ended = known.live_relations_of(*at, [renewed.previous_subscription_id])
    linked = {row.resource_id for row in known.live_relations_of(*at, [renewed.subscription_id])}
    moves = follow_renewal([known.relation(row) for row in ended], successors, linked)
    connection.execute(
        update(tables.resources)
        .where(
            tables.resources.c.msp_id == msp_id,
            tables.resources.c.connection_id == renewed.connection_id,
            tables.resources.c.company_id == renewed.company_id,
            tables.resources.c.subscription_id == renewed.previous_subscription_id,
            tables.resources.c.resource_id.in_(sorted(successors)),
        )
        .values(gone=True)
    )
    events: list[record.MappingEvent] = [event for move in moves for event in _moved(move, renewed)]
    events += _exclusions_moved(
        connection, msp_id, known.resources_of(*at, renewed.previous_subscription_id), successors
    )
    record.record(connection, msp_id, events, record.Cause(envelope.correlation_id, "", envelope.position), now)


def _moved(move: Move, renewed: SubscriptionRenewed) -> list[record.RelationEvent]:
    if move.successor is None:
        return [record.cleared(move.relation, "the renewed subscription is linked already")]
    old = move.relation
    following = Relation(uuid4().hex, move.successor.names, old.psa, old.settings)
    return [
        record.cleared(old, "the subscription was renewed", renewed.subscription_id),
        record.was_set(following, renewed.previous_subscription_id),
        *record.taken_along(old, following),
    ]


def _exclusions_moved(
    connection: Connection, msp_id: MspId, ended: Iterable[Resource], successors: Mapping[ResourceId, Resource]
) -> list[record.ExclusionEvent]:
    """What was left out of billing under the ended subscription is left out under the one that continues it."""
    keys = [str(resource.names.resource_key(msp_id)) for resource in ended]
    events: list[record.ExclusionEvent] = []
    for row in known.excluded(connection, msp_id, keys).values():
        successor = successors.get(row.resource_id)
        if successor is not None and not successor.gone:
            events.append(record.included(known.odin(row), "the subscription was renewed"))
            events.append(record.excluded(successor.names, row.reason, row.until))
    return events


def _names(event: object, names: type[OdinNames] | type[PsaNames]) -> Row:
    return {name: getattr(event, name) for name in names.__dataclass_fields__}
