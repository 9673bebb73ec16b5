"""How requests ended stands by itself, so that failures has rows of failures only; statistics are renewed less often."""

from alembic import op

from deploy.migrations.rights import grant

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    closed_requests()
    statistics()


def closed_requests() -> None:
    op.execute(
        """CREATE TABLE reporting.closed_requests (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            request_id text COLLATE "C" NOT NULL,
            closed_at timestamptz NOT NULL,
            closed_by text NOT NULL,
            PRIMARY KEY (msp_id, generation, request_id)
        )"""
    )
    op.execute(
        """INSERT INTO reporting.closed_requests
        SELECT msp_id, generation, request_id, closed_at, closed_by FROM reporting.failures
        WHERE request_id IS NOT NULL AND closed_at IS NOT NULL"""
    )
    op.execute("DELETE FROM reporting.failures WHERE attempts = 0 AND state = 'closed'")
    grant("SELECT", "reporting.closed_requests", "trueup_gateway")


def statistics() -> None:
    # Those of a table that has grown by less than half are good enough until autovacuum comes.
    op.execute(
        """CREATE OR REPLACE FUNCTION reporting.renew_statistics(name text, new_rows bigint) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '60s' AS $$
        DECLARE known real := (SELECT reltuples FROM pg_class WHERE oid = ('reporting.' || quote_ident(name))::regclass);
        BEGIN
            IF new_rows > 50 + 0.5 * greatest(known, 0) THEN EXECUTE format('ANALYZE reporting.%I', name); END IF;
        END $$"""
    )
