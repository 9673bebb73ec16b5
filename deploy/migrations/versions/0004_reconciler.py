"""What reconciler keeps: counts, relations, and products with what was last asked for them."""

from alembic import op

from deploy.migrations.rights import own_schema

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    own_schema("reconciler")
    odin()
    relations()
    products()


def odin() -> None:
    op.execute(
        """CREATE TABLE reconciler.subscriptions (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            subscription_id text NOT NULL,
            billing_months integer,
            PRIMARY KEY (msp_id, connection_id, subscription_id)
        )"""
    )
    # billing_months is the subscription's, kept here too: a full plan reads three tables, not four.
    op.execute(
        """CREATE TABLE reconciler.resources (
            msp_id text NOT NULL,
            resource_key text NOT NULL,
            connection_id text NOT NULL,
            company_id text NOT NULL,
            company_name text NOT NULL,
            subscription_id text NOT NULL,
            subscription_name text NOT NULL,
            resource_id text NOT NULL,
            resource_name text NOT NULL,
            usage_based boolean NOT NULL,
            count numeric,
            unit_cost numeric,
            cost_currency text,
            billing_months integer,
            PRIMARY KEY (msp_id, resource_key)
        )"""
    )
    op.execute("CREATE INDEX resources_subscription ON reconciler.resources (msp_id, connection_id, subscription_id)")


def relations() -> None:
    op.execute(
        """CREATE TABLE reconciler.relations (
            msp_id text NOT NULL,
            resource_key text NOT NULL,
            relation_id text NOT NULL,
            psa_connection_id text NOT NULL,
            psa_product_id text NOT NULL,
            PRIMARY KEY (msp_id, resource_key)
        )"""
    )
    op.execute("CREATE INDEX relations_product ON reconciler.relations (msp_id, psa_connection_id, psa_product_id)")


def products() -> None:
    op.execute(
        """CREATE TABLE reconciler.products (
            msp_id text NOT NULL,
            psa_connection_id text NOT NULL,
            psa_product_id text NOT NULL,
            psa_product_name text NOT NULL,
            psa_customer_id text NOT NULL,
            psa_customer_name text NOT NULL,
            psa_agreement_id text NOT NULL,
            psa_agreement_name text NOT NULL,
            period_months integer,
            cost_currency text,
            feeds integer NOT NULL DEFAULT 0,
            stream_version bigint NOT NULL DEFAULT 0,
            request_id text,
            request_open boolean NOT NULL DEFAULT false,
            target_units integer,
            target_unit_cost numeric,
            target_cost_currency text,
            refused_reason text,
            PRIMARY KEY (msp_id, psa_connection_id, psa_product_id)
        ) WITH (fillfactor = 80)"""
    )
    op.execute("CREATE INDEX products_request ON reconciler.products (msp_id, request_id) WHERE request_open")
