"""A PSA's customers, agreements, products and the units of linked ones, read whole -> rows, and events for what changed.

A reading that is not whole changes nothing, and neither does one in which half of what was known has vanished: a user whose
rights were cut sees no rows rather than an error. What is missing twice in a row is told as gone.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import Connection, select, text

from domain.envelope import NewEvent
from domain.events import CatalogueReadFailed, PsaRecordGone
from domain.keys import ConnectionId, MspId, PsaAgreementId, PsaCustomerId, PsaProductId
from plumbing import event_log, setup
from plumbing.budget import BudgetSpent
from plumbing.logs import correlation_id
from plumbing.setup import OutsideConnection
from services.psa_writer import standing, tables
from services.psa_writer.as_read import units_if_clear
from services.psa_writer.choose_pause import choose_pause
from services.psa_writer.failing import as_failure
from services.psa_writer.leases import CATALOGUE, lease
from services.psa_writer.observed import (
    AgreementNames,
    Scope,
    observe_agreements,
    observe_customers,
    observe_products,
    observe_units,
    stream,
)
from services.psa_writer.psa.port import Psa, PsaAgreement, PsaCustomer, PsaFailure, PsaProduct, UnitsRow
from services.psa_writer.reactor import POSTS, put_work
from services.psa_writer.reading import Window, read_rows
from services.psa_writer.writer import Writer

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Records whose change is stored and told in one transaction.
_AT_ONCE = 1000
_LONGEST_READING = 900.0
#: So many readings in a row without a record tell that it is gone.
_GONE_AFTER = 2
#: Fewer known records than this may vanish together without a doubt about the reading.
_FEW = 4
_RIGHTS_FIX = (
    "Check in the PSA that our user may see all customers, agreements and products. If they were really deleted, read the "
    "catalogue again after saving the connection."
)


@dataclass(frozen=True)
class Read:
    """One whole reading."""

    customers: Sequence[PsaCustomer]
    agreements: Sequence[PsaAgreement]
    products: Sequence[PsaProduct]
    units: Mapping[PsaProductId, int]
    on_date: date


def read_catalogue(writer: Writer, msp_id: MspId, connection_id: ConnectionId) -> None:
    """Reads the catalogue of a connection, unless another writer is at it or the connection is stopped."""
    with lease(writer.engine, writer.clock, msp_id, connection_id, [CATALOGUE], _LONGEST_READING) as held:
        if not held.fences:
            return
        with writer.engine.begin() as connection:
            try:
                outside = setup.connection_of(connection, msp_id, connection_id)
            except KeyError:
                return
            fares = standing.standing(connection, msp_id, connection_id)
        if fares.stopped_version == outside.version:
            return
        try:
            _keep(writer, outside, _read(writer, outside))
        except (PsaFailure, BudgetSpent) as failure:
            _tell_failed(writer, outside, as_failure(failure, writer.clock.now()))


def _read(writer: Writer, outside: OutsideConnection) -> Read:
    opened = writer.open_psa(outside)
    try:
        with writer.engine.connect() as connection:
            linked = _linked(connection, outside)
            today = writer.clock.today(setup.msp(connection, outside.msp_id).time_zone)
            fares = standing.standing(connection, outside.msp_id, outside.connection_id)
            known = _known_agreements(connection, outside)
        customers = list(chain.from_iterable(opened.psa.customers()))
        agreements = list(chain.from_iterable(opened.psa.agreements()))
        unseen = sorted(known - {agreement.psa_agreement_id for agreement in agreements})
        if unseen:
            # No longer among the recurring ones: changed in kind, or gone.
            agreements += chain.from_iterable(opened.psa.agreements(unseen))
        products = list(chain.from_iterable(opened.psa.products()))
        there = sorted(linked & {product.psa_product_id for product in products})
        rows = _rows(opened.psa, there, today)
    finally:
        opened.close()
    calibration = outside.settings.get("mid_period_rows", "unknown")
    calibration = fares.calibration if calibration == "unknown" else calibration
    units = {product_id: units_if_clear(its, today, calibration) for product_id, its in rows.items()}
    return Read(customers, agreements, products, {i: u for i, u in units.items() if u is not None}, today)


def _rows(psa: Psa, product_ids: Sequence[PsaProductId], today: date) -> dict[PsaProductId, Sequence[UnitsRow]]:
    """The rows of each product that has any by today. Those that the PSA has not made for today yet are read further back."""
    if not product_ids:
        return {}
    rows: dict[PsaProductId, Sequence[UnitsRow]] = dict(read_rows(psa, product_ids, Window(today, today)))
    late = [product_id for product_id, its in rows.items() if not its]
    if late:
        rows |= read_rows(psa, late, Window(today - timedelta(days=400), today))
    return {product_id: its for product_id, its in rows.items() if its}


def _keep(writer: Writer, outside: OutsideConnection, read: Read) -> None:
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
    _store(writer, outside, _well)
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


_LEVELS = (
    ("customer", tables.psa_customers),
    ("agreement", tables.psa_agreements),
    ("product", tables.psa_products),
)


def _read_ids(read: Read) -> dict[str, set[str]]:
    return {
        "customer": {customer.psa_customer_id for customer in read.customers},
        "agreement": {agreement.psa_agreement_id for agreement in read.agreements},
        "product": {product.psa_product_id for product in read.products},
    }


def _check_whole(writer: Writer, outside: OutsideConnection, read: Read) -> None:
    """PsaFailure when a level has lost half of what was known, or all: that is no fact."""
    found = _read_ids(read)
    with writer.engine.connect() as connection:
        for level, table in _LEVELS:
            known = _ids(connection, outside, level, table)
            lost = known - found[level]
            if known and (lost == known or (len(known) > _FEW and 2 * len(lost) > len(known))):
                message = f"The PSA shows {len(known) - len(lost)} of the {len(known)} {level}s that it showed before."
                raise PsaFailure("rejected", message, _RIGHTS_FIX)


def _ids(connection: Connection, outside: OutsideConnection, level: str, table: Any) -> set[str]:
    return set(
        connection.scalars(
            select(table.c[f"psa_{level}_id"]).where(
                table.c.msp_id == outside.msp_id, table.c.connection_id == outside.connection_id, ~table.c.gone
            )
        )
    )


def _missing(scope: Scope, read: Read) -> list[NewEvent]:
    """Counts what was not shown, and tells what is gone."""
    found = _read_ids(read)
    events: list[NewEvent] = []
    for level, table in _LEVELS:
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


def _well(scope: Scope) -> list[NewEvent]:
    standing.set_well(scope.connection, scope.msp_id, scope.connection_id, posted=False)
    scope.connection.execute(
        text("UPDATE psa_writer.connections SET catalogue_told = NULL WHERE msp_id = :m AND connection_id = :c"),
        {"m": scope.msp_id, "c": scope.connection_id},
    )
    return []


def _tell_failed(writer: Writer, outside: OutsideConnection, failure: PsaFailure) -> None:
    """What was known stays. Told once for as long as the failure is the same; read again after a pause."""
    now = writer.clock.now()
    log.warning("catalogue not read", extra={"connection_id": outside.connection_id, "reason": failure.message})
    with writer.engine.begin() as connection:
        row = connection.execute(
            text(
                """SELECT failures, catalogue_told, catalogue_version FROM psa_writer.connections
                   WHERE msp_id = :m AND connection_id = :c FOR UPDATE"""
            ),
            {"m": outside.msp_id, "c": outside.connection_id},
        ).one()
        until = now + timedelta(seconds=choose_pause(row.failures + 1, failure.retry_after))
        stopped = outside.version if failure.kind == "unauthorised" else None
        standing.set_failed(
            connection, outside.msp_id, outside.connection_id, failure.kind, failure.message, until, stopped
        )
        told = f"{failure.kind}: {failure.message}"
        news = told != row.catalogue_told
        connection.execute(
            text(
                """UPDATE psa_writer.connections SET next_catalogue_at = :until, catalogue_told = :told,
                   catalogue_version = catalogue_version + :news WHERE msp_id = :m AND connection_id = :c"""
            ),
            {"until": until, "told": told, "news": int(news), "m": outside.msp_id, "c": outside.connection_id},
        )
        if news:
            event = CatalogueReadFailed(
                psa_connection_id=outside.connection_id, kind=failure.kind, message=failure.message, fix=failure.fix
            )
            scope = Scope(connection, outside.msp_id, outside.connection_id, now)
            new = scope.new_event(f"catalogue/{outside.connection_id}", row.catalogue_version + 1, event)
            event_log.append(
                connection,
                outside.msp_id,
                [new],
                recorded_at=now,
                recorded_by="psa_writer",
                correlation_id=correlation_id(),
            )


def _linked(connection: Connection, outside: OutsideConnection) -> set[PsaProductId]:
    ids = connection.scalars(
        text("SELECT DISTINCT psa_product_id FROM psa_writer.relations WHERE msp_id = :m AND connection_id = :c"),
        {"m": outside.msp_id, "c": outside.connection_id},
    )
    return {PsaProductId(each) for each in ids}


def _known_agreements(connection: Connection, outside: OutsideConnection) -> set[PsaAgreementId]:
    ids = _ids(connection, outside, "agreement", tables.psa_agreements)
    return {PsaAgreementId(each) for each in ids}
