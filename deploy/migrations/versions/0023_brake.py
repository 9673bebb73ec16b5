"""The brake at the writer's door: what it holds, who has approved it, what would have been posted in shadow mode."""

from alembic import op

from deploy.migrations.rights import grant, wall

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

RENAMED = {
    "largest_change_units": "brake_rise_units",
    "largest_change_percent": "brake_rise_percent",
    "largest_change_per_hour": "brake_hour_units",
}
NAMES = ", ".join(
    f'{name} text {"" if name.endswith("_name") else "COLLATE " + chr(34) + "C" + chr(34)} NOT NULL'
    for name in (
        *("connection_id", "company_id", "company_name", "subscription_id", "subscription_name"),
        *("resource_id", "resource_name", "psa_connection_id", "psa_customer_id", "psa_customer_name"),
        *("psa_agreement_id", "psa_agreement_name", "psa_product_id", "psa_product_name"),
    )
)


def upgrade() -> None:
    for old, new in RENAMED.items():
        op.execute(f"UPDATE setup.policies SET policy = '{new}' WHERE policy = '{old}'")
        op.execute(
            f"""UPDATE setup.policy_versions SET decided = replace(decided::text, '"{old}"', '"{new}"')::jsonb
                WHERE decided::text LIKE '%"{old}"%'"""
        )
    writer()
    lineage()
    reports()


def writer() -> None:
    # told: the AdjustmentHeld or AdjustmentShadowed that was told last, with its type. operations: wishes of people that were
    # done. moves: units that what is held would move, without sign.
    op.execute(
        """ALTER TABLE psa_writer.requests
            DROP CONSTRAINT requests_state_check,
            ADD CONSTRAINT requests_state_check CHECK (state IN ('planned', 'sending', 'unknown', 'waiting', 'parked', 'held',
                'shadowed', 'refused', 'dropped', 'done', 'superseded')),
            ADD COLUMN asked_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN effective text NOT NULL DEFAULT 'as_planned' CHECK (effective IN ('as_planned', 'next_period')),
            ADD COLUMN moves integer NOT NULL DEFAULT 0,
            ADD COLUMN told jsonb,
            ADD COLUMN approvals jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN approved jsonb,
            ADD COLUMN operations jsonb NOT NULL DEFAULT '[]'"""
    )
    op.execute(
        """UPDATE psa_writer.requests SET state = 'planned', next_try_at = now()
           WHERE state = 'parked' AND kind = 'large_change'"""
    )
    op.execute("DROP INDEX psa_writer.requests_open")
    op.execute(
        """CREATE INDEX requests_open ON psa_writer.requests (msp_id, connection_id, next_try_at)
           WHERE state IN ('planned', 'waiting', 'parked', 'held')"""
    )
    op.execute("CREATE INDEX requests_asked ON psa_writer.requests (msp_id, connection_id, psa_product_id, asked_at)")
    op.execute(
        "CREATE INDEX requests_resource ON psa_writer.requests (msp_id, (wish ->> 'resource_id'), asked_at)"
    )
    op.execute("CREATE INDEX requests_poll ON psa_writer.requests (msp_id, correlation_id)")
    op.execute("CREATE INDEX intents_request ON psa_writer.intents (msp_id, request_id)")
    op.execute("ALTER TABLE psa_writer.relations ADD COLUMN set_by text NOT NULL DEFAULT ''")


def lineage() -> None:
    op.execute("DROP INDEX log.events_of_product")
    op.execute(
        """CREATE INDEX events_of_product ON log.events
           (msp_id, (payload ->> 'psa_connection_id'), (payload ->> 'psa_product_id'), position)
           WHERE type IN ('RelationSet', 'RelationCleared', 'AdjustmentRequested', 'AdjustmentSuperseded', 'PlanRefused',
                          'AdjustmentPosted', 'AdjustmentFailed', 'AdjustmentParked', 'AdjustmentReleased',
                          'AdjustmentRetried', 'UnitsFoundEqual', 'AdjustmentHeld', 'AdjustmentApproved',
                          'AdjustmentRefused', 'AdjustmentShadowed', 'AdjustmentMoved', 'AdjustmentDropped')"""
    )


def reports() -> None:
    op.execute(
        "ALTER TABLE reporting.requests ADD COLUMN refused_at timestamptz, ADD COLUMN dropped_at timestamptz"
    )
    op.execute("DROP INDEX reporting.requests_open")
    op.execute(
        """CREATE INDEX requests_open ON reporting.requests (msp_id, generation, psa_connection_id, psa_product_id)
        WHERE state IN ('open', 'refused', 'dropped')"""
    )
    op.execute(
        f"""CREATE TABLE reporting.held_requests (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            request_id text COLLATE "C" NOT NULL,
            {NAMES},
            rule text NOT NULL,
            rule_text text NOT NULL,
            severity text NOT NULL,
            units_before integer NOT NULL,
            target_units integer NOT NULL,
            effective_date date NOT NULL,
            money_now numeric,
            money_now_currency text,
            price_per_month numeric,
            price_per_month_currency text,
            evidence_for text,
            evidence_against text,
            approvals integer NOT NULL,
            approved_by text,
            people_needed integer NOT NULL,
            held_since timestamptz NOT NULL,
            state text NOT NULL,
            decided_at timestamptz,
            decided_by text,
            reason text,
            PRIMARY KEY (msp_id, generation, request_id)
        ) WITH (fillfactor = 85)"""
    )
    op.execute(
        """CREATE INDEX held_requests_held ON reporting.held_requests (msp_id, generation, held_since)
           WHERE state = 'held'"""
    )
    op.execute(
        f"""CREATE TABLE reporting.shadowed_requests (
            msp_id text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            request_id text COLLATE "C" NOT NULL,
            {NAMES},
            units_before integer NOT NULL,
            target_units integer NOT NULL,
            effective_date date NOT NULL,
            money_now numeric,
            money_now_currency text,
            price_per_month numeric,
            price_per_month_currency text,
            shadowed_at timestamptz NOT NULL,
            state text NOT NULL,
            PRIMARY KEY (msp_id, generation, request_id)
        ) WITH (fillfactor = 85)"""
    )
    op.execute(
        """CREATE INDEX shadowed_requests_shown ON reporting.shadowed_requests (msp_id, generation)
           WHERE state = 'would_post'"""
    )
    for table in ("reporting.held_requests", "reporting.shadowed_requests"):
        grant("SELECT", table, "trueup_gateway")
        wall(table)
