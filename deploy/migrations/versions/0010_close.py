"""What people decided at the close of each month, and when each side was last read."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """CREATE TABLE reporting.close_acts (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            psa_connection_id text COLLATE "C" NOT NULL,
            period text NOT NULL,
            position bigint NOT NULL,
            act text NOT NULL,
            acted_at timestamptz NOT NULL,
            acted_by text NOT NULL,
            check_key text COLLATE "C",
            title text,
            rows integer,
            exceptions integer,
            as_of_position bigint,
            reason text,
            PRIMARY KEY (msp_id, generation, psa_connection_id, period, position)
        )"""
    )
    op.execute(
        """CREATE TABLE reporting.readings (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            connection_id text COLLATE "C" NOT NULL,
            read_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, generation, connection_id)
        ) WITH (fillfactor = 85)"""
    )
    op.execute("GRANT SELECT ON reporting.close_acts, reporting.readings TO trueup_gateway")
