"""The rows of mapping -> what a decision looks at: a few set-based reads, however many wishes there are."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from domain.codec import decode_part
from domain.events.names import OdinNames, PsaNames
from domain.keys import MspId, ResourceKey
from domain.relation_settings import AS_NEW, RelationSettings
from services.mapping.decide_relation import Agreement, Known, Product, ProductId, Relation, Resource, Wish

_RESOURCE = """r.connection_id, r.company_id, r.company_name, r.subscription_id, r.subscription_name, r.resource_id,
               r.resource_name, r.counted, r.usage_based, r.gone"""
_EXCLUDED = """coalesce((SELECT e.excluded FROM mapping.exclusions e
                        WHERE e.msp_id = r.msp_id AND e.resource_key = r.resource_key), false) AS excluded"""
_PRODUCT = """p.psa_connection_id, p.psa_customer_id, p.psa_customer_name, p.psa_agreement_id, p.psa_agreement_name,
              p.psa_product_id, p.psa_product_name"""
_AGREEMENT = "a.active, a.recurring, a.start_date, a.end_date, a.gone AS agreement_gone"
_RELATIONS = f"""
SELECT l.relation_id, l.stream_version, l.live, l.settings, l.frozen, {_RESOURCE}, {_PRODUCT}
FROM mapping.relations l
JOIN mapping.resources r USING (msp_id, resource_key)
JOIN mapping.psa_products p USING (msp_id, psa_connection_id, psa_product_id)
WHERE l.msp_id = :msp_id AND """


def lock(connection: Connection, msp_id: MspId) -> None:
    """Whoever decides about relations of this MSP decides alone until the transaction ends."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('mapping/' || :msp_id, 7426))"), {"msp_id": msp_id}
    )


def known_for(connection: Connection, msp_id: MspId, wishes: Sequence[Wish]) -> Known:
    """What the decisions about the wishes need: their resources and products, and all live relations of the companies and
    PSA customers that these belong to."""
    resources = _resources(connection, msp_id, [str(wish.resource_key) for wish in wishes])
    products = _products(connection, msp_id, [wish.product_id for wish in wishes])
    companies = sorted({(key.connection_id, key.company_id) for key in resources})
    customers = sorted({(p.names.psa_connection_id, p.names.psa_customer_id) for p in products.values()})
    near = connection.execute(
        text(
            f"""{_RELATIONS} l.live AND (r.connection_id, r.company_id) IN (
                SELECT * FROM unnest(CAST(:connections AS text[]), CAST(:companies AS text[])))
            UNION {_RELATIONS} l.live AND (p.psa_connection_id, p.psa_customer_id) IN (
                SELECT * FROM unnest(CAST(:psa_connections AS text[]), CAST(:customers AS text[])))"""
        ),
        {
            "msp_id": msp_id,
            "connections": [c for c, _ in companies],
            "companies": [c for _, c in companies],
            "psa_connections": [c for c, _ in customers],
            "customers": [c for _, c in customers],
        },
    )
    return Known(resources, products, ((odin(row).resource_key(msp_id), relation(row)) for row in near))


def relations_by_id(connection: Connection, msp_id: MspId, relation_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """The rows of relations, live or cleared, with all ids and names and the version of their streams."""
    rows = connection.execute(
        text(f"{_RELATIONS} l.relation_id = ANY(:ids)"), {"msp_id": msp_id, "ids": list(relation_ids)}
    )
    return {row.relation_id: row for row in rows}


def live_relations_of(
    connection: Connection, msp_id: MspId, connection_id: str, company_id: str, subscription_ids: Sequence[str]
) -> list[Row[Any]]:
    """The rows of the live relations of some subscriptions of one company."""
    rows = connection.execute(
        text(
            f"""{_RELATIONS} l.live AND r.connection_id = :connection_id AND r.company_id = :company_id
            AND r.subscription_id = ANY(:subscription_ids) ORDER BY l.resource_key"""
        ),
        {
            "msp_id": msp_id,
            "connection_id": connection_id,
            "company_id": company_id,
            "subscription_ids": list(subscription_ids),
        },
    )
    return list(rows)


def resources_of(
    connection: Connection, msp_id: MspId, connection_id: str, company_id: str, subscription_id: str
) -> list[Resource]:
    """The resources of one subscription."""
    rows = connection.execute(
        text(
            f"""SELECT {_RESOURCE}, {_EXCLUDED} FROM mapping.resources r
            WHERE r.msp_id = :msp_id AND r.connection_id = :connection_id
            AND r.company_id = :company_id AND r.subscription_id = :subscription_id"""
        ),
        {
            "msp_id": msp_id,
            "connection_id": connection_id,
            "company_id": company_id,
            "subscription_id": subscription_id,
        },
    )
    return [_resource(row) for row in rows]


def on_ended_agreements(connection: Connection, msp_id: MspId, today: date) -> Sequence[Row[Any]]:
    """The rows of the live relations on agreements that cannot be billed any more, each with its agreement."""
    return connection.execute(
        text(
            f"""SELECT l.relation_id, l.settings, l.frozen, {_RESOURCE}, {_PRODUCT}, {_AGREEMENT}
            FROM mapping.relations l
            JOIN mapping.resources r USING (msp_id, resource_key)
            JOIN mapping.psa_products p USING (msp_id, psa_connection_id, psa_product_id)
            JOIN mapping.psa_agreements a USING (msp_id, psa_connection_id, psa_agreement_id)
            WHERE l.msp_id = :msp_id AND l.live AND (a.gone OR NOT a.active OR a.end_date < :today)
            ORDER BY p.psa_connection_id, p.psa_agreement_id, l.resource_key"""
        ),
        {"msp_id": msp_id, "today": today},
    ).all()


def products_of_customers(
    connection: Connection, msp_id: MspId, customers: Iterable[tuple[str, str]]
) -> Sequence[Row[Any]]:
    """The rows of all products of PSA customers, each with its agreement."""
    ids = sorted(customers)
    return connection.execute(
        text(
            f"""SELECT {_PRODUCT}, p.active AS product_active, p.gone AS product_gone, NULL AS customer_gone, {_AGREEMENT}
            FROM mapping.psa_products p
            JOIN mapping.psa_agreements a USING (msp_id, psa_connection_id, psa_agreement_id)
            WHERE p.msp_id = :msp_id AND (p.psa_connection_id, p.psa_customer_id) IN (
                SELECT * FROM unnest(CAST(:connections AS text[]), CAST(:customers AS text[])))
            ORDER BY p.psa_connection_id, p.psa_agreement_id, p.psa_product_id"""
        ),
        {"msp_id": msp_id, "connections": [c for c, _ in ids], "customers": [c for _, c in ids]},
    ).all()


def agreement(row: Row[Any]) -> Agreement:
    """The agreement in a row."""
    return Agreement(row.active, row.recurring, row.start_date, row.end_date, row.agreement_gone)


def relation_rows(connection: Connection, msp_id: MspId, resource_keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The rows of mapping.relations, live or cleared, by resource key."""
    rows = connection.execute(
        text(
            """SELECT msp_id, resource_key, relation_id, psa_connection_id, psa_product_id, live, settings::text, frozen,
                      stream_version
               FROM mapping.relations WHERE msp_id = :msp_id AND resource_key = ANY(:keys)"""
        ),
        {"msp_id": msp_id, "keys": list(resource_keys)},
    )
    return {row.resource_key: dict(row._mapping) for row in rows}


def exclusion_rows(connection: Connection, msp_id: MspId, resource_keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The rows of mapping.exclusions, of resources that are excluded or once were, by resource key."""
    rows = connection.execute(
        text("SELECT * FROM mapping.exclusions WHERE msp_id = :msp_id AND resource_key = ANY(:keys)"),
        {"msp_id": msp_id, "keys": list(resource_keys)},
    )
    return {row.resource_key: dict(row._mapping) for row in rows}


def excluded(connection: Connection, msp_id: MspId, resource_keys: Iterable[str]) -> dict[str, Row[Any]]:
    """Of the resources those that are excluded, with their ids and names, reason and last day."""
    rows = connection.execute(
        text(
            f"""SELECT e.resource_key, e.reason, e.until, {_RESOURCE} FROM mapping.exclusions e
                JOIN mapping.resources r USING (msp_id, resource_key)
                WHERE e.msp_id = :msp_id AND e.excluded AND e.resource_key = ANY(:keys) ORDER BY e.resource_key"""
        ),
        {"msp_id": msp_id, "keys": list(resource_keys)},
    )
    return {row.resource_key: row for row in rows}


def passed(connection: Connection, now: datetime) -> dict[MspId, list[str]]:
    """The excluded resources of each MSP whose last day had passed in the MSP's time zone."""
    found: dict[MspId, list[str]] = {}
    for msp_id, resource_key in connection.execute(
        text(
            """SELECT e.msp_id, e.resource_key FROM mapping.exclusions e JOIN setup.msps m USING (msp_id)
               WHERE e.excluded AND e.until < (CAST(:now AS timestamptz) AT TIME ZONE m.time_zone)::date
               ORDER BY e.msp_id, e.resource_key"""
        ),
        {"now": now},
    ):
        found.setdefault(msp_id, []).append(resource_key)
    return found


def relations_of_products(
    connection: Connection, msp_id: MspId, ids: Iterable[ProductId]
) -> dict[ProductId, list[Relation]]:
    """The live relations of each of the products."""
    found: dict[ProductId, list[Relation]] = {}
    wanted = sorted(set(ids))
    for row in connection.execute(
        text(
            f"""{_RELATIONS} l.live AND (l.psa_connection_id, l.psa_product_id) IN (
                SELECT * FROM unnest(CAST(:connections AS text[]), CAST(:products AS text[])))"""
        ),
        {"msp_id": msp_id, "connections": [c for c, _ in wanted], "products": [p for _, p in wanted]},
    ):
        found.setdefault((row.psa_connection_id, row.psa_product_id), []).append(relation(row))
    return found


def resources_by_key(
    connection: Connection, msp_id: MspId, resource_keys: Sequence[str]
) -> dict[ResourceKey, Resource]:
    """The resources with these keys."""
    return _resources(connection, msp_id, list(resource_keys))


def relation(row: Row[Any]) -> Relation:
    """A row with relation_id and all names, as a relation."""
    settings = AS_NEW if row.settings is None else decode_part(RelationSettings, row.settings)
    return Relation(row.relation_id, odin(row), psa(row), settings, row.frozen)


def odin(row: Row[Any]) -> OdinNames:
    """The ODIN names in a row."""
    return OdinNames(**{name: row._mapping[name] for name in OdinNames.__dataclass_fields__})


def psa(row: Row[Any]) -> PsaNames:
    """The PSA names in a row."""
    return PsaNames(**{name: row._mapping[name] for name in PsaNames.__dataclass_fields__})


def _resource(row: Row[Any]) -> Resource:
    return Resource(odin(row), row.counted, row.usage_based, row.gone, row.excluded)


def _resources(connection: Connection, msp_id: MspId, keys: list[str]) -> dict[ResourceKey, Resource]:
    rows = connection.execute(
        text(
            f"""SELECT {_RESOURCE}, {_EXCLUDED} FROM mapping.resources r
                WHERE r.msp_id = :msp_id AND r.resource_key = ANY(:keys)"""
        ),
        {"msp_id": msp_id, "keys": keys},
    )
    return {resource.names.resource_key(msp_id): resource for resource in map(_resource, rows)}


def _products(connection: Connection, msp_id: MspId, ids: list[ProductId]) -> dict[ProductId, Product]:
    rows = connection.execute(
        text(
            f"""SELECT {_PRODUCT}, p.active AS product_active, p.gone AS product_gone, c.gone AS customer_gone,
                       {_AGREEMENT}
            FROM mapping.psa_products p
            LEFT JOIN mapping.psa_agreements a USING (msp_id, psa_connection_id, psa_agreement_id)
            LEFT JOIN mapping.psa_customers c USING (msp_id, psa_connection_id, psa_customer_id)
            WHERE p.msp_id = :msp_id
              AND (p.psa_connection_id, p.psa_product_id) IN (
                  SELECT * FROM unnest(CAST(:connections AS text[]), CAST(:products AS text[])))"""
        ),
        {"msp_id": msp_id, "connections": [c for c, _ in ids], "products": [p for _, p in ids]},
    )
    return {(row.psa_connection_id, row.psa_product_id): product(row) for row in rows}


def product(row: Row[Any]) -> Product:
    """A row with all names, product_active, product_gone, customer_gone and the agreement, as a product."""
    of = None if row.active is None else agreement(row)
    return Product(psa(row), row.product_active, row.product_gone, of, bool(row.customer_gone))
