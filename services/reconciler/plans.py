"""Touched products -> their plans, as rows and events: loaded together, planned each once, appended in one go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, text

from domain.codec import decode_part
from domain.envelope import NewEvent
from domain.events.names import OdinNames, PsaNames
from domain.keys import ConnectionId, MspId, PsaProductId, PsaProductKey
from domain.money import Money
from domain.relation_settings import AS_NEW, RelationSettings
from plumbing import event_log, setup
from services.reconciler.plan_units import Feed, Plan, Product, Request, plan_units
from services.reconciler.touches import Cause, ProductId, Touched

# Products planned and appended at a time: a full plan of an MSP must not hold everything in memory.
PORTION = 2_000


@dataclass(frozen=True)
class Loaded:
    """A product as its rows tell it, with what feeds it; known_feeds: how many did when it was last planned."""

    product_id: ProductId
    product: Product
    known_feeds: int
    stream_version: int
    feeds: list[Feed]


def lock(connection: Connection, msp_id: MspId) -> None:
    """Whoever plans for this MSP plans alone until the transaction ends."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('reconciler/' || :msp_id, 7426))"), {"msp_id": msp_id}
    )


def posts_cost(connection: Connection, msp_id: MspId) -> bool:
    """Whether the MSP wants unit costs brought to the PSA."""
    return setup.policy(connection, msp_id, "unit_cost") == "post"


def causes_of_products(connection: Connection, msp_id: MspId, touched: Touched) -> dict[ProductId, Cause]:
    """The products that a slice touches, each with the heaviest cause: directly, or through a resource or a subscription
    that feeds it."""
    causes = dict(touched.products)
    for row in _fed_by_resources(connection, msp_id, list(touched.resources)):
        _add(causes, row, touched.resources[row.resource_key])
    for row in _fed_by_subscriptions(connection, msp_id, list(touched.subscriptions)):
        _add(causes, row, touched.subscriptions[row.connection_id, row.subscription_id])
    return causes


def plan(connection: Connection, msp_id: MspId, causes: Mapping[ProductId, Cause], now: datetime) -> int:
    """The number of events that planning these products came to. Rows and events are written in the caller's transaction,
    the events last and in one append; the caller holds the lock."""
    post_cost = posts_cost(connection, msp_id)

    def planned(loaded: Loaded) -> Plan:
        return plan_units(
            loaded.product, loaded.feeds, causes[loaded.product_id].touch, uuid4().hex, post_cost=post_cost
        )

    return carry_out(connection, msp_id, causes, planned, now)


def carry_out(
    connection: Connection,
    msp_id: MspId,
    causes: Mapping[ProductId, Cause],
    planned_of: Callable[[Loaded], Plan],
    now: datetime,
    actor: str = "",
) -> int:
    """The same for plans of the caller's making. actor: the person whose word they are, "" for the service itself."""
    new: dict[str, list[tuple[int, NewEvent]]] = {}
    rows = []
    ids = sorted(causes)
    for start in range(0, len(ids), PORTION):
        for loaded in load(connection, msp_id, ids[start : start + PORTION]):
            cause = causes[loaded.product_id]
            planned = planned_of(loaded)
            if planned.product != loaded.product or len(loaded.feeds) != loaded.known_feeds:
                rows.append(_row(loaded, planned))
            events = _new_events(loaded, planned, now)
            new.setdefault(cause.correlation_id, []).extend((cause.position, event) for event in events)
    _save(connection, msp_id, rows)
    return _append(connection, msp_id, new, now, actor)


_LOAD = """
SELECT p.psa_connection_id, p.psa_customer_id, p.psa_customer_name, p.psa_agreement_id, p.psa_agreement_name,
       p.psa_product_id, p.psa_product_name, p.period_months, p.cost_currency AS product_currency,
       p.feeds AS known_feeds, p.stream_version, p.request_id, p.request_open, p.hold_first, p.adopted_for,
       p.target_units, p.target_unit_cost, p.target_cost_currency, p.target_unit_price, p.target_price_currency,
       p.refused_reason,
       r.connection_id, r.company_id, r.company_name, r.subscription_id, r.subscription_name, r.resource_id,
       r.resource_name, r.resource_key, r.count AS last_count, r.unit_cost, r.cost_currency, r.catalogue_price,
       r.price_currency, r.billing_months, l.settings, l.frozen
FROM reconciler.products p
LEFT JOIN reconciler.relations l USING (msp_id, psa_connection_id, psa_product_id)
LEFT JOIN reconciler.resources r USING (msp_id, resource_key)
WHERE p.msp_id = :msp_id AND (p.psa_connection_id, p.psa_product_id) IN (
    SELECT * FROM unnest(CAST(:connections AS text[]), CAST(:products AS text[])))
ORDER BY p.psa_connection_id, p.psa_product_id, r.resource_key
"""


def load(connection: Connection, msp_id: MspId, ids: Sequence[ProductId]) -> list[Loaded]:
    """The products of these ids that are known, in order."""
    loaded: dict[ProductId, Loaded] = {}
    for row in connection.execute(text(_LOAD), {"msp_id": msp_id} | _arrays(ids)):
        product_id = (row.psa_connection_id, row.psa_product_id)
        if product_id not in loaded:
            loaded[product_id] = Loaded(product_id, _product(row), row.known_feeds, row.stream_version, [])
        if row.resource_key is not None:
            loaded[product_id].feeds.append(_feed(row))
    return list(loaded.values())


def resources(connection: Connection, msp_id: MspId, keys: Sequence[str]) -> dict[str, Feed]:
    """What the resources would feed a product with, by key, were they linked anew; those that are known."""
    rows = connection.execute(
        text(
            """SELECT connection_id, company_id, company_name, subscription_id, subscription_name, resource_id,
                      resource_name, resource_key, count AS last_count, unit_cost, cost_currency, catalogue_price,
                      price_currency, billing_months, NULL AS settings, false AS frozen
               FROM reconciler.resources WHERE msp_id = :msp_id AND resource_key = ANY(CAST(:keys AS text[]))"""
        ),
        {"msp_id": msp_id, "keys": list(keys)},
    )
    return {row.resource_key: _feed(row) for row in rows}


def products_of(connection: Connection, msp_id: MspId, keys: Sequence[str]) -> set[ProductId]:
    """The products that the resources of these keys feed."""
    rows = _fed_by_resources(connection, msp_id, list(keys))
    return {(row.psa_connection_id, row.psa_product_id) for row in rows}


def _product(row: Row[Any]) -> Product:
    last = None
    if row.request_id is not None:
        cost = _money(row.target_unit_cost, row.target_cost_currency)
        price = _money(row.target_unit_price, row.target_price_currency)
        last = Request(row.request_id, row.request_open, row.target_units, cost, price, row.hold_first)
    names = PsaNames(
        psa_connection_id=row.psa_connection_id,
        psa_customer_id=row.psa_customer_id,
        psa_customer_name=row.psa_customer_name,
        psa_agreement_id=row.psa_agreement_id,
        psa_agreement_name=row.psa_agreement_name,
        psa_product_id=row.psa_product_id,
        psa_product_name=row.psa_product_name,
    )
    return Product(names, row.period_months, row.product_currency, last, row.refused_reason or "", row.adopted_for)


def _feed(row: Row[Any]) -> Feed:
    names = OdinNames(
        connection_id=row.connection_id,
        company_id=row.company_id,
        company_name=row.company_name,
        subscription_id=row.subscription_id,
        subscription_name=row.subscription_name,
        resource_id=row.resource_id,
        resource_name=row.resource_name,
    )
    return Feed(
        row.resource_key,
        names,
        row.last_count,
        _money(row.unit_cost, row.cost_currency),
        row.billing_months,
        _money(row.catalogue_price, row.price_currency),
        AS_NEW if row.settings is None else decode_part(RelationSettings, row.settings),
        row.frozen,
    )


def _money(amount: Decimal | None, currency: str) -> Money | None:
    return None if amount is None else Money(amount, currency)


def _new_events(loaded: Loaded, planned: Plan, now: datetime) -> list[NewEvent]:
    connection_id, product_id = loaded.product_id
    stream = "request/" + str(PsaProductKey(MspId(""), ConnectionId(connection_id), PsaProductId(product_id)))[1:]
    return [
        NewEvent(stream=stream, stream_version=version, event=event, occurred_at=now)
        for version, event in enumerate(planned.events, loaded.stream_version + 1)
    ]


def _row(loaded: Loaded, planned: Plan) -> dict[str, Any]:
    last, (connection_id, product_id) = planned.product.last, loaded.product_id
    cost = last.target_unit_cost if last else None
    price = last.target_unit_price if last else None
    return {
        "psa_connection_id": connection_id,
        "psa_product_id": product_id,
        "feeds": len(loaded.feeds),
        "stream_version": loaded.stream_version + len(planned.events),
        "request_id": last.request_id if last else None,
        "request_open": bool(last and last.open),
        "hold_first": bool(last and last.hold_first),
        "target_units": last.target_units if last else None,
        "target_unit_cost": cost.amount if cost else None,
        "target_cost_currency": cost.currency if cost else None,
        "target_unit_price": price.amount if price else None,
        "target_price_currency": price.currency if price else None,
        "refused_reason": planned.product.refused or None,
        "adopted_for": planned.product.adopted_for,
    }


_COLUMNS = {
    "psa_connection_id": "text",
    "psa_product_id": "text",
    "feeds": "integer",
    "stream_version": "bigint",
    "request_id": "text",
    "request_open": "boolean",
    "hold_first": "boolean",
    "target_units": "integer",
    "target_unit_cost": "numeric",
    "target_cost_currency": "text",
    "target_unit_price": "numeric",
    "target_price_currency": "text",
    "refused_reason": "text",
    "adopted_for": "integer",
}
_SAVE = f"""
UPDATE reconciler.products p SET {", ".join(f"{name} = n.{name}" for name in list(_COLUMNS)[2:])}
FROM unnest({", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _COLUMNS.items())}) AS n ({", ".join(_COLUMNS)})
WHERE p.msp_id = :msp_id AND p.psa_connection_id = n.psa_connection_id AND p.psa_product_id = n.psa_product_id
"""


def _save(connection: Connection, msp_id: MspId, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        columns = {name: [row[name] for row in rows] for name in _COLUMNS}
        connection.execute(text(_SAVE), {"msp_id": msp_id} | columns)


def _append(
    connection: Connection, msp_id: MspId, new: Mapping[str, list[tuple[int, NewEvent]]], now: datetime, actor: str
) -> int:
    """One append for each correlation id: nearly always one, since a slice is mostly one poll's."""
    for correlation_id, events in new.items():
        event_log.append(
            connection,
            msp_id,
            [event for _, event in events],
            recorded_at=now,
            recorded_by="reconciler",
            correlation_id=correlation_id,
            caused_by=max((position for position, _ in events if position), default=None),
            actor=actor,
        )
    return sum(map(len, new.values()))


def _add(causes: dict[ProductId, Cause], row: Row[Any], cause: Cause) -> None:
    key = (row.psa_connection_id, row.psa_product_id)
    causes[key] = cause.heavier(causes.get(key))


def _fed_by_resources(connection: Connection, msp_id: MspId, keys: list[str]) -> Sequence[Row[Any]]:
    return connection.execute(
        text(
            """SELECT resource_key, psa_connection_id, psa_product_id FROM reconciler.relations
               WHERE msp_id = :msp_id AND resource_key = ANY(CAST(:keys AS text[]))"""
        ),
        {"msp_id": msp_id, "keys": keys},
    ).all()


def _fed_by_subscriptions(connection: Connection, msp_id: MspId, ids: list[tuple[str, str]]) -> Sequence[Row[Any]]:
    return connection.execute(
        text(
            """SELECT r.connection_id, r.subscription_id, l.psa_connection_id, l.psa_product_id
               FROM reconciler.resources r JOIN reconciler.relations l USING (msp_id, resource_key)
               WHERE r.msp_id = :msp_id AND (r.connection_id, r.subscription_id) IN (
                   SELECT * FROM unnest(CAST(:connections AS text[]), CAST(:products AS text[])))"""
        ),
        {"msp_id": msp_id} | _arrays(ids),
    ).all()


def _arrays(ids: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {"connections": [first for first, _ in ids], "products": [second for _, second in ids]}
