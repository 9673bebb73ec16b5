"""Suggestions of what to link, kept for the reports; what mapping weighs for them; a person's drafts of relations."""

from alembic import op

from deploy.migrations.rights import grant, wall

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    weighed()
    suggested()
    drafts()


def weighed() -> None:
    op.execute("ALTER TABLE mapping.resources ADD mpn text, ADD currency text, ADD billing_period text")
    op.execute("ALTER TABLE mapping.psa_products ADD period_type text, ADD currency text")
    # A reactor is never replayed: what it has passed over until now is taken from the log here.
    op.execute(
        """UPDATE mapping.resources r SET mpn = e.payload ->> 'mpn',
               currency = coalesce(e.payload -> 'unit_price' ->> 'currency', e.payload -> 'unit_cost' ->> 'currency')
           FROM (SELECT DISTINCT ON (msp_id, stream) msp_id, payload FROM log.events WHERE type = 'ResourceDiscovered'
                 ORDER BY msp_id, stream, stream_version DESC) e
           WHERE r.msp_id = e.msp_id AND r.connection_id = e.payload ->> 'connection_id'
             AND r.company_id = e.payload ->> 'company_id' AND r.subscription_id = e.payload ->> 'subscription_id'
             AND r.resource_id = e.payload ->> 'resource_id'"""
    )
    op.execute(
        """UPDATE mapping.resources r SET billing_period = e.payload ->> 'billing_period'
           FROM (SELECT DISTINCT ON (msp_id, stream) msp_id, payload FROM log.events WHERE type = 'SubscriptionObserved'
                 ORDER BY msp_id, stream, stream_version DESC) e
           WHERE r.msp_id = e.msp_id AND r.connection_id = e.payload ->> 'connection_id'
             AND r.subscription_id = e.payload ->> 'subscription_id'"""
    )
    op.execute(
        """UPDATE mapping.psa_products p SET period_type = e.payload ->> 'period_type',
               currency = coalesce(e.payload -> 'unit_price' ->> 'currency', e.payload -> 'unit_cost' ->> 'currency')
           FROM (SELECT DISTINCT ON (msp_id, stream) msp_id, payload FROM log.events WHERE type = 'PsaProductObserved'
                 ORDER BY msp_id, stream, stream_version DESC) e
           WHERE p.msp_id = e.msp_id AND p.psa_connection_id = e.payload ->> 'psa_connection_id'
             AND p.psa_product_id = e.payload ->> 'psa_product_id'"""
    )


def suggested() -> None:
    op.execute("CREATE SCHEMA suggested")
    grant("USAGE", "SCHEMA suggested", "trueup_mapping", "trueup_gateway")
    names = {
        "companies": "connection_id, company_id",
        "subscriptions": "connection_id, company_id, subscription_id",
        "resources": "resource_key",
    }
    choices = {
        "companies": "psa_customer_id, psa_customer_name",
        "subscriptions": "psa_agreement_id, psa_agreement_name",
        "resources": "psa_customer_id, psa_customer_name, psa_agreement_id, psa_agreement_name, psa_product_id,"
        " psa_product_name",
    }
    for table, key in names.items():
        columns = ", ".join(f'{name.strip()} text COLLATE "C" NOT NULL' for name in key.split(","))
        chosen = ", ".join(f"{name.strip()} text NOT NULL" for name in choices[table].split(","))
        op.execute(
            f"""CREATE TABLE suggested.{table} (
                msp_id text NOT NULL, psa_connection_id text COLLATE "C" NOT NULL, {columns}, {chosen},
                score numeric NOT NULL, evidence jsonb NOT NULL,
                PRIMARY KEY (msp_id, psa_connection_id, {key})
            )"""
        )
        wall(f"suggested.{table}")
        grant("SELECT, INSERT, UPDATE, DELETE", f"suggested.{table}", "trueup_mapping")
        grant("SELECT", f"suggested.{table}", "trueup_gateway")
    op.execute(
        """CREATE TABLE suggested.weighed (
            msp_id text PRIMARY KEY,
            version bigint NOT NULL,
            weighed_version bigint NOT NULL DEFAULT 0,
            weighed_on date
        )"""
    )
    wall("suggested.weighed")
    grant("SELECT, INSERT, UPDATE, DELETE", "suggested.weighed", "trueup_mapping")
    op.execute("INSERT INTO suggested.weighed (msp_id, version) SELECT DISTINCT msp_id, 1 FROM mapping.resources")
    op.execute(
        """CREATE FUNCTION suggested.in_words(evidence jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
           RETURN (SELECT string_agg(
               CASE WHEN (e ->> 'weight')::numeric > 0 THEN '+' ELSE '' END || (e ->> 'weight') || ' ' || (e ->> 'text'), ' '
               ORDER BY nth) FROM jsonb_array_elements(evidence) WITH ORDINALITY AS a (e, nth))"""
    )


def drafts() -> None:
    op.execute(
        """CREATE TABLE setup.relation_drafts (
            msp_id text NOT NULL REFERENCES setup.msps,
            person text NOT NULL,
            psa_connection_id text NOT NULL,
            level text NOT NULL CHECK (level IN ('company', 'subscription', 'resource')),
            connection_id text NOT NULL,
            odin_id text NOT NULL,
            psa_id text NOT NULL,
            saved_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, person, psa_connection_id, level, connection_id, odin_id)
        )"""
    )
    wall("setup.relation_drafts")
    grant("SELECT, INSERT, UPDATE, DELETE", "setup.relation_drafts", "trueup_gateway")
