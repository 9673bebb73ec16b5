"""What psa_writer keeps."""

from deploy.migrations.rights import own_schema

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    own_schema("psa_writer")
