"""What mutations share -> GraphQL: whose, which operation, and the answer row by row."""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.schema.context import Context

MOST_ROWS = 200
MSP = {"msp_id": graphene.String(required=True, description="Whose.")}
OPERATION = {
    "operation_id": graphene.String(required=True, description="Made once for each wish: sent again, it acts once.")
}


def texts(says: str) -> Any:
    """An argument that is a list of texts."""
    return graphene.Argument(graphene.NonNull(graphene.List(graphene.NonNull(graphene.String))), description=says)


class RowRefusal(graphene.ObjectType):
    """Why one row was refused."""

    code = graphene.String(required=True, description="For programs.")
    message = graphene.String(required=True, description="For people: what stands in the way.")
    fix = graphene.String(required=True, description="For people: what to do.")
    link = graphene.String(description="Where to do it.")


class RowResult(graphene.ObjectType):
    """What became of one row; others are not touched by its refusal."""

    id = graphene.String(required=True, description="The row's id as it was given.")
    ok = graphene.Boolean(required=True, description="Whether it was done.")
    relation_id = graphene.String(description="The relation that was set.")
    refusal = graphene.Field(RowRefusal, description="Why it was not done.")


class Outcome(graphene.ObjectType):
    """The answer to a mutation, row by row; partly done is a normal answer."""

    operation_id = graphene.String(required=True, description="As it was given: the same one again acts once.")
    results = graphene.Field(
        graphene.NonNull(graphene.List(graphene.NonNull(RowResult))), description="One for each row."
    )


def checked(info: GraphQLResolveInfo, msp_id: str, operation_id: str, rows: int) -> tuple[MspId, Context]:
    """The MSP and the request's context. Refusal BAD_REQUEST, NO_SUCH_MSP."""
    context: Context = info.context
    if not 1 <= rows <= MOST_ROWS:
        raise Refusal("BAD_REQUEST", f"1 to {MOST_ROWS} rows at once, not {rows}.", "Send the rest in more requests.")
    if not 1 <= len(operation_id) <= 100:
        raise Refusal("BAD_REQUEST", "operationId has 1 to 100 characters.", "Use a new UUID for each wish.")
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
    return MspId(msp_id), context


def outcome(operation_id: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer to a mutation: {id, ok, refusal} for each row."""
    return {"operation_id": operation_id, "results": results}
