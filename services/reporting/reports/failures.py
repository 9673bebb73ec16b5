"""Failures -> the failure log."""

from sqlalchemy import and_, case

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, living, named, of
from services.reporting.reports.ledger import units_of
from services.reporting.tables import ODIN_NAMES, PSA_NAMES, failures, product_units

_UNITS = units_of(failures.c.psa_connection_id, failures.c.psa_product_id)

FAILURES = Report(
    "failures",
    "Failure",
    "The failure log: what did not work, why, what to do, and how it ended.",
    "failures",
    failures.outerjoin(product_units, _UNITS),
    and_(living(failures, "failures"), failures.c.attempts > 0),
    columns(
        of(failures, "failure_id", Kind.ID, "The failure."),
        of(failures, "subject", Kind.ID, "adjustment, or poll/…, catalogue/…, plan/… with what failed."),
        of(failures, "request_id", Kind.ID, "The request of an adjustment that failed."),
        named(failures, *ODIN_NAMES, *PSA_NAMES, nullable=True),
        of(
            failures,
            "first_failed_at",
            Kind.DAY,
            "The day it failed first (Adjustment Date), in the MSP's time zone.",
            as_name="adjustment_date",
            nullable=False,
        ),
        of(failures, "target_units", Kind.WHOLE, "The units the product shall have."),
        Column(
            "unit_change",
            Kind.WHOLE,
            case((failures.c.state != "closed", failures.c.target_units - product_units.c.read_units)),
            nullable=True,
            help="By how many units, as last read, the product would change (Adjustment Amount). Null when closed or unknown.",
        ),
        of(
            failures,
            "kind",
            Kind.ID,
            "unreachable, rate_limited, unauthorised, rejected, outcome_unknown, ...",
            nullable=False,
        ),
        of(
            failures,
            "message",
            Kind.TEXT,
            "What went wrong (Error Message).",
            as_name="error_message",
            nullable=False,
        ),
        of(failures, "fix", Kind.TEXT, "What to do.", nullable=False),
        of(failures, "attempts", Kind.WHOLE, "How often it failed."),
        of(failures, "first_failed_at", Kind.MOMENT, "When it failed first.", nullable=False),
        of(failures, "last_failed_at", Kind.MOMENT, "When it failed last.", nullable=False),
        of(failures, "next_try_at", Kind.MOMENT, "When it is tried again by itself."),
        of(
            failures,
            "state",
            Kind.ID,
            "open (tried again by itself), parked (waits for a person), held or shadowed (no failure meanwhile) or closed.",
        ),
        of(failures, "closed_at", Kind.MOMENT, "When it ended."),
        of(
            failures, "closed_by", Kind.ID, "posted, found_equal, superseded, withdrawn, refused, dropped or went well."
        ),
    ),
    "failure_id",
    (Order("first_failed_at", descending=True),),
)
