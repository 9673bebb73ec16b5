"""The first page: what the poller shows of itself, the last polls, what was posted summed by day, what leaks."""

from alembic import op

from deploy.migrations.rights import grant

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    poller_shows()
    last_polls()
    days()
    leaks()


def poller_shows() -> None:
    """How far polls are, for the gateway: the rest of poller's tables stays its own."""
    op.execute("ALTER TABLE poller.connections ADD COLUMN reads_chosen integer, ADD COLUMN reads_done integer")
    grant("USAGE", "SCHEMA poller", "trueup_gateway")
    shown = "msp_id, connection_id, next_poll_at, held_until, stopped_version, reads_chosen, reads_done"
    grant(f"SELECT ({shown})", "poller.connections", "trueup_gateway")


def last_polls() -> None:
    op.execute(
        """CREATE TABLE reporting.last_polls (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            connection_id text COLLATE "C" NOT NULL,
            completed_at timestamptz NOT NULL,
            complete boolean NOT NULL,
            subscriptions integer NOT NULL,
            changes integer NOT NULL,
            PRIMARY KEY (msp_id, generation, connection_id)
        ) WITH (fillfactor = 85)"""
    )
    grant("SELECT", "reporting.last_polls", "trueup_gateway")


def days() -> None:
    op.execute(
        """CREATE TABLE reporting.days (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            connection_id text COLLATE "C" NOT NULL,
            day date NOT NULL,
            currency text NOT NULL,
            adjustments numeric NOT NULL,
            units_up numeric NOT NULL,
            units_down numeric NOT NULL,
            prorated_cost numeric,
            prorated_price numeric,
            count_changes numeric NOT NULL,
            resources_found numeric NOT NULL,
            resources_gone numeric NOT NULL,
            PRIMARY KEY (msp_id, generation, connection_id, day, currency)
        ) WITH (fillfactor = 50)"""
    )
    grant("SELECT", "reporting.days", "trueup_gateway")


def leaks() -> None:
    op.execute(
        """CREATE TABLE reporting.excesses (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            psa_connection_id text COLLATE "C" NOT NULL,
            psa_product_id text COLLATE "C" NOT NULL,
            position bigint NOT NULL,
            told_at timestamptz NOT NULL,
            excess integer NOT NULL,
            PRIMARY KEY (msp_id, generation, psa_connection_id, psa_product_id, position)
        )"""
    )
    grant("SELECT", "reporting.excesses", "trueup_gateway")
    op.execute(
        """CREATE INDEX counts_unlinked ON reporting.counts (msp_id, generation, coalesce(valid_to, 'infinity'))
           WHERE relation_id IS NULL AND status = 'active'"""
    )
