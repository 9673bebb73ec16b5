"""What an MSP has decided of its policies, now and in each version -> what is shown of it, with names beside the ids."""

from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, text

from domain.keys import CompanyId, MspId, ResourceId
from domain.policies import POLICIES, WHOLE_MSP, Policies, Scope
from gateway.draft_policies import Values, steps
from plumbing import setup
from services.reporting.queries import company_names, resource_names

MOST_VERSIONS = 200


def decided(connection: Connection, msp_id: MspId) -> dict[str, Any]:
    """{version, saved_at, saved_by, policies, exceptions} as they hold; saved_at None: nothing was ever saved."""
    now = setup.policies(connection, msp_id)
    saved = connection.execute(
        text("SELECT saved_at, saved_by FROM setup.policy_versions WHERE msp_id = :msp_id AND version = :version"),
        {"msp_id": msp_id, "version": now.version},
    ).first()
    own = now.values.get(WHOLE_MSP, {})
    exceptions = [
        {**place, "name": name, "value": value}
        for scope, place in _places(connection, msp_id, now.values)
        if scope != WHOLE_MSP
        for name, value in sorted(now.values[scope].items())
    ]
    return {
        "version": now.version,
        "saved_at": saved.saved_at if saved else None,
        "saved_by": saved.saved_by if saved else None,
        "policies": [
            {"name": name, "value": own.get(name, policy.default), "decided": name in own, **vars(policy)}
            for name, policy in POLICIES.items()
        ],
        "exceptions": exceptions,
    }


def history(connection: Connection, msp_id: MspId, most: int) -> list[dict[str, Any]]:
    """{version, saved_at, saved_by, changes: [{name, before, after, company_id, ...}]}, the newest first, at most 200."""
    rows = connection.execute(
        text(
            """SELECT version, saved_at, saved_by, decided FROM setup.policy_versions
               WHERE msp_id = :msp_id ORDER BY version DESC LIMIT :most"""
        ),
        {"msp_id": msp_id, "most": min(most, MOST_VERSIONS) + 1},
    ).all()
    sets = [Policies.of_rows(row.version, row.decided).values for row in rows]
    changed = [steps(before, after) for after, before in pairwise([*sets, {}])]
    scopes: Values = {step.scope: {} for each in changed for step in each}
    places = dict(_places(connection, msp_id, scopes))
    return [
        {
            "version": row.version,
            "saved_at": row.saved_at,
            "saved_by": row.saved_by,
            "changes": [
                {"name": step.name, "before": step.before, "after": step.after, **places[step.scope]} for step in each
            ],
        }
        for row, each in zip(rows[:most], changed, strict=False)
    ]


def _places(connection: Connection, msp_id: MspId, values: Values) -> list[tuple[Scope, dict[str, Any]]]:
    """Each scope, with its ids and what they are called; None: not known, or not asked for."""
    companies = company_names(connection, msp_id, {scope.company_id for scope in values if scope.company_id})
    resources = resource_names(connection, msp_id, {scope.resource_id for scope in values if scope.resource_id})
    return [
        (
            scope,
            {
                "company_id": scope.company_id,
                "company_name": companies.get(scope.company_id or CompanyId("")),
                "resource_id": scope.resource_id,
                "resource_name": resources.get(scope.resource_id or ResourceId("")),
            },
        )
        for scope in sorted(values, key=Scope.order)
    ]
