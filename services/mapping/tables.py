"""The tables of the schema mapping, as its migrations make them, and those of the schema suggested, which it writes for others."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData(schema="mapping")


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _optional(name: str) -> Column[str | None]:
    return Column(name, Text)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


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
    _flag("counted"),
    _flag("usage_based"),
    _flag("gone"),
    _optional("mpn"),
    _optional("currency"),
    _optional("billing_period"),
)

psa_customers = Table(
    "psa_customers",
    METADATA,
    _key("msp_id"),
    _key("psa_connection_id"),
    _key("psa_customer_id"),
    _text("psa_customer_name"),
    _flag("gone"),
)

psa_agreements = Table(
    "psa_agreements",
    METADATA,
    _key("msp_id"),
    _key("psa_connection_id"),
    _key("psa_agreement_id"),
    _text("psa_agreement_name"),
    _flag("active"),
    _flag("recurring"),
    Column("start_date", Date, nullable=False),
    Column("end_date", Date, nullable=False),
    _flag("gone"),
)

psa_products = Table(
    "psa_products",
    METADATA,
    _key("msp_id"),
    _key("psa_connection_id"),
    _key("psa_product_id"),
    _text("psa_product_name"),
    _text("psa_customer_id"),
    _text("psa_customer_name"),
    _text("psa_agreement_id"),
    _text("psa_agreement_name"),
    _flag("active"),
    _flag("gone"),
    _optional("period_type"),
    _optional("currency"),
)

relations = Table(
    "relations",
    METADATA,
    _key("msp_id"),
    _key("resource_key"),
    _text("relation_id"),
    _text("psa_connection_id"),
    _text("psa_product_id"),
    _flag("live"),
    Column("stream_version", BigInteger, nullable=False),
)

operations = Table(
    "operations",
    METADATA,
    _key("msp_id"),
    _key("operation_id"),
    _text("asked"),
    Column("answer", JSONB, nullable=False),
    Column("answered_at", DateTime(timezone=True), nullable=False),
)

SUGGESTED = MetaData(schema="suggested")


def _weighed() -> list[Column[Any]]:
    return [Column("score", Numeric, nullable=False), Column("evidence", JSONB, nullable=False)]


suggested_companies = Table(
    "companies",
    SUGGESTED,
    _key("msp_id"),
    _key("psa_connection_id"),
    _key("connection_id"),
    _key("company_id"),
    _text("psa_customer_id"),
    _text("psa_customer_name"),
    *_weighed(),
)

suggested_subscriptions = Table(
    "subscriptions",
    SUGGESTED,
    _key("msp_id"),
    _key("psa_connection_id"),
    _key("connection_id"),
    _key("company_id"),
    _key("subscription_id"),
    _text("psa_agreement_id"),
    _text("psa_agreement_name"),
    *_weighed(),
)

suggested_resources = Table(
    "resources",
    SUGGESTED,
    _key("msp_id"),
    _key("psa_connection_id"),
    _key("resource_key"),
    _text("psa_customer_id"),
    _text("psa_customer_name"),
    _text("psa_agreement_id"),
    _text("psa_agreement_name"),
    _text("psa_product_id"),
    _text("psa_product_name"),
    *_weighed(),
)
