"""Notifications, the rules they come from, webhooks and digests with their deliveries."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    rules()
    notifications()
    read_marks()
    deliveries()


def rules() -> None:
    # sealed: the webhook's secret, which only reporting opens. after_position: what happened up to there is the past.
    op.execute(
        """CREATE TABLE setup.notification_rules (
            msp_id text COLLATE "C" NOT NULL REFERENCES setup.msps,
            rule_id text COLLATE "C" NOT NULL,
            kinds text[] NOT NULL,
            channel text NOT NULL CHECK (channel IN ('in_app', 'mail', 'digest', 'webhook')),
            target text NOT NULL,
            hour smallint,
            sealed text,
            after_position bigint NOT NULL,
            version integer NOT NULL,
            operation_id text NOT NULL,
            made_at timestamptz NOT NULL,
            saved_at timestamptz NOT NULL,
            saved_by text NOT NULL,
            removed_at timestamptz,
            PRIMARY KEY (msp_id, rule_id)
        )"""
    )
    op.execute("GRANT SELECT ON setup.notification_rules TO trueup_reporting")
    op.execute("GRANT SELECT, INSERT, UPDATE ON setup.notification_rules TO trueup_gateway")


def notifications() -> None:
    op.execute(
        """CREATE TABLE reporting.notifications (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            position bigint NOT NULL,
            kind text NOT NULL,
            happened_at timestamptz NOT NULL,
            severity text NOT NULL,
            fold_key text COLLATE "C" NOT NULL,
            about text NOT NULL,
            things integer NOT NULL,
            message text NOT NULL,
            fix text,
            link_report text NOT NULL,
            link_column text,
            link_key text COLLATE "C",
            PRIMARY KEY (msp_id, generation, position, kind)
        )"""
    )
    op.execute(
        """CREATE TABLE reporting.told_troubles (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            subject text COLLATE "C" NOT NULL,
            trouble text NOT NULL,
            PRIMARY KEY (msp_id, generation, subject)
        )"""
    )
    op.execute(
        """CREATE TABLE reporting.our_units (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            psa_connection_id text COLLATE "C" NOT NULL,
            psa_product_id text COLLATE "C" NOT NULL,
            position bigint NOT NULL,
            on_date date NOT NULL,
            units integer NOT NULL,
            unit_change integer NOT NULL,
            PRIMARY KEY (msp_id, generation, psa_connection_id, psa_product_id, position)
        )"""
    )
    op.execute(
        """CREATE TABLE reporting.found_resources (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            connection_id text COLLATE "C" NOT NULL,
            subscription_id text COLLATE "C" NOT NULL,
            resource_key text COLLATE "C" NOT NULL,
            position bigint NOT NULL,
            about text NOT NULL,
            PRIMARY KEY (msp_id, generation, connection_id, subscription_id, resource_key)
        )"""
    )
    op.execute("GRANT SELECT ON reporting.notifications TO trueup_gateway")


def read_marks() -> None:
    # What a person has read is no event: it concerns nobody else and no report.
    op.execute(
        """CREATE TABLE reporting.read_marks (
            msp_id text COLLATE "C" NOT NULL,
            actor text NOT NULL,
            position bigint NOT NULL,
            read_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, actor)
        )"""
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON reporting.read_marks TO trueup_gateway")


def deliveries() -> None:
    op.execute(
        """CREATE TABLE reporting.deliveries (
            delivery_id text COLLATE "C" PRIMARY KEY,
            number bigint GENERATED ALWAYS AS IDENTITY,
            msp_id text COLLATE "C" NOT NULL,
            rule_id text COLLATE "C" NOT NULL,
            occasion text NOT NULL,
            channel text NOT NULL,
            target text NOT NULL,
            subject_line text NOT NULL,
            body text NOT NULL,
            upto bigint,
            state text NOT NULL CHECK (state IN ('waiting', 'sent', 'given_up', 'empty')),
            attempts integer NOT NULL,
            made_at timestamptz NOT NULL,
            next_try_at timestamptz,
            held_until timestamptz,
            tried_at timestamptz,
            sent_at timestamptz,
            last_answer text,
            UNIQUE (msp_id, rule_id, occasion)
        )"""
    )
    op.execute("CREATE INDEX deliveries_waiting ON reporting.deliveries (msp_id, rule_id, number) WHERE state = 'waiting'")
    op.execute("CREATE INDEX deliveries_newest ON reporting.deliveries (msp_id, made_at DESC, delivery_id DESC)")
    op.execute("GRANT SELECT ON reporting.deliveries TO trueup_gateway")
