"""Questions: what became of a subscription or an agreement that ended, where only a person can say."""

from alembic import op

from deploy.migrations.rights import grant, wall

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """CREATE TABLE mapping.agreement_moves (
            msp_id text NOT NULL,
            psa_connection_id text NOT NULL,
            psa_agreement_id text NOT NULL,
            psa_agreement_name text NOT NULL,
            psa_customer_id text NOT NULL,
            psa_customer_name text NOT NULL,
            state text NOT NULL CHECK (state IN ('open', 'moved', 'stays', 'closed')),
            told text NOT NULL,
            moved_to text,
            stream_version bigint NOT NULL,
            PRIMARY KEY (msp_id, psa_connection_id, psa_agreement_id)
        )"""
    )
    op.execute("CREATE TABLE mapping.move_looks (msp_id text PRIMARY KEY, looked_on date NOT NULL)")
    op.execute(
        """CREATE TABLE reporting.questions (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            question_id text COLLATE "C" NOT NULL,
            kind text NOT NULL,
            connection_id text COLLATE "C" NOT NULL,
            customer_id text COLLATE "C" NOT NULL,
            customer_name text NOT NULL,
            subject_id text COLLATE "C" NOT NULL,
            subject_name text NOT NULL,
            candidates jsonb NOT NULL,
            state text NOT NULL,
            asked_at timestamptz NOT NULL,
            settled_at timestamptz,
            settled_by text,
            answer_id text COLLATE "C",
            answer_name text,
            reason text,
            PRIMARY KEY (msp_id, generation, question_id)
        )"""
    )
    for table in ("mapping.agreement_moves", "mapping.move_looks", "reporting.questions"):
        wall(table)
    grant("SELECT", "reporting.questions", "trueup_gateway")
    op.execute(
        """CREATE FUNCTION reporting.candidates_in_words(candidates jsonb) RETURNS text LANGUAGE sql IMMUTABLE
        RETURN (SELECT string_agg((c ->> 'name') || ' (' || (c ->> 'id') || '): ' || coalesce(
            (SELECT string_agg(said, ', ' ORDER BY n)
                FROM jsonb_array_elements_text(c -> 'evidence') WITH ORDINALITY AS e (said, n)), 'no evidence'),
            '; ' ORDER BY place) FROM jsonb_array_elements(candidates) WITH ORDINALITY AS given (c, place))"""
    )
