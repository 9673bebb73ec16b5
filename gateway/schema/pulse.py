"""How far the log and the read models of an MSP are -> its pulse, for a question and for whoever listens."""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.schema.context import Context
from gateway.schema.scalars import DateTime, Position
from services.reporting.queries import pulse


class ConsumerPulse(graphene.ObjectType):
    """How far one read model is."""

    name = graphene.String(required=True, description="The read model.")
    position = Position(required=True, description="The place in the log up to which it is folded.")
    lag = graphene.Int(required=True, description="How many events it has yet to fold.")
    stopped_at = DateTime(description="Since when it cannot go on.")
    stopped_reason = graphene.String(description="The event that it cannot fold, and why.")


class Pulse(graphene.ObjectType):
    """The live state of the house for one MSP."""

    position = Position(required=True, description="The newest place in the MSP's log.")
    recorded_at = DateTime(description="When the newest event was recorded.")
    time_zone = graphene.String(required=True, description="The MSP's time zone, in which its billing days are days.")
    consumers = graphene.Field(
        graphene.NonNull(graphene.List(graphene.NonNull(ConsumerPulse))), description="Every read model."
    )
    open_requests = graphene.Int(required=True, description="Requests that are not posted yet.")
    open_failures = graphene.Int(required=True, description="Failures that are open or wait for a person.")


def pulse_field() -> tuple[Any, Any]:
    """The field of the root query, and its resolver."""
    field = graphene.Field(
        graphene.NonNull(Pulse),
        msp_id=graphene.String(required=True, description="Whose."),
        description="How far the log and the read models are, what has stopped, how much is open.",
    )
    return field, _resolve


def as_answered(beat: dict[str, Any]) -> dict[str, Any]:
    """A pulse of the read side in the words of the schema."""
    return {"position": beat["head"], **beat}


def _resolve(_root: object, info: GraphQLResolveInfo, msp_id: str) -> dict[str, Any]:
    context: Context = info.context
    with context.reading() as connection:
        beat = pulse(connection, MspId(msp_id))
        if beat is None:
            context.refuse_unknown(connection, msp_id)
    assert beat is not None  # noqa: S101 refused above
    return as_answered(beat)
