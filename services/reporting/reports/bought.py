"""Resources and their subscriptions -> what is bought: all of it, what is linked and what is not."""

from sqlalchemy import and_, case, func, or_

from services.reporting.reports.columns import HELP, Column, Kind, Order, Report, columns, living, named, of
from services.reporting.tables import (
    ODIN_NAMES,
    PSA_NAMES,
    exclusions,
    psa_products,
    relation_settings,
    resources,
    subscriptions,
)


def _per_month(name: str, money: str, says: str) -> Column:
    """Count times the money of one unit, brought to one month by the subscription's billing period."""
    amount = func.round(resources.c.count * resources.c[money] / subscriptions.c.billing_months, 2)
    # Without a sum there is no currency either.
    currency = case((amount.is_not(None), resources.c[f"{money}_currency"]))
    return Column(name, Kind.MONEY, amount, nullable=True, help=says, currency=currency)


_BOUGHT = resources.outerjoin(
    subscriptions,
    and_(
        subscriptions.c.msp_id == resources.c.msp_id,
        subscriptions.c.generation == resources.c.generation,
        subscriptions.c.connection_id == resources.c.connection_id,
        subscriptions.c.subscription_id == resources.c.subscription_id,
    ),
)
_RESOURCE = columns(
    of(resources, "resource_key", Kind.ID, HELP["resource_key"]),
    named(resources, *ODIN_NAMES),
    of(resources, "status", Kind.ID, "active, or ended when ODIN has it no more."),
    of(resources, "count", Kind.NUMBER, "Licences. Null when ODIN gives no count, which is not 0."),
    of(resources, "unit", Kind.TEXT, "What is counted, such as licence or GB."),
    of(resources, "unit_cost", Kind.MONEY, "What ODIN bills the MSP for one unit and billing period."),
    of(resources, "unit_price", Kind.MONEY, "What ODIN advises to bill for one unit and billing period."),
    _per_month("cost_per_month", "unit_cost", "Count times unit cost, for one month. Null when a part is unknown."),
    _per_month("price_per_month", "unit_price", "Count times unit price, for one month. Null when a part is unknown."),
    of(resources, "usage_based", Kind.FLAG, "Billed by use: there is no count to bill, do not link."),
    of(resources, "mpn", Kind.TEXT, "The manufacturer's part number."),
    of(resources, "vendor", Kind.TEXT, "Who makes it."),
    of(subscriptions, "subscription_status", Kind.ID, "The subscription's status in ODIN.", nullable=True),
    of(subscriptions, "billing_period", Kind.TEXT, "How often ODIN bills it, such as 1 month.", nullable=True),
    of(subscriptions, "renewal_date", Kind.DATE, "When the subscription renews or ends.", nullable=True),
    of(subscriptions, "renews", Kind.FLAG, "Whether it renews by itself.", nullable=True),
    of(resources, "first_seen_at", Kind.MOMENT, "When it was first seen in ODIN."),
    of(
        resources,
        "read_at",
        Kind.MOMENT,
        "The last reading of ODIN that said something new of it; readings that found nothing new leave no trace here.",
    ),
    of(resources, "ended_at", Kind.MOMENT, "When it was found ended."),
)
_LINK = columns(
    named(resources, "relation_id", *PSA_NAMES, nullable=True),
    of(resources, "linked_at", Kind.MOMENT, "When its relation was set.", as_name="set_at"),
    of(resources, "linked_by", Kind.TEXT, "Who set its relation.", as_name="set_by"),
)
EXCLUSION = and_(living(exclusions, "resources"), exclusions.c.resource_key == resources.c.resource_key)
_SETTINGS = and_(living(relation_settings, "resources"), relation_settings.c.relation_id == resources.c.relation_id)
_LINKED_PRODUCT = and_(
    living(psa_products, "psa"),
    psa_products.c.psa_connection_id == resources.c.psa_connection_id,
    psa_products.c.psa_product_id == resources.c.psa_product_id,
)


def _psa_now(name: str) -> Column:
    """The name as the PSA has it now; until the catalogue was read, as it was when the relation was set."""
    return Column(
        name, Kind.TEXT, func.coalesce(psa_products.c[name], resources.c[name]), nullable=True, help=HELP[name]
    )


_BY_COMPANY = (Order("company_name"), Order("subscription_name"), Order("resource_name"))
_SUMS = ("count", "cost_per_month", "price_per_month")

SUBSCRIPTIONS = Report(
    "subscriptions",
    "Resource",
    "What is bought, for whom, how many: every resource that ODIN has or had, linked or not.",
    "resources",
    _BOUGHT,
    living(resources, "resources"),
    _RESOURCE | _LINK,
    "resource_key",
    _BY_COMPANY,
    _SUMS,
)
UNLINKED = Report(
    "unlinked",
    "UnlinkedResource",
    "What is bought and billed to nobody: active resources without a relation that nobody has excluded.",
    "resources",
    _BOUGHT.outerjoin(exclusions, EXCLUSION),
    and_(
        living(resources, "resources"),
        resources.c.relation_id.is_(None),
        resources.c.status == "active",
        exclusions.c.resource_key.is_(None),
    ),
    _RESOURCE,
    "resource_key",
    _BY_COMPANY,
    _SUMS,
)
EXCLUDED = Report(
    "excluded",
    "ExcludedResource",
    "What is bought and deliberately not linked: left out of the unlinked resources, with the reason and the last day.",
    "resources",
    _BOUGHT.join(exclusions, EXCLUSION),
    living(resources, "resources"),
    _RESOURCE
    | columns(
        of(exclusions, "excluded_at", Kind.MOMENT, "When it was excluded."),
        of(exclusions, "excluded_by", Kind.TEXT, "Who excluded it."),
        of(exclusions, "excluded_reason", Kind.TEXT, "Why."),
        of(exclusions, "excluded_until", Kind.DATE, "The last day on which it is; null: until someone includes it."),
    ),
    "resource_key",
    _BY_COMPANY,
    _SUMS,
)
LINKED = Report(
    "linked",
    "LinkedResource",
    "Resources whose changes post by themselves, with the PSA product they feed.",
    "resources",
    _BOUGHT.outerjoin(psa_products, _LINKED_PRODUCT).outerjoin(relation_settings, _SETTINGS),
    and_(living(resources, "resources"), resources.c.relation_id.is_not(None)),
    _RESOURCE
    | _LINK
    | columns(
        Column(
            "unpriced",
            Kind.FLAG,
            or_(resources.c.unit_cost.is_(None), psa_products.c.unit_price.is_(None)),
            nullable=False,
            help="Whether its unit cost in ODIN or the product's unit price in the PSA is not known.",
        ),
        *(_psa_now(name) for name in PSA_NAMES if name.endswith("_name")),
        of(psa_products, "units", Kind.WHOLE, "The product's units when the PSA was last read.", nullable=True),
        of(psa_products, "units_read_at", Kind.MOMENT, "When the units were read.", nullable=True),
        of(psa_products, "period_type", Kind.ID, "The product's billing period in the PSA.", nullable=True),
        of(
            psa_products,
            "unit_cost",
            Kind.MONEY,
            "The product's unit cost in the PSA.",
            as_name="psa_unit_cost",
            nullable=True,
        ),
        of(
            psa_products,
            "unit_price",
            Kind.MONEY,
            "The product's unit price in the PSA.",
            as_name="psa_unit_price",
            nullable=True,
        ),
        Column(
            "rule",
            Kind.TEXT,
            func.coalesce(relation_settings.c.rule, "as is"),
            nullable=False,
            help="How the count becomes units, in words.",
        ),
        *(
            of(relation_settings, name, kind, says, nullable=True)
            for name, kind, says in (
                ("included", Kind.NUMBER, "Unit rule: licences that a flat fee covers. Null: nothing was settled."),
                ("pack_size", Kind.WHOLE, "Unit rule: licences that one unit stands for."),
                ("rounding", Kind.ID, "Unit rule: up, down, nearest or none."),
                ("minimum", Kind.WHOLE, "Unit rule: the fewest units."),
            )
        ),
        Column(
            "price_source",
            Kind.ID,
            func.coalesce(relation_settings.c.price_source, "agreement"),
            nullable=False,
            help="What a unit is billed at: agreement (left as it is in the PSA), catalogue, custom or cost_plus.",
        ),
        of(relation_settings, "price", Kind.MONEY, "The price of the source custom.", nullable=True),
        of(relation_settings, "markup_percent", Kind.NUMBER, "The markup of the source cost_plus.", nullable=True),
        of(relation_settings, "note", Kind.TEXT, "What someone noted about the relation.", nullable=True),
        of(relation_settings, "saved_at", Kind.MOMENT, "When the settings were saved.", as_name="settings_saved_at"),
        of(relation_settings, "saved_by", Kind.TEXT, "Who saved the settings.", as_name="settings_saved_by"),
        Column(
            "frozen",
            Kind.FLAG,
            relation_settings.c.frozen_at.is_not(None),
            nullable=False,
            help="Whether nothing is posted for it until someone unfreezes it.",
        ),
        of(relation_settings, "frozen_at", Kind.MOMENT, "When it was frozen."),
        of(relation_settings, "frozen_by", Kind.TEXT, "Who froze it."),
        of(relation_settings, "frozen_reason", Kind.TEXT, "Why it was frozen."),
    ),
    "resource_key",
    (Order("psa_customer_name"), Order("psa_agreement_name"), Order("psa_product_name"), Order("resource_name")),
    _SUMS,
)
