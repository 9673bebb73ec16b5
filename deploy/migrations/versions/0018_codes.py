"""One-time codes as a second step of signing in, and when somebody who is signed in last proved to be who it is."""

from alembic import op

from deploy.migrations.rights import grant

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # sealed: the secret of the codes. on_since: null until a first code has shown that an app has it. used_step: the time step
    # of the last code that was used; no code of it, or of one before it, opens anything.
    op.execute(
        """CREATE TABLE people.codes (
            user_id text PRIMARY KEY REFERENCES people.users ON DELETE CASCADE,
            sealed text NOT NULL,
            on_since timestamptz,
            used_step bigint NOT NULL
        )"""
    )
    op.execute(
        """CREATE TABLE people.recovery_codes (
            user_id text NOT NULL REFERENCES people.codes ON DELETE CASCADE,
            code_hash bytea NOT NULL,
            PRIMARY KEY (user_id, code_hash)
        )"""
    )
    op.execute(
        """CREATE TABLE people.half_sign_ins (
            half_hash bytea PRIMARY KEY,
            user_id text NOT NULL REFERENCES people.users ON DELETE CASCADE,
            ends_at timestamptz NOT NULL
        )"""
    )
    op.execute("CREATE INDEX half_sign_ins_user ON people.half_sign_ins (user_id)")
    op.execute("ALTER TABLE people.sessions ADD proven_at timestamptz")
    op.execute("UPDATE people.sessions SET proven_at = begun_at")
    op.execute("ALTER TABLE people.sessions ALTER proven_at SET NOT NULL")
    for table in ("codes", "recovery_codes", "half_sign_ins"):
        grant("SELECT, INSERT, UPDATE, DELETE", f"people.{table}", "trueup_gateway")
