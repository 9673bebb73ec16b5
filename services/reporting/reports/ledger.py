"""The ledger -> what was said of a PSA product's units, by us and by the PSA."""

from typing import Any

from sqlalchemy import ColumnElement, and_

from services.reporting.reports.columns import Kind, Order, Report, columns, living, named, of
from services.reporting.tables import ledger, product_units, psa_products


def units_of(psa_connection_id: ColumnElement[Any], psa_product_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """What holds of the one row of product_units that is the product's."""
    return and_(
        living(product_units, "ledger"),
        product_units.c.psa_connection_id == psa_connection_id,
        product_units.c.psa_product_id == psa_product_id,
    )


_PRODUCT = and_(
    living(psa_products, "psa"),
    psa_products.c.psa_connection_id == ledger.c.psa_connection_id,
    psa_products.c.psa_product_id == ledger.c.psa_product_id,
)
LEDGER = Report(
    "ledger",
    "LedgerEntry",
    "What was said of a PSA product's units, by us and by the PSA: one row for each post, finding, adoption and new reading.",
    "ledger",
    ledger.outerjoin(psa_products, _PRODUCT),
    living(ledger, "ledger"),
    columns(
        of(ledger, "position", Kind.POSITION, "The place in the MSP's log where it was said."),
        named(ledger, "psa_connection_id", "psa_product_id"),
        named(
            psa_products,
            "psa_customer_id",
            "psa_customer_name",
            "psa_agreement_id",
            "psa_agreement_name",
            "psa_product_name",
            nullable=True,
        ),
        of(ledger, "kind", Kind.ID, "posted, found_equal or adopted by us, or read: what the PSA had."),
        of(ledger, "on_date", Kind.DATE, "The billing day from which (read: on which) the units are those."),
        of(ledger, "units", Kind.WHOLE, "The units."),
        of(ledger, "unit_change", Kind.WHOLE, "By how many a post changed them."),
        of(ledger, "told_at", Kind.MOMENT, "When it was said."),
        of(ledger, "request_id", Kind.ID, "The request of a post or finding."),
    ),
    "position",
    (Order("told_at", descending=True),),
)
