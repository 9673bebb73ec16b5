"""Saved views of reports; calls are counted by events instead of a row for each call."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    calls()


def calls() -> None:
    op.execute("DROP TABLE budget.calls")
    op.execute("CREATE INDEX api_calls_since ON reporting.api_calls (msp_id, generation, since)")
