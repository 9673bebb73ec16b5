"""Row security: the gateway sees rows of the MSP it has named, and no others; rights that nobody uses go."""

from alembic import op
from sqlalchemy import text

from deploy.migrations.rights import NAMED, grant, wall

revision = "0020"
down_revision = "0018"
branch_labels = None
depends_on = None

# What is found by an index on an expression, such as lower(name), and what is shown of it.
FOUND = {
    "reporting.resources": "connection_id, company_id, company_name, subscription_id, subscription_name, resource_id,"
    " resource_name, resource_key, generation",
    "reporting.psa_customers": "psa_connection_id, psa_customer_id, psa_customer_name, generation",
    "reporting.psa_agreements": "psa_connection_id, psa_customer_id, psa_customer_name, psa_agreement_id, psa_agreement_name,"
    " generation",
    "reporting.psa_products": "psa_connection_id, psa_customer_id, psa_customer_name, psa_agreement_id, psa_agreement_name,"
    " psa_product_id, psa_product_name, generation",
    "reporting.counts": "connection_id, subscription_id, valid_from, valid_to, status, relation_id, count, unit_price,"
    " unit_price_currency, generation",
    "log.events": "position, event_id, stream, stream_version, type, version, payload, occurred_at, recorded_at,"
    " correlation_id, caused_by, recorded_by, actor",
}


def upgrade() -> None:
    for table in tables_of_msps():
        wall(table)
    found()
    all_msps()
    unused()


def tables_of_msps() -> list[str]:
    return list(
        op.get_bind().scalars(
            text(
                """SELECT c.oid::regclass::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                   WHERE c.relkind IN ('r', 'p') AND a.attname = 'msp_id' AND NOT a.attisdropped ORDER BY 1"""
            )
        )
    )


def found() -> None:
    # Under row security an index on an expression is not entered: what calls a function might tell, by an error, of a row
    # that is not shown. A view of the same rows, read with its owner's rights, is free of that.
    for table, columns in FOUND.items():
        view = table.replace(".", ".named_")
        op.execute(f"CREATE VIEW {view} AS SELECT msp_id, {columns} FROM {table} WHERE msp_id = {NAMED}")
        grant("SELECT", view, "trueup_gateway")


def all_msps() -> None:
    grant("USAGE", "SCHEMA people, reporting, log", "trueup_gateway_all")
    grant("SELECT (user_id, email, must_change)", "people.users", "trueup_gateway_all")
    grant("SELECT", "people.roles", "trueup_gateway_all")
    grant("SELECT (session_hash, session_id, user_id, begun_at, seen_at, proven_at)", "people.sessions", "trueup_gateway_all")
    known = "key_hash, name, msp_id, scopes, ends_at, revoked_at, used_at"
    grant(f"SELECT ({known})", "people.api_keys", "trueup_gateway_all")
    grant("UPDATE (seen_at)", "people.sessions", "trueup_gateway_all")
    grant("UPDATE (used_at)", "people.api_keys", "trueup_gateway_all")
    grant("SELECT", "reporting.positions, log.heads", "trueup_gateway_all")
    for table in ("people.roles", "people.api_keys", "reporting.positions", "log.heads"):
        op.execute(f"CREATE POLICY of_all_msps_for_gateway ON {table} TO trueup_gateway_all USING (true)")


def unused() -> None:
    """People are disabled and keys revoked, never deleted; an MSP's row stands as it was made."""
    op.execute("REVOKE DELETE ON people.users, people.roles, people.api_keys FROM trueup_gateway")
    op.execute("REVOKE UPDATE ON setup.msps, queue.dead_letters FROM trueup_gateway")
    op.execute("REVOKE SELECT ON reporting.rebuilds, reporting.closed_requests FROM trueup_gateway")
