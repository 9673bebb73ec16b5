"""A person's word on held and stuck adjustments -> RPC to the writer, which decides row by row."""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from gateway.errors import Refusal
from gateway.schema.making import value_of
from gateway.schema.mutations import answered
from gateway.schema.outcomes import MSP, OPERATION, Outcome, checked, texts

LONGEST_REASON = 1_000

_EFFECTIVE = {
    "as_planned": "From the day that was planned.",
    "next_period": "From the start of the next billing period.",
}
Effective = graphene.Enum(
    "Effective",
    [(name.upper(), name) for name in _EFFECTIVE],
    description=lambda value: _EFFECTIVE[value_of(value)] if value else "From when an approved adjustment counts.",
)


class Approval(graphene.InputObjectType):
    """A held adjustment as the person saw it."""

    request_id = graphene.String(required=True, description="The request.")
    target_units = graphene.Int(required=True, description="The units that it shall have, as shown.")
    units_before = graphene.Int(required=True, description="The units that there are, as shown.")


class DecidingMutations:
    """What may be said of adjustments that wait for a person."""

    approve_adjustments = graphene.Field(
        graphene.NonNull(Outcome),
        items=graphene.Argument(
            graphene.NonNull(graphene.List(graphene.NonNull(Approval))), description="At most 200, as they were seen."
        ),
        effective=graphene.Argument(Effective, default_value="as_planned", description="From when they count."),
        comment=graphene.String(default_value="", description="For the record."),
        description="Let held adjustments out: each is posted once as many people as it needs have approved it.",
        **MSP,
        **OPERATION,
    )
    refuse_adjustments = graphene.Field(
        graphene.NonNull(Outcome),
        request_ids=texts("The requests, at most 200."),
        reason=graphene.String(required=True, description="Why."),
        description="Refuse held adjustments: each stays unposted until the count changes again; drift shows the difference.",
        **MSP,
        **OPERATION,
    )
    move_to_next_period = graphene.Field(
        graphene.NonNull(Outcome),
        request_ids=texts("The requests, at most 200."),
        description="Plan waiting adjustments anew from the next billing period on. The brake judges them again.",
        **MSP,
        **OPERATION,
    )
    drop_adjustments = graphene.Field(
        graphene.NonNull(Outcome),
        request_ids=texts("The requests, at most 200."),
        reason=graphene.String(required=True, description="Why."),
        description="Give up adjustments that did not go out: each stays unposted until the count changes again.",
        **MSP,
        **OPERATION,
    )

    @staticmethod
    def resolve_approve_adjustments(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        items: list[dict[str, Any]],
        effective: Any,
        comment: str,
        operation_id: str,
    ) -> dict[str, Any]:
        """psa_writer compares what was seen with what is held."""
        given = {"items": [dict(item) for item in items], "effective": value_of(effective), "comment": _short(comment)}
        return _asked(info, "approve", msp_id, operation_id, len(items), **given)

    @staticmethod
    def resolve_refuse_adjustments(
        _root: object, info: GraphQLResolveInfo, msp_id: str, request_ids: list[str], reason: str, operation_id: str
    ) -> dict[str, Any]:
        """psa_writer decides each row."""
        given = {"request_ids": request_ids, "reason": _short(reason)}
        return _asked(info, "refuse", msp_id, operation_id, len(request_ids), **given)

    @staticmethod
    def resolve_move_to_next_period(
        _root: object, info: GraphQLResolveInfo, msp_id: str, request_ids: list[str], operation_id: str
    ) -> dict[str, Any]:
        """psa_writer decides each row."""
        return _asked(info, "move", msp_id, operation_id, len(request_ids), request_ids=request_ids)

    @staticmethod
    def resolve_drop_adjustments(
        _root: object, info: GraphQLResolveInfo, msp_id: str, request_ids: list[str], reason: str, operation_id: str
    ) -> dict[str, Any]:
        """psa_writer decides each row."""
        given = {"request_ids": request_ids, "reason": _short(reason)}
        return _asked(info, "drop", msp_id, operation_id, len(request_ids), **given)


def _asked(
    info: GraphQLResolveInfo, method: str, msp_id: str, operation_id: str, rows: int, **given: Any
) -> dict[str, Any]:
    _, context = checked(info, msp_id, operation_id, rows)
    return answered(context, "psa_writer", method, msp_id, operation_id, rows, operation_id=operation_id, **given)


def _short(said: str) -> str:
    if len(said) > LONGEST_REASON:
        raise Refusal("BAD_REASON", f"It has at most {LONGEST_REASON} characters.", "Shorten it.")
    return said.strip()
