"""savePolicies, restorePolicies -> a version of what the MSP has decided, answered like every wish."""

from collections.abc import Callable
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from domain.policies import BadPolicy, Scope
from gateway.deciding import Deciding, Judge, unseen_refused
from gateway.draft_policies import MOST_CHANGES, PolicyChange
from gateway.errors import Refusal
from gateway.schema.making import many
from gateway.schema.outcomes import MSP, OPERATION, RowResult, checked, outcome
from gateway.set_up import Upon

ROW = "policies"


class PolicyChangeInput(graphene.InputObjectType):
    """A policy as it shall be."""

    name = graphene.String(required=True, description="Which policy.")
    value = graphene.String(description="Its value; left out: it is not decided there any more.")
    company_id = graphene.String(description="Only for this company.")
    resource_id = graphene.String(description="Only for this resource, whoever buys it.")


class PoliciesOutcome(graphene.ObjectType):
    """The answer to a change of policies."""

    operation_id = graphene.String(required=True, description="As it was given.")
    results = graphene.Field(many(RowResult), description="One row: the policies.")
    version = graphene.Int(description="The version that holds now; null: nothing was saved.")


_CHANGES = {
    "changes": graphene.Argument(
        graphene.NonNull(graphene.List(graphene.NonNull(PolicyChangeInput))),
        description=f"Those that shall change, at most {MOST_CHANGES}; all else stays.",
    )
}
_VERSION = {
    "version": graphene.Int(required=True, description="The version that you changed; 0: nothing was saved yet.")
}
_TOKEN = {
    "token": graphene.String(
        description="Of a preview of just this. Needed when adjustments would go out by themselves that do not now; then a user's "
        "password must not be older than 15 minutes either."
    )
}


class PolicyMutations:
    """What an admin can decide."""

    save_policies = graphene.Field(
        graphene.NonNull(PoliciesOutcome),
        description="Change policies and exceptions, all at once. Of two who changed the same version the second is told.",
        **MSP,
        **_CHANGES,
        **_VERSION,
        **_TOKEN,
        **OPERATION,
    )
    restore_policies = graphene.Field(
        graphene.NonNull(PoliciesOutcome),
        to_version=graphene.Int(
            required=True, description="The version whose decisions shall hold again, and no others."
        ),
        description="Go back to an older version, as a new one.",
        **MSP,
        **_VERSION,
        **_TOKEN,
        **OPERATION,
    )

    @staticmethod
    def resolve_save_policies(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        changes: Any,
        version: int,
        operation_id: str,
        token: str | None = None,
    ) -> dict[str, Any]:
        """Judged and saved in one transaction."""
        given, upon = given_changes(changes), Upon(version, operation_id)
        return _answered(info, msp_id, operation_id, token, lambda door, own, judge: door.save(own, given, upon, judge))

    @staticmethod
    def resolve_restore_policies(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        to_version: int,
        version: int,
        operation_id: str,
        token: str | None = None,
    ) -> dict[str, Any]:
        """Judged and refused as any other save."""
        upon = Upon(version, operation_id)
        return _answered(
            info, msp_id, operation_id, token, lambda door, own, judge: door.restore(own, to_version, upon, judge)
        )


def given_changes(changes: Any) -> list[PolicyChange]:
    """The changes as they were given."""
    return [
        PolicyChange(each["name"], each.get("value"), Scope(each.get("company_id"), each.get("resource_id")))
        for each in changes or ()
    ]


def _answered(
    info: GraphQLResolveInfo,
    msp_id: str,
    operation_id: str,
    token: str | None,
    act: Callable[[Deciding, MspId, Judge], int],
) -> dict[str, Any]:
    """One row; what forbids it is told with the row, but that the password is needed, which is told as it is everywhere."""
    known, context = checked(info, msp_id, operation_id, 1)
    judge = unseen_refused(known, context.caller, context.clock.now(), token)
    try:
        version = act(Deciding(context.engine, context.clock, context.caller.name), known, judge)
    except BadPolicy as fault:
        said = bad_policy(fault)
    except Refusal as refusal:
        if refusal.code == "PASSWORD_NEEDED":
            raise
        said = refusal
    else:
        return outcome(operation_id, [{"id": ROW, "ok": True}]) | {"version": version}
    return outcome(operation_id, [{"id": ROW, "ok": False, "refusal": vars(said)}])


def bad_policy(fault: BadPolicy) -> Refusal:
    """What cannot be decided, as it is answered."""
    message = str(fault)
    return Refusal("BAD_POLICY", f"{message[:1].upper()}{message[1:]}.", "Change it and save it again.")
