"""The tables of the schema reporting, as the migration leaves them; a test compares the two.

Every row of a read model belongs to an MSP and a generation: the living one is read, another may be built beside it.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData(schema="reporting")
ODIN_NAMES = (
    "connection_id",
    "company_id",
    "company_name",
    "subscription_id",
    "subscription_name",
    "resource_id",
    "resource_name",
)
PSA_NAMES = (
    "psa_connection_id",
    "psa_customer_id",
    "psa_customer_name",
    "psa_agreement_id",
    "psa_agreement_name",
    "psa_product_id",
    "psa_product_name",
)


def _text(name: str, *, required: bool = True) -> Column[str]:
    collation = "C" if name.endswith(("_id", "_key")) or name == "subject" else None
    # A plain text id of an outside thing that nothing is looked up by keeps the database's own collation.
    loose = name in ("operation_id", "vendor_subscription_id")
    return Column(name, Text(collation=None if loose else collation), nullable=not required)


def _texts(*names: str, required: bool = True) -> list[Column[str]]:
    return [_text(name, required=required) for name in names]


def _optional(*names: str) -> list[Column[str]]:
    return _texts(*names, required=False)


def _money(*names: str) -> list[Column[Any]]:
    return [c for name in names for c in (Column(name, Numeric), Column(f"{name}_currency", Text))]


def _moment(name: str, *, required: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=not required)


def _whole(name: str, *, required: bool = True) -> Column[int]:
    return Column(name, Integer, nullable=not required)


def _flag(name: str, *, required: bool = True) -> Column[bool]:
    return Column(name, Boolean, nullable=not required)


def _read_model(name: str, key: tuple[str, ...], *columns: Column[Any]) -> Table:
    return Table(
        name,
        METADATA,
        _text("msp_id"),
        _whole("generation"),
        *columns,
        PrimaryKeyConstraint("msp_id", "generation", *key),
    )


positions = Table(
    "positions",
    METADATA,
    Column("consumer", Text, primary_key=True),
    Column("msp_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    _moment("stopped_at"),
    Column("stopped_reason", Text),
)
generations = Table(
    "generations",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("msp_id", Text, primary_key=True),
    _whole("generation"),
)
rebuilds = Table(
    "rebuilds",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("msp_id", Text, primary_key=True),
    _whole("generation"),
    Column("fingerprint", Text, nullable=False),
    _moment("begun_at", required=True),
)
sides = Table(
    "sides",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("msp_id", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("position", BigInteger),
    Column("folded", BigInteger, nullable=False),
    Column("fingerprint", Text, nullable=False),
    _moment("asked_at", required=True),
)
resources = _read_model(
    "resources",
    ("resource_key",),
    *_texts("resource_key", *ODIN_NAMES, "status"),
    Column("count", Numeric),
    *_optional("unit"),
    *_money("unit_cost", "unit_price"),
    _flag("usage_based"),
    *_optional("mpn", "vendor", "vendor_subscription_id"),
    _moment("first_seen_at", required=True),
    _moment("read_at", required=True),
    _moment("ended_at"),
    *_optional("relation_id", *PSA_NAMES),
    _moment("linked_at"),
    *_optional("linked_by"),
)
subscriptions = _read_model(
    "subscriptions",
    ("connection_id", "subscription_id"),
    *_texts("connection_id", "subscription_id", "subscription_status"),
    *_optional("billing_period"),
    _whole("billing_months", required=False),
    Column("renewal_date", Date),
    _flag("renews", required=False),
)
# Only of relations for which something was settled, live or cleared. rule: in words.
relation_settings = _read_model(
    "relation_settings",
    ("relation_id",),
    *_texts("relation_id", "rule"),
    Column("included", Numeric, nullable=False),
    *(_whole(name) for name in ("pack_size", "minimum")),
    *_texts("rounding", "price_source"),
    *_money("price"),
    Column("markup_percent", Numeric),
    *_texts("note"),
    _moment("saved_at"),
    *_optional("saved_by"),
    _moment("frozen_at"),
    *_optional("frozen_by", "frozen_reason"),
)
exclusions = _read_model(
    "exclusions",
    ("resource_key",),
    *_texts("resource_key"),
    _moment("excluded_at", required=True),
    *_texts("excluded_by", "excluded_reason"),
    Column("excluded_until", Date),
)
relations = _read_model(
    "relations",
    ("set_position",),
    Column("set_position", BigInteger, nullable=False),
    *_texts("relation_id", "resource_key", *ODIN_NAMES, *PSA_NAMES, "state"),
    _moment("set_at", required=True),
    *_texts("set_by"),
    *_optional("followed_from"),
    _moment("cleared_at"),
    *_optional("cleared_by", "cleared_reason", "followed_to"),
)
adjustments = _read_model(
    "adjustments",
    ("position",),
    Column("position", BigInteger, nullable=False),
    *_texts("request_id", "operation_id", *ODIN_NAMES, *PSA_NAMES),
    _moment("posted_at", required=True),
    Column("effective_date", Date, nullable=False),
    *(_whole(name) for name in ("unit_change", "units_before", "units_after")),
    *_money("unit_cost_before", "unit_cost_after", "prorated_cost", "prorated_price"),
    *_texts("proof"),
    _whole("attempt"),
    _flag("completes_request"),
    *_money("unit_price_before", "unit_price_after"),
)
requests = _read_model(
    "requests",
    ("request_id",),
    *_texts("request_id", *ODIN_NAMES, *PSA_NAMES),
    _whole("target_units"),
    *_money("target_unit_cost"),
    *_texts("reason"),
    Column("causes", JSONB, nullable=False),
    _moment("requested_at", required=True),
    *_texts("state"),
    *(_moment(name) for name in ("posted_at", "found_equal_at", "superseded_at")),
    *_optional("superseded_by"),
    *(_moment(name) for name in ("refused_at", "dropped_at")),
    *_money("target_unit_price"),
)
held_requests = _read_model(
    "held_requests",
    ("request_id",),
    *_texts("request_id", *ODIN_NAMES, *PSA_NAMES, "rule", "rule_text", "severity"),
    *(_whole(name) for name in ("units_before", "target_units")),
    Column("effective_date", Date, nullable=False),
    *_money("money_now", "price_per_month"),
    *_optional("evidence_for", "evidence_against"),
    _whole("approvals"),
    *_optional("approved_by"),
    _whole("people_needed"),
    _moment("held_since", required=True),
    *_texts("state"),
    _moment("decided_at"),
    *_optional("decided_by", "reason"),
)
shadowed_requests = _read_model(
    "shadowed_requests",
    ("request_id",),
    *_texts("request_id", *ODIN_NAMES, *PSA_NAMES),
    *(_whole(name) for name in ("units_before", "target_units")),
    Column("effective_date", Date, nullable=False),
    *_money("money_now", "price_per_month"),
    _moment("shadowed_at", required=True),
    *_texts("state"),
)
failures = _read_model(
    "failures",
    ("failure_id",),
    *_texts("failure_id", "subject"),
    *_optional("request_id", *ODIN_NAMES, *PSA_NAMES),
    _whole("target_units", required=False),
    *_optional("kind", "message", "fix"),
    _whole("attempts"),
    *(_moment(name) for name in ("first_failed_at", "last_failed_at", "next_try_at")),
    *_texts("state"),
    _moment("closed_at"),
    *_optional("closed_by"),
)
closed_requests = _read_model(
    "closed_requests",
    ("request_id",),
    *_texts("request_id"),
    _moment("closed_at", required=True),
    *_texts("closed_by"),
)
fed_products = _read_model(
    "fed_products",
    ("psa_connection_id", "psa_product_id"),
    *_texts("psa_connection_id", "psa_product_id"),
    _whole("live_relations"),
)
psa_customers = _read_model(
    "psa_customers",
    ("psa_connection_id", "psa_customer_id"),
    *_texts("psa_connection_id", "psa_customer_id", "psa_customer_name"),
    *_optional("contact"),
    _flag("active"),
    _flag("gone"),
    _moment("observed_at", required=True),
)
psa_agreements = _read_model(
    "psa_agreements",
    ("psa_connection_id", "psa_agreement_id"),
    *_texts("psa_connection_id", "psa_agreement_id", "psa_agreement_name", "psa_customer_id", "psa_customer_name"),
    *_optional("description"),
    _flag("active"),
    _flag("recurring"),
    Column("start_date", Date, nullable=False),
    Column("end_date", Date, nullable=False),
    _flag("gone"),
    _moment("observed_at", required=True),
)
psa_products = _read_model(
    "psa_products",
    ("psa_connection_id", "psa_product_id"),
    *_texts(*PSA_NAMES),
    *_optional("vendor", "period_type"),
    _flag("active"),
    *_money("unit_cost", "unit_price"),
    _whole("units", required=False),
    Column("units_on_date", Date),
    _moment("units_read_at"),
    _flag("gone"),
    _moment("observed_at", required=True),
)
counts = _read_model(
    "counts",
    ("resource_key", "from_position"),
    *_texts("resource_key"),
    Column("from_position", BigInteger, nullable=False),
    Column("to_position", BigInteger),
    _moment("valid_from", required=True),
    _moment("valid_to"),
    *_texts("connection_id", "subscription_id", "status"),
    Column("count", Numeric),
    *_money("unit_cost", "unit_price"),
    *_optional("relation_id", "psa_connection_id", "psa_product_id"),
    _flag("excluded"),
)
renewals = _read_model(
    "renewals",
    ("connection_id", "subscription_id"),
    *_texts("connection_id", "subscription_id", "previous_subscription_id"),
    _moment("renewed_at", required=True),
)
ledger = _read_model(
    "ledger",
    ("psa_connection_id", "psa_product_id", "position"),
    *_texts("psa_connection_id", "psa_product_id"),
    Column("position", BigInteger, nullable=False),
    *_texts("kind"),
    Column("on_date", Date, nullable=False),
    _whole("units"),
    _whole("unit_change", required=False),
    _moment("told_at", required=True),
    *_optional("request_id"),
)
product_units = _read_model(
    "product_units",
    ("psa_connection_id", "psa_product_id"),
    *_texts("psa_connection_id", "psa_product_id"),
    _whole("read_units", required=False),
    Column("read_on", Date),
    _moment("read_at"),
    _whole("left_units", required=False),
    _whole("settled_units", required=False),
    _moment("settled_at"),
)
api_calls = _read_model(
    "api_calls",
    ("position", "endpoint"),
    Column("position", BigInteger, nullable=False),
    *_texts("connection_id", "endpoint"),
    _moment("since", required=True),
    *(_whole(name) for name in ("seconds", "calls", "failed", "limited")),
    *(_whole(f"{name}_milliseconds") for name in ("p50", "p95", "slowest")),
)
activity = _read_model(
    "activity",
    ("position",),
    Column("position", BigInteger, nullable=False),
    _moment("happened_at", required=True),
    *_texts("actor", "actor_kind", "source", "action", "object_kind", "object_id", "object_label"),
    Column("changes", JSONB, nullable=False),
    *_optional("reason"),
    *_texts("correlation_id"),
)
close_acts = _read_model(
    "close_acts",
    ("psa_connection_id", "period", "position"),
    *_texts("psa_connection_id", "period"),
    Column("position", BigInteger, nullable=False),
    *_texts("act"),
    _moment("acted_at", required=True),
    *_texts("acted_by"),
    *_optional("check_key", "title"),
    _whole("rows", required=False),
    _whole("exceptions", required=False),
    Column("as_of_position", BigInteger),
    *_optional("reason"),
)
readings = _read_model(
    "readings",
    ("connection_id",),
    *_texts("connection_id"),
    _moment("read_at", required=True),
)
notifications = _read_model(
    "notifications",
    ("position", "kind"),
    Column("position", BigInteger, nullable=False),
    *_texts("kind"),
    _moment("happened_at", required=True),
    *_texts("severity", "fold_key", "about"),
    _whole("things"),
    *_texts("message"),
    *_optional("fix"),
    *_texts("link_report"),
    *_optional("link_column", "link_key"),
)
told_troubles = _read_model("told_troubles", ("subject",), *_texts("subject", "trouble"))
our_units = _read_model(
    "our_units",
    ("psa_connection_id", "psa_product_id", "position"),
    *_texts("psa_connection_id", "psa_product_id"),
    Column("position", BigInteger, nullable=False),
    Column("on_date", Date, nullable=False),
    *(_whole(name) for name in ("units", "unit_change")),
)
found_resources = _read_model(
    "found_resources",
    ("connection_id", "subscription_id", "resource_key"),
    *_texts("connection_id", "subscription_id", "resource_key"),
    Column("position", BigInteger, nullable=False),
    *_texts("about"),
)
questions = _read_model(
    "questions",
    ("question_id",),
    *_texts("question_id", "kind", "connection_id", "customer_id", "customer_name", "subject_id", "subject_name"),
    Column("candidates", JSONB, nullable=False),
    *_texts("state"),
    _moment("asked_at", required=True),
    _moment("settled_at"),
    *_optional("settled_by", "answer_id", "answer_name", "reason"),
)
# No read models: what a replay must not touch.
read_marks = Table(
    "read_marks",
    METADATA,
    Column("msp_id", Text(collation="C"), primary_key=True),
    Column("actor", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    _moment("read_at", required=True),
)
deliveries = Table(
    "deliveries",
    METADATA,
    Column("delivery_id", Text(collation="C"), primary_key=True),
    Column("number", BigInteger, nullable=False),
    *_texts("msp_id", "rule_id"),
    # What it tells: a notification, a day of digest or a test; with the rule it stands once.
    *_texts("occasion", "channel", "target", "subject_line", "body"),
    # Of a digest: how far it tells.
    Column("upto", BigInteger),
    *_texts("state"),
    _whole("attempts"),
    _moment("made_at", required=True),
    *(_moment(name) for name in ("next_try_at", "held_until", "tried_at", "sent_at")),
    *_optional("last_answer"),
)
last_polls = _read_model(
    "last_polls",
    ("connection_id",),
    *_texts("connection_id"),
    _moment("completed_at", required=True),
    _flag("complete"),
    *(_whole(name) for name in ("subscriptions", "changes")),
)
days = _read_model(
    "days",
    ("connection_id", "day", "currency"),
    *_texts("connection_id"),
    Column("day", Date, nullable=False),
    Column("currency", Text, nullable=False),
    *(Column(name, Numeric, nullable=False) for name in ("adjustments", "units_up", "units_down")),
    *(Column(name, Numeric) for name in ("prorated_cost", "prorated_price")),
    *(Column(name, Numeric, nullable=False) for name in ("count_changes", "resources_found", "resources_gone")),
)
excesses = _read_model(
    "excesses",
    ("psa_connection_id", "psa_product_id", "position"),
    *_texts("psa_connection_id", "psa_product_id"),
    Column("position", BigInteger, nullable=False),
    _moment("told_at", required=True),
    _whole("excess"),
)
# When each close was last looked at, to tell whether it is red.
close_looks = Table(
    "close_looks",
    METADATA,
    Column("msp_id", Text(collation="C"), primary_key=True),
    Column("psa_connection_id", Text(collation="C"), primary_key=True),
    _moment("looked_at", required=True),
)
