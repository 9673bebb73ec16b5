"""A few letters -> GraphQL: what is called so, in ODIN and in the PSA."""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.schema.context import Context
from gateway.schema.making import many, value_of
from services.reporting.queries import FOUND_KINDS, MOST_FOUND, find

FoundKind = graphene.Enum(
    "FoundKind",
    [(kind.upper(), kind) for kind in FOUND_KINDS],
    description=lambda value: f"A {value_of(value).replace('psa_', 'PSA ')}." if value else "What was found.",
)


class Found(graphene.ObjectType):
    """Something that is called so."""

    kind = graphene.Field(FoundKind, required=True, description="What it is.")
    label = graphene.String(required=True, description="Its name.")
    detail = graphene.String(required=True, description="Where it belongs; of a company or PSA customer its id.")
    found_id = graphene.String(required=True, name="id", description="Its id in ODIN or in the PSA, for a filter.")
    key = graphene.String(required=True, description="What tells it from all others.")


def find_field() -> tuple[Any, Any]:
    """The field of the root query, and its resolver."""
    field = graphene.Field(
        many(Found),
        msp_id=graphene.String(required=True, description="Whose."),
        text=graphene.String(
            required=True, description="An id, or the beginning or a part of a name; capitals or not."
        ),
        first=graphene.Int(default_value=10, description=f"At most so many: 1 to {MOST_FOUND}."),
        description="Companies, subscriptions, resources and the PSA's customers, agreements and products by id or name: what "
        "has exactly this id; else names that begin with the text, then names that contain it, as far as half a second goes.",
    )
    return field, _resolve


def _resolve(_root: object, info: GraphQLResolveInfo, msp_id: str, text: str, first: int) -> list[dict[str, Any]]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        found = find(connection, MspId(msp_id), text, first)
        if not found:
            context.refuse_unknown(connection, msp_id)
    return [{**row, "found_id": row["id"]} for row in found]
