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

# settings: as in the event that saved them; null: those of a new relation.
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
    Column("settings", JSONB),
    _flag("frozen"),
)

# One row for each resource that was ever excluded. until: the last day on which it is; null: no end.
exclusions = Table(
    "exclusions",
    METADATA,
    _key("msp_id"),
    _key("resource_key"),
    _flag("excluded"),
    _text("reason"),
    Column("until", Date),
    Column("stream_version", BigInteger, nullable=False),
)

# What was told of agreements that ended, and what became of it. state: open, moved, stays or closed; told: a print of the question.
agreement_moves = Table(
    "agreement_moves",
    METADATA,
    _key("msp_id"),
    _key("psa_connection_id"),
    _key("psa_agreement_id"),
    _text("psa_agreement_name"),
    _text("psa_customer_id"),
    _text("psa_customer_name"),
    _text("state"),
    _text("told"),
    Column("moved_to", Text),
    Column("stream_version", BigInteger, nullable=False),
)

# The billing day on which the MSP's agreements were last looked at: they end by the day, not by an event.
move_looks = Table("move_looks", METADATA, _key("msp_id"), Column("looked_on", Date, nullable=False))

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
