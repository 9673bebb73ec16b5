"""Saved views, operations under way, what is found by name; calls are counted by events instead of a row for each call."""

from alembic import op

from deploy.migrations.rights import grant

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    views()
    operations()
    calls()
    names()


def views() -> None:
    op.execute(
        """CREATE TABLE setup.saved_views (
            msp_id text NOT NULL REFERENCES setup.msps,
            view_id text NOT NULL,
            report text NOT NULL,
            owner text NOT NULL,
            name text NOT NULL,
            shared boolean NOT NULL,
            settings jsonb NOT NULL,
            version integer NOT NULL,
            operation_id text NOT NULL,
            saved_by text NOT NULL,
            saved_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, view_id),
            UNIQUE (msp_id, report, owner, name)
        )"""
    )
    op.execute(
        """CREATE TABLE setup.default_views (
            msp_id text NOT NULL,
            person text NOT NULL,
            report text NOT NULL,
            view_id text NOT NULL,
            PRIMARY KEY (msp_id, person, report),
            FOREIGN KEY (msp_id, view_id) REFERENCES setup.saved_views ON DELETE CASCADE
        )"""
    )
    op.execute("CREATE INDEX default_views_view ON setup.default_views (msp_id, view_id)")
    grant("SELECT, INSERT, UPDATE, DELETE", "setup.saved_views, setup.default_views", "trueup_gateway")


def operations() -> None:
    op.execute(
        """CREATE TABLE setup.operations (
            msp_id text NOT NULL REFERENCES setup.msps,
            operation_id text NOT NULL,
            rows integer NOT NULL,
            state text NOT NULL CHECK (state IN ('running', 'done', 'unanswered')),
            done integer NOT NULL,
            refused integer NOT NULL,
            begun_at timestamptz NOT NULL,
            PRIMARY KEY (msp_id, operation_id)
        )"""
    )
    op.execute("CREATE INDEX operations_begun ON setup.operations (begun_at)")
    grant("SELECT, INSERT, UPDATE, DELETE", "setup.operations", "trueup_gateway")


def calls() -> None:
    op.execute("DROP TABLE budget.calls")
    op.execute("CREATE INDEX api_calls_since ON reporting.api_calls (msp_id, generation, since)")


def names() -> None:
    """What is found by name is walked from one different name to the next, in an order that is the same in every database."""
    walked = {
        "resources_company_name": "resources ({}, lower(company_name) COLLATE \"C\", connection_id, company_id)",
        "resources_subscription_name": "resources ({}, lower(subscription_name) COLLATE \"C\", connection_id, subscription_id)",
        "resources_name": "resources ({}, lower(resource_name) COLLATE \"C\")",
        "resources_id": "resources ({}, resource_id)",
        "psa_customers_name": "psa_customers ({}, lower(psa_customer_name) COLLATE \"C\")",
        "psa_agreements_name": "psa_agreements ({}, lower(psa_agreement_name) COLLATE \"C\")",
        "psa_products_name": "psa_products ({}, lower(psa_product_name) COLLATE \"C\")",
    }
    for name, on in walked.items():
        op.execute(f"CREATE INDEX {name} ON reporting." + on.format("msp_id, generation"))
