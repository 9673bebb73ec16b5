"""Who may come in: users with their roles, sessions, devices and one-time links; keys for programs; tries that are slowed down."""

from alembic import op

from deploy.migrations.rights import grant

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA people")
    grant("USAGE", "SCHEMA people", "trueup_gateway")
    users()
    places()
    keys()
    tries()
    grant("SELECT, INSERT, UPDATE, DELETE", "ALL TABLES IN SCHEMA people", "trueup_gateway")


def users() -> None:
    # email: as it is compared, in small letters. Without a password hash one comes in by a link only.
    op.execute(
        """CREATE TABLE people.users (
            user_id text PRIMARY KEY,
            email text NOT NULL UNIQUE CHECK (email = lower(email)),
            name text NOT NULL,
            password_hash text,
            must_change boolean NOT NULL,
            made_at timestamptz NOT NULL,
            password_set_at timestamptz
        )"""
    )
    op.execute(
        """CREATE TABLE people.roles (
            user_id text NOT NULL REFERENCES people.users ON DELETE CASCADE,
            msp_id text NOT NULL REFERENCES setup.msps,
            role text NOT NULL CHECK (role IN ('viewer', 'bookkeeper', 'operator', 'approver', 'admin')),
            disabled boolean NOT NULL,
            version integer NOT NULL,
            PRIMARY KEY (user_id, msp_id)
        )"""
    )
    op.execute("CREATE INDEX roles_msp ON people.roles (msp_id, role)")


def places() -> None:
    # Of whatever opens a door only the hash is kept.
    op.execute(
        """CREATE TABLE people.sessions (
            session_hash bytea PRIMARY KEY,
            session_id text NOT NULL UNIQUE,
            user_id text NOT NULL REFERENCES people.users ON DELETE CASCADE,
            begun_at timestamptz NOT NULL,
            seen_at timestamptz NOT NULL,
            address text NOT NULL,
            agent text NOT NULL
        )"""
    )
    op.execute("CREATE INDEX sessions_user ON people.sessions (user_id)")
    op.execute(
        """CREATE TABLE people.devices (
            device_hash bytea PRIMARY KEY,
            user_id text NOT NULL REFERENCES people.users ON DELETE CASCADE,
            seen_at timestamptz NOT NULL
        )"""
    )
    op.execute("CREATE INDEX devices_user ON people.devices (user_id)")
    op.execute(
        """CREATE TABLE people.links (
            link_hash bytea PRIMARY KEY,
            user_id text NOT NULL REFERENCES people.users ON DELETE CASCADE,
            ends_at timestamptz NOT NULL
        )"""
    )
    op.execute("CREATE INDEX links_user ON people.links (user_id)")


def keys() -> None:
    op.execute(
        """CREATE TABLE people.api_keys (
            key_id text PRIMARY KEY,
            msp_id text NOT NULL REFERENCES setup.msps,
            key_hash bytea NOT NULL UNIQUE,
            prefix text NOT NULL,
            name text NOT NULL,
            scopes text[] NOT NULL,
            made_by text NOT NULL,
            made_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL,
            revoked_at timestamptz,
            used_at timestamptz
        )"""
    )
    op.execute("CREATE INDEX api_keys_msp ON people.api_keys (msp_id, made_at)")


def tries() -> None:
    # bucket: what the tries are counted by, as a hash, so that no address and no mistyped e-mail is kept.
    op.execute(
        """CREATE TABLE people.tries (
            bucket bytea PRIMARY KEY,
            failures integer NOT NULL,
            free_at timestamptz NOT NULL,
            forgotten_at timestamptz NOT NULL
        )"""
    )
    op.execute("CREATE INDEX tries_forgotten ON people.tries (forgotten_at)")
