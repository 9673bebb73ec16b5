"""The tables of the schema poller, as its migration makes them."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

METADATA = MetaData(schema="poller")

positions = Table(
    "positions",
    METADATA,
    Column("consumer", Text, primary_key=True),
    Column("msp_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("stopped_at", DateTime(timezone=True)),
    Column("stopped_reason", Text),
)

# One row a marketplace connection. open_poll_id: put into the work queue and not finished; poll_id, fence, held_until: the
# lease of the poll that runs; reads_chosen, reads_done: how many whole reads it chose and has stored; stopped_version: the
# version of the set-up with which the marketplace refused us.
connections = Table(
    "connections",
    METADATA,
    Column("msp_id", Text, primary_key=True),
    Column("connection_id", Text, primary_key=True),
    Column("next_poll_at", DateTime(timezone=True), nullable=False),
    Column("open_poll_id", Text),
    Column("open_poll_at", DateTime(timezone=True)),
    Column("poll_id", Text),
    Column("fence", BigInteger, nullable=False),
    Column("held_until", DateTime(timezone=True)),
    Column("stopped_version", Integer),
    Column("stopped_at", DateTime(timezone=True)),
    Column("stopped_reason", Text),
    Column("companies_read_at", DateTime(timezone=True)),
    Column("newest_orders", ARRAY(Text)),
    Column("stream_version", BigInteger, nullable=False),
    Column("reads_chosen", Integer),
    Column("reads_done", Integer),
)

# Orders that may still take effect, and those not yet looked up (their subscription stands only in their own answer).
orders = Table(
    "orders",
    METADATA,
    Column("msp_id", Text, primary_key=True),
    Column("connection_id", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("looked_up", Boolean, nullable=False),
)

companies = Table(
    "companies",
    METADATA,
    Column("msp_id", Text, primary_key=True),
    Column("connection_id", Text, primary_key=True),
    Column("company_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("stream_version", BigInteger, nullable=False),
)

# row_print: the list row when it was last read whole; snapshot_print: that whole read, "" when something waits to be
# confirmed, so that an equal answer is looked at again.
subscriptions = Table(
    "subscriptions",
    METADATA,
    Column("msp_id", Text, primary_key=True),
    Column("connection_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("usage_based", Boolean, nullable=False),
    Column("billing_period", Text),
    Column("subscription_period", Text),
    Column("created_date", Date),
    Column("renewal_date", Date),
    Column("modified_date", Date),
    Column("renews", Boolean),
    Column("state", Text, nullable=False),
    Column("ended_on", Date),
    Column("continues", Text),
    Column("continued_by", Text),
    Column("read_at", DateTime(timezone=True), nullable=False),
    Column("row_print", Text, nullable=False),
    Column("snapshot_print", Text, nullable=False),
    Column("touched", Boolean, nullable=False),
    Column("stream_version", BigInteger, nullable=False),
)

# Under the company that a resource belonged to when it was seen: the key of a resource begins with the company.
resources = Table(
    "resources",
    METADATA,
    Column("msp_id", Text, primary_key=True),
    Column("connection_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("company_id", Text, primary_key=True),
    Column("resource_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("count", Numeric),
    Column("cost_amount", Numeric),
    Column("cost_currency", Text),
    Column("price_amount", Numeric),
    Column("price_currency", Text),
    Column("mpn", Text),
    Column("vendor", Text),
    Column("vendor_subscription_id", Text),
    Column("usage_based", Boolean, nullable=False),
    Column("missing_polls", Integer, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("stream_version", BigInteger, nullable=False),
)
