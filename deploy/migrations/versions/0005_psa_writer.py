"""What psa_writer keeps: the PSA's catalogue as last read, requests, intents, leases, and how its connections fare."""

from alembic import op

from deploy.migrations.rights import own_schema

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    own_schema("psa_writer")
    op.execute(
        """CREATE TABLE psa_writer.connections (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            failures integer NOT NULL DEFAULT 0,
            failure_kind text,
            failure_message text,
            paused_until timestamptz,
            stopped_version integer,
            refusal_cause text,
            refusals integer NOT NULL DEFAULT 0,
            calibration text NOT NULL DEFAULT 'unknown' CHECK (calibration IN ('total', 'change', 'unknown')),
            usage_read_at timestamptz,
            posts_rung_at timestamptz,
            next_catalogue_at timestamptz,
            catalogue_told text,
            catalogue_version bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (msp_id, connection_id)
        )"""
    )
    op.execute(
        """CREATE TABLE psa_writer.leases (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            name text NOT NULL,
            holder text NOT NULL,
            fence bigint NOT NULL,
            until timestamptz NOT NULL,
            PRIMARY KEY (msp_id, connection_id, name)
        )"""
    )
    op.execute(
        """CREATE TABLE psa_writer.relations (
            msp_id text NOT NULL,
            relation_id text NOT NULL,
            connection_id text NOT NULL,
            psa_product_id text NOT NULL,
            PRIMARY KEY (msp_id, relation_id)
        )"""
    )
    op.execute("CREATE INDEX relations_product ON psa_writer.relations (msp_id, connection_id, psa_product_id)")
    requests()
    intents()
    catalogue()


def requests() -> None:
    op.execute(
        """CREATE TABLE psa_writer.requests (
            msp_id text NOT NULL,
            request_id text NOT NULL,
            connection_id text NOT NULL,
            psa_agreement_id text NOT NULL,
            psa_product_id text NOT NULL,
            position bigint NOT NULL,
            correlation_id text NOT NULL,
            wish jsonb NOT NULL,
            state text NOT NULL CHECK (state IN
                ('planned', 'sending', 'unknown', 'waiting', 'parked', 'done', 'superseded')),
            attempt integer NOT NULL DEFAULT 0,
            kind text,
            cause text,
            message text,
            told_at timestamptz,
            next_try_at timestamptz,
            contradictions integer NOT NULL DEFAULT 0,
            alone boolean NOT NULL DEFAULT false,
            released boolean NOT NULL DEFAULT false,
            stream_version bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (msp_id, request_id)
        )"""
    )
    op.execute(
        """CREATE INDEX requests_open ON psa_writer.requests (msp_id, connection_id, next_try_at)
           WHERE state IN ('planned', 'waiting', 'parked')"""
    )
    op.execute(
        """CREATE INDEX requests_product ON psa_writer.requests (msp_id, connection_id, psa_product_id)
           WHERE state NOT IN ('done', 'superseded')"""
    )


def intents() -> None:
    op.execute(
        """CREATE TABLE psa_writer.intents (
            operation_id uuid PRIMARY KEY,
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            request_id text NOT NULL,
            psa_agreement_id text NOT NULL,
            psa_product_id text NOT NULL,
            effective_date date NOT NULL,
            unit_change integer NOT NULL,
            units_before integer NOT NULL,
            units_after integer NOT NULL,
            unit_cost numeric,
            currency text,
            unit_cost_before numeric,
            prorated_cost numeric,
            prorated_price numeric,
            completes boolean NOT NULL,
            rows_read jsonb NOT NULL,
            read_since date NOT NULL,
            read_until date NOT NULL,
            calibration text NOT NULL,
            batch_id uuid NOT NULL,
            fence bigint NOT NULL,
            attempt integer NOT NULL,
            state text NOT NULL CHECK (state IN
                ('sent', 'proved', 'not_applied', 'refused', 'not_sent', 'edited', 'duplicate')),
            replied boolean NOT NULL DEFAULT false,
            sent_at timestamptz NOT NULL,
            decided_at timestamptz,
            seen text,
            rows_after jsonb
        )"""
    )
    # The last wall: from one day at most one adjustment of a product that was, or may have been, accepted.
    op.execute(
        """CREATE UNIQUE INDEX intents_once ON psa_writer.intents (msp_id, connection_id, psa_product_id, effective_date)
           WHERE state IN ('sent', 'proved', 'edited', 'duplicate')"""
    )
    op.execute("CREATE INDEX intents_sent ON psa_writer.intents (msp_id, connection_id) WHERE state = 'sent'")
    op.execute("CREATE INDEX intents_recent ON psa_writer.intents (msp_id, sent_at)")


def catalogue() -> None:
    op.execute(
        """CREATE TABLE psa_writer.psa_customers (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            psa_customer_id text NOT NULL,
            name text NOT NULL,
            contact text,
            active boolean NOT NULL,
            missing integer NOT NULL DEFAULT 0,
            gone boolean NOT NULL DEFAULT false,
            stream_version bigint NOT NULL,
            PRIMARY KEY (msp_id, connection_id, psa_customer_id)
        )"""
    )
    op.execute(
        """CREATE TABLE psa_writer.psa_agreements (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            psa_agreement_id text NOT NULL,
            psa_customer_id text NOT NULL,
            name text NOT NULL,
            description text,
            start_date date NOT NULL,
            end_date date NOT NULL,
            active boolean NOT NULL,
            recurring boolean NOT NULL,
            missing integer NOT NULL DEFAULT 0,
            gone boolean NOT NULL DEFAULT false,
            stream_version bigint NOT NULL,
            PRIMARY KEY (msp_id, connection_id, psa_agreement_id)
        )"""
    )
    op.execute(
        """CREATE TABLE psa_writer.psa_products (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            psa_product_id text NOT NULL,
            psa_agreement_id text NOT NULL,
            name text NOT NULL,
            vendor text,
            period_type text NOT NULL,
            active boolean NOT NULL,
            unit_cost numeric,
            unit_price numeric,
            currency text,
            units integer,
            missing integer NOT NULL DEFAULT 0,
            gone boolean NOT NULL DEFAULT false,
            stream_version bigint NOT NULL,
            PRIMARY KEY (msp_id, connection_id, psa_product_id)
        )"""
    )
