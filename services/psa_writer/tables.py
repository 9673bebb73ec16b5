"""The tables of the schema psa_writer, as its migration makes them."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID

METADATA = MetaData(schema="psa_writer")


def _moment(name: str, *, required: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not required)


def _of_connection() -> tuple[Column[str], Column[str]]:
    return Column("msp_id", Text, primary_key=True), Column("connection_id", Text, primary_key=True)


positions = Table(
    "positions",
    METADATA,
    Column("consumer", Text, primary_key=True),
    Column("msp_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    _moment("stopped_at"),
    Column("stopped_reason", Text),
)

# One row a PSA connection. failures in a row lengthen paused_until; stopped_version: the set-up that the PSA refused to let
# in; refusals of one cause in a row; calibration: see as_read.py; catalogue_told: the failure last put into the log.
connections = Table(
    "connections",
    METADATA,
    *_of_connection(),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("failure_kind", Text),
    Column("failure_message", Text),
    _moment("paused_until"),
    Column("stopped_version", Integer),
    Column("refusal_cause", Text),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("calibration", Text, nullable=False, server_default="unknown"),
    _moment("usage_read_at"),
    _moment("posts_rung_at"),
    _moment("next_catalogue_at"),
    Column("catalogue_told", Text),
    Column("catalogue_version", BigInteger, nullable=False, server_default="0"),
)

# name: an agreement, or the round of posts or of reading ("*posts", "*catalogue"). fence rises with every new holder.
leases = Table(
    "leases",
    METADATA,
    *_of_connection(),
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    _moment("until", required=True),
)

relations = Table(
    "relations",
    METADATA,
    Column("msp_id", Text, primary_key=True),
    Column("relation_id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("psa_product_id", Text, nullable=False),
    Column("set_by", Text, nullable=False, server_default=""),
    Column("frozen", Boolean, nullable=False),
)

# What a person said of a product's units last: posts from before then are no longer compared with what the PSA shows.
resolved_drifts = Table(
    "resolved_drifts",
    METADATA,
    *_of_connection(),
    Column("psa_product_id", Text, primary_key=True),
    _moment("resolved_at", required=True),
)

# wish: the AdjustmentRequested as it stands in the log at `position`. alone: sent one a call after a contradiction.
# released: a person let it out. cause: requests that fail for the same cause share a probe. effective: as_planned or
# next_period. moves: units that what is held would move, without sign. told: the AdjustmentHeld or AdjustmentShadowed told
# last, with its type. approvals: [{by, at, effective, comment}] of what is held; approved: see check_brake.Approved.
# operations: wishes of people that were done.
requests = Table(
    "requests",
    METADATA,
    Column("msp_id", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("psa_agreement_id", Text, nullable=False),
    Column("psa_product_id", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("wish", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("kind", Text),
    Column("cause", Text),
    Column("message", Text),
    _moment("told_at"),
    _moment("next_try_at"),
    Column("contradictions", Integer, nullable=False, server_default="0"),
    Column("alone", Boolean, nullable=False, server_default="false"),
    Column("released", Boolean, nullable=False, server_default="false"),
    Column("stream_version", BigInteger, nullable=False, server_default="0"),
    _moment("asked_at", required=True),
    Column("effective", Text, nullable=False, server_default="as_planned"),
    Column("moves", Integer, nullable=False, server_default="0"),
    Column("told", JSONB),
    Column("approvals", JSONB, nullable=False, server_default="[]"),
    Column("approved", JSONB),
    Column("operations", JSONB, nullable=False, server_default="[]"),
)

# One row an adjustment, written before it is sent. rows_read: the units rows before it, of read_since..read_until;
# rows_after: those that proved it.
# state sent: nobody has proven yet what became of it; replied: the PSA said that it took it.
intents = Table(
    "intents",
    METADATA,
    Column("operation_id", UUID(as_uuid=False), primary_key=True),
    Column("msp_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("psa_agreement_id", Text, nullable=False),
    Column("psa_product_id", Text, nullable=False),
    Column("effective_date", Date, nullable=False),
    Column("unit_change", Integer, nullable=False),
    Column("units_before", Integer, nullable=False),
    Column("units_after", Integer, nullable=False),
    Column("unit_cost", Numeric),
    Column("currency", Text),
    Column("unit_cost_before", Numeric),
    Column("prorated_cost", Numeric),
    Column("prorated_price", Numeric),
    Column("completes", Boolean, nullable=False),
    Column("rows_read", JSONB, nullable=False),
    Column("read_since", Date, nullable=False),
    Column("read_until", Date, nullable=False),
    Column("calibration", Text, nullable=False),
    Column("batch_id", UUID(as_uuid=False), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("replied", Boolean, nullable=False, server_default="false"),
    _moment("sent_at", required=True),
    _moment("decided_at"),
    Column("seen", Text),
    Column("rows_after", JSONB),
    Column("unit_price", Numeric),
    Column("unit_price_before", Numeric),
)

psa_customers = Table(
    "psa_customers",
    METADATA,
    *_of_connection(),
    Column("psa_customer_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("contact", Text),
    Column("active", Boolean, nullable=False),
    Column("missing", Integer, nullable=False, server_default="0"),
    Column("gone", Boolean, nullable=False, server_default="false"),
    Column("stream_version", BigInteger, nullable=False),
)

psa_agreements = Table(
    "psa_agreements",
    METADATA,
    *_of_connection(),
    Column("psa_agreement_id", Text, primary_key=True),
    Column("psa_customer_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("start_date", Date, nullable=False),
    Column("end_date", Date, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("recurring", Boolean, nullable=False),
    Column("missing", Integer, nullable=False, server_default="0"),
    Column("gone", Boolean, nullable=False, server_default="false"),
    Column("stream_version", BigInteger, nullable=False),
)

# units: those of the day they were last read on.
psa_products = Table(
    "psa_products",
    METADATA,
    *_of_connection(),
    Column("psa_product_id", Text, primary_key=True),
    Column("psa_agreement_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("vendor", Text),
    Column("period_type", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("unit_cost", Numeric),
    Column("unit_price", Numeric),
    Column("currency", Text),
    Column("units", Integer),
    Column("missing", Integer, nullable=False, server_default="0"),
    Column("gone", Boolean, nullable=False, server_default="false"),
    Column("stream_version", BigInteger, nullable=False),
)
