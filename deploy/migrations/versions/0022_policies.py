"""Policies: exceptions for companies and resources, and each saved set as a version to go back to."""

from alembic import op

from deploy.migrations.rights import SERVICES, grant, wall

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What holds now. Both NULL: for the whole MSP. version, saved_at: of the set with which it was saved.
    op.execute("ALTER TABLE setup.policies ADD company_id text, ADD resource_id text")
    op.execute("ALTER TABLE setup.policies DROP CONSTRAINT policies_pkey")
    op.execute(
        """ALTER TABLE setup.policies ADD CONSTRAINT policies_once
           UNIQUE NULLS NOT DISTINCT (msp_id, policy, company_id, resource_id)"""
    )
    # decided: [{policy, value, company_id, resource_id}], the whole set. operation_id: the wish that made it; NULL: a command's.
    op.execute(
        """CREATE TABLE setup.policy_versions (
            msp_id text NOT NULL REFERENCES setup.msps,
            version integer NOT NULL,
            decided jsonb NOT NULL,
            saved_at timestamptz NOT NULL,
            saved_by text NOT NULL,
            operation_id text,
            PRIMARY KEY (msp_id, version)
        )"""
    )
    wall("setup.policy_versions")
    grant("SELECT", "setup.policy_versions", *(f"trueup_{name}" for name in SERVICES))
    grant("SELECT, INSERT", "setup.policy_versions", "trueup_gateway")
    grant("DELETE", "setup.policies", "trueup_gateway")
    op.execute("REVOKE UPDATE ON setup.policies FROM trueup_gateway")
    # Until now only the installation's operator could set one, by its command.
    op.execute(
        """INSERT INTO setup.policy_versions (msp_id, version, decided, saved_at, saved_by)
           SELECT msp_id, 1, jsonb_agg(jsonb_build_object('policy', policy, 'value', value,
               'company_id', NULL, 'resource_id', NULL) ORDER BY policy), max(saved_at), 'operator'
           FROM setup.policies GROUP BY msp_id"""
    )
    op.execute("UPDATE setup.policies SET version = 1")
