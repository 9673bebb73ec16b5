"""What a person settles for relations that are there -> settings, freezes and their ends, each row granted or refused."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine

from domain.codec import encode_part
from domain.keys import MspId
from domain.relation_settings import RelationSettings
from plumbing.clock import Clock
from services.mapping import known, record
from services.mapping.decide_relation import ProductId, Refusal, Relation
from services.mapping.operations import RELATION_UNKNOWN, Decision, once, result_of
from services.mapping.wishes import Ask

#: What becomes of a live relation: an event, a refusal, or a note that it is as wished already.
Settle = Callable[[Relation], record.RelationEvent | Refusal | str]

_CLEARED = Refusal("relation_cleared", "This relation was cleared.", "Set it again, then settle what holds for it.")


def save_settings(
    engine: Engine, clock: Clock, ask: Ask, relation_ids: Sequence[str], settings: RelationSettings
) -> dict[str, Any]:
    """The answer, row by row: from now on each relation has these settings. Refused is a price that contradicts the one of
    another relation of the same product: the PSA bills all its units at one price."""

    def decide(connection: Connection) -> Decision:
        near = _near(connection, ask.msp_id, relation_ids)

        def settle(relation: Relation) -> record.RelationEvent | Refusal | str:
            if relation.settings == settings:
                return "already_saved"
            others = (each for each in near[_product(relation)] if each.relation_id not in relation_ids)
            return _price_refusal(settings, others) or record.settings_saved(relation, settings)

        return _decided(connection, ask.msp_id, relation_ids, settle)

    return once(engine, clock, ask, ["settings", list(relation_ids), encode_part(settings)], decide)


def freeze(engine: Engine, clock: Clock, ask: Ask, relation_ids: Sequence[str], reason: str) -> dict[str, Any]:
    """The answer, row by row: nothing more is asked for the products of these relations."""

    def settle(relation: Relation) -> record.RelationEvent | str:
        return "already_frozen" if relation.frozen else record.frozen(relation, reason)

    return _settled(engine, clock, ask, "freeze", relation_ids, reason, settle)


def unfreeze(engine: Engine, clock: Clock, ask: Ask, relation_ids: Sequence[str], reason: str) -> dict[str, Any]:
    """The answer, row by row: the relations post again."""

    def settle(relation: Relation) -> record.RelationEvent | str:
        return record.unfrozen(relation, reason) if relation.frozen else "not_frozen"

    return _settled(engine, clock, ask, "unfreeze", relation_ids, reason, settle)


def _settled(
    engine: Engine, clock: Clock, ask: Ask, what: str, relation_ids: Sequence[str], reason: str, settle: Settle
) -> dict[str, Any]:
    def decide(connection: Connection) -> Decision:
        return _decided(connection, ask.msp_id, relation_ids, settle)

    return once(engine, clock, ask, [what, list(relation_ids), reason], decide)


def _decided(connection: Connection, msp_id: MspId, relation_ids: Sequence[str], settle: Settle) -> Decision:
    """A relation that is named twice is settled once."""
    rows = known.relations_by_id(connection, msp_id, relation_ids)
    events: dict[str, record.RelationEvent] = {}
    results = []
    for relation_id in relation_ids:
        row = rows.get(relation_id)
        if row is None or not row.live:
            results.append(result_of(relation_id, RELATION_UNKNOWN if row is None else _CLEARED))
            continue
        relation = known.relation(row)
        decided = settle(relation)
        if isinstance(decided, str):
            results.append(result_of(relation_id, relation, decided))
            continue
        results.append(result_of(relation_id, decided))
        if not isinstance(decided, Refusal):
            events.setdefault(relation_id, decided)
    return results, list(events.values())


def _near(connection: Connection, msp_id: MspId, relation_ids: Sequence[str]) -> dict[ProductId, list[Relation]]:
    rows = known.relations_by_id(connection, msp_id, relation_ids).values()
    return known.relations_of_products(
        connection, msp_id, {(row.psa_connection_id, row.psa_product_id) for row in rows if row.live}
    )


def _product(relation: Relation) -> ProductId:
    return relation.psa.psa_connection_id, relation.psa.psa_product_id


def _price_refusal(settings: RelationSettings, others: Iterable[Relation]) -> Refusal | None:
    if settings.price.source == "agreement":
        return None
    for other in others:
        if other.settings.price.source != "agreement" and other.settings.price != settings.price:
            return Refusal(
                "price_contradicts",
                f"“{other.odin.resource_name}” feeds the same product “{other.psa.psa_product_name}” and has another price.",
                "Save the price for all relations of the product together: the PSA bills all its units at one price.",
            )
    return None
