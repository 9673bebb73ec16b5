"""The root of all queries: one field a report, and the pulse."""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.schema.context import Context
from gateway.schema.lineage import lineage_fields
from gateway.schema.reports import report_field
from gateway.schema.scalars import DateTime, Position
from services.reporting.queries import REPORTS, pulse


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


def _resolve_pulse(_root: object, info: GraphQLResolveInfo, msp_id: str) -> dict[str, Any]:
    context: Context = info.context
    with context.reading() as connection:
        beat = pulse(connection, MspId(msp_id))
        if beat is None:
            context.refuse_unknown(connection, msp_id)
    assert beat is not None  # noqa: S101 refused above
    return {"position": beat["head"], **beat}


def _query() -> Any:
    fields: dict[str, Any] = {
        "__doc__": "What can be read here.",
        "pulse": graphene.Field(
            graphene.NonNull(Pulse),
            msp_id=graphene.String(required=True, description="Whose."),
            description="How far the log and the read models are, what has stopped, how much is open.",
        ),
        "resolve_pulse": staticmethod(_resolve_pulse),
    }
    for name, (field, resolver) in lineage_fields().items():
        fields[name] = field
        fields[f"resolve_{name}"] = staticmethod(resolver)
    for name in REPORTS:
        field, resolver = report_field(name)
        fields[name] = field
        fields[f"resolve_{name}"] = staticmethod(resolver)
    return type("Query", (graphene.ObjectType,), fields)


Query = _query()
