"""(a company, a PSA connection) -> its branch of the billing tree: subscriptions, resources, relations, suggestions, evidence."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, text

from domain.keys import MspId
from services.reporting.paging import read_page
from services.reporting.question import MOST_ROWS, Question
from services.reporting.reports import REPORTS
from services.reporting.reports.columns import Order

# A company with more resources than that is looked at in the report relation_candidates.
MOST_RESOURCES = 1_000
_CHOSEN = ("psa_customer_id", "psa_customer_name", "psa_agreement_id", "psa_agreement_name")


def company_branch(
    connection: Connection, msp_id: MspId, psa_connection_id: str, connection_id: str, company_id: str
) -> dict[str, Any]:
    """{suggestion, whole, subscriptions: [{subscription_id, subscription_name, linked, unlinked, psa_agreement_id,
    psa_agreement_name, suggestion, resources: [{**candidate, suggestion}]}]}. A suggestion is {score, evidence, **ids and names},
    or None. whole: False when only the first MOST_RESOURCES are there."""
    rows = _resources(connection, msp_id, psa_connection_id, connection_id, company_id)
    given = {
        "msp_id": msp_id,
        "psa": psa_connection_id,
        "connection_id": connection_id,
        "company_id": company_id,
        "keys": [row["resource_key"] for row in rows[:MOST_RESOURCES] if row["state"] == "suggested"],
    }
    of_company = connection.execute(text(_OF_COMPANY), given).mappings().first()
    of_subscription = {
        row["subscription_id"]: dict(row) for row in connection.execute(text(_OF_SUBSCRIPTIONS), given).mappings()
    }
    of_resource = {row["resource_key"]: dict(row) for row in connection.execute(text(_OF_RESOURCES), given).mappings()}
    subscriptions = []
    for subscription_id, group in groupby(rows[:MOST_RESOURCES], key=lambda row: row["subscription_id"]):
        resources = [row | {"suggestion": of_resource.get(row["resource_key"])} for row in group]
        linked = [row for row in resources if row["state"] == "linked"]
        subscriptions.append(
            {
                "subscription_id": subscription_id,
                "subscription_name": resources[0]["subscription_name"],
                "linked": len(linked),
                "unlinked": sum(row["state"] in ("suggested", "open") for row in resources),
                "psa_agreement_id": linked[0]["psa_agreement_id"] if linked else None,
                "psa_agreement_name": linked[0]["psa_agreement_name"] if linked else None,
                "suggestion": None if linked else of_subscription.get(subscription_id),
                "resources": resources,
            }
        )
    suggestion = None if any(row["state"] == "linked" for row in rows) or of_company is None else dict(of_company)
    return {"suggestion": suggestion, "whole": len(rows) <= MOST_RESOURCES, "subscriptions": subscriptions}


_SHOWN = f"psa_connection_id, {', '.join(_CHOSEN)}, psa_product_id, psa_product_name, score, evidence"
_OF_COMPANY = """
SELECT psa_connection_id, psa_customer_id, psa_customer_name, score, evidence FROM suggested.companies
WHERE msp_id = :msp_id AND psa_connection_id = :psa AND connection_id = :connection_id AND company_id = :company_id
"""
_OF_SUBSCRIPTIONS = """
SELECT subscription_id, psa_connection_id, psa_agreement_id, psa_agreement_name, score, evidence FROM suggested.subscriptions
WHERE msp_id = :msp_id AND psa_connection_id = :psa AND connection_id = :connection_id AND company_id = :company_id
"""
_OF_RESOURCES = f"""
SELECT resource_key, {_SHOWN} FROM suggested.resources
WHERE msp_id = :msp_id AND psa_connection_id = :psa AND resource_key = ANY(CAST(:keys AS text[]))
"""


def _resources(
    connection: Connection, msp_id: MspId, psa: str, marketplace: str, company_id: str
) -> Sequence[dict[str, Any]]:
    """The company's rows, subscription by subscription; one more than MOST_RESOURCES tells that there are more."""
    filter_ = {
        "psa_connection_id": {"in": [psa]},
        "connection_id": {"in": [marketplace]},
        "company_id": {"in": [company_id]},
    }
    order = (Order("subscription_name"), Order("subscription_id"), Order("resource_name"))
    rows: list[dict[str, Any]] = []
    after: str | None = None
    while len(rows) <= MOST_RESOURCES:
        question = Question(filter=filter_, order=order, first=MOST_ROWS, after=after, wanted=frozenset())
        page = read_page(connection, REPORTS["relation_candidates"], msp_id, question)
        rows += page.rows
        if not page.has_next:
            break
        after = page.cursors[-1]
    return rows
