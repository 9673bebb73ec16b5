"""The tables of the schema reconciler, as its migration makes them."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData(schema="reconciler")


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


subscriptions = Table(
    "subscriptions",
    METADATA,
    _key("msp_id"),
    _key("connection_id"),
    _key("subscription_id"),
    Column("billing_months", Integer),
)

resources = Table(
    "resources",
    METADATA,
    _key("msp_id"),
    _key("resource_key"),
    _text("connection_id"),
    _text("company_id"),
    _text("company_name"),
    _text("subscription_id"),
    _text("subscription_name"),
    _text("resource_id"),
    _text("resource_name"),
    Column("usage_based", Boolean, nullable=False),
    Column("count", Numeric),
    Column("unit_cost", Numeric),
    Column("cost_currency", Text),
    Column("billing_months", Integer),
    Column("catalogue_price", Numeric),
    Column("price_currency", Text),
)

# settings: as in the event that saved them; null: those of a new relation.
relations = Table(
    "relations",
    METADATA,
    _key("msp_id"),
    _key("resource_key"),
    _text("relation_id"),
    _text("psa_connection_id"),
    _text("psa_product_id"),
    Column("settings", JSONB),
    Column("frozen", Boolean, nullable=False),
)

products = Table(
    "products",
    METADATA,
    _key("msp_id"),
    _key("psa_connection_id"),
    _key("psa_product_id"),
    _text("psa_product_name"),
    _text("psa_customer_id"),
    _text("psa_customer_name"),
    _text("psa_agreement_id"),
    _text("psa_agreement_name"),
    Column("period_months", Integer),
    Column("cost_currency", Text),
    Column("feeds", Integer, nullable=False),
    Column("stream_version", BigInteger, nullable=False),
    Column("request_id", Text),
    Column("request_open", Boolean, nullable=False),
    Column("target_units", Integer),
    Column("target_unit_cost", Numeric),
    Column("target_cost_currency", Text),
    Column("refused_reason", Text),
    Column("target_unit_price", Numeric),
    Column("target_price_currency", Text),
    Column("hold_first", Boolean, nullable=False),
    Column("adopted_for", Integer),
)
