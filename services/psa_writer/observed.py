"""(what the PSA shows, what it showed before) -> rows brought up to date, and one event for each record that changed.

The rows are locked first, so two writers that look at one record tell its change once, and the versions of its stream rise
by one. Events are handed back, for the caller to append last in its transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Table, select, text, update
from sqlalchemy.dialects.postgresql import insert

from domain.envelope import NewEvent
from domain.events import Event, PsaAgreementObserved, PsaCustomerObserved, PsaProductObserved, PsaUnitsObserved
from domain.keys import ConnectionId, MspId, PsaAgreementId, PsaCustomerId, PsaProductId
from domain.money import Money
from services.psa_writer import tables
from services.psa_writer.psa.port import PsaAgreement, PsaCustomer, PsaProduct


class AgreementNames(NamedTuple):
    """What an agreement and its customer are called."""

    psa_customer_id: PsaCustomerId
    customer_name: str
    agreement_name: str


@dataclass(frozen=True)
class Scope:
    """Whose records they are, in one transaction. at: when they were read."""

    connection: Connection
    msp_id: MspId
    connection_id: ConnectionId
    at: datetime

    def new_event(self, stream: str, version: int, event: Event) -> NewEvent:
        """The event, as the next of its stream."""
        return NewEvent(stream=stream, stream_version=version, event=event, occurred_at=self.at)


def stream(level: str, connection_id: ConnectionId, record_id: str) -> str:
    """The stream of a record: psa-customer, psa-agreement or psa-product."""
    return f"psa-{level}/{connection_id}/{record_id}"


def observe_customers(scope: Scope, customers: Sequence[PsaCustomer]) -> list[NewEvent]:
    """Keeps the customers; one event for each that is new or changed."""

    def event(customer: PsaCustomer, known: Row[Any] | None) -> Event:
        return PsaCustomerObserved(
            psa_connection_id=scope.connection_id,
            psa_customer_id=customer.psa_customer_id,
            psa_customer_name=customer.name,
            previous_psa_customer_name=known.name if known and known.name != customer.name else None,
            contact=customer.contact,
            active=customer.active,
        )

    rows = {
        customer.psa_customer_id: (
            {"name": customer.name, "contact": customer.contact, "active": customer.active},
            customer,
        )
        for customer in customers
    }
    return _observe(scope, "customer", tables.psa_customers, rows, event)


def observe_agreements(
    scope: Scope, agreements: Sequence[PsaAgreement], customer_names: Mapping[PsaCustomerId, str]
) -> list[NewEvent]:
    """Keeps the agreements; one event for each that is new or changed."""

    def event(agreement: PsaAgreement, _known: Row[Any] | None) -> Event:
        return PsaAgreementObserved(
            psa_connection_id=scope.connection_id,
            psa_customer_id=agreement.psa_customer_id,
            psa_customer_name=customer_names.get(agreement.psa_customer_id, ""),
            psa_agreement_id=agreement.psa_agreement_id,
            psa_agreement_name=agreement.name,
            description=agreement.description,
            active=agreement.active,
            recurring=agreement.recurring,
            start_date=agreement.start_date,
            end_date=agreement.end_date,
        )

    rows = {}
    for agreement in agreements:
        values = {name: value for name, value in vars(agreement).items() if name != "psa_agreement_id"}
        rows[agreement.psa_agreement_id] = (values, agreement)
    return _observe(scope, "agreement", tables.psa_agreements, rows, event)


def observe_products(
    scope: Scope, products: Sequence[PsaProduct], names: Mapping[PsaAgreementId, AgreementNames]
) -> list[NewEvent]:
    """Keeps the products of the named agreements; one event for each that is new or changed."""

    def event(product: PsaProduct, _known: Row[Any] | None) -> Event:
        of = names[product.psa_agreement_id]
        return PsaProductObserved(
            psa_connection_id=scope.connection_id,
            psa_customer_id=of.psa_customer_id,
            psa_customer_name=of.customer_name,
            psa_agreement_id=product.psa_agreement_id,
            psa_agreement_name=of.agreement_name,
            psa_product_id=product.psa_product_id,
            psa_product_name=product.name,
            vendor=product.vendor,
            period_type=product.period_type.value,
            active=product.active,
            unit_cost=product.unit_cost,
            unit_price=product.unit_price,
        )

    rows = {
        product.psa_product_id: (_product_values(product), product)
        for product in products
        if product.psa_agreement_id in names
    }
    return _observe(scope, "product", tables.psa_products, rows, event)


def observe_units(
    scope: Scope, units: Mapping[PsaProductId, int], on_date: date, names: Mapping[PsaAgreementId, AgreementNames]
) -> list[NewEvent]:
    """Keeps the units of products that are kept already; one event for each whose units differ from those read before."""
    known = _locked(scope, tables.psa_products, "psa_product_id", units)
    changed = [
        row for row in known.values() if row.units != units[row.psa_product_id] and row.psa_agreement_id in names
    ]
    found = [_units_event(scope, row, units[row.psa_product_id], on_date, names) for row in changed]
    if changed:
        scope.connection.execute(
            text(
                """UPDATE psa_writer.psa_products SET units = :units, stream_version = :version
                   WHERE msp_id = :m AND connection_id = :c AND psa_product_id = :p"""
            ),
            [
                {
                    "m": scope.msp_id,
                    "c": scope.connection_id,
                    "p": row.psa_product_id,
                    "units": units[row.psa_product_id],
                    "version": row.stream_version + 1,
                }
                for row in changed
            ],
        )
    return found


def _units_event(
    scope: Scope, row: Row[Any], units: int, on_date: date, names: Mapping[PsaAgreementId, AgreementNames]
) -> NewEvent:
    of = names[row.psa_agreement_id]
    event = PsaUnitsObserved(
        psa_connection_id=scope.connection_id,
        psa_customer_id=of.psa_customer_id,
        psa_customer_name=of.customer_name,
        psa_agreement_id=row.psa_agreement_id,
        psa_agreement_name=of.agreement_name,
        psa_product_id=row.psa_product_id,
        psa_product_name=row.name,
        previous_units=row.units,
        units=units,
        on_date=on_date,
    )
    return scope.new_event(stream("product", scope.connection_id, row.psa_product_id), row.stream_version + 1, event)


def _product_values(product: PsaProduct) -> dict[str, Any]:
    money: Money | None = product.unit_cost or product.unit_price
    return {
        "psa_agreement_id": product.psa_agreement_id,
        "name": product.name,
        "vendor": product.vendor,
        "period_type": product.period_type.value,
        "active": product.active,
        "unit_cost": product.unit_cost.amount if product.unit_cost else None,
        "unit_price": product.unit_price.amount if product.unit_price else None,
        "currency": money.currency if money else None,
    }


def _observe(
    scope: Scope,
    level: str,
    table: Table,
    records: Mapping[Any, tuple[dict[str, Any], Any]],
    event: Callable[[Any, Row[Any] | None], Event],
) -> list[NewEvent]:
    """records: {id: (the values of its columns, the record)}."""
    id_name = f"psa_{level}_id"
    known = _locked(scope, table, id_name, records)
    found: list[NewEvent] = []
    saved: list[dict[str, Any]] = []
    seen_again: list[str] = []
    for record_id, (values, record) in records.items():
        row = known.get(record_id)
        same = row is not None and all(getattr(row, name) == value for name, value in values.items())
        if row is not None and same and not row.gone:
            if row.missing:
                seen_again.append(record_id)
            continue
        version = row.stream_version + 1 if row is not None else 1
        found.append(scope.new_event(stream(level, scope.connection_id, record_id), version, event(record, row)))
        key = {"msp_id": scope.msp_id, "connection_id": scope.connection_id, id_name: record_id}
        saved.append({**key, **values, "missing": 0, "gone": False, "stream_version": version})
    if saved:
        keys = ["msp_id", "connection_id", id_name]
        statement = insert(table).values(saved)
        changes = {name: statement.excluded[name] for name in saved[0] if name not in keys}
        scope.connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes))
    if seen_again:
        mine = (table.c.msp_id == scope.msp_id) & (table.c.connection_id == scope.connection_id)
        scope.connection.execute(update(table).where(mine, table.c[id_name].in_(seen_again)).values(missing=0))
    return found


def _locked(scope: Scope, table: Table, id_name: str, ids: Iterable[str]) -> dict[str, Row[Any]]:
    id_column = table.c[id_name]
    rows = scope.connection.execute(
        select(table)
        .where(table.c.msp_id == scope.msp_id, table.c.connection_id == scope.connection_id)
        .where(id_column.in_(list(ids)))
        .order_by(id_column)
        .with_for_update()
    )
    return {getattr(row, id_name): row for row in rows}
