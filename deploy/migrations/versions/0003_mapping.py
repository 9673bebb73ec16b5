"""What mapping keeps: what can be linked, what is linked, and the answers that it gave."""

from alembic import op

from deploy.migrations.rights import own_schema

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    own_schema("mapping")
    resources()
    psa_records()
    relations()


def resources() -> None:
    op.execute(
        """CREATE TABLE mapping.resources (
            msp_id text NOT NULL,
            resource_key text NOT NULL,
            connection_id text NOT NULL,
            company_id text NOT NULL,
            company_name text NOT NULL,
            subscription_id text NOT NULL,
            subscription_name text NOT NULL,
            resource_id text NOT NULL,
            resource_name text NOT NULL,
            counted boolean NOT NULL,
            usage_based boolean NOT NULL,
            gone boolean NOT NULL,
            PRIMARY KEY (msp_id, resource_key)
        )"""
    )
    op.execute("CREATE INDEX resources_company ON mapping.resources (msp_id, connection_id, company_id)")
    op.execute("CREATE INDEX resources_subscription ON mapping.resources (msp_id, connection_id, subscription_id)")


def psa_records() -> None:
    op.execute(
        """CREATE TABLE mapping.psa_customers (
            msp_id text NOT NULL,
            psa_connection_id text NOT NULL,
            psa_customer_id text NOT NULL,
            psa_customer_name text NOT NULL,
            gone boolean NOT NULL,
            PRIMARY KEY (msp_id, psa_connection_id, psa_customer_id)
        )"""
    )
    op.execute(
        """CREATE TABLE mapping.psa_agreements (
            msp_id text NOT NULL,
            psa_connection_id text NOT NULL,
            psa_agreement_id text NOT NULL,
            psa_agreement_name text NOT NULL,
            active boolean NOT NULL,
            recurring boolean NOT NULL,
            start_date date NOT NULL,
            end_date date NOT NULL,
            gone boolean NOT NULL,
            PRIMARY KEY (msp_id, psa_connection_id, psa_agreement_id)
        )"""
    )
    op.execute(
        """CREATE TABLE mapping.psa_products (
            msp_id text NOT NULL,
            psa_connection_id text NOT NULL,
            psa_product_id text NOT NULL,
            psa_product_name text NOT NULL,
            psa_customer_id text NOT NULL,
            psa_customer_name text NOT NULL,
            psa_agreement_id text NOT NULL,
            psa_agreement_name text NOT NULL,
            active boolean NOT NULL,
            gone boolean NOT NULL,
            PRIMARY KEY (msp_id, psa_connection_id, psa_product_id)
        )"""
    )
    op.execute("CREATE INDEX psa_products_customer ON mapping.psa_products (msp_id, psa_connection_id, psa_customer_id)")


def relations() -> None:
    # One row a resource for ever: the key holds "a resource feeds at most one product", and the stream's version lives on
    # when a relation is cleared.
    op.execute(
        """CREATE TABLE mapping.relations (
            msp_id text NOT NULL,
            resource_key text NOT NULL,
            relation_id text NOT NULL,
            psa_connection_id text NOT NULL,
            psa_product_id text NOT NULL,
            live boolean NOT NULL,
            stream_version bigint NOT NULL,
            PRIMARY KEY (msp_id, resource_key)
        )"""
    )
    op.execute("CREATE UNIQUE INDEX relations_id ON mapping.relations (msp_id, relation_id)")
    op.execute(
        "CREATE INDEX relations_product ON mapping.relations (msp_id, psa_connection_id, psa_product_id) WHERE live"
    )
    op.execute(
        """CREATE TABLE mapping.operations (
            msp_id text NOT NULL,
            operation_id text NOT NULL,
            asked text NOT NULL,
            answer jsonb NOT NULL,
            answered_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, operation_id)
        )"""
    )
    op.execute("CREATE INDEX operations_answered ON mapping.operations (answered_at)")
