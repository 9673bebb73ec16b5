"""Sides: read models as they were at a past position, kept a while; and statistics that reporting may have renewed."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sides()
    living()
    statistics()


def sides() -> None:
    # position NULL: nobody may read it any more, its rows are about to be removed.
    op.execute(
        """CREATE TABLE reporting.sides (
            model text NOT NULL,
            msp_id text NOT NULL,
            generation integer NOT NULL CHECK (generation < 0),
            position bigint,
            folded bigint NOT NULL,
            fingerprint text NOT NULL,
            asked_at timestamptz NOT NULL,
            PRIMARY KEY (model, msp_id, generation),
            UNIQUE (model, msp_id, position)
        )"""
    )
    op.execute("GRANT SELECT ON reporting.sides TO trueup_gateway")


def living() -> None:
    """So that a prepared fold finds the generation itself, in the same round trip and under the lock of its position."""
    op.execute(
        """CREATE FUNCTION reporting.living_generation(model text, msp_id text) RETURNS integer LANGUAGE sql STABLE
        RETURN coalesce((SELECT g.generation FROM reporting.generations g
            WHERE g.model = living_generation.model AND g.msp_id = living_generation.msp_id), 0)"""
    )


def statistics() -> None:
    """Only the owner of a table may ANALYZE it, and the owner is who migrates. So the role of the service asks through this
    function, which looks at tables of its own schema only, and only when so many new rows change the picture."""
    op.execute(
        """CREATE FUNCTION reporting.renew_statistics(name text, new_rows bigint) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '60s' AS $$
        DECLARE known real := (SELECT reltuples FROM pg_class WHERE oid = ('reporting.' || quote_ident(name))::regclass);
        BEGIN
            IF new_rows > 50 + 0.1 * greatest(known, 0) THEN EXECUTE format('ANALYZE reporting.%I', name); END IF;
        END $$"""
    )
    op.execute("REVOKE EXECUTE ON FUNCTION reporting.renew_statistics FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION reporting.renew_statistics TO trueup_reporting")
