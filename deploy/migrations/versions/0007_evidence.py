"""Masked answers that led to events, and the ways from a product and from a renewal into the log."""

from alembic import op

from deploy.migrations.rights import grant

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    evidence()
    lineage()


def evidence() -> None:
    op.execute("CREATE SCHEMA evidence")
    grant("USAGE", "SCHEMA evidence", "trueup_poller", "trueup_gateway", "trueup_relay")
    op.execute(
        """CREATE TABLE evidence.answers (
            msp_id text COLLATE "C" NOT NULL,
            answer_hash bytea NOT NULL,
            content_type text NOT NULL,
            body bytea STORAGE EXTERNAL NOT NULL,
            marks jsonb NOT NULL,
            last_read_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, answer_hash)
        )"""
    )
    op.execute("CREATE INDEX answers_read ON evidence.answers (msp_id, last_read_at)")
    op.execute(
        """CREATE TABLE evidence.readings (
            msp_id text COLLATE "C" NOT NULL,
            connection_id text COLLATE "C" NOT NULL,
            subject text COLLATE "C" NOT NULL,
            read_at timestamptz NOT NULL,
            correlation_id text NOT NULL,
            answer_hash bytea NOT NULL,
            PRIMARY KEY (msp_id, connection_id, subject, read_at)
        )"""
    )
    op.execute("CREATE INDEX readings_read ON evidence.readings (msp_id, read_at)")
    tables = "evidence.answers, evidence.readings"
    grant("SELECT, INSERT", tables, "trueup_poller")
    grant("UPDATE (last_read_at)", "evidence.answers", "trueup_poller")
    grant("SELECT, DELETE", tables, "trueup_relay")
    grant("SELECT", "setup.msps, setup.policies", "trueup_relay")
    grant("SELECT", tables, "trueup_gateway")


def lineage() -> None:
    # Only the few events that name a product or a renewal pay for these; the many of ODIN's counts do not.
    op.execute(
        """CREATE INDEX events_of_product ON log.events
           (msp_id, (payload ->> 'psa_connection_id'), (payload ->> 'psa_product_id'), position)
           WHERE type IN ('RelationSet', 'RelationCleared', 'AdjustmentRequested', 'AdjustmentSuperseded', 'PlanRefused',
                          'AdjustmentPosted', 'AdjustmentFailed', 'AdjustmentParked', 'AdjustmentReleased',
                          'AdjustmentRetried', 'UnitsFoundEqual')"""
    )
    op.execute(
        """CREATE INDEX events_of_renewal ON log.events
           (msp_id, (payload ->> 'connection_id'), (payload ->> 'previous_subscription_id'), position)
           WHERE type = 'SubscriptionRenewed'"""
    )
