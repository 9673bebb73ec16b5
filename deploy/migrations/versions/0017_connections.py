"""What connections were like in each version, to go back to, and what their tests showed."""

from alembic import op

from deploy.migrations.rights import grant

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Secrets are not among them: who goes back keeps those of today. operation_id: the wish that made it; NULL: a command's.
    op.execute(
        """CREATE TABLE setup.connection_versions (
            msp_id text NOT NULL REFERENCES setup.msps,
            connection_id text NOT NULL,
            version integer NOT NULL,
            settings jsonb NOT NULL,
            operation_id text,
            PRIMARY KEY (msp_id, connection_id, version)
        )"""
    )
    op.execute(
        """INSERT INTO setup.connection_versions (msp_id, connection_id, version, settings)
           SELECT msp_id, connection_id, version, settings FROM setup.connections"""
    )
    # version: the one that was tested; NULL: values that are not saved. steps: NULL until they came, which may be never.
    op.execute(
        """CREATE TABLE setup.connection_tests (
            msp_id text NOT NULL REFERENCES setup.msps,
            operation_id text NOT NULL,
            connection_id text NOT NULL,
            version integer,
            begun_at timestamptz NOT NULL,
            begun_by text NOT NULL,
            steps jsonb,
            PRIMARY KEY (msp_id, operation_id)
        )"""
    )
    op.execute("CREATE INDEX connection_tests_newest ON setup.connection_tests (msp_id, connection_id, begun_at)")
    grant("SELECT, INSERT", "setup.connection_versions", "trueup_gateway")
    grant("SELECT, INSERT, UPDATE, DELETE", "setup.connection_tests", "trueup_gateway")
