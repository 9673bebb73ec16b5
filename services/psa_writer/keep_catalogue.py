"""A whole reading of a PSA's catalogue, what was known -> rows brought up to date, and events for what changed.

A reading in which half of what was known has vanished is refused: a user whose rights were cut sees no rows rather than an
error. What is missing twice in a row is told as gone.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Table, select, text

from domain.envelope import NewEvent
from domain.events import CatalogueRead, PsaRecordGone
from domain.keys import PsaAgreementId, PsaCustomerId, PsaProductId
from plumbing import event_log
from plumbing.logs import correlation_id
from plumbing.setup import OutsideConnection
from services.psa_writer import standing, tables
from services.psa_writer.observed import (
    AgreementNames,
    Scope,
    observe_agreements,
    observe_customers,
    observe_products,
    observe_units,
    stream,
)
from services.psa_writer.psa.port import PsaAgreement, PsaCustomer, PsaFailure, PsaProduct
from services.psa_writer.reactor import POSTS, put_work
from services.psa_writer.writer import Writer

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Records whose change is stored and told in one transaction.
_AT_ONCE = 1000
#: So many readings in a row without a record tell that it is gone.
_GONE_AFTER = 2
#: Fewer known records than this may vanish together without a doubt about the reading.
_FEW = 4
_RIGHTS_FIX = (
    "Check in the PSA that our user may see all customers, agreements and products. If they were really deleted, save the "
    "connection again: the next reading is then believed."
)


@dataclass(frozen=True)
class Read:
    """One whole reading."""

    customers: Sequence[PsaCustomer]
    agreements: Sequence[PsaAgreement]
    products: Sequence[PsaProduct]
    units: Mapping[PsaProductId, int]
    on_date: date


def keep(writer: Writer, outside: OutsideConnection, read: Read) -> None:
    names = _names(read)
    customer_names = {customer.psa_customer_id: customer.name for customer in read.customers}
    _check_whole(writer, outside, read)
    told = 0
    for customers in _parts(read.customers):
        told += _store(writer, outside, partial(observe_customers, customers=customers))
    for agreements in _parts(read.agreements):
        told += _store(
            writer, outside, partial(observe_agreements, agreements=agreements, customer_names=customer_names)
        )
    for products in _parts(read.products):
        told += _store(writer, outside, partial(observe_products, products=products, names=names))
    for ids in _parts(sorted(read.units)):
        units = {product_id: read.units[product_id] for product_id in ids}
        told += _store(writer, outside, partial(observe_units, units=units, on_date=read.on_date, names=names))
    told += _store(writer, outside, partial(_missing, read=read))
    told += _store(writer, outside, partial(_well, read=read))
    log.info(
        "catalogue read",
        extra={"connection_id": outside.connection_id, "products": len(read.products), "changes": told},
    )


def _names(read: Read) -> dict[PsaAgreementId, AgreementNames]:
    customers: dict[PsaCustomerId, str] = {c.psa_customer_id: c.name for c in read.customers}
    return {
        a.psa_agreement_id: AgreementNames(a.psa_customer_id, customers.get(a.psa_customer_id, ""), a.name)
        for a in read.agreements
    }


def _parts(records: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(records), _AT_ONCE):
        yield records[start : start + _AT_ONCE]


def _store(writer: Writer, outside: OutsideConnection, observe: Callable[[Scope], list[NewEvent]]) -> int:
    """How many events were appended for what `observe` found, in one transaction. What was parked for something that has now
    changed is tried at once."""
    now = writer.clock.now()
    with writer.engine.begin() as connection:
        scope = Scope(connection, outside.msp_id, outside.connection_id, now)
        events = observe(scope)
        if events:
            _wake(scope, events)
            event_log.append(
                connection,
                outside.msp_id,
                events,
                recorded_at=now,
                recorded_by="psa_writer",
                correlation_id=correlation_id(),
            )
    return len(events)


def _wake(scope: Scope, events: Sequence[NewEvent]) -> None:
    changed = [new.stream.rsplit("/", 1)[1] for new in events]
    woken = scope.connection.execute(
        text(
            """UPDATE psa_writer.requests SET next_try_at = :now WHERE msp_id = :m AND connection_id = :c
               AND state = 'parked' AND kind = 'preflight'
               AND (psa_agreement_id = ANY(:changed) OR psa_product_id = ANY(:changed))"""
        ),
        {"now": scope.at, "m": scope.msp_id, "c": scope.connection_id, "changed": changed},
    )
    if woken.rowcount:
        put_work(scope.connection, POSTS, scope.msp_id, [scope.connection_id], scope.at, correlation_id())


_LEVELS: dict[str, Table] = {
    "customer": tables.psa_customers,
    "agreement": tables.psa_agreements,
    "product": tables.psa_products,
}


def _read_ids(read: Read) -> dict[str, set[str]]:
    return {
        "customer": {customer.psa_customer_id for customer in read.customers},
        "agreement": {agreement.psa_agreement_id for agreement in read.agreements},
        "product": {product.psa_product_id for product in read.products},
    }


def _check_whole(writer: Writer, outside: OutsideConnection, read: Read) -> None:
    """PsaFailure when a level has lost half of what was known, or all: that is no fact, until a person who was told of it has
    saved the connection again."""
    found = _read_ids(read)
    with writer.engine.connect() as connection:
        for level in _LEVELS:
            known = known_ids(connection, outside, level)
            lost = known - found[level]
            doubtful = lost == known or (len(known) > _FEW and 2 * len(lost) > len(known))
            if known and doubtful and not _was_saved_since(connection, outside):
                message = f"The PSA shows {len(known) - len(lost)} of the {len(known)} {level}s that it showed before."
                raise PsaFailure("rejected", message, _RIGHTS_FIX)


def _was_saved_since(connection: Connection, outside: OutsideConnection) -> bool:
    """Whether the connection was saved after a loss of records was told."""
    told = connection.scalar(
        text("SELECT catalogue_told FROM psa_writer.connections WHERE msp_id = :m AND connection_id = :c"),
        {"m": outside.msp_id, "c": outside.connection_id},
    )
    version, _, failure = (told or "0 ").partition(" ")
    return failure.startswith("rejected: The PSA shows ") and int(version) < outside.version


def known_ids(connection: Connection, outside: OutsideConnection, level: str) -> set[str]:
    """The ids of what the last reading that was believed showed of a level (customer, agreement or product)."""
    table = _LEVELS[level]
    mine = (table.c.msp_id == outside.msp_id) & (table.c.connection_id == outside.connection_id)
    shown = ~table.c.gone & (table.c.missing == 0)
    return set(connection.scalars(select(table.c[f"psa_{level}_id"]).where(mine, shown)))


def _missing(scope: Scope, read: Read) -> list[NewEvent]:
    """Counts what was not shown, and tells what is gone."""
    found = _read_ids(read)
    events: list[NewEvent] = []
    for level, table in _LEVELS.items():
        id_column = table.c[f"psa_{level}_id"]
        where = (table.c.msp_id == scope.msp_id) & (table.c.connection_id == scope.connection_id) & ~table.c.gone
        rows = scope.connection.execute(select(table).where(where).order_by(id_column).with_for_update()).all()
        for row in rows:
            record_id = getattr(row, f"psa_{level}_id")
            if record_id in found[level]:
                continue
            is_gone = row.missing + 1 >= _GONE_AFTER
            scope.connection.execute(
                table.update()
                .where(where, id_column == record_id)
                .values(missing=row.missing + 1, gone=is_gone, stream_version=row.stream_version + int(is_gone))
            )
            if is_gone:
                event = PsaRecordGone(
                    psa_connection_id=scope.connection_id, level=level, record_id=record_id, name=row.name
                )
                of = stream(level, scope.connection_id, record_id)
                events.append(scope.new_event(of, row.stream_version + 1, event))
    return events


def _well(scope: Scope, read: Read) -> list[NewEvent]:
    """Tells that the catalogue is read again, if a failure was told before."""
    standing.set_well(scope.connection, scope.msp_id, scope.connection_id, posted=False)
    version = scope.connection.scalar(
        text(
            """UPDATE psa_writer.connections SET catalogue_told = NULL, catalogue_version = catalogue_version + 1
               WHERE msp_id = :m AND connection_id = :c AND catalogue_told IS NOT NULL RETURNING catalogue_version"""
        ),
        {"m": scope.msp_id, "c": scope.connection_id},
    )
    if version is None:
        return []
    event = CatalogueRead(
        psa_connection_id=scope.connection_id,
        customers=len(read.customers),
        agreements=len(read.agreements),
        products=len(read.products),
    )
    return [scope.new_event(f"catalogue/{scope.connection_id}", version, event)]
