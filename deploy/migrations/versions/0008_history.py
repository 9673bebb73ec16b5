"""What reporting keeps of the past: counts with the time for which they held, the ledger of units, who did what."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    counts()
    ledger()
    activity()
    calls()
    op.execute(
        """CREATE INDEX requests_open ON reporting.requests (msp_id, generation, psa_connection_id, psa_product_id)
        WHERE state = 'open'"""
    )
    op.execute(
        """GRANT SELECT ON reporting.counts, reporting.renewals, reporting.ledger, reporting.product_units, reporting.activity,
        reporting.api_calls
        TO trueup_gateway"""
    )


def counts() -> None:
    # The facts that a row of events has set so far: what a later one sets stands in place of what an earlier one did.
    op.execute("CREATE AGGREGATE reporting.merged (jsonb) (SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}')")
    op.execute(
        """CREATE TABLE reporting.counts (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            resource_key text COLLATE "C" NOT NULL,
            from_position bigint NOT NULL,
            to_position bigint,
            valid_from timestamptz NOT NULL,
            valid_to timestamptz,
            connection_id text COLLATE "C" NOT NULL,
            subscription_id text COLLATE "C" NOT NULL,
            status text NOT NULL,
            count numeric,
            unit_cost numeric,
            unit_cost_currency text,
            unit_price numeric,
            unit_price_currency text,
            relation_id text COLLATE "C",
            psa_connection_id text COLLATE "C",
            psa_product_id text COLLATE "C",
            PRIMARY KEY (msp_id, generation, resource_key, from_position)
        )"""
    )
    op.execute(
        """CREATE INDEX counts_now ON reporting.counts (msp_id, generation, connection_id, subscription_id, resource_key)
        WHERE to_position IS NULL"""
    )
    op.execute(
        """CREATE TABLE reporting.renewals (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            connection_id text COLLATE "C" NOT NULL,
            subscription_id text COLLATE "C" NOT NULL,
            previous_subscription_id text COLLATE "C" NOT NULL,
            renewed_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, generation, connection_id, subscription_id)
        )"""
    )


def ledger() -> None:
    op.execute(
        """CREATE TABLE reporting.ledger (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            psa_connection_id text COLLATE "C" NOT NULL,
            psa_product_id text COLLATE "C" NOT NULL,
            position bigint NOT NULL,
            kind text NOT NULL,
            on_date date NOT NULL,
            units integer NOT NULL,
            unit_change integer,
            told_at timestamptz NOT NULL,
            request_id text COLLATE "C",
            PRIMARY KEY (msp_id, generation, psa_connection_id, psa_product_id, position)
        )"""
    )
    op.execute(
        """CREATE TABLE reporting.product_units (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            psa_connection_id text COLLATE "C" NOT NULL,
            psa_product_id text COLLATE "C" NOT NULL,
            read_units integer,
            read_on date,
            read_at timestamptz,
            left_units integer,
            settled_units integer,
            settled_at timestamptz,
            PRIMARY KEY (msp_id, generation, psa_connection_id, psa_product_id)
        ) WITH (fillfactor = 85)"""
    )


def activity() -> None:
    op.execute(
        """CREATE FUNCTION reporting.money_in_words(money jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN (money ->> 'amount') || ' ' || (money ->> 'currency')"""
    )
    op.execute(
        """CREATE FUNCTION reporting.changes_in_words(changes jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN (SELECT string_agg((c ->> 'field') || ': ' || coalesce(c ->> 'before', '–') || ' → '
            || coalesce(c ->> 'after', '–'), '; ' ORDER BY n) FROM jsonb_array_elements(changes) WITH ORDINALITY AS t (c, n))"""
    )
    op.execute(
        """CREATE TABLE reporting.activity (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            position bigint NOT NULL,
            happened_at timestamptz NOT NULL,
            actor text NOT NULL,
            actor_kind text NOT NULL,
            source text NOT NULL,
            action text NOT NULL,
            object_kind text NOT NULL,
            object_id text COLLATE "C" NOT NULL,
            object_label text NOT NULL,
            changes jsonb NOT NULL,
            reason text,
            correlation_id text COLLATE "C" NOT NULL,
            PRIMARY KEY (msp_id, generation, position)
        )"""
    )


def calls() -> None:
    op.execute(
        """CREATE TABLE reporting.api_calls (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            position bigint NOT NULL,
            connection_id text COLLATE "C" NOT NULL,
            endpoint text NOT NULL,
            since timestamptz NOT NULL,
            seconds integer NOT NULL,
            calls integer NOT NULL,
            failed integer NOT NULL,
            limited integer NOT NULL,
            p50_milliseconds integer NOT NULL,
            p95_milliseconds integer NOT NULL,
            slowest_milliseconds integer NOT NULL,
            PRIMARY KEY (msp_id, generation, position, endpoint)
        )"""
    )
