"""Single sign-on: whom of a provider's a user is, sign-ins on their way there, and by what a session was begun."""

from alembic import op

from deploy.migrations.rights import grant

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A provider's name for a person, which it never gives to another: the e-mail may get another owner, this may not.
    op.execute(
        """CREATE TABLE people.identities (
            issuer text NOT NULL,
            subject text NOT NULL,
            user_id text NOT NULL REFERENCES people.users ON DELETE CASCADE,
            linked_at timestamptz NOT NULL,
            PRIMARY KEY (issuer, subject),
            UNIQUE (user_id, issuer)
        )"""
    )
    # session_id: the browser's session when it left; proves: that session's user shows once more who it is.
    op.execute(
        """CREATE TABLE people.provider_visits (
            visit_hash bytea PRIMARY KEY,
            next text NOT NULL,
            session_id text NOT NULL,
            proves boolean NOT NULL,
            begun_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL
        )"""
    )
    op.execute(
        """ALTER TABLE people.sessions ADD kind text NOT NULL DEFAULT 'password'
           CHECK (kind IN ('password', 'password_and_code', 'single_sign_on'))"""
    )
    op.execute("ALTER TABLE people.sessions ALTER kind DROP DEFAULT")
    grant("SELECT (kind)", "people.sessions", "trueup_gateway_all")
    for table in ("identities", "provider_visits"):
        grant("SELECT, INSERT, DELETE", f"people.{table}", "trueup_gateway")
