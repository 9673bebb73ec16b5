"""What is known of a connection <-> rows of the schema poller, read and written in sets.

Each whole read leaves a print of itself. A read whose print is the stored one has changed nothing: it is found by one
join over the whole batch and costs no comparison, no event and no row of a resource.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec
import orjson
from sqlalchemy import Connection, Row

from domain.keys import CompanyId, SubscriptionId
from domain.money import Money
from services.poller.choose_reads import LastRead
from services.poller.known_model import KnownResource, KnownSubscription, State
from services.poller.place import Place
from services.poller.sources.port import Company, Resource, Snapshot, SubscriptionRow

_SUBSCRIPTION_COLUMNS = """subscription_id text, company_id text, name text, status text, usage_based boolean,
    billing_period text, subscription_period text, created_date date, renewal_date date, modified_date date,
    renews boolean, state text, ended_on date, continues text, continued_by text, read_at timestamptz, row_print text,
    snapshot_print text, stream_version bigint"""
_RESOURCE_COLUMNS = """subscription_id text, company_id text, resource_id text, name text, count numeric,
    cost_amount numeric, cost_currency text, price_amount numeric, price_currency text, mpn text, vendor text,
    vendor_subscription_id text, usage_based boolean, missing_polls integer, ended boolean, stream_version bigint"""
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class ReadPrints:
    """What a whole read leaves beside the facts: the print of the list row that led to it and of itself."""

    row_print: str
    snapshot_print: str


@dataclass(slots=True)
class Loaded:
    """Subscriptions as they are known, with the last version of each stream that they and their resources have."""

    subscriptions: dict[SubscriptionId, KnownSubscription] = field(default_factory=dict)
    prints: dict[SubscriptionId, ReadPrints] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)


def snapshot_print(snapshot: Snapshot) -> str:
    """A short text that differs when anything that we take from the read differs."""
    taken = {"row": snapshot.row, "resources": snapshot.resources}
    return blake2b(_encoder.encode(taken), digest_size=16).hexdigest()


def differing(connection: Connection, place: Place, prints: Mapping[SubscriptionId, str]) -> set[SubscriptionId]:
    """Those of the reads that differ from the last one of the same subscription, or whose subscription waits for something
    to be confirmed. Writes nothing."""
    found = connection.exec_driver_sql(
        """SELECT read.id FROM unnest(%(ids)s::text[], %(prints)s::text[]) AS read (id, print)
           LEFT JOIN poller.subscriptions k ON k.msp_id = %(msp_id)s AND k.connection_id = %(connection_id)s
             AND k.subscription_id = read.id
           WHERE k.snapshot_print IS DISTINCT FROM read.print""",
        place.key | {"ids": list(prints), "prints": list(prints.values())},
    )
    return set(found.scalars())


def last_reads(connection: Connection, place: Place) -> dict[SubscriptionId, LastRead]:
    """What choosing needs, of all known subscriptions."""
    rows = connection.exec_driver_sql(
        """SELECT subscription_id, company_id, state, read_at, row_print, touched FROM poller.subscriptions
           WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s""",
        place.key,
    )
    return {
        row.subscription_id: LastRead(
            row.subscription_id, row.company_id, State(row.state), row.read_at, row.row_print, row.touched
        )
        for row in rows
    }


def companies(connection: Connection, place: Place) -> tuple[dict[CompanyId, Company], dict[str, int]]:
    """All known companies, and the last version of each one's stream."""
    rows = connection.exec_driver_sql(
        """SELECT company_id, name, status, stream_version FROM poller.companies
           WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s""",
        place.key,
    ).all()
    known = {row.company_id: Company(row.company_id, row.name, row.status) for row in rows}
    return known, {place.company_stream(row.company_id): row.stream_version for row in rows}


def load(
    connection: Connection,
    place: Place,
    *,
    subscription_ids: Collection[SubscriptionId] = (),
    company_ids: Collection[CompanyId] = (),
) -> Loaded:
    """The subscriptions of these ids and all subscriptions of these companies, with their resources."""
    where = """WHERE s.msp_id = %(msp_id)s AND s.connection_id = %(connection_id)s
               AND (s.subscription_id = ANY(%(ids)s) OR s.company_id = ANY(%(companies)s))"""
    parameters = place.key | {"ids": list(subscription_ids), "companies": list(company_ids)}
    resources: dict[SubscriptionId, list[KnownResource]] = {}
    loaded = Loaded()
    if not subscription_ids and not company_ids:
        return loaded
    for row in connection.exec_driver_sql(
        f"""SELECT r.* FROM poller.resources r
            JOIN poller.subscriptions s USING (msp_id, connection_id, subscription_id) {where}
            ORDER BY r.subscription_id, r.company_id, r.resource_id""",
        parameters,
    ):
        resources.setdefault(row.subscription_id, []).append(_resource(row))
        stream = place.resource_stream(row.company_id, row.subscription_id, row.resource_id)
        loaded.versions[stream] = row.stream_version
    for row in connection.exec_driver_sql(f"SELECT s.* FROM poller.subscriptions s {where}", parameters):
        loaded.subscriptions[row.subscription_id] = _subscription(row, resources.get(row.subscription_id, []))
        loaded.prints[row.subscription_id] = ReadPrints(row.row_print, row.snapshot_print)
        loaded.versions[place.subscription_stream(row.subscription_id)] = row.stream_version
    return loaded


def mark_read(
    connection: Connection, place: Place, reads: Iterable[tuple[SubscriptionId, str]], read_at: datetime
) -> None:
    """Notes that these subscriptions were read whole, with the print of the list row that led to each read."""
    pairs = list(reads)
    connection.exec_driver_sql(
        """UPDATE poller.subscriptions s SET read_at = %(read_at)s, row_print = read.print, touched = false
           FROM unnest(%(ids)s::text[], %(prints)s::text[]) AS read (id, print)
           WHERE s.msp_id = %(msp_id)s AND s.connection_id = %(connection_id)s AND s.subscription_id = read.id""",
        place.key | {"read_at": read_at, "ids": [each for each, _ in pairs], "prints": [each for _, each in pairs]},
    )


def touch(
    connection: Connection,
    place: Place,
    subscription_ids: Collection[SubscriptionId],
    company_ids: Collection[CompanyId],
) -> None:
    """Notes that an order concerned these subscriptions, or some subscription of these companies."""
    connection.exec_driver_sql(
        """UPDATE poller.subscriptions SET touched = true
           WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s AND NOT touched AND state <> 'ended'
             AND (subscription_id = ANY(%(ids)s) OR company_id = ANY(%(companies)s))""",
        place.key | {"ids": list(subscription_ids), "companies": list(company_ids)},
    )


def put_companies(
    connection: Connection, place: Place, changed: Iterable[Company], versions: Mapping[str, int]
) -> None:
    """Writes companies that are new or changed."""
    rows = [
        {
            "company_id": each.company_id,
            "name": each.name,
            "status": each.status,
            "stream_version": versions[place.company_stream(each.company_id)],
        }
        for each in changed
    ]
    columns = "company_id text, name text, status text, stream_version bigint"
    _put(connection, place, "companies", columns, "company_id", rows)


def put_subscriptions(
    connection: Connection,
    place: Place,
    changed: Sequence[KnownSubscription],
    prints: Mapping[SubscriptionId, ReadPrints],
    versions: Mapping[str, int],
) -> None:
    """Writes subscriptions with their resources. A stream without a version has no event yet: its next one is the first."""
    rows = [_subscription_row(place, each, prints[each.row.subscription_id], versions) for each in changed]
    _put(connection, place, "subscriptions", _SUBSCRIPTION_COLUMNS, "subscription_id", rows)
    resources = [_resource_row(place, each, part, versions) for each in changed for part in each.resources]
    _put(connection, place, "resources", _RESOURCE_COLUMNS, "subscription_id, company_id, resource_id", resources)


def _put(
    connection: Connection, place: Place, table: str, columns: str, key: str, rows: Sequence[dict[str, Any]]
) -> None:
    if not rows:
        return
    names = [column.split()[0] for column in columns.split(",")]
    key_names = {name.strip() for name in key.split(",")}
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key_names)
    # A hint that came with an order stays until the subscription has been read.
    untouched = ", touched" if table == "subscriptions" else ""
    connection.exec_driver_sql(
        f"""INSERT INTO poller.{table} (msp_id, connection_id, {", ".join(names)}{untouched})
            SELECT %(msp_id)s, %(connection_id)s, r.*{", false" if untouched else ""}
            FROM json_to_recordset(%(rows)s::json) AS r ({columns})
            ON CONFLICT (msp_id, connection_id, {key}) DO UPDATE
            SET {sets}""",
        place.key | {"rows": orjson.dumps(rows, default=_exactly).decode()},
    )


def _exactly(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no place in a row")


def _subscription(row: Row[Any], resources: list[KnownResource]) -> KnownSubscription:
    shown = SubscriptionRow(
        row.subscription_id,
        row.company_id,
        row.name,
        row.status,
        row.usage_based,
        row.billing_period,
        row.subscription_period,
        row.created_date,
        row.renewal_date,
        row.modified_date,
        row.renews,
    )
    return KnownSubscription(
        shown, State(row.state), row.read_at, tuple(resources), row.ended_on, row.continues, row.continued_by
    )


def _resource(row: Row[Any]) -> KnownResource:
    shown = Resource(
        row.resource_id,
        row.name,
        row._mapping["count"],  # row.count is a method of every tuple
        _money(row.cost_amount, row.cost_currency),
        _money(row.price_amount, row.price_currency),
        row.mpn,
        row.vendor,
        row.vendor_subscription_id,
    )
    return KnownResource(row.company_id, shown, row.usage_based, row.missing_polls, row.ended)


def _money(amount: Decimal | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else Money(amount, currency)


def _subscription_row(
    place: Place, known: KnownSubscription, prints: ReadPrints, versions: Mapping[str, int]
) -> dict[str, Any]:
    row = known.row
    return {name: getattr(row, name) for name in SubscriptionRow.__dataclass_fields__} | {
        "state": known.state,
        "ended_on": known.ended_on,
        "continues": known.continues,
        "continued_by": known.continued_by,
        "read_at": known.read_at,
        "row_print": prints.row_print,
        # What waits to be confirmed must be compared again although the answer is the same.
        "snapshot_print": prints.snapshot_print if known.state is State.LIVE else "",
        "stream_version": versions.get(place.subscription_stream(row.subscription_id), 0),
    }


def _resource_row(
    place: Place, known: KnownSubscription, part: KnownResource, versions: Mapping[str, int]
) -> dict[str, Any]:
    resource, subscription_id = part.resource, known.row.subscription_id
    cost, price = resource.unit_cost, resource.unit_price
    return {
        "subscription_id": subscription_id,
        "company_id": part.company_id,
        "resource_id": resource.resource_id,
        "name": resource.name,
        "count": resource.count,
        "cost_amount": cost and cost.amount,
        "cost_currency": cost and cost.currency,
        "price_amount": price and price.amount,
        "price_currency": price and price.currency,
        "mpn": resource.mpn,
        "vendor": resource.vendor,
        "vendor_subscription_id": resource.vendor_subscription_id,
        "usage_based": part.usage_based,
        "missing_polls": part.missing_polls,
        "ended": part.ended,
        "stream_version": versions.get(
            place.resource_stream(part.company_id, subscription_id, resource.resource_id), 0
        ),
    }
