"""What reporting keeps."""

from deploy.migrations.rights import own_schema

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    own_schema("reporting")
