"""An MSP's policies -> GraphQL: what is decided, for whom and by whom, and what a change would do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import CompanyId, MspId, ResourceId
from domain.policies import POLICIES, BadPolicy, Decided, Policies, Scope
from gateway.connections import TEST_SECONDS
from gateway.decided import MOST_VERSIONS, decided, history
from gateway.deciding import draft_of
from gateway.draft_policies import fingerprint
from gateway.errors import Refusal
from gateway.schema.context import Context
from gateway.schema.making import made_type, many
from gateway.schema.outcomes import MSP
from gateway.schema.saving_policies import PolicyChangeInput, bad_policy, given_changes
from gateway.schema.scalars import DateTime, Money
from plumbing import setup

_RULES = {
    "company_and_resource": "The exception for this resource of this company.",
    "company": "The exception for this company.",
    "resource": "The exception for this resource, whoever buys it.",
    "msp": "What the MSP decided for all.",
    "default": "Nobody decided: the default.",
}
PolicyRule = graphene.Enum(
    "PolicyRule",
    [(name.upper(), name) for name in _RULES],
    description=lambda value: _RULES[value.value] if value else "For whom a value is given; the first of them holds.",
)
_PLACE = {
    "company_id": graphene.String(description="Only for this company; null: for all."),
    "company_name": graphene.String(description="What it is called; null: no company, or not known any more."),
    "resource_id": graphene.String(description="Only for this resource, whoever buys it; null: for all."),
    "resource_name": graphene.String(description="What it is called; null: no resource, or not known any more."),
}
Policy = made_type(
    "Policy",
    "Something that an MSP may decide.",
    {
        "name": graphene.String(required=True, description="Which one."),
        "value": graphene.String(required=True, description="What holds where there is no exception."),
        "decided": graphene.Boolean(
            required=True, description="Whether the MSP decided it; if not, it is the default."
        ),
        "default": graphene.String(required=True, description="What holds when nobody decides."),
        "values": graphene.Field(many(graphene.String), description="What it may be; none: a whole number."),
        "least": graphene.Int(required=True, description="The least number it may be."),
        "most": graphene.Int(description="The largest number it may be; null: any."),
        "help": graphene.String(required=True, description="For people: what is decided."),
        "exceptions": graphene.Boolean(
            required=True, description="Whether a company or a resource may have another value."
        ),
    },
)
PolicyException = made_type(
    "PolicyException",
    "Another value of a policy, for a company, a resource, or a resource of a company.",
    {
        **_PLACE,
        "name": graphene.String(required=True, description="Which policy."),
        "value": graphene.String(required=True, description="What it is there."),
    },
)
DecidedPolicies = made_type(
    "Policies",
    "All that an MSP has decided.",
    {
        "version": graphene.Int(
            required=True, description="Rises with every save; give it when you save. 0: nothing was saved yet."
        ),
        "saved_at": DateTime(description="When this version was saved; null: nothing was."),
        "saved_by": graphene.String(description="Who saved it; null: nothing was saved."),
        "policies": graphene.Field(many(Policy), description="All that there are."),
        "exceptions": graphene.Field(many(PolicyException), description="By company and resource."),
    },
)
PolicyStep = made_type(
    "PolicyStep",
    "What a version changed of one policy.",
    {
        **_PLACE,
        "name": graphene.String(required=True, description="Which policy."),
        "before": graphene.String(description="What it was there; null: not decided."),
        "after": graphene.String(description="What it became there; null: not decided any more."),
    },
)
PolicyVersion = made_type(
    "PolicyVersion",
    "A version of an MSP's policies.",
    {
        "version": graphene.Int(required=True, description="Which one."),
        "saved_at": DateTime(required=True, description="When it was saved."),
        "saved_by": graphene.String(required=True, description="Who saved it."),
        "changes": graphene.Field(many(PolicyStep), description="What it changed."),
    },
)
RuledValue = made_type(
    "RuledValue",
    "A value and for whom it is given.",
    {
        "rule": graphene.Field(PolicyRule, required=True, description="For whom."),
        "value": graphene.String(required=True, description="The value."),
    },
)
EffectivePolicy = made_type(
    "EffectivePolicy",
    "What holds of a policy for a resource of a company.",
    {
        "name": graphene.String(required=True, description="Which policy."),
        "value": graphene.String(required=True, description="What holds."),
        "rule": graphene.Field(PolicyRule, required=True, description="Which rule decides it."),
        "overruled": graphene.Field(
            many(RuledValue), description="What else is given and does not hold, the more specific first."
        ),
    },
)
PolicyHold = made_type(
    "PolicyHold",
    "Why adjustments would wait.",
    {
        "reason": graphene.String(required=True, description="One word for programs."),
        "message": graphene.String(required=True, description="For people: why the first of them would."),
        "adjustments": graphene.Int(required=True, description="How many."),
    },
)
PolicyPreview = made_type(
    "PolicyPreview",
    "What changed policies would do to the open adjustments of this moment.",
    {
        "version": graphene.Int(required=True, description="The version upon which it was made."),
        "token": graphene.String(required=True, description="Give it when you save just these changes."),
        "adjustments": graphene.Int(required=True, description="How many were looked at."),
        "posted": graphene.Int(required=True, description="How many of them would be posted."),
        "held": graphene.Int(required=True, description="How many would wait for a person."),
        "held_now": graphene.Int(required=True, description="How many wait for a person as it is."),
        "shadowed": graphene.Int(required=True, description="How many would only be shown, not posted."),
        "equal": graphene.Int(required=True, description="How many have their units already: nothing to post."),
        "hindered": graphene.Int(
            required=True, description="How many cannot be posted for another reason, or could not be looked at."
        ),
        "unit_change": graphene.Int(
            required=True, description="Units that would be posted, added up with their signs."
        ),
        "price_per_month": graphene.Field(
            many(Money), description="What customers would be billed more in a month for what is posted, by currency."
        ),
        "holds": graphene.Field(many(PolicyHold), description="Why they would wait, the most frequent first."),
        "hindrances": graphene.Field(many(PolicyHold), description="What else stands against posts, likewise."),
        "left_out": graphene.Int(required=True, description="How many more are open and were not looked at."),
    },
)


def policies_fields() -> dict[str, tuple[Any, Callable[..., Any]]]:
    """The fields of the root query, each with its resolver."""
    return {
        "policies": (
            graphene.Field(graphene.NonNull(DecidedPolicies), description="What an MSP has decided.", **MSP),
            _resolve_policies,
        ),
        "policy_versions": (
            graphene.Field(
                many(PolicyVersion),
                description="Who changed which policies and when, the newest first.",
                first=graphene.Int(default_value=50, description=f"So many, 1 to {MOST_VERSIONS}."),
                **MSP,
            ),
            _resolve_versions,
        ),
        "effective_policy": (
            graphene.Field(
                many(EffectivePolicy),
                description="Which rule applies: each policy with its value for a resource of a company.",
                company_id=graphene.String(required=True, description="The company."),
                resource_id=graphene.String(required=True, description="The resource."),
                **MSP,
            ),
            _resolve_effective,
        ),
        "preview_policies": (
            graphene.Field(
                graphene.NonNull(PolicyPreview),
                description="What changes would do to the open adjustments, by units read in the PSA now. Nothing is posted or "
                "saved. Takes up to 75 seconds.",
                changes=graphene.Argument(
                    graphene.List(graphene.NonNull(PolicyChangeInput)),
                    default_value=(),
                    description="As they would be saved.",
                ),
                to_version=graphene.Int(description="Instead of changes: going back to this version."),
                **MSP,
            ),
            _resolve_preview,
        ),
    }


def _resolve_policies(_root: object, info: GraphQLResolveInfo, msp_id: str) -> dict[str, Any]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        return decided(connection, MspId(msp_id))


def _resolve_versions(_root: object, info: GraphQLResolveInfo, msp_id: str, first: int) -> list[dict[str, Any]]:
    context: Context = info.context
    if not 1 <= first <= MOST_VERSIONS:
        raise Refusal("BAD_REQUEST", f"Ask for 1 to {MOST_VERSIONS} versions.", "Change first.")
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        return history(connection, MspId(msp_id), first)


def _resolve_effective(
    _root: object, info: GraphQLResolveInfo, msp_id: str, company_id: str, resource_id: str
) -> list[dict[str, Any]]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        known = setup.policies(connection, MspId(msp_id))
    return [_effective(known, name, CompanyId(company_id), ResourceId(resource_id)) for name in POLICIES]


def _effective(known: Policies, name: str, company_id: CompanyId, resource_id: ResourceId) -> dict[str, Any]:
    first, *others = known.applying(name, company_id, resource_id)
    overruled = [{"rule": _rule(each), "value": each.value} for each in others]
    return {"name": name, "value": first.value, "rule": _rule(first), "overruled": overruled}


def _rule(each: Decided) -> str:
    match each.scope:
        case None:
            return "default"
        case Scope(company_id=None, resource_id=None):
            return "msp"
        case Scope(resource_id=None):
            return "company"
        case Scope(company_id=None):
            return "resource"
    return "company_and_resource"


def _resolve_preview(
    _root: object, info: GraphQLResolveInfo, msp_id: str, changes: Any, to_version: int | None = None
) -> dict[str, Any]:
    context: Context = info.context
    given = given_changes(changes)
    if given and to_version is not None:
        raise Refusal(
            "BAD_REQUEST", "Either changes are looked at, or going back to a version.", "Leave one of them out."
        )
    own = MspId(msp_id)
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        try:
            before, after = draft_of(connection, own, given, to_version)
        except BadPolicy as fault:
            raise bad_policy(fault) from None
    rows = Policies(before.version, after).rows()
    patient = replace(context, rpc_seconds=TEST_SECONDS)
    answer: dict[str, Any] = patient.ask("psa_writer", "preview_policies", msp_id=msp_id, decided=rows)
    return answer | {"version": before.version, "token": fingerprint(own, before.version, after)}
