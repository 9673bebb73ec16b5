"""Messages and calls -> mapping's decisions: who is linked to what."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from domain.keys import MspId, PsaAgreementId
from plumbing import topology
from plumbing.answering import rpc
from plumbing.catch_up import catch_up, sweep
from plumbing.hearing import hear
from plumbing.house import HouseProvider
from plumbing.settings import Settings
from plumbing.sweeping import sweeping
from services.mapping import excluding, moving, operations, settling, suggesting
from services.mapping.reactor import TYPES, reactor
from services.mapping.wishes import (
    Refused,
    ids_of,
    parse_ask,
    parse_reason,
    parse_relation_ids,
    parse_resource_keys,
    parse_settings,
    parse_until,
    parse_wishes,
)

SETTINGS = Settings
WORKERS = 10


class Service:
    """Keeps what can be linked and what is linked."""

    name = "mapping"
    house = HouseProvider()

    @hear(topology.bell_queue("mapping", TYPES), lambda house: [reactor(house.clock)])
    def on_bells(self, msp_id: MspId) -> None:
        """Reads the MSP's log up to its head."""
        catch_up(self.house.engine, reactor(self.house.clock), msp_id, self.house.clock)

    @sweeping
    def sweep(self) -> None:
        """Looks for bells that were lost and for agreements that ended with the day, drops old answers, ends exclusions whose
        last day has passed, and weighs anew what to suggest where that may have changed."""
        sweep(self.house.engine, [reactor(self.house.clock)], self.house.clock)
        moving.look_daily(self.house.engine, self.house.clock)
        operations.forget_old(self.house.engine, self.house.clock)
        excluding.end_passed(self.house.engine, self.house.clock)
        suggesting.refresh_due(self.house.engine, self.house.clock)

    @rpc
    def set_relations(
        self, msp_id: str, wishes: object, operation_id: str, actor: str, hold_first: object = False
    ) -> dict[str, Any]:
        """{"operation_id", "results": [{"id", "ok", "relation_id", "note", "refusal"}], "refusal"}: each wish
        {"id", "resource_key", "psa_connection_id", "psa_product_id", "score"} granted or refused, in order; score may be left
        out. refusal beside results: the whole call was refused, every row with it, and nothing was done. The same operation id
        gets the same answer again. hold_first: the first post of each relation waits for a person."""

        def answer() -> dict[str, Any]:
            ask = parse_ask(msp_id, operation_id, actor)
            given, held = parse_wishes(wishes), hold_first is True
            return operations.set_relations(self.house.engine, self.house.clock, ask, given, hold_first=held)

        return _or_refusal(operation_id, wishes, answer)

    @rpc
    def clear_relations(
        self, msp_id: str, relation_ids: object, reason: str, operation_id: str, actor: str
    ) -> dict[str, Any]:
        """The same shape of answer, with the relation id as each row's id."""

        def answer() -> dict[str, Any]:
            ask = parse_ask(msp_id, operation_id, actor)
            ids, why = parse_relation_ids(relation_ids), parse_reason(reason)
            return operations.clear_relations(self.house.engine, self.house.clock, ask, ids, why)

        return _or_refusal(operation_id, relation_ids, answer)

    @rpc
    def answer_move(
        self,
        msp_id: str,
        psa_connection_id: str,
        psa_agreement_id: str,
        moved_to: str | None,
        reason: str,
        operation_id: str,
        actor: str,
    ) -> dict[str, Any]:
        """{"refusal"}: where the relations of an ended agreement go. moved_to None: they stay."""
        house, to = self.house, PsaAgreementId(moved_to) if moved_to else None
        try:
            ask, why = parse_ask(msp_id, operation_id, actor), parse_reason(reason)
            moving.answer_move(house.engine, house.clock, ask, (psa_connection_id, psa_agreement_id), to, why)
        except Refused as refused:
            return {"refusal": asdict(refused.refusal)}
        return {"refusal": None}

    @rpc
    def save_relation_settings(
        self, msp_id: str, relation_ids: object, settings: object, operation_id: str, actor: str
    ) -> dict[str, Any]:
        """The same shape of answer. settings as in RelationSettings.parse; all relations of the call get the same."""

        def answer() -> dict[str, Any]:
            ask = parse_ask(msp_id, operation_id, actor)
            ids, parsed = parse_relation_ids(relation_ids), parse_settings(settings)
            return settling.save_settings(self.house.engine, self.house.clock, ask, ids, parsed)

        return _or_refusal(operation_id, relation_ids, answer)

    @rpc
    def freeze_relations(
        self, msp_id: str, relation_ids: object, reason: str, operation_id: str, actor: str
    ) -> dict[str, Any]:
        """The same shape of answer. A reason is required."""

        def answer() -> dict[str, Any]:
            ask = parse_ask(msp_id, operation_id, actor)
            ids, why = parse_relation_ids(relation_ids), parse_reason(reason, required=True)
            return settling.freeze(self.house.engine, self.house.clock, ask, ids, why)

        return _or_refusal(operation_id, relation_ids, answer)

    @rpc
    def unfreeze_relations(
        self, msp_id: str, relation_ids: object, reason: str, operation_id: str, actor: str
    ) -> dict[str, Any]:
        """The same shape of answer."""

        def answer() -> dict[str, Any]:
            ask = parse_ask(msp_id, operation_id, actor)
            ids, why = parse_relation_ids(relation_ids), parse_reason(reason)
            return settling.unfreeze(self.house.engine, self.house.clock, ask, ids, why)

        return _or_refusal(operation_id, relation_ids, answer)

    @rpc
    def exclude_resources(
        self, msp_id: str, resource_keys: object, reason: str, until: str | None, operation_id: str, actor: str
    ) -> dict[str, Any]:
        """The same shape of answer, with the resource key as each row's id. A reason is required; until: the last day."""

        def answer() -> dict[str, Any]:
            ask = parse_ask(msp_id, operation_id, actor)
            keys, why = parse_resource_keys(resource_keys), parse_reason(reason, required=True)
            return excluding.exclude(self.house.engine, self.house.clock, ask, keys, why, parse_until(until))

        return _or_refusal(operation_id, resource_keys, answer)

    @rpc
    def include_resources(
        self, msp_id: str, resource_keys: object, reason: str, operation_id: str, actor: str
    ) -> dict[str, Any]:
        """The same shape of answer."""

        def answer() -> dict[str, Any]:
            ask = parse_ask(msp_id, operation_id, actor)
            keys, why = parse_resource_keys(resource_keys), parse_reason(reason)
            return excluding.include(self.house.engine, self.house.clock, ask, keys, why)

        return _or_refusal(operation_id, resource_keys, answer)

    @rpc
    def foresee_relations(self, msp_id: str, wishes: object) -> dict[str, Any]:
        """{"results", "refusal"}: what set_relations would answer now, each row with ids and names of both sides (None where
        they are not known). Nothing is set."""

        def answer() -> dict[str, Any]:
            given = parse_wishes(wishes)
            results = operations.foresee_relations(self.house.engine, self.house.clock, MspId(msp_id), given)
            return {"results": results, "refusal": None}

        return _or_refusal("", wishes, answer)

    @rpc
    def foresee_clearing(self, msp_id: str, relation_ids: object) -> dict[str, Any]:
        """The same for clear_relations; each row has its resource_key as well."""

        def answer() -> dict[str, Any]:
            ids = parse_relation_ids(relation_ids)
            results = operations.foresee_clearing(self.house.engine, self.house.clock, MspId(msp_id), ids)
            return {"results": results, "refusal": None}

        return _or_refusal("", relation_ids, answer)


def _or_refusal(operation_id: str, rows: object, answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The answer; when the whole call is refused each row says so too, for a caller that looks at rows only."""
    try:
        return answer()
    except Refused as refused:
        results = operations.refused_rows(ids_of(rows), refused.refusal)
        return {"operation_id": operation_id, "results": results, "refusal": asdict(refused.refusal)}
