"""(what an MSP has decided, changes) -> what it would have decided then, and whether more would be posted by itself.

A change gives a policy a value for the whole MSP, a company, a resource or a resource of a company; None takes it away there.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import orjson

from domain.keys import CompanyId, MspId, ResourceId
from domain.policies import WHOLE_MSP, BadPolicy, Policies, Scope, policy_named

MOST_CHANGES, MOST_EXCEPTIONS = 200, 1_000
LONGEST_ID = 200
# The policy by which adjustments are posted without a person's word, and the value that lets them.
MODE, UNATTENDED = "mode", "unattended"

Values = Mapping[Scope, Mapping[str, str]]


@dataclass(frozen=True)
class PolicyChange:
    """A policy as it shall be for somebody. value None: nothing is decided there any more."""

    name: str
    value: str | None
    scope: Scope = WHOLE_MSP


@dataclass(frozen=True)
class PolicyStep:
    """What a save changes of one policy. None: not decided there."""

    name: str
    scope: Scope
    before: str | None
    after: str | None


def drafted(before: Values, changes: Sequence[PolicyChange]) -> dict[Scope, dict[str, str]]:
    """All that is decided once the changes are made. BadPolicy with what to give instead."""
    if len(changes) > MOST_CHANGES:
        raise BadPolicy(f"at most {MOST_CHANGES} policies are changed at once, not {len(changes)}")
    if len({(change.name, change.scope) for change in changes}) < len(changes):
        raise BadPolicy("a policy is changed twice for the same company and resource: give it once")
    after = {scope: dict(decided) for scope, decided in before.items()}
    for change in changes:
        value = _checked(change)
        here = after.setdefault(change.scope, {})
        if value is None:
            here.pop(change.name, None)
        else:
            here[change.name] = value
    after = {scope: decided for scope, decided in after.items() if decided}
    exceptions = sum(len(decided) for scope, decided in after.items() if scope != WHOLE_MSP)
    if exceptions > MOST_EXCEPTIONS:
        raise BadPolicy(f"there are at most {MOST_EXCEPTIONS} exceptions, not {exceptions}: take some away")
    return after


def steps(before: Values, after: Values) -> list[PolicyStep]:
    """What differs, for the whole MSP first, by policy."""
    places = {(scope, name) for values in (before, after) for scope, decided in values.items() for name in decided}
    found = [
        PolicyStep(name, scope, before.get(scope, {}).get(name), after.get(scope, {}).get(name))
        for scope, name in sorted(places, key=lambda place: (place[0].order(), place[1]))
    ]
    return [step for step in found if step.before != step.after]


def lets_loose(before: Values, after: Values) -> bool:
    """Whether any product of any customer would be posted by itself that is not now: by a value that is given or by one that
    is taken away."""
    decided = [scope for values in (before, after) for scope, names in values.items() if MODE in names]
    # "": a company, a resource that none of them names.
    companies = {CompanyId(""), *(scope.company_id for scope in decided if scope.company_id is not None)}
    resources = {ResourceId(""), *(scope.resource_id for scope in decided if scope.resource_id is not None)}
    old, new = Policies(0, before), Policies(0, after)
    return any(
        new.decided(MODE, *place).value == UNATTENDED != old.decided(MODE, *place).value
        for place in product(companies, resources)
    )


def fingerprint(msp_id: MspId, version: int, after: Values) -> str:
    """What a preview was shown of: these values, upon this version. It is no secret; it says what somebody has looked at."""
    shown = orjson.dumps([msp_id, version, Policies(version, after).rows()])
    return hashlib.sha256(shown).hexdigest()


def _checked(change: PolicyChange) -> str | None:
    """The change's value; BadPolicy."""
    ids = (change.scope.company_id, change.scope.resource_id)
    if any(each is not None and not 1 <= len(each) <= LONGEST_ID for each in ids):
        raise BadPolicy(f"the id of a company or resource has 1 to {LONGEST_ID} characters")
    policy = policy_named(change.name)
    if change.scope != WHOLE_MSP and not policy.exceptions:
        raise BadPolicy(f"{change.name} is the same for the whole MSP: give it without company and resource")
    return None if change.value is None else policy.check(change.name, change.value)
