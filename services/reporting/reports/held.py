"""Parked adjustments -> what waits for a person: the rule that held it, units before and after, since when, for how much money."""

from sqlalchemy import and_

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, living, named, of
from services.reporting.reports.ledger import units_of
from services.reporting.tables import ODIN_NAMES, PSA_NAMES, failures, product_units, psa_products

_PRODUCT = and_(
    living(psa_products, "psa"),
    psa_products.c.psa_connection_id == failures.c.psa_connection_id,
    psa_products.c.psa_product_id == failures.c.psa_product_id,
)
_UNITS = units_of(failures.c.psa_connection_id, failures.c.psa_product_id)
_CHANGE = failures.c.target_units - product_units.c.read_units

HELD = Report(
    "held_adjustments",
    "HeldAdjustment",
    "Adjustments that wait for a person, and why.",
    "failures",
    failures.outerjoin(psa_products, _PRODUCT).outerjoin(product_units, _UNITS),
    and_(living(failures, "failures"), failures.c.subject == "adjustment", failures.c.state == "parked"),
    columns(
        of(failures, "request_id", Kind.ID, "The request: what is released.", nullable=False),
        named(failures, *ODIN_NAMES, *PSA_NAMES),
        of(
            failures,
            "kind",
            Kind.ID,
            "The rule that held it: large_change, contradiction, preflight or rejected.",
            as_name="rule",
            nullable=False,
        ),
        of(failures, "message", Kind.TEXT, "The rule in words.", as_name="rule_text", nullable=False),
        of(failures, "fix", Kind.TEXT, "What to do.", nullable=False),
        of(product_units, "read_units", Kind.WHOLE, "The product's units, as last read.", as_name="units_before"),
        of(product_units, "read_at", Kind.MOMENT, "When they were read.", as_name="units_read_at"),
        of(failures, "target_units", Kind.WHOLE, "The units that the product shall have.", nullable=False),
        Column("unit_change", Kind.WHOLE, _CHANGE, nullable=True, help="By how many units it would change."),
        Column(
            "price_per_period",
            Kind.MONEY,
            _CHANGE * psa_products.c.unit_price,
            nullable=True,
            help="The change at the product's price, for one billing period. Null when a part is unknown.",
            currency=psa_products.c.unit_price_currency,
        ),
        of(failures, "attempts", Kind.WHOLE, "How often it was tried or told."),
        of(
            failures,
            "first_failed_at",
            Kind.MOMENT,
            "Since when it has not gone out.",
            as_name="held_since",
            nullable=False,
        ),
    ),
    "request_id",
    (Order("held_since"),),
    ("unit_change", "price_per_period"),
)
