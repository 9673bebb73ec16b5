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
from domain.keys import MspId
from plumbing import setup
from plumbing.catch_up import catch_up
from plumbing.clock import Clock
from services.mapping import known, record, tables
from services.mapping.decide_relation import Known, Link, Refusal, Relation, Wish, decide_relation
from services.mapping.reactor import reactor
from services.mapping.wishes import Ask, GivenWish, Refused

Results = list[dict[str, Any]]
Decision = tuple[Results, Sequence[record.MappingEvent]]
Decide = Callable[[Connection], Decision]

RELATION_UNKNOWN = Refusal("relation_unknown", "This relation is not known.", "Reload the page and choose it again.")


def set_relations(engine: Engine, clock: Clock, ask: Ask, wishes: Sequence[GivenWish]) -> dict[str, Any]:
    """The answer to the wishes, row by row and in order: a later row sees what an earlier one set. All rows that can be
    linked are linked, in one transaction; each of the others has its refusal."""

    def decide(connection: Connection) -> Decision:
        facts = known.known_for(connection, ask.msp_id, [given.wish for given in wishes if given.wish])
        today = clock.today(setup.msp(connection, ask.msp_id).time_zone)
        events: list[record.RelationEvent] = []
        results = []
        for given in wishes:
            decided = given.refusal if given.wish is None else _decided(given.wish, facts, today)
            if isinstance(decided, RelationSet):
                events.append(decided)
            results.append(result_of(given.id, decided, "already_set" if isinstance(decided, Relation) else None))
        return results, events

    return once(engine, clock, ask, [given.as_asked() for given in wishes], decide)


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


def _decided(wish: Wish, facts: Known, today: date) -> RelationSet | Relation | Refusal:
    decided = decide_relation(wish, facts, today)
    if not isinstance(decided, Link):
        return decided
    relation = Relation(uuid4().hex, decided.odin, decided.psa)
    facts.link(wish.resource_key, relation)
    return record.was_set(relation)


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
        # What the person saw may be newer than what mapping has read; a replica that is at it already is done in a moment.
        catch_up(engine, reactor(clock), ask.msp_id, clock)
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
