"""What mapping keeps."""

from deploy.migrations.rights import own_schema

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    own_schema("mapping")
