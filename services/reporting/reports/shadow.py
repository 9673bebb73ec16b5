"""What would have been posted but for the mode shadow -> against the units that the PSA shows by now."""

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, living, named, of
from services.reporting.reports.ledger import units_of
from services.reporting.tables import ODIN_NAMES, PSA_NAMES, product_units, shadowed_requests

_UNITS = units_of(shadowed_requests.c.psa_connection_id, shadowed_requests.c.psa_product_id)

SHADOW = Report(
    "shadow",
    "ShadowAdjustment",
    "What Trueup would have posted in shadow mode, beside the units that the PSA has by now.",
    "held",
    shadowed_requests.outerjoin(product_units, _UNITS),
    living(shadowed_requests, "held"),
    columns(
        of(shadowed_requests, "request_id", Kind.ID, "The request."),
        named(shadowed_requests, *ODIN_NAMES, *PSA_NAMES),
        of(shadowed_requests, "shadowed_at", Kind.MOMENT, "When it would have been posted."),
        of(shadowed_requests, "units_before", Kind.WHOLE, "The units that the PSA had then."),
        of(shadowed_requests, "target_units", Kind.WHOLE, "The units that the product should have."),
        Column(
            "unit_change",
            Kind.WHOLE,
            shadowed_requests.c.target_units - shadowed_requests.c.units_before,
            nullable=False,
            help="By how many units it would have changed.",
        ),
        of(shadowed_requests, "effective_date", Kind.DATE, "The first day from which it would have counted."),
        of(shadowed_requests, "money_now", Kind.MONEY, "Our reckoning of what it bills for the rest of that period."),
        of(shadowed_requests, "price_per_month", Kind.MONEY, "The change at the product's price, for a month."),
        of(
            shadowed_requests,
            "state",
            Kind.ID,
            "would_post; superseded (a newer count took its place); or, with another mode since: under_way, posted or "
            "found_equal.",
        ),
        Column(
            "psa_units", Kind.WHOLE, product_units.c.read_units, nullable=True, help="The PSA's units, as last read."
        ),
        Column("psa_read_at", Kind.MOMENT, product_units.c.read_at, nullable=True, help="When they were read."),
        Column(
            "difference",
            Kind.WHOLE,
            product_units.c.read_units - shadowed_requests.c.target_units,
            nullable=True,
            help="The PSA's units minus those that the product should have: 0 when somebody else has posted it.",
        ),
    ),
    "request_id",
    (Order("shadowed_at", descending=True),),
    ("unit_change", "money_now", "price_per_month"),
)
