"""What poller keeps: how each connection's polls stand, and what ODIN was last seen to hold."""

from alembic import op

from deploy.migrations.rights import own_schema

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    own_schema("poller")
    polls()
    seen()


def polls() -> None:
    op.execute(
        """CREATE TABLE poller.connections (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            next_poll_at timestamptz NOT NULL,
            open_poll_id text,
            open_poll_at timestamptz,
            poll_id text,
            fence bigint NOT NULL DEFAULT 0,
            held_until timestamptz,
            stopped_version integer,
            stopped_at timestamptz,
            stopped_reason text,
            companies_read_at timestamptz,
            newest_orders text[],
            stream_version bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (msp_id, connection_id)
        ) WITH (fillfactor = 50)"""
    )
    op.execute(
        """CREATE TABLE poller.orders (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            order_id text NOT NULL,
            company_id text NOT NULL,
            looked_up boolean NOT NULL,
            PRIMARY KEY (msp_id, connection_id, order_id)
        )"""
    )


def seen() -> None:
    op.execute(
        """CREATE TABLE poller.companies (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            company_id text NOT NULL,
            name text NOT NULL,
            status text NOT NULL,
            stream_version bigint NOT NULL,
            PRIMARY KEY (msp_id, connection_id, company_id)
        )"""
    )
    op.execute(
        """CREATE TABLE poller.subscriptions (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            subscription_id text NOT NULL,
            company_id text NOT NULL,
            name text NOT NULL,
            status text NOT NULL,
            usage_based boolean NOT NULL,
            billing_period text,
            subscription_period text,
            created_date date,
            renewal_date date,
            modified_date date,
            renews boolean,
            state text NOT NULL CHECK (state IN ('live', 'confirming', 'held', 'ended')),
            ended_on date,
            continues text,
            continued_by text,
            read_at timestamptz NOT NULL,
            row_print text NOT NULL,
            snapshot_print text NOT NULL,
            touched boolean NOT NULL,
            stream_version bigint NOT NULL,
            PRIMARY KEY (msp_id, connection_id, subscription_id)
        ) WITH (fillfactor = 80)"""
    )
    op.execute("CREATE INDEX subscriptions_company ON poller.subscriptions (msp_id, connection_id, company_id)")
    op.execute(
        """CREATE TABLE poller.resources (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            subscription_id text NOT NULL,
            company_id text NOT NULL,
            resource_id text NOT NULL,
            name text NOT NULL,
            count numeric,
            cost_amount numeric,
            cost_currency text,
            price_amount numeric,
            price_currency text,
            mpn text,
            vendor text,
            vendor_subscription_id text,
            usage_based boolean NOT NULL,
            missing_polls integer NOT NULL,
            ended boolean NOT NULL,
            stream_version bigint NOT NULL,
            PRIMARY KEY (msp_id, connection_id, subscription_id, company_id, resource_id)
        )"""
    )
