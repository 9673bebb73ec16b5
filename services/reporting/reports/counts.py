"""Counts with the time for which they held -> what a resource counted, cost and was linked to on any day."""

from sqlalchemy import Text, and_, cast, literal, or_

from services.reporting.reports.columns import HELP, Column, Kind, Order, Report, columns, living, named, of
from services.reporting.tables import ODIN_NAMES, counts, renewals, resources

_NAMES = and_(living(resources, "resources"), resources.c.resource_key == counts.c.resource_key)
_RENEWAL = and_(
    living(renewals, "counts"),
    renewals.c.connection_id == counts.c.connection_id,
    renewals.c.subscription_id == counts.c.subscription_id,
)

COUNTS = Report(
    "counts",
    "Count",
    "What each resource counted, cost and was linked to, and for how long: its history without gaps.",
    "counts",
    counts.outerjoin(resources, _NAMES).outerjoin(renewals, _RENEWAL),
    # What another event of the same moment replaced was never so for any time.
    and_(living(counts, "counts"), or_(counts.c.valid_to.is_(None), counts.c.valid_to > counts.c.valid_from)),
    columns(
        Column(
            "range_id",
            Kind.ID,
            counts.c.resource_key.op("||")(literal("@")).op("||")(cast(counts.c.from_position, Text)),
            nullable=False,
            help="The resource and the position from which the row holds.",
        ),
        of(counts, "resource_key", Kind.ID, HELP["resource_key"]),
        named(resources, *ODIN_NAMES, nullable=True),
        of(counts, "valid_from", Kind.MOMENT, "From this moment on."),
        of(counts, "valid_to", Kind.MOMENT, "Until just before this moment; null: until now."),
        of(counts, "from_position", Kind.POSITION, "The place in the MSP's log from which on it holds."),
        of(counts, "to_position", Kind.POSITION, "The place before which it holds; null: it holds now."),
        of(counts, "status", Kind.ID, "active, or ended when ODIN had it no more."),
        of(counts, "count", Kind.NUMBER, "Licences. Null when ODIN gave no count, which is not 0."),
        of(counts, "unit_cost", Kind.MONEY, "What ODIN billed the MSP for one unit and billing period."),
        of(counts, "unit_price", Kind.MONEY, "What ODIN advised to bill for one unit and billing period."),
        named(counts, "relation_id", "psa_connection_id", "psa_product_id", nullable=True),
        of(counts, "excluded", Kind.FLAG, "Whether someone had left it out of billing."),
        of(
            renewals,
            "previous_subscription_id",
            Kind.ID,
            "The subscription that this one went on from by renewal.",
            as_name="renewed_from",
            nullable=True,
        ),
        of(renewals, "renewed_at", Kind.MOMENT, "When that was found.", nullable=True),
    ),
    "range_id",
    (Order("valid_from", descending=True),),
)
