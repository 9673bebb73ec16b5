"""The PSA's records -> customers, agreements and products as last seen."""

from sqlalchemy import FromClause, Table, and_, func, select

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, living, named, of, psa_key
from services.reporting.tables import PSA_NAMES, psa_agreements, psa_customers, psa_products, resources


def _with_linked(table: Table, record: str, *shown: str) -> tuple[FromClause, list[Column]]:
    """The table with what is linked to each record, such as psa_customer, and the columns that tell it. shown: what to name."""
    id_of = f"{record}_id"
    linked = (
        select(
            resources.c.psa_connection_id,
            resources.c[id_of],
            func.count().label("resources"),
            func.string_agg(func.distinct(func.concat_ws(" › ", *(resources.c[name] for name in shown))), "; ").label(
                "to"
            ),
        )
        .where(living(resources, "resources"), resources.c.relation_id.is_not(None))
        .group_by(resources.c.psa_connection_id, resources.c[id_of])
        .subquery("linked")
    )
    both = and_(linked.c.psa_connection_id == table.c.psa_connection_id, linked.c[id_of] == table.c[id_of])
    return table.outerjoin(linked, both), [
        Column(
            "linked_resources",
            Kind.WHOLE,
            func.coalesce(linked.c.resources, 0),
            nullable=False,
            help="How many resources are linked to it.",
        ),
        Column("linked_to", Kind.TEXT, linked.c.to, nullable=True, help="To what in ODIN it is linked."),
    ]


_CUSTOMERS, _LINKED_COMPANIES = _with_linked(psa_customers, "psa_customer", "company_name")
_AGREEMENTS, _LINKED_SUBSCRIPTIONS = _with_linked(psa_agreements, "psa_agreement", "company_name", "subscription_name")
_PRODUCTS, _LINKED_RESOURCES = _with_linked(psa_products, "psa_product", "company_name", "resource_name")

PSA_CUSTOMERS = Report(
    "psa_customers",
    "PsaCustomer",
    "The PSA's customers as last seen.",
    "psa",
    _CUSTOMERS,
    living(psa_customers, "psa"),
    columns(
        psa_key(psa_customers, "psa_customer"),
        named(psa_customers, "psa_customer_id", "psa_connection_id", "psa_customer_name"),
        of(psa_customers, "contact", Kind.TEXT, "Whom to ask there."),
        of(psa_customers, "active", Kind.FLAG, "Whether the PSA has it as active."),
        of(psa_customers, "gone", Kind.FLAG, "Whether it is no longer in the PSA."),
        of(psa_customers, "observed_at", Kind.MOMENT, "When it was last seen with a change."),
        _LINKED_COMPANIES,
    ),
    "psa_customer_key",
    (Order("psa_customer_name"),),
)
PSA_AGREEMENTS = Report(
    "psa_agreements",
    "PsaAgreement",
    "The PSA's agreements as last seen (Autotask: contracts).",
    "psa",
    _AGREEMENTS,
    living(psa_agreements, "psa"),
    columns(
        psa_key(psa_agreements, "psa_agreement"),
        named(
            psa_agreements,
            "psa_agreement_id",
            "psa_connection_id",
            "psa_agreement_name",
            "psa_customer_id",
            "psa_customer_name",
        ),
        of(psa_agreements, "description", Kind.TEXT, "What the PSA says of it."),
        of(psa_agreements, "active", Kind.FLAG, "Whether the PSA has it as active."),
        of(psa_agreements, "recurring", Kind.FLAG, "Only a recurring one can carry counted products."),
        of(psa_agreements, "start_date", Kind.DATE, "Its first day."),
        of(psa_agreements, "end_date", Kind.DATE, "Its last day."),
        of(psa_agreements, "gone", Kind.FLAG, "Whether it is no longer in the PSA."),
        of(psa_agreements, "observed_at", Kind.MOMENT, "When it was last seen with a change."),
        _LINKED_SUBSCRIPTIONS,
    ),
    "psa_agreement_key",
    (Order("psa_customer_name"), Order("psa_agreement_name")),
)
PSA_PRODUCTS = Report(
    "psa_products",
    "PsaProduct",
    "The PSA's products as last seen (Autotask: contract services), with units, cost and price.",
    "psa",
    _PRODUCTS,
    living(psa_products, "psa"),
    columns(
        psa_key(psa_products, "psa_product"),
        named(psa_products, *PSA_NAMES),
        of(psa_products, "vendor", Kind.TEXT, "Who makes it."),
        of(psa_products, "period_type", Kind.ID, "Its billing period."),
        of(psa_products, "active", Kind.FLAG, "Whether the PSA has it as active."),
        of(psa_products, "unit_cost", Kind.MONEY, "Cost of one unit and billing period."),
        of(psa_products, "unit_price", Kind.MONEY, "Price of one unit and billing period."),
        of(psa_products, "units", Kind.WHOLE, "Its units when they were last read."),
        of(psa_products, "units_on_date", Kind.DATE, "The day that the units are those of."),
        of(psa_products, "units_read_at", Kind.MOMENT, "When the units were read."),
        of(psa_products, "gone", Kind.FLAG, "Whether it is no longer in the PSA."),
        of(psa_products, "observed_at", Kind.MOMENT, "When it was last seen with a change."),
        _LINKED_RESOURCES,
    ),
    "psa_product_key",
    (Order("psa_customer_name"), Order("psa_agreement_name"), Order("psa_product_name")),
)
