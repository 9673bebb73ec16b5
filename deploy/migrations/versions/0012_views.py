"""Saved views of reports; calls are counted by events instead of a row for each call."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP TABLE budget.calls")
