"""The PSA's records -> customers, agreements and products as last seen."""

from services.reporting.reports.columns import Kind, Order, Report, columns, living, named, of, psa_key
from services.reporting.tables import PSA_NAMES, psa_agreements, psa_customers, psa_products

PSA_CUSTOMERS = Report(
    "psa_customers",
    "PsaCustomer",
    "The PSA's customers as last seen.",
    "psa",
    psa_customers,
    living(psa_customers, "psa"),
    columns(
        psa_key(psa_customers, "psa_customer"),
        named(psa_customers, "psa_customer_id", "psa_connection_id", "psa_customer_name"),
        of(psa_customers, "contact", Kind.TEXT, "Whom to ask there."),
        of(psa_customers, "active", Kind.FLAG, "Whether the PSA has it as active."),
        of(psa_customers, "gone", Kind.FLAG, "Whether it is no longer in the PSA."),
        of(psa_customers, "observed_at", Kind.MOMENT, "When it was last seen with a change."),
    ),
    "psa_customer_key",
    (Order("psa_customer_name"),),
)
PSA_AGREEMENTS = Report(
    "psa_agreements",
    "PsaAgreement",
    "The PSA's agreements as last seen (Autotask: contracts).",
    "psa",
    psa_agreements,
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
    ),
    "psa_agreement_key",
    (Order("psa_customer_name"), Order("psa_agreement_name")),
)
PSA_PRODUCTS = Report(
    "psa_products",
    "PsaProduct",
    "The PSA's products as last seen (Autotask: contract services), with units, cost and price.",
    "psa",
    psa_products,
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
    ),
    "psa_product_key",
    (Order("psa_customer_name"), Order("psa_agreement_name"), Order("psa_product_name")),
)
