"""A connection whose catalogue is due -> its customers, agreements, products and units of linked products, read whole.

A reading that breaks off changes nothing: it is told as failed, and tried again after a pause.
"""

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import chain
from typing import TypeVar

from sqlalchemy import Connection, text

from domain.events import CatalogueReadFailed
from domain.keys import ConnectionId, MspId, PsaAgreementId, PsaProductId
from plumbing import event_log, setup
from plumbing.budget import BudgetSpent
from plumbing.logs import correlation_id
from plumbing.setup import OutsideConnection
from services.psa_writer import standing
from services.psa_writer.as_read import units_if_clear
from services.psa_writer.choose_pause import choose_pause
from services.psa_writer.failing import as_failure
from services.psa_writer.keep_catalogue import Read, keep, known_ids
from services.psa_writer.leases import CATALOGUE, lease
from services.psa_writer.observed import (
    Scope,
)
from services.psa_writer.psa.port import Psa, PsaFailure, UnitsRow
from services.psa_writer.reading import Window, read_rows
from services.psa_writer.writer import Writer

log = logging.getLogger(__name__)
T = TypeVar("T")

#: After this time a reader that died gives its place back.
_LONGEST_READING = 900.0


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
            keep(writer, outside, _read(writer, outside))
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
        rows = units_rows(opened.psa, there, today)
    finally:
        opened.close()
    calibration = outside.settings.get("mid_period_rows", "unknown")
    calibration = fares.calibration if calibration == "unknown" else calibration
    units = {product_id: units_if_clear(its, today, calibration) for product_id, its in rows.items()}
    return Read(customers, agreements, products, {i: u for i, u in units.items() if u is not None}, today)


def units_rows(psa: Psa, product_ids: Sequence[PsaProductId], today: date) -> dict[PsaProductId, Sequence[UnitsRow]]:
    """The rows of each product that has any by today. Those that the PSA has not made for today yet are read further back."""
    if not product_ids:
        return {}
    rows: dict[PsaProductId, Sequence[UnitsRow]] = dict(read_rows(psa, product_ids, Window(today, today)))
    late = [product_id for product_id, its in rows.items() if not its]
    if late:
        rows |= read_rows(psa, late, Window(today - timedelta(days=400), today))
    return {product_id: its for product_id, its in rows.items() if its}


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
        told = f"{outside.version} {failure.kind}: {failure.message}"
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
    ids = known_ids(connection, outside, "agreement")
    return {PsaAgreementId(each) for each in ids}
