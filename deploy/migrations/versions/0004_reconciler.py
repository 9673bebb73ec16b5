"""What reconciler keeps."""

from deploy.migrations.rights import own_schema

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    own_schema("reconciler")
