"""What the brake holds -> the rule, the units and the money of each, what speaks for and against it, who has approved it."""

from sqlalchemy import and_

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, living, named, of
from services.reporting.tables import ODIN_NAMES, PSA_NAMES, held_requests

HELD = Report(
    "held_adjustments",
    "HeldAdjustment",
    "Adjustments that the brake holds until people have approved them, and why.",
    "held",
    held_requests,
    and_(living(held_requests, "held"), held_requests.c.state == "held"),
    columns(
        of(held_requests, "request_id", Kind.ID, "The request: what is approved or refused.", nullable=False),
        named(held_requests, *ODIN_NAMES, *PSA_NAMES),
        of(
            held_requests,
            "rule",
            Kind.ID,
            "The rule that holds it: freeze, hold_first, mode, short_answer, to_zero, fall, rise, swing, hour or changed.",
        ),
        of(held_requests, "rule_text", Kind.TEXT, "The rule with its numbers."),
        of(held_requests, "severity", Kind.ID, "normal or high."),
        of(held_requests, "units_before", Kind.WHOLE, "The units that the PSA had when it was held."),
        of(held_requests, "target_units", Kind.WHOLE, "The units that the product shall have."),
        Column(
            "unit_change",
            Kind.WHOLE,
            held_requests.c.target_units - held_requests.c.units_before,
            nullable=False,
            help="By how many units it would change.",
        ),
        of(held_requests, "effective_date", Kind.DATE, "The first day from which it would count."),
        of(held_requests, "money_now", Kind.MONEY, "Our reckoning of what it bills for the rest of that period."),
        of(held_requests, "price_per_month", Kind.MONEY, "The change at the product's price, for a month."),
        of(held_requests, "evidence_for", Kind.TEXT, "What speaks for it, a line each."),
        of(held_requests, "evidence_against", Kind.TEXT, "What speaks against it, a line each."),
        of(held_requests, "approvals", Kind.WHOLE, "How many people have approved it."),
        of(held_requests, "approved_by", Kind.TEXT, "Who they are."),
        of(held_requests, "people_needed", Kind.WHOLE, "How many people must approve it."),
        of(held_requests, "held_since", Kind.MOMENT, "Since when it is held."),
    ),
    "request_id",
    (Order("held_since"),),
    ("unit_change", "money_now", "price_per_month"),
)
