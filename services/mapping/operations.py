"""(a person's wishes, an operation id) -> what they ask for, done at most once, and an answer that is given again.

The MSP's lock makes decisions one after the other: of two people who want the same resource at once the first wins and the
second is told. A double click finds the first click's answer.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import orjson
from psycopg2.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy.exc import OperationalError

from domain.events import RelationSet
from domain.events.names import OdinNames, PsaNames
from domain.keys import MspId
from plumbing import setup
from plumbing.catch_up import read_to_head
from plumbing.clock import Clock
from services.mapping import known, record, tables
from services.mapping.decide_relation import Known, Link, Refusal, Relation, Wish, decide_relation
from services.mapping.reactor import reactor
from services.mapping.wishes import Ask, GivenWish, Refused

Results = list[dict[str, Any]]
Decision = tuple[Results, Sequence[record.MappingEvent]]
Decide = Callable[[Connection], Decision]

RELATION_UNKNOWN = Refusal("relation_unknown", "This relation is not known.", "Reload the page and choose it again.")


def set_relations(
    engine: Engine, clock: Clock, ask: Ask, wishes: Sequence[GivenWish], *, hold_first: bool = False
) -> dict[str, Any]:
    """The answer to the wishes, row by row and in order: a later row sees what an earlier one set. All rows that can be
    linked are linked, in one transaction; each of the others has its refusal. hold_first: the first post of each waits."""

    def decide(connection: Connection) -> Decision:
        facts = known.known_for(connection, ask.msp_id, [given.wish for given in wishes if given.wish])
        today = clock.today(setup.msp(connection, ask.msp_id).time_zone)
        events: list[record.RelationEvent] = []
        results = []
        for given in wishes:
            decided = given.refusal if given.wish is None else _decided(given.wish, facts, today, hold_first=hold_first)
            if isinstance(decided, RelationSet):
                events.append(decided)
            results.append(result_of(given.id, decided, "already_set" if isinstance(decided, Relation) else None))
        return results, events

    return once(engine, clock, ask, [*(given.as_asked() for given in wishes), hold_first], decide)


def clear_relations(engine: Engine, clock: Clock, ask: Ask, relation_ids: Sequence[str], reason: str) -> dict[str, Any]:
    """The answer, row by row. A relation that is cleared already is told so and is no refusal."""

    def decide(connection: Connection) -> Decision:
        rows = known.relations_by_id(connection, ask.msp_id, relation_ids)
        live = {relation_id for relation_id, row in rows.items() if row.live}
        events: list[record.RelationEvent] = []
        results = []
        for relation_id in relation_ids:
            row = rows.get(relation_id)
            if row is None:
                results.append(result_of(relation_id, RELATION_UNKNOWN))
                continue
            if relation_id in live:
                live.remove(relation_id)
                event = record.cleared(known.relation(row), reason)
                events.append(event)
                results.append(result_of(relation_id, event))
            else:
                results.append(result_of(relation_id, known.relation(row), "already_cleared"))
        return results, events

    return once(engine, clock, ask, [list(relation_ids), reason], decide)


def foresee_relations(engine: Engine, clock: Clock, msp_id: MspId, wishes: Sequence[GivenWish]) -> Results:
    """What set_relations would answer to the wishes now, each row with the ids and names of both sides where they are known;
    nothing is set."""
    _refuse_unknown_msp(engine, msp_id)
    read_to_head(engine, reactor(clock), msp_id, clock)
    with engine.connect() as connection:
        facts = known.known_for(connection, msp_id, [given.wish for given in wishes if given.wish])
        today = clock.today(setup.msp(connection, msp_id).time_zone)
    return [_foreseen(given, facts, today) for given in wishes]


def foresee_clearing(engine: Engine, clock: Clock, msp_id: MspId, relation_ids: Sequence[str]) -> Results:
    """The same for clear_relations."""
    _refuse_unknown_msp(engine, msp_id)
    read_to_head(engine, reactor(clock), msp_id, clock)
    with engine.connect() as connection:
        rows = known.relations_by_id(connection, msp_id, relation_ids)
    results = []
    for relation_id in relation_ids:
        row = rows.get(relation_id)
        relation = known.relation(row) if row else None
        named = _names(relation.odin, relation.psa) if relation else _names(None, None)
        note = "already_cleared" if row and not row.live else None
        key = str(relation.odin.resource_key(msp_id)) if relation else None
        results.append(
            result_of(relation_id, relation or RELATION_UNKNOWN) | named | {"note": note, "resource_key": key}
        )
    return results


def _foreseen(given: GivenWish, facts: Known, today: date) -> dict[str, Any]:
    if given.wish is None:
        return result_of(given.id, given.refusal) | _names(None, None)
    resource, product = facts.resources.get(given.wish.resource_key), facts.products.get(given.wish.product_id)
    decided = _decided(given.wish, facts, today)
    named = _names(resource.names if resource else None, product.names if product else None)
    # The id of a relation that was not set means nothing.
    unset = {"relation_id": None} if isinstance(decided, RelationSet) else {}
    note = "already_set" if isinstance(decided, Relation) else None
    return result_of(given.id, decided, note) | named | unset


def _names(odin: OdinNames | None, psa: PsaNames | None) -> dict[str, str | None]:
    unknown = dict.fromkeys((*OdinNames.__dataclass_fields__, *PsaNames.__dataclass_fields__))
    return unknown | (vars(odin) if odin else {}) | (vars(psa) if psa else {})


def refused_rows(ids: Sequence[str | None], refusal: Refusal) -> Results:
    """The results of a call that was refused as a whole."""
    return [result_of(row_id, refusal) for row_id in ids]


def forget_old(engine: Engine, clock: Clock) -> None:
    """Drops answers older than 30 days: nobody repeats a click that late."""
    with engine.begin() as connection:
        connection.execute(
            text("DELETE FROM mapping.operations WHERE answered_at < :before"),
            {"before": clock.now() - timedelta(days=30)},
        )


def _decided(wish: Wish, facts: Known, today: date, *, hold_first: bool = False) -> RelationSet | Relation | Refusal:
    decided = decide_relation(wish, facts, today)
    if not isinstance(decided, Link):
        return decided
    relation = Relation(uuid4().hex, decided.odin, decided.psa)
    facts.link(wish.resource_key, relation)
    return record.was_set(relation, hold_first=hold_first, score=wish.score)


def result_of(
    row_id: str | None, decided: record.MappingEvent | Relation | Refusal | None, note: str | None = None
) -> dict[str, Any]:
    """One row of an answer. note tells that nothing had to be done, since all was as wished already."""
    refusal = decided if isinstance(decided, Refusal) else None
    return {
        "id": row_id,
        "ok": refusal is None,
        "relation_id": getattr(decided, "relation_id", None),
        "note": note,
        "refusal": asdict(refusal) if refusal else None,
    }


def once(engine: Engine, clock: Clock, ask: Ask, asked: object, decide: Decide) -> dict[str, Any]:
    """The answer to what is asked under the operation id: the one that was given before, else decide's, whose events are
    recorded with it. Refused when it cannot be decided as a whole."""
    _refuse_unknown_msp(engine, ask.msp_id)
    fingerprint = hashlib.sha256(orjson.dumps(asked)).hexdigest()
    try:
        # What the person saw may be newer than what mapping has read. One that has stopped decides by what it knows.
        read_to_head(engine, reactor(clock), ask.msp_id, clock)
        with engine.begin() as connection:
            known.lock(connection, ask.msp_id)
            answer = _given_before(connection, ask, fingerprint)
            if answer is None:
                answer = _answer(connection, clock, ask, fingerprint, decide)
            return answer
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise _BUSY from error
        raise


_BUSY = Refused("busy", "Other relations of this MSP are being set right now.", "Try again in a moment.")


def _answer(connection: Connection, clock: Clock, ask: Ask, fingerprint: str, decide: Decide) -> dict[str, Any]:
    results, events = decide(connection)
    answer = {"operation_id": ask.operation_id, "results": results, "refusal": None}
    connection.execute(
        insert(tables.operations),
        {
            "msp_id": ask.msp_id,
            "operation_id": ask.operation_id,
            "asked": fingerprint,
            "answer": answer,
            "answered_at": clock.now(),
        },
    )
    cause = record.Cause(ask.operation_id, ask.actor)
    record.record(connection, ask.msp_id, events, cause, clock.now())
    return answer


def _given_before(connection: Connection, ask: Ask, fingerprint: str) -> dict[str, Any] | None:
    row = connection.execute(
        select(tables.operations.c.asked, tables.operations.c.answer).where(
            tables.operations.c.msp_id == ask.msp_id, tables.operations.c.operation_id == ask.operation_id
        )
    ).first()
    if row is None:
        return None
    if row.asked != fingerprint:
        raise Refused(
            "operation_id_used",
            "This operation id was used for another request.",
            "Give every new request an operation id of its own; repeat one only with the same wishes.",
        )
    given: dict[str, Any] = row.answer
    return given


def _refuse_unknown_msp(engine: Engine, msp_id: MspId) -> None:
    with engine.connect() as connection:
        try:
            setup.msp(connection, msp_id)
        except KeyError:
            raise Refused("msp_unknown", "There is no such MSP here.", "Add it with `trueup msp add`.") from None
