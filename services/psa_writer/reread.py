"""Products that a person looks at -> their units read from the PSA now, told when they differ from what was read before."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from domain.keys import ConnectionId, MspId, PsaAgreementId, PsaCustomerId, PsaProductId
from plumbing import event_log, setup
from plumbing.budget import BudgetSpent
from plumbing.logs import correlation_id
from services.psa_writer import standing
from services.psa_writer.as_read import units_if_clear
from services.psa_writer.catalogue import units_rows
from services.psa_writer.failing import as_failure
from services.psa_writer.observed import AgreementNames, Scope, observe_units
from services.psa_writer.psa.port import PsaFailure
from services.psa_writer.writer import Writer


def reread_units(writer: Writer, msp_id: MspId, products: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """{"results": [{"psa_connection_id", "psa_product_id", "ok", "refusal"}], "refusal": None}, one for each product
    {"psa_connection_id", "psa_product_id"}, in order; the units of each connection are read together."""
    read: dict[str, dict[PsaProductId, int] | dict[str, str]] = {}
    for connection_id in sorted({product["psa_connection_id"] for product in products}):
        ids = [PsaProductId(p["psa_product_id"]) for p in products if p["psa_connection_id"] == connection_id]
        read[connection_id] = _of_connection(writer, msp_id, ConnectionId(connection_id), ids)
    return {"results": [_result(product, read[product["psa_connection_id"]]) for product in products], "refusal": None}


def _of_connection(
    writer: Writer, msp_id: MspId, connection_id: ConnectionId, ids: Sequence[PsaProductId]
) -> dict[PsaProductId, int] | dict[str, str]:
    """The units of those that could be read, or why none could."""
    with writer.engine.begin() as connection:
        outside = setup.connection_of(connection, msp_id, connection_id)
        today = writer.clock.today(setup.msp(connection, msp_id).time_zone)
        given = outside.settings.get("mid_period_rows", "unknown")
        calibration = standing.standing(connection, msp_id, connection_id).calibration if given == "unknown" else given
    opened = writer.open_psa(outside)
    try:
        rows = units_rows(opened.psa, ids, today)
    except (PsaFailure, BudgetSpent) as failure:
        failed = as_failure(failure, writer.clock.now())
        return {"code": failed.kind, "message": failed.message, "fix": failed.fix}
    finally:
        opened.close()
    known = {product_id: units_if_clear(its, today, calibration) for product_id, its in rows.items()}
    units = {product_id: its for product_id, its in known.items() if its is not None}
    now = writer.clock.now()
    with writer.engine.begin() as connection:
        scope = Scope(connection, msp_id, connection_id, now)
        events = observe_units(scope, units, today, _names(connection, msp_id, connection_id, list(units)))
        if events:
            event_log.append(
                connection,
                msp_id,
                events,
                recorded_at=now,
                recorded_by="psa_writer",
                correlation_id=correlation_id(),
            )
    return units


def _names(
    connection: Connection, msp_id: MspId, connection_id: ConnectionId, ids: Sequence[PsaProductId]
) -> dict[PsaAgreementId, AgreementNames]:
    rows = connection.execute(
        text(
            """SELECT DISTINCT a.psa_agreement_id, a.psa_customer_id, coalesce(c.name, '') AS customer, a.name
               FROM psa_writer.psa_products p
               JOIN psa_writer.psa_agreements a USING (msp_id, connection_id, psa_agreement_id)
               LEFT JOIN psa_writer.psa_customers c USING (msp_id, connection_id, psa_customer_id)
               WHERE p.msp_id = :m AND p.connection_id = :c AND p.psa_product_id = ANY(:ids)"""
        ),
        {"m": msp_id, "c": connection_id, "ids": list(ids)},
    )
    return {
        PsaAgreementId(row.psa_agreement_id): AgreementNames(PsaCustomerId(row.psa_customer_id), row.customer, row.name)
        for row in rows
    }


def _result(product: Mapping[str, str], read: Mapping[Any, Any]) -> dict[str, Any]:
    refusal = dict(read) if "code" in read else None
    if refusal is None and product["psa_product_id"] not in read:
        refusal = {
            "code": "product_unreadable",
            "message": "The PSA shows no units of this product that can be told.",
            "fix": "Look at the product in the PSA.",
        }
    place = {name: product[name] for name in ("psa_connection_id", "psa_product_id")}
    return {**place, "ok": refusal is None, "refusal": refusal}
