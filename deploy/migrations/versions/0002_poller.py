"""What poller keeps."""

from deploy.migrations.rights import own_schema

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    own_schema("poller")
