"""Saved views of reports; calls are counted by events instead of a row for each call."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    calls()
    names()


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
