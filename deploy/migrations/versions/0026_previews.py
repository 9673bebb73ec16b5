"""Previews: what a person saw, kept for as long as its token stands for it; which request waits as the relation was set."""

from alembic import op

from deploy.migrations.rights import grant, wall

revision = "0026"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE reconciler.products ADD COLUMN hold_first boolean NOT NULL DEFAULT false")
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
