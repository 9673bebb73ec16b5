"""What reporting keeps: read models folded from the log, each row in a generation, and which generation is the living one."""

from alembic import op

from deploy.migrations.rights import grant, own_schema

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ODIN_NAMES = """
    connection_id text COLLATE "C" NOT NULL,
    company_id text COLLATE "C" NOT NULL,
    company_name text NOT NULL,
    subscription_id text COLLATE "C" NOT NULL,
    subscription_name text NOT NULL,
    resource_id text COLLATE "C" NOT NULL,
    resource_name text NOT NULL
"""
PSA_NAMES = """
    psa_connection_id text COLLATE "C" NOT NULL,
    psa_customer_id text COLLATE "C" NOT NULL,
    psa_customer_name text NOT NULL,
    psa_agreement_id text COLLATE "C" NOT NULL,
    psa_agreement_name text NOT NULL,
    psa_product_id text COLLATE "C" NOT NULL,
    psa_product_name text NOT NULL
"""


def upgrade() -> None:
    own_schema("reporting")
    generations()
    keys()
    resources()
    relations()
    adjustments()
    failures()
    psa()
    grant("USAGE", "SCHEMA reporting", "trueup_gateway")
    grant("SELECT", "ALL TABLES IN SCHEMA reporting", "trueup_gateway")


def generations() -> None:
    # No row: generation 0 is the living one, so that the first event needs no preparation.
    op.execute(
        """CREATE TABLE reporting.generations (
            model text NOT NULL,
            msp_id text NOT NULL,
            generation integer NOT NULL,
            PRIMARY KEY (model, msp_id)
        )"""
    )
    op.execute(
        """CREATE TABLE reporting.rebuilds (
            model text NOT NULL,
            msp_id text NOT NULL,
            generation integer NOT NULL,
            fingerprint text NOT NULL,
            begun_at timestamptz NOT NULL,
            PRIMARY KEY (model, msp_id)
        )"""
    )


def keys() -> None:
    """The text of a key, as domain/keys.py writes it; SQL functions of one expression are inlined by the planner."""
    op.execute(
        """CREATE FUNCTION reporting.key_part(part text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN replace(replace(part, '%', '%25'), '/', '%2F')"""
    )
    op.execute(
        """CREATE FUNCTION reporting.resource_key(msp_id text, names jsonb) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN reporting.key_part(msp_id) || '/' || reporting.key_part(names ->> 'connection_id')
            || '/' || reporting.key_part(names ->> 'company_id') || '/' || reporting.key_part(names ->> 'subscription_id')
            || '/' || reporting.key_part(names ->> 'resource_id')"""
    )


def resources() -> None:
    op.execute(
        f"""CREATE TABLE reporting.resources (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            resource_key text COLLATE "C" NOT NULL,
            {ODIN_NAMES},
            status text NOT NULL,
            count numeric,
            unit text,
            unit_cost numeric,
            unit_cost_currency text,
            unit_price numeric,
            unit_price_currency text,
            usage_based boolean NOT NULL,
            mpn text,
            vendor text,
            vendor_subscription_id text,
            first_seen_at timestamptz NOT NULL,
            read_at timestamptz NOT NULL,
            ended_at timestamptz,
            relation_id text COLLATE "C",
            {PSA_NAMES.replace(" NOT NULL", "")},
            linked_at timestamptz,
            linked_by text,
            PRIMARY KEY (msp_id, generation, resource_key)
        ) WITH (fillfactor = 85)"""
    )
    op.execute(
        "CREATE INDEX resources_subscription ON reporting.resources (msp_id, generation, connection_id, subscription_id)"
    )
    op.execute(
        """CREATE TABLE reporting.subscriptions (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            connection_id text COLLATE "C" NOT NULL,
            subscription_id text COLLATE "C" NOT NULL,
            subscription_status text NOT NULL,
            billing_period text,
            billing_months integer,
            renewal_date date,
            renews boolean,
            PRIMARY KEY (msp_id, generation, connection_id, subscription_id)
        )"""
    )


def relations() -> None:
    op.execute(
        f"""CREATE TABLE reporting.relations (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            set_position bigint NOT NULL,
            relation_id text COLLATE "C" NOT NULL,
            resource_key text COLLATE "C" NOT NULL,
            {ODIN_NAMES},
            {PSA_NAMES},
            state text NOT NULL,
            set_at timestamptz NOT NULL,
            set_by text NOT NULL,
            followed_from text,
            cleared_at timestamptz,
            cleared_by text,
            cleared_reason text,
            followed_to text,
            PRIMARY KEY (msp_id, generation, set_position)
        )"""
    )
    op.execute(
        "CREATE INDEX relations_live ON reporting.relations (msp_id, generation, resource_key) WHERE state = 'live'"
    )


def adjustments() -> None:
    op.execute(
        f"""CREATE TABLE reporting.adjustments (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            position bigint NOT NULL,
            request_id text COLLATE "C" NOT NULL,
            operation_id text NOT NULL,
            {ODIN_NAMES},
            {PSA_NAMES},
            posted_at timestamptz NOT NULL,
            effective_date date NOT NULL,
            unit_change integer NOT NULL,
            units_before integer NOT NULL,
            units_after integer NOT NULL,
            unit_cost_before numeric,
            unit_cost_before_currency text,
            unit_cost_after numeric,
            unit_cost_after_currency text,
            prorated_cost numeric,
            prorated_cost_currency text,
            prorated_price numeric,
            prorated_price_currency text,
            proof text NOT NULL,
            attempt integer NOT NULL,
            completes_request boolean NOT NULL,
            PRIMARY KEY (msp_id, generation, position)
        )"""
    )
    op.execute("CREATE INDEX adjustments_posted ON reporting.adjustments (msp_id, generation, posted_at, position)")
    op.execute(
        f"""CREATE TABLE reporting.requests (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            request_id text COLLATE "C" NOT NULL,
            {ODIN_NAMES},
            {PSA_NAMES},
            target_units integer NOT NULL,
            target_unit_cost numeric,
            target_unit_cost_currency text,
            reason text NOT NULL,
            causes jsonb NOT NULL,
            requested_at timestamptz NOT NULL,
            state text NOT NULL,
            posted_at timestamptz,
            found_equal_at timestamptz,
            superseded_at timestamptz,
            superseded_by text,
            PRIMARY KEY (msp_id, generation, request_id)
        ) WITH (fillfactor = 85)"""
    )


def failures() -> None:
    # A request that never failed stands here too (attempts 0, shown by no report): a failure that is told after the
    # request was closed must not open it again.
    op.execute(
        f"""CREATE TABLE reporting.failures (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            failure_id text COLLATE "C" NOT NULL,
            subject text COLLATE "C" NOT NULL,
            request_id text COLLATE "C",
            {ODIN_NAMES.replace(" NOT NULL", "")},
            {PSA_NAMES.replace(" NOT NULL", "")},
            target_units integer,
            kind text,
            message text,
            fix text,
            attempts integer NOT NULL,
            first_failed_at timestamptz,
            last_failed_at timestamptz,
            next_try_at timestamptz,
            state text NOT NULL,
            closed_at timestamptz,
            closed_by text,
            PRIMARY KEY (msp_id, generation, failure_id)
        ) WITH (fillfactor = 85)"""
    )
    op.execute(
        """CREATE INDEX failures_open ON reporting.failures (msp_id, generation, subject)
        WHERE state <> 'closed' AND attempts > 0"""
    )
    op.execute(
        """CREATE TABLE reporting.fed_products (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            psa_connection_id text COLLATE "C" NOT NULL,
            psa_product_id text COLLATE "C" NOT NULL,
            live_relations integer NOT NULL,
            PRIMARY KEY (msp_id, generation, psa_connection_id, psa_product_id)
        )"""
    )


def psa() -> None:
    op.execute(
        """CREATE TABLE reporting.psa_customers (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            psa_connection_id text COLLATE "C" NOT NULL,
            psa_customer_id text COLLATE "C" NOT NULL,
            psa_customer_name text NOT NULL,
            contact text,
            active boolean NOT NULL,
            gone boolean NOT NULL,
            observed_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, generation, psa_connection_id, psa_customer_id)
        )"""
    )
    op.execute(
        """CREATE TABLE reporting.psa_agreements (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            psa_connection_id text COLLATE "C" NOT NULL,
            psa_agreement_id text COLLATE "C" NOT NULL,
            psa_agreement_name text NOT NULL,
            psa_customer_id text COLLATE "C" NOT NULL,
            psa_customer_name text NOT NULL,
            description text,
            active boolean NOT NULL,
            recurring boolean NOT NULL,
            start_date date NOT NULL,
            end_date date NOT NULL,
            gone boolean NOT NULL,
            observed_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, generation, psa_connection_id, psa_agreement_id)
        )"""
    )
    op.execute(
        f"""CREATE TABLE reporting.psa_products (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            {PSA_NAMES},
            vendor text,
            period_type text,
            active boolean NOT NULL,
            unit_cost numeric,
            unit_cost_currency text,
            unit_price numeric,
            unit_price_currency text,
            units integer,
            units_on_date date,
            units_read_at timestamptz,
            gone boolean NOT NULL,
            observed_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, generation, psa_connection_id, psa_product_id)
        ) WITH (fillfactor = 85)"""
    )
