"""Who may do what in the database: one role a process, with only the rights it needs.

| role | may |
|---|---|
| trueup_<service> | everything in its own schema; append to and read the log; put work into the queue; read the set-up |
| trueup_poller | keep evidence as well |
| trueup_mapping | keep suggestions as well |
| trueup_gateway | read reporting, evidence and suggestions; write the set-up; append to and read the log |
| trueup_gateway_all | what the gateway becomes for a look at all MSPs (plumbing/row_security.py): who comes in, lag |
| trueup_relay | read the log, mark bells, move the queue, forget old evidence |

Of a table with an MSP's rows the gateway sees those of the MSP that is named for its transaction: `wall` says so.
"""

from alembic import op

SERVICES = ("poller", "mapping", "reconciler", "psa_writer", "reporting")
ROLES = tuple(f"trueup_{name}" for name in (*SERVICES, "gateway", "relay"))
NAMED = "current_setting('trueup.msp_id', true)"


def grant(rights: str, on: str, *roles: str) -> None:
    """Gives the rights on a table, schema or sequence to the roles."""
    op.execute(f"GRANT {rights} ON {on} TO {', '.join(roles)}")


def wall(table: str) -> None:
    """From now on PostgreSQL shows and takes a row of the table only when it is of the MSP that is named (the gateway), or for
    whoever works for all MSPs (services, relay). The rights on the table are given besides."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY of_the_named_msp ON {table} TO trueup_gateway USING (msp_id = {NAMED})")
    others = ", ".join(role for role in ROLES if role != "trueup_gateway")
    op.execute(f"CREATE POLICY of_all_msps ON {table} TO {others} USING (true)")


def own_schema(service: str) -> None:
    """Makes the schema of a service, with the table of its consumers' positions, and gives it to the service's role."""
    op.execute(f"CREATE SCHEMA {service}")
    grant("USAGE", f"SCHEMA {service}", f"trueup_{service}")
    op.execute(
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {service} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO trueup_{service}"
    )
    op.execute(
        f"""CREATE TABLE {service}.positions (
            consumer text NOT NULL,
            msp_id text NOT NULL,
            position bigint NOT NULL,
            stopped_at timestamptz,
            stopped_reason text,
            PRIMARY KEY (consumer, msp_id)
        )"""
    )
