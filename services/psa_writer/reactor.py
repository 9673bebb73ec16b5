"""Requests and relations in the log -> the writer's own rows, and work for whoever posts; decided where they are kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from domain.codec import encode
from domain.envelope import Envelope
from domain.events import (
    AdjustmentRequested,
    AdjustmentSuperseded,
    CloseReopened,
    ConnectionSaved,
    DriftAdopted,
    DriftOverwritten,
    PolicyChanged,
    PostingResumed,
    RelationCleared,
    RelationFrozen,
    RelationSet,
    RelationUnfrozen,
)
from domain.keys import ConnectionId, MspId
from plumbing import outbox
from plumbing.catch_up import Reactor
from plumbing.clock import Clock
from plumbing.upsert import upsert
from services.psa_writer import tables

TYPES = tuple(
    event.type
    for event in (
        AdjustmentRequested,
        AdjustmentSuperseded,
        RelationSet,
        RelationCleared,
        RelationFrozen,
        RelationUnfrozen,
        ConnectionSaved,
        PostingResumed,
        PolicyChanged,
        CloseReopened,
        DriftAdopted,
        DriftOverwritten,
    )
)
POSTS, CATALOGUE = "psa_writer.posts", "psa_writer.catalogue"


def reactor(clock: Clock) -> Reactor:
    """The consumer that keeps open requests and live relations: a few statements for a slice, however many events it has."""

    def react(connection: Connection, msp_id: MspId, envelopes: list[Envelope]) -> None:
        now = clock.now()
        _keep_relations(connection, msp_id, envelopes)
        _keep_resolved(connection, msp_id, envelopes)
        _keep_requests(connection, msp_id, envelopes, now)
        saved = _saved_connections(envelopes)
        _look_at_once(connection, msp_id, saved, now)
        wanted = {e.event.psa_connection_id for e in envelopes if isinstance(e.event, AdjustmentRequested)}
        if _is_judged_anew(envelopes):
            _judge_anew(connection, msp_id, now)
        resumed = _connections_of(connection, msp_id) if _is_resumed(envelopes) else set()
        put_work(connection, POSTS, msp_id, sorted(wanted | saved | resumed), now, envelopes[-1].correlation_id)
        put_work(connection, CATALOGUE, msp_id, sorted(saved), now, envelopes[-1].correlation_id)

    return Reactor("requests", "psa_writer", TYPES, react)


def put_work(
    connection: Connection,
    queue: str,
    msp_id: MspId,
    connection_ids: Sequence[ConnectionId],
    now: datetime,
    correlation_id: str,
    reason: str = "event",
) -> None:
    """Puts one piece of work a connection on its way, in the caller's transaction."""
    bodies = [{"msp_id": msp_id, "connection_id": each, "reason": reason} for each in connection_ids]
    if bodies:
        outbox.put(connection, queue, bodies, correlation_id=correlation_id, put_at=now)


def _keep_relations(connection: Connection, msp_id: MspId, envelopes: list[Envelope]) -> None:
    """What each relation of the slice ends as."""
    last = {e.event.relation_id: e for e in envelopes if isinstance(e.event, RelationSet | RelationCleared)}
    if last:
        _set_and_clear(connection, msp_id, last)
    events = [e.event for e in envelopes if isinstance(e.event, RelationFrozen | RelationUnfrozen)]
    frozen = {event.relation_id: isinstance(event, RelationFrozen) for event in events}
    for each in sorted(set(frozen.values())):
        ids = [relation_id for relation_id, is_frozen in frozen.items() if is_frozen is each]
        mine = (tables.relations.c.msp_id == msp_id) & tables.relations.c.relation_id.in_(ids)
        connection.execute(update(tables.relations).where(mine).values(frozen=each))


def _set_and_clear(connection: Connection, msp_id: MspId, last: Mapping[str, Envelope]) -> None:
    mine = (tables.relations.c.msp_id == msp_id) & tables.relations.c.relation_id.in_(list(last))
    connection.execute(delete(tables.relations).where(mine))
    live = [(each.event, each.actor) for each in last.values() if isinstance(each.event, RelationSet)]
    if live:
        connection.execute(
            insert(tables.relations),
            [
                {
                    "msp_id": msp_id,
                    "relation_id": event.relation_id,
                    "connection_id": event.psa_connection_id,
                    "psa_product_id": event.psa_product_id,
                    "frozen": False,
                    "set_by": actor,
                }
                for event, actor in live
            ],
        )


def _keep_resolved(connection: Connection, msp_id: MspId, envelopes: list[Envelope]) -> None:
    resolved = {
        (e.event.psa_connection_id, e.event.psa_product_id): e.occurred_at
        for e in envelopes
        if isinstance(e.event, DriftAdopted | DriftOverwritten)
    }
    rows = [
        {"msp_id": msp_id, "connection_id": of, "psa_product_id": product_id, "resolved_at": at}
        for (of, product_id), at in resolved.items()
    ]
    upsert(connection, tables.resolved_drifts, rows)


def _keep_requests(connection: Connection, msp_id: MspId, envelopes: list[Envelope], now: datetime) -> None:
    """New requests, the last of each product open. It replaces an older one even when the word of its superseding comes in a
    later slice."""
    asked = [(e, e.event) for e in envelopes if isinstance(e.event, AdjustmentRequested)]
    last = {(event.psa_connection_id, event.psa_product_id): event.request_id for _, event in asked}
    replaced = {e.event.request_id for e in envelopes if isinstance(e.event, AdjustmentSuperseded)}
    for connection_id in sorted({of for of, _ in last}):
        connection.execute(
            text(
                """UPDATE psa_writer.requests SET state = 'superseded' WHERE msp_id = :m AND connection_id = :c
                   AND psa_product_id = ANY(:ids) AND state NOT IN ('done', 'superseded')"""
            ),
            {"m": msp_id, "c": connection_id, "ids": [product_id for of, product_id in last if of == connection_id]},
        )
    newest = set(last.values())
    rows = [
        {
            "msp_id": msp_id,
            "request_id": event.request_id,
            "connection_id": event.psa_connection_id,
            "psa_agreement_id": event.psa_agreement_id,
            "psa_product_id": event.psa_product_id,
            "position": envelope.position,
            "correlation_id": envelope.correlation_id,
            "wish": encode(event),
            "state": "planned" if event.request_id in newest else "superseded",
            "next_try_at": now,
            "asked_at": envelope.occurred_at,
        }
        for envelope, event in asked
    ]
    if rows:
        connection.execute(insert(tables.requests).on_conflict_do_nothing(), rows)
    if replaced:
        connection.execute(
            text(
                """UPDATE psa_writer.requests SET state = 'superseded'
                   WHERE msp_id = :m AND request_id = ANY(:ids) AND state NOT IN ('done', 'superseded')"""
            ),
            {"m": msp_id, "ids": sorted(replaced)},
        )


def _saved_connections(envelopes: list[Envelope]) -> set[ConnectionId]:
    saved = (e.event for e in envelopes if isinstance(e.event, ConnectionSaved))
    return {event.connection_id for event in saved if event.kind == "autotask"}


def _is_resumed(envelopes: list[Envelope]) -> bool:
    return any(isinstance(e.event, PostingResumed | PolicyChanged | CloseReopened) for e in envelopes)


def _is_judged_anew(envelopes: list[Envelope]) -> bool:
    return any(isinstance(e.event, PolicyChanged | CloseReopened) for e in envelopes)


def _judge_anew(connection: Connection, msp_id: MspId, now: datetime) -> None:
    """What the brake holds, what is only shown and what waits for a billing period is planned anew: it may go out now, or wait
    for another reason. What stays as it was is not told again, and keeps its approvals."""
    connection.execute(
        text(
            """UPDATE psa_writer.requests SET state = 'planned', next_try_at = :now
               WHERE msp_id = :m AND (state IN ('held', 'shadowed') OR state = 'parked' AND kind = 'preflight')"""
        ),
        {"m": msp_id, "now": now},
    )


def _connections_of(connection: Connection, msp_id: MspId) -> set[ConnectionId]:
    of_msp = select(tables.connections.c.connection_id).where(tables.connections.c.msp_id == msp_id)
    return {ConnectionId(each) for each in connection.scalars(of_msp)}


def _look_at_once(connection: Connection, msp_id: MspId, saved: set[ConnectionId], now: datetime) -> None:
    """A PSA connection that was saved is looked at at once, whatever pause its last failure left. Its catalogue is being read,
    so the timer need not ask for it."""
    if saved:
        statement = insert(tables.connections).values(
            [
                {"msp_id": msp_id, "connection_id": each, "next_catalogue_at": now + timedelta(hours=1)}
                for each in sorted(saved)
            ]
        )
        changes = {"paused_until": None, "next_catalogue_at": statement.excluded.next_catalogue_at}
        keys = ["msp_id", "connection_id"]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes))
