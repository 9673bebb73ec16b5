"""Adjustments and requests -> what was asked of the PSA and what was posted."""

from sqlalchemy import and_

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, living, named, of
from services.reporting.tables import ODIN_NAMES, PSA_NAMES, adjustments, held_requests, requests

_HELD = and_(living(held_requests, "held"), held_requests.c.request_id == adjustments.c.request_id)

ADJUSTMENTS = Report(
    "adjustments",
    "Adjustment",
    "The adjustment log: what was posted to the PSA, proved by reading back.",
    "adjustments",
    adjustments.outerjoin(held_requests, _HELD),
    living(adjustments, "adjustments"),
    columns(
        of(adjustments, "position", Kind.POSITION, "The place in the MSP's log where it is recorded."),
        named(adjustments, "request_id", *ODIN_NAMES, *PSA_NAMES),
        of(adjustments, "operation_id", Kind.ID, "The writer's name for this post."),
        of(
            adjustments,
            "posted_at",
            Kind.DAY,
            "The day it was posted (Adjustment Date), in the MSP's time zone.",
            as_name="adjustment_date",
        ),
        of(adjustments, "posted_at", Kind.MOMENT, "The moment it was posted."),
        of(adjustments, "effective_date", Kind.DATE, "The billing day that the PSA counts from."),
        of(adjustments, "unit_change", Kind.WHOLE, "Units added or, below zero, taken away (Adjustment Amount)."),
        of(adjustments, "units_before", Kind.WHOLE, "Units on the effective date before it."),
        of(adjustments, "units_after", Kind.WHOLE, "Units on the effective date after it."),
        of(adjustments, "unit_cost_before", Kind.MONEY, "The product's unit cost before it."),
        of(adjustments, "unit_cost_after", Kind.MONEY, "The product's unit cost after it."),
        of(adjustments, "unit_price_before", Kind.MONEY, "The product's unit price before it."),
        of(adjustments, "unit_price_after", Kind.MONEY, "The product's unit price after it."),
        of(adjustments, "prorated_cost", Kind.MONEY, "Our reckoning of its cost for the rest of that period."),
        of(adjustments, "prorated_price", Kind.MONEY, "Our reckoning of what is billed for the rest of that period."),
        of(adjustments, "proof", Kind.ID, "How it was proved."),
        of(adjustments, "attempt", Kind.WHOLE, "The try that went through."),
        of(adjustments, "completes_request", Kind.FLAG, "Whether the request was done with it."),
        Column(
            "approved_by",
            Kind.TEXT,
            held_requests.c.approved_by,
            nullable=True,
            help="Who approved it, when the brake held it before.",
        ),
    ),
    "position",
    (Order("adjustment_date", descending=True),),
    ("unit_change", "prorated_cost", "prorated_price"),
)
REQUESTS = Report(
    "requests",
    "Request",
    "What was asked of the PSA's units and how far each request has come.",
    "adjustments",
    requests,
    living(requests, "adjustments"),
    columns(
        of(requests, "request_id", Kind.ID, "The request."),
        named(requests, *ODIN_NAMES, *PSA_NAMES),
        of(requests, "target_units", Kind.WHOLE, "The units the product shall have."),
        of(requests, "target_unit_cost", Kind.MONEY, "The unit cost it shall have; null: as it is."),
        of(requests, "target_unit_price", Kind.MONEY, "The unit price it shall have; null: as it is."),
        of(requests, "reason", Kind.TEXT, "Why it was asked."),
        of(requests, "requested_at", Kind.MOMENT, "When it was asked."),
        of(requests, "state", Kind.ID, "open, posted, found_equal, superseded, refused or dropped."),
        of(requests, "posted_at", Kind.MOMENT, "When its last adjustment was posted."),
        of(requests, "found_equal_at", Kind.MOMENT, "When the PSA was found to have the units already."),
        of(requests, "superseded_at", Kind.MOMENT, "When it gave way to another, or to none."),
        of(requests, "refused_at", Kind.MOMENT, "When a person refused it."),
        of(requests, "dropped_at", Kind.MOMENT, "When a person gave it up."),
        of(requests, "superseded_by", Kind.ID, "The request it gave way to."),
    ),
    "request_id",
    (Order("requested_at", descending=True),),
)
