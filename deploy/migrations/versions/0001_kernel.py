"""The kernel: the log, the queue's tables, call budgets, and what people set up."""

from alembic import op

from deploy.migrations.rights import ROLES, SERVICES, grant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERVICE_ROLES = tuple(f"trueup_{service}" for service in SERVICES)
WRITERS = (*SERVICE_ROLES, "trueup_gateway")


def upgrade() -> None:
    op.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    log()
    queue()
    budget()
    setup()


def log() -> None:
    op.execute("CREATE SCHEMA log")
    grant("USAGE", "SCHEMA log", *ROLES)
    op.execute(
        """CREATE TABLE log.events (
            msp_id text NOT NULL,
            position bigint NOT NULL,
            event_id uuid NOT NULL DEFAULT gen_random_uuid(),
            stream text NOT NULL,
            stream_version bigint NOT NULL,
            type text NOT NULL,
            version smallint NOT NULL,
            payload jsonb NOT NULL,
            occurred_at timestamptz NOT NULL,
            recorded_at timestamptz NOT NULL,
            correlation_id text NOT NULL,
            caused_by bigint,
            recorded_by text NOT NULL,
            actor text NOT NULL,
            PRIMARY KEY (msp_id, position),
            CONSTRAINT events_stream_version UNIQUE (msp_id, stream, stream_version)
        )"""
    )
    op.execute("CREATE TABLE log.heads (msp_id text PRIMARY KEY, position bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50)")
    op.execute("CREATE TABLE log.bells (msp_id text PRIMARY KEY, position bigint NOT NULL) WITH (fillfactor = 50)")
    op.execute(
        """CREATE FUNCTION log.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'events are never updated or deleted' USING ERRCODE = 'insufficient_privilege'; END $$"""
    )
    op.execute(
        """CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.events
        FOR EACH STATEMENT EXECUTE FUNCTION log.refuse()"""
    )
    grant("SELECT, INSERT", "log.events", *WRITERS)
    grant("SELECT, UPDATE", "log.heads", *WRITERS)
    grant("INSERT", "log.heads", "trueup_gateway")
    grant("SELECT", "log.events, log.heads", "trueup_relay")
    grant("SELECT, INSERT, UPDATE", "log.bells", "trueup_relay")


def queue() -> None:
    op.execute("CREATE SCHEMA queue")
    grant("USAGE", "SCHEMA queue", *ROLES)
    op.execute(
        """CREATE TABLE queue.outbox (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            message_id uuid NOT NULL UNIQUE,
            queue text NOT NULL,
            body jsonb NOT NULL,
            correlation_id text NOT NULL,
            put_at timestamptz NOT NULL,
            sent_at timestamptz,
            refused_reason text
        )"""
    )
    op.execute("CREATE INDEX outbox_unsent ON queue.outbox (number) WHERE sent_at IS NULL")
    op.execute("CREATE INDEX outbox_sent ON queue.outbox (sent_at) WHERE sent_at IS NOT NULL")
    op.execute(
        """CREATE TABLE queue.inbox (
            consumer text NOT NULL,
            message_id uuid NOT NULL,
            received_at timestamptz NOT NULL,
            PRIMARY KEY (consumer, message_id)
        )"""
    )
    op.execute("CREATE INDEX inbox_received ON queue.inbox (received_at)")
    op.execute(
        """CREATE TABLE queue.dead_letters (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            message_id text,
            queue text NOT NULL,
            cause text NOT NULL,
            body bytea NOT NULL,
            content_type text,
            attempts integer NOT NULL,
            correlation_id text,
            died_at timestamptz NOT NULL,
            returned_at timestamptz
        )"""
    )
    grant("SELECT, INSERT", "queue.outbox", *WRITERS)
    grant("SELECT, INSERT, UPDATE, DELETE", "queue.inbox", *SERVICE_ROLES)
    grant("SELECT, INSERT, UPDATE, DELETE", "queue.outbox, queue.inbox, queue.dead_letters", "trueup_relay")
    grant("SELECT", "queue.dead_letters", "trueup_gateway", "trueup_reporting")
    grant("UPDATE", "queue.dead_letters", "trueup_gateway")


def budget() -> None:
    op.execute("CREATE SCHEMA budget")
    grant("USAGE", "SCHEMA budget", "trueup_poller", "trueup_psa_writer", "trueup_gateway")
    op.execute(
        """CREATE TABLE budget.windows (
            name text NOT NULL,
            seconds integer NOT NULL,
            newest bigint NOT NULL,
            counts integer[] NOT NULL,
            PRIMARY KEY (name, seconds)
        ) WITH (fillfactor = 50)"""
    )
    op.execute(
        """CREATE TABLE budget.pauses (
            name text PRIMARY KEY,
            until timestamptz NOT NULL,
            reason text NOT NULL
        )"""
    )
    op.execute(
        """CREATE TABLE budget.slots (
            name text NOT NULL,
            slot smallint NOT NULL,
            holder uuid NOT NULL,
            until timestamptz NOT NULL,
            PRIMARY KEY (name, slot)
        )"""
    )
    op.execute(
        """CREATE TABLE budget.calls (
            name text NOT NULL,
            endpoint text NOT NULL,
            hour timestamptz NOT NULL,
            calls integer NOT NULL,
            failed integer NOT NULL,
            limited integer NOT NULL,
            PRIMARY KEY (name, endpoint, hour)
        )"""
    )
    tables = "budget.windows, budget.pauses, budget.slots, budget.calls"
    grant("SELECT, INSERT, UPDATE, DELETE", tables, "trueup_poller", "trueup_psa_writer")
    grant("SELECT", tables, "trueup_gateway")


def setup() -> None:
    op.execute("CREATE SCHEMA setup")
    grant("USAGE", "SCHEMA setup", *ROLES)
    op.execute(
        """CREATE TABLE setup.msps (
            msp_id text PRIMARY KEY,
            name text NOT NULL,
            time_zone text NOT NULL,
            added_at timestamptz NOT NULL
        )"""
    )
    op.execute(
        """CREATE TABLE setup.connections (
            msp_id text NOT NULL REFERENCES setup.msps,
            connection_id text NOT NULL,
            kind text NOT NULL CHECK (kind IN ('odin', 'autotask')),
            settings jsonb NOT NULL,
            sealed jsonb NOT NULL,
            version integer NOT NULL,
            saved_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, connection_id)
        )"""
    )
    op.execute(
        """CREATE TABLE setup.policies (
            msp_id text NOT NULL REFERENCES setup.msps,
            policy text NOT NULL,
            value text NOT NULL,
            version integer NOT NULL,
            saved_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, policy)
        )"""
    )
    tables = "setup.msps, setup.connections, setup.policies"
    grant("SELECT", tables, *SERVICE_ROLES)
    grant("SELECT, INSERT, UPDATE", tables, "trueup_gateway")
