"""What was told of a consumer that stopped stands beside its position; which closes were looked at, and when."""

from alembic import op

from deploy.migrations.rights import SERVICES

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for service in SERVICES:
        op.execute(f"ALTER TABLE {service}.positions ADD COLUMN told_stopped_at timestamptz")
    op.execute(
        """CREATE TABLE reporting.close_looks (
            msp_id text COLLATE "C" NOT NULL,
            psa_connection_id text COLLATE "C" NOT NULL,
            looked_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, psa_connection_id)
        )"""
    )
