"""What a person saw before deciding; requests that wait as the relation was set; drift that a person has resolved."""

from alembic import op

from deploy.migrations.rights import grant, wall

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE reconciler.products ADD COLUMN hold_first boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE reconciler.products ADD COLUMN adopted_for integer")
    op.execute(
        """CREATE TABLE psa_writer.resolved_drifts (
            msp_id text NOT NULL,
            connection_id text NOT NULL,
            psa_product_id text NOT NULL,
            resolved_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, connection_id, psa_product_id)
        )"""
    )
    wall("psa_writer.resolved_drifts")
    op.execute(
        """CREATE TABLE setup.previews (
            msp_id text NOT NULL REFERENCES setup.msps,
            token text NOT NULL,
            kind text NOT NULL,
            asked jsonb NOT NULL,
            shown jsonb NOT NULL,
            print text NOT NULL,
            made_by text NOT NULL,
            made_at timestamptz NOT NULL,
            operation_id text,
            PRIMARY KEY (msp_id, token)
        )"""
    )
    op.execute("CREATE INDEX previews_made ON setup.previews (made_at)")
    grant("SELECT, INSERT, UPDATE, DELETE", "setup.previews", "trueup_gateway")
    wall("setup.previews")
    op.execute("DROP INDEX log.events_of_product")
    op.execute(
        """CREATE INDEX events_of_product ON log.events
           (msp_id, (payload ->> 'psa_connection_id'), (payload ->> 'psa_product_id'), position)
           WHERE type IN ('RelationSet', 'RelationCleared', 'AdjustmentRequested', 'AdjustmentSuperseded', 'PlanRefused',
                          'AdjustmentPosted', 'AdjustmentFailed', 'AdjustmentParked', 'AdjustmentReleased',
                          'AdjustmentRetried', 'UnitsFoundEqual', 'AdjustmentHeld', 'AdjustmentApproved',
                          'AdjustmentRefused', 'AdjustmentShadowed', 'AdjustmentMoved', 'AdjustmentDropped',
                          'DriftAdopted', 'DriftOverwritten')"""
    )
