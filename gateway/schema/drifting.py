"""rereadUnits, previewDrift, resolveDrift: where ODIN, our ledger and the PSA disagree, a person looks again and decides."""

from collections.abc import Sequence
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import BadKey, PsaProductKey
from gateway import operations, showing
from gateway.errors import Refusal
from gateway.schema.linking import ConfirmedOutcome, asked_for, blocked, previews
from gateway.schema.making import value_of
from gateway.schema.outcomes import MOST_ROWS, MSP, OPERATION, Outcome, checked, outcome, texts
from gateway.schema.previews import Preview, told

LONGEST_REASON = 1_000
Resolution = graphene.Enum(
    "DriftResolution",
    [("ADOPT", "adopt"), ("OVERWRITE", "overwrite")],
    description=lambda value: {
        "adopt": "Keep the PSA's units: nothing is posted until the counts change, then the difference to them is.",
        "overwrite": "Post what the preview shows, so that the PSA has what the counts come to.",
    }.get(value_of(value), "What is done about drift."),
)


class DriftMutations:
    """What is done about drift."""

    reread_units = graphene.Field(
        graphene.NonNull(Outcome),
        psa_product_keys=texts(f"At most {MOST_ROWS}."),
        description="Read the units of PSA products again now. Units that differ from those read before are told.",
        **MSP,
        **OPERATION,
    )
    resolve_drift = graphene.Field(
        graphene.NonNull(ConfirmedOutcome),
        token=graphene.String(required=True, description="Of previewDrift, made for you in the last 15 minutes."),
        resolution=graphene.Argument(Resolution, required=True, description="What to do about it."),
        reason=graphene.String(
            required=True, description=f"Why, for the record. At most {LONGEST_REASON:,} characters."
        ),
        description="Adopt the PSA's units, or overwrite them. When the preview shows something else by now, nothing is done "
        "and the fresh one is answered.",
        **MSP,
        **OPERATION,
    )

    @staticmethod
    def resolve_reread_units(
        _root: object, info: GraphQLResolveInfo, msp_id: str, psa_product_keys: list[str], operation_id: str
    ) -> dict[str, Any]:
        """The writer reads them; reading twice tells nothing twice."""
        known, context = checked(info, msp_id, operation_id, len(psa_product_keys))
        products = [_product(msp_id, key) for key in psa_product_keys]
        answer = showing.patient(context).ask("psa_writer", "reread_units", msp_id=known, products=products)
        rows = zip(psa_product_keys, answer["results"], strict=True)
        return outcome(operation_id, [{"id": key, "ok": row["ok"], "refusal": row["refusal"]} for key, row in rows])

    @staticmethod
    def resolve_resolve_drift(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        token: str,
        resolution: Any,
        reason: str,
        operation_id: str,
    ) -> dict[str, Any]:
        """reconciler decides each product; its relations share the answer."""
        known, context = checked(info, msp_id, operation_id, 1)
        if not reason.strip() or len(reason) > LONGEST_REASON:
            raise Refusal("BAD_REASON", f"A reason has 1 to {LONGEST_REASON:,} characters.", "Say why.")

        def again(given: dict[str, Any]) -> list[dict[str, Any]]:
            return showing.show_again(context, known, given["relation_ids"])

        kept, stale = previews(context).confirmed(known, "drift", token, operation_id, again)
        if stale is not None:
            return {"operation_id": operation_id, "results": [], "refusal": vars(stale), "fresh": told(kept)}
        fine = {_of(row): row for row in kept.rows if not showing.is_blocked(row)}
        products = [
            {"psa_connection_id": of, "psa_product_id": it, "units": row["units"]} for (of, it), row in fine.items()
        ]
        with operations.begun(context.engine, context.clock, msp_id, operation_id, len(kept.rows)) as ended:
            answer = context.ask(
                "reconciler",
                "resolve_drift",
                msp_id=known,
                products=products,
                resolution=value_of(resolution),
                reason=reason.strip(),
                operation_id=operation_id,
                actor=context.caller.name,
            )
            decided = {_of(row): row for row in answer["results"]}
            results = [_result(row, decided) for row in kept.rows]
            ended(results)
        return {"operation_id": operation_id, "results": results, "refusal": None, "fresh": None}


def drifting_fields() -> dict[str, tuple[Any, Any]]:
    """The field of the root query, with its resolver."""
    field = graphene.Field(
        graphene.NonNull(Preview),
        relation_ids=texts(f"At most {MOST_ROWS}."),
        description="What overwriting the PSA's units with what the counts come to would post. Adopting posts nothing and keeps "
        "the units shown. Asks services.",
        **MSP,
    )
    return {"preview_drift": (field, _resolve_preview)}


def _resolve_preview(
    _root: object, info: GraphQLResolveInfo, msp_id: str, relation_ids: Sequence[str]
) -> dict[str, Any]:
    known, context = asked_for(info, msp_id, len(relation_ids))
    rows = showing.show_again(context, known, relation_ids)
    return told(previews(context).keep(known, "drift", {"relation_ids": list(relation_ids)}, rows))


def _product(msp_id: str, key: str) -> dict[str, str]:
    try:
        found = PsaProductKey.parse(key)
    except BadKey:
        found = None
    if found is None or found.msp_id != msp_id:
        raise Refusal("BAD_REQUEST", f"{key!r} is not the key of a PSA product.", "Take it from the drift report.")
    return {"psa_connection_id": found.connection_id, "psa_product_id": found.psa_product_id}


def _of(row: dict[str, Any]) -> tuple[str, str]:
    return row["psa_connection_id"], row["psa_product_id"]


def _result(row: dict[str, Any], decided: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    if showing.is_blocked(row):
        return blocked(row)
    answer = decided[_of(row)]
    return {"id": row["id"], "ok": answer["ok"], "relation_id": row["relation_id"], "refusal": answer["refusal"]}
