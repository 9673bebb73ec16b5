"""pausePosting, resumePosting -> an event in the MSP's log, answered like every wish."""

from collections.abc import Callable
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.pausing import Pausing
from gateway.schema.outcomes import MSP, OPERATION, Outcome, checked, outcome


def _done(info: GraphQLResolveInfo, msp_id: str, operation_id: str, act: Callable[[Pausing], None]) -> dict[str, Any]:
    """One row; what forbids it is told with the row."""
    _, context = checked(info, msp_id, operation_id, 1)
    try:
        act(Pausing(context.engine, context.clock, context.caller.name))
    except Refusal as refusal:
        said = {"code": refusal.code, "message": refusal.message, "fix": refusal.fix}
        return outcome(operation_id, [{"id": msp_id, "ok": False, "refusal": said}])
    return outcome(operation_id, [{"id": msp_id, "ok": True}])


class PausingMutations:
    """Whether anything is posted: two more fields of the root mutation, each answered with one row."""

    pause_posting = graphene.Field(
        graphene.NonNull(Outcome),
        reason=graphene.String(required=True, description="Why, for the record. At most 1,000 characters."),
        description="Pause posting. Polling goes on; nothing is written to the PSA until someone resumes. What was already "
        "marked to be sent goes out within a minute or not at all, and is read back.",
        **MSP,
        **OPERATION,
    )
    resume_posting = graphene.Field(
        graphene.NonNull(Outcome),
        description="Resume posting: each product is brought to what it shall have by now.",
        **MSP,
        **OPERATION,
    )

    @staticmethod
    def resolve_pause_posting(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str, reason: str
    ) -> dict[str, Any]:
        """Answered when nothing is being marked any more."""
        return _done(info, msp_id, operation_id, lambda door: door.pause(MspId(msp_id), operation_id, reason))

    @staticmethod
    def resolve_resume_posting(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str
    ) -> dict[str, Any]:
        """The writer hears of it by bell, or by its sweep."""
        return _done(info, msp_id, operation_id, lambda door: door.resume(MspId(msp_id), operation_id))
