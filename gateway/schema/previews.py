"""What setting, clearing, undoing or overwriting would come to -> GraphQL: rows, totals and the token that stands for them."""

from typing import Any

import graphene

from gateway.previews import Kept
from gateway.schema.making import made_type, many
from gateway.schema.scalars import Date, DateTime, Decimal, Money
from gateway.showing import totals

Severity = graphene.Enum(
    "PreflightSeverity",
    [(name, name) for name in ("ERROR", "WARNING", "INFO")],
    description=lambda value: {
        "ERROR": "It must be put right first: nothing is done for the row.",
        "WARNING": "It is done, but its post waits until this is over.",
        "INFO": "Worth knowing.",
    }.get(getattr(value, "value", ""), "How much a verdict weighs."),
)
Preflight = made_type(
    "Preflight",
    "What was looked at before anything is done, and found wanting.",
    {
        "code": graphene.String(required=True, description="For programs."),
        "severity": graphene.Field(Severity, required=True, description="How much it weighs."),
        "message": graphene.String(required=True, description="For people: what stands in the way."),
        "fix": graphene.String(required=True, description="For people: what to do."),
    },
)
Brake = made_type(
    "Brake",
    "Why a change would wait for a person.",
    {
        "held": graphene.Boolean(required=True, description="Whether it would wait."),
        "reason": graphene.String(required=True, description="Why."),
        "fix": graphene.String(required=True, description="What to do then."),
    },
)
PreviewPeriod = made_type(
    "PreviewPeriod",
    "A billing period of the PSA.",
    {
        "first_day": Date(name="from", required=True, description="Its first day."),
        "last_day": Date(name="to", required=True, description="Its last day."),
        "posted": graphene.Boolean(required=True, description="Whether the PSA has invoiced it."),
    },
)
PreviewDays = made_type(
    "PreviewDays",
    "Days of a billing period.",
    {
        "charged": graphene.Int(required=True, description="Days that the change is billed for."),
        "of": graphene.Int(required=True, description="Days of the period."),
    },
)
PlannedChange = made_type(
    "PlannedChange",
    "One adjustment that would be posted.",
    {
        "effective_date": Date(required=True, description="The billing day that the PSA would count from."),
        "unit_change": graphene.Int(required=True, description="Units added or, below zero, taken away."),
        "units_before": graphene.Int(required=True, description="Units on that day before it."),
        "units_after": graphene.Int(required=True, description="Units from that day on."),
        "prorated_cost": graphene.Field(Money, description="Its cost for the rest of that billing period."),
        "prorated_price": graphene.Field(Money, description="What is billed for the rest of that billing period."),
    },
)
_NOW = "for the rest of the running billing period; 0 for what counts later. Null when the unit value is not known."
_MONTH = "of a full month. Null when a unit value is not known."
PreviewRow = made_type(
    "PreviewRow",
    "What one row would come to. Rows of one product show the same numbers: those of the product.",
    {
        "id": graphene.String(description="The row's id as it was given."),
        "relation_id": graphene.String(description="The relation, of rows that have one."),
        "resource_key": graphene.String(description="The resource."),
        "company_name": graphene.String(description="Its company."),
        "subscription_name": graphene.String(description="Its subscription."),
        "resource_name": graphene.String(description="Its name."),
        "psa_connection_id": graphene.String(description="The PSA connection."),
        "psa_customer_name": graphene.String(description="The PSA customer."),
        "psa_agreement_name": graphene.String(description="The PSA agreement."),
        "psa_product_id": graphene.String(description="The product."),
        "psa_product_name": graphene.String(description="Its name."),
        "count": Decimal(description="The resource's count in ODIN; null when it is not known."),
        "count_read_at": DateTime(description="When ODIN last said something new of it."),
        "feeds": graphene.Int(description="How many resources would feed the product."),
        "target_units": graphene.Int(description="The units that the product would be brought to; null: to none."),
        "units": graphene.Int(description="The product's units in the PSA today, read for this preview."),
        "units_read_at": DateTime(description="When they were read."),
        "unit_change": graphene.Int(
            description="Units that would be added or, below zero, taken away, whenever they count."
        ),
        "effective_date": Date(description="The billing day of the first change; null when nothing would be posted."),
        "changes": graphene.Field(many(PlannedChange), description="The adjustments, by date."),
        "period": graphene.Field(PreviewPeriod, description="The billing period of the effective date."),
        "days": graphene.Field(PreviewDays, description="How much of it is billed."),
        "price_now": graphene.Field(Money, description=f"What is billed {_NOW}"),
        "cost_now": graphene.Field(Money, description=f"The cost {_NOW}"),
        "price_month": graphene.Field(Money, description=f"What is billed more or, below zero, less {_MONTH}"),
        "cost_month": graphene.Field(Money, description=f"The cost {_MONTH}"),
        "margin_month": graphene.Field(Money, description=f"Price less cost {_MONTH}"),
        "preflight": graphene.Field(many(Preflight), description="What stands against it; empty when nothing does."),
        "brake": graphene.Field(Brake, description="Why the change would wait for a person; null: it would not."),
    },
)
PreviewSum = made_type(
    "PreviewSum",
    "Sums in one currency.",
    {
        "currency": graphene.String(required=True, description="Its three letters (ISO 4217)."),
        "price_now": Decimal(required=True, description=f"What is billed {_NOW}"),
        "cost_now": Decimal(required=True, description=f"The cost {_NOW}"),
        "price_month": Decimal(required=True, description="What is billed more or less of a full month."),
        "cost_month": Decimal(required=True, description="The cost of a full month."),
        "margin_month": Decimal(required=True, description="Price less cost of a full month."),
    },
)
PreviewTotals = made_type(
    "PreviewTotals",
    "What all rows that can be done come to, each product counted once.",
    {
        "rows": graphene.Int(required=True, description="Rows of the preview."),
        "blocked": graphene.Int(required=True, description="Rows that cannot be done: see their preflight."),
        "held": graphene.Int(required=True, description="Products whose change would wait for a person."),
        "products": graphene.Int(required=True, description="Products that the other rows belong to."),
        "unit_change": graphene.Int(required=True, description="Their unit changes, summed."),
        "money": graphene.Field(many(PreviewSum), description="Their money, one row a currency."),
    },
)
Preview = made_type(
    "Preview",
    "What something would come to, and the token by which it is done. Nothing is done yet.",
    {
        "token": graphene.String(
            required=True, description="Stands for all that is shown here; for you, and one operation."
        ),
        "expires_at": DateTime(required=True, description="From then on the token is stale."),
        "rows": graphene.Field(many(PreviewRow), description="One for each row that was asked for."),
        "totals": graphene.Field(PreviewTotals, required=True, description="All of them."),
    },
)


def told(kept: Kept) -> dict[str, Any]:
    """A preview as GraphQL tells it."""
    return {"token": kept.token, "expires_at": kept.expires_at, "rows": kept.rows, "totals": totals(kept.rows)}
