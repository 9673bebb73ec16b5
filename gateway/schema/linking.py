"""previewRelations, setRelations; previewClear, clearRelations; previewUndo: a person sees what it comes to, then does it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway import operations, showing
from gateway.errors import Refusal
from gateway.previews import Previews
from gateway.schema.context import Context
from gateway.schema.making import made_type, many
from gateway.schema.mutations import answered, asked
from gateway.schema.outcomes import MOST_ROWS, MSP, OPERATION, Outcome, RowRefusal, RowResult, checked, texts
from gateway.schema.previews import Preview, PreviewRow, told
from gateway.schema.scalars import Decimal, Position

MOST_PAIRS = 5_000


class RelationPair(graphene.InputObjectType):
    """A resource and the PSA product that it shall feed."""

    id = graphene.String(description="Your name for the row; by default the resource key.")
    resource_key = graphene.String(required=True, description="The resource.")
    psa_connection_id = graphene.String(required=True, description="The PSA connection.")
    psa_product_id = graphene.String(required=True, description="The product.")
    score = Decimal(description="Of the suggestion that is accepted with it, 0 to 1.")


ConfirmedOutcome = made_type(
    "ConfirmedOutcome",
    "What became of what a preview showed.",
    {
        "operation_id": graphene.String(required=True, description="As it was given: the same one again acts once."),
        "results": graphene.Field(many(RowResult), description="One for each row; none when nothing was done."),
        "refusal": graphene.Field(RowRefusal, description="PREVIEW_STALE when nothing was done, else null."),
        "fresh": graphene.Field(Preview, description="The preview as it is now, when the one given is stale."),
    },
)
ClearPreviewRow = made_type(
    "ClearPreviewRow",
    "What clearing one relation would come to.",
    {
        "units_that_stay": graphene.Int(description="Units that stay in the PSA and go on being invoiced."),
        "open_requests": graphene.Int(
            required=True, description="Requests of the product that are dropped or made anew."
        ),
        "row": graphene.Field(
            PreviewRow,
            required=True,
            description="The product without the relation. Of other resources that feed it the units are posted as shown.",
        ),
    },
)
UndoPreview = made_type(
    "UndoPreview",
    "What undoing an adjustment would come to. The PSA keeps both prorations on the invoice.",
    {
        "adjustment_id": Position(required=True, description="The adjustment."),
        "unit_change": graphene.Int(required=True, description="What it changed."),
        "row": graphene.Field(PreviewRow, required=True, description="The opposite change, as it would be posted now."),
    },
)


def _of_all(says: str) -> Any:
    return graphene.Argument(many(RelationPair), description=says)


class LinkingMutations:
    """What is done about relations once its preview was seen."""

    set_relations = graphene.Field(
        graphene.NonNull(ConfirmedOutcome),
        token=graphene.String(required=True, description="Of previewRelations, made for you in the last 15 minutes."),
        hold_first=graphene.Boolean(default_value=False, description="Let the first post of each wait for a person."),
        description="Link what the preview shows, but for its blocked rows: from then on changes post by themselves. When the "
        "preview shows something else by now, nothing is done and the fresh one is answered.",
        **MSP,
        **OPERATION,
    )
    clear_relations = graphene.Field(
        graphene.NonNull(Outcome),
        relation_ids=texts("At most 200."),
        reason=graphene.String(default_value="", description="Why, for the record."),
        description="Clear relations: nothing more is posted for them, and the PSA keeps its units.",
        **MSP,
        **OPERATION,
    )

    @staticmethod
    def resolve_set_relations(
        _root: object, info: GraphQLResolveInfo, msp_id: str, token: str, operation_id: str, *, hold_first: bool
    ) -> dict[str, Any]:
        """mapping decides each row, all in one transaction."""
        known, context = checked(info, msp_id, operation_id, 1)
        again = partial(_shown_pairs, context, known)
        kept, stale = previews(context).confirmed(known, "relations", token, operation_id, again)
        if stale is not None:
            return {"operation_id": operation_id, "results": [], "refusal": vars(stale), "fresh": told(kept)}
        fine = [not showing.is_blocked(row) for row in kept.rows]
        wishes = [pair for pair, sent in zip(kept.asked["pairs"], fine, strict=True) if sent]
        barred = [blocked(row) for row, sent in zip(kept.rows, fine, strict=True) if not sent]
        given = {"operation_id": operation_id, "wishes": wishes, "hold_first": hold_first}
        results = answered(context, "mapping", "set_relations", msp_id, operation_id, len(wishes), barred, **given)
        done, refused = iter(results["results"]), iter(barred)
        in_order = [next(done) if sent else next(refused) for sent in fine]
        return {"operation_id": operation_id, "results": in_order, "refusal": None, "fresh": None}

    @staticmethod
    def resolve_clear_relations(
        _root: object, info: GraphQLResolveInfo, msp_id: str, relation_ids: list[str], operation_id: str, reason: str
    ) -> dict[str, Any]:
        """mapping decides each row."""
        given = {"relation_ids": relation_ids, "reason": reason}
        return asked(info, "mapping", "clear_relations", msp_id, operation_id, len(relation_ids), **given)


def previews(context: Context) -> Previews:
    """The caller's previews."""
    return Previews(context.engine, context.clock, context.caller.name)


def linking_fields() -> dict[str, tuple[Any, Any]]:
    """The fields of the root query, with their resolvers."""
    relations = graphene.Field(
        graphene.NonNull(Preview),
        pairs=_of_all(f"At most {MOST_PAIRS:,}."),
        operation_id=graphene.String(description="By which operationProgress tells how far a long one is."),
        description="What linking resources to products would come to; units are read from the PSA for it. Asks services.",
        **MSP,
    )
    clear = graphene.Field(
        many(ClearPreviewRow),
        relation_ids=texts("At most 200."),
        description="What clearing relations would come to. Asks services.",
        **MSP,
    )
    undo = graphene.Field(
        graphene.NonNull(UndoPreview),
        adjustment_id=Position(required=True, description="The position of the adjustment."),
        description="What undoing an adjustment would come to. Asks services.",
        **MSP,
    )
    return {
        "preview_relations": (relations, _resolve_relations),
        "preview_clear": (clear, _resolve_clear),
        "preview_undo": (undo, _resolve_undo),
    }


def _resolve_relations(
    _root: object, info: GraphQLResolveInfo, msp_id: str, pairs: Sequence[Any], operation_id: str | None = None
) -> dict[str, Any]:
    known, context = asked_for(info, msp_id, len(pairs), MOST_PAIRS)
    given = {"pairs": [_pair(pair) for pair in pairs]}
    if operation_id is None:
        rows = _shown_pairs(context, known, given)
    else:
        with operations.begun(context.engine, context.clock, msp_id, operation_id, len(pairs)) as ended:
            tell = partial(operations.tell, context.engine, msp_id, operation_id)
            rows = showing.show_relations(context, known, given["pairs"], tell)
            ended([{"ok": not showing.is_blocked(row)} for row in rows])
    return told(previews(context).keep(known, "relations", given, rows))


def _resolve_clear(
    _root: object, info: GraphQLResolveInfo, msp_id: str, relation_ids: list[str]
) -> list[dict[str, Any]]:
    known, context = asked_for(info, msp_id, len(relation_ids))
    rows = showing.show_clearing(context, known, relation_ids)
    return [
        {
            "units_that_stay": row["units"] if row["target_units"] is None else row["target_units"],
            "open_requests": row["open_requests"],
            "row": row,
        }
        for row in rows
    ]


def _resolve_undo(_root: object, info: GraphQLResolveInfo, msp_id: str, adjustment_id: int) -> dict[str, Any]:
    known, context = asked_for(info, msp_id, 1)
    adjustment, row = showing.show_undo(context, known, adjustment_id)
    return {"adjustment_id": adjustment_id, "unit_change": adjustment["unit_change"], "row": row}


def asked_for(info: GraphQLResolveInfo, msp_id: str, rows: int, most: int = MOST_ROWS) -> tuple[MspId, Context]:
    """The MSP and the request's context, for a preview of so many rows. Refusal BAD_REQUEST, NO_SUCH_MSP."""
    context: Context = info.context
    if not 1 <= rows <= most:
        raise Refusal("BAD_REQUEST", f"1 to {most:,} rows at once, not {rows:,}.", "Preview the rest later.")
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
    return MspId(msp_id), context


def _shown_pairs(context: Context, msp_id: MspId, given: dict[str, Any]) -> list[dict[str, Any]]:
    return showing.show_relations(context, msp_id, given["pairs"])


def _pair(given: Any) -> dict[str, Any]:
    """A pair as mapping takes it."""
    score = given.get("score")
    names = ("resource_key", "psa_connection_id", "psa_product_id")
    return {
        "id": given.get("id") or given["resource_key"],
        **{name: given[name] for name in names},
        "score": None if score is None else format(score, "f"),
    }


def blocked(row: dict[str, Any]) -> dict[str, Any]:
    """The result of a row that its preview showed as blocked."""
    why = next(verdict for verdict in row["preflight"] if verdict["severity"] == "ERROR")
    refusal = {name: why[name] for name in ("code", "message", "fix")}
    return {"id": row["id"], "ok": False, "relation_id": None, "refusal": refusal}
