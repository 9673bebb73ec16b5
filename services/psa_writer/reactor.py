"""Requests and relations in the log -> the writer's own rows, and work for whoever posts; decided where they are kept."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from domain.codec import encode
from domain.envelope import Envelope
from domain.events import (
    AdjustmentRequested,
    AdjustmentSuperseded,
    ConnectionSaved,
    RelationCleared,
    RelationSet,
)
from domain.keys import ConnectionId, MspId
from plumbing import outbox
from plumbing.catch_up import Reactor
from plumbing.clock import Clock

TYPES = tuple(
    event.type for event in (AdjustmentRequested, AdjustmentSuperseded, RelationSet, RelationCleared, ConnectionSaved)
)
POSTS, CATALOGUE = "psa_writer.posts", "psa_writer.catalogue"


def reactor(clock: Clock) -> Reactor:
    """The consumer that keeps open requests and live relations."""

    def react(connection: Connection, msp_id: MspId, envelopes: list[Envelope]) -> None:
        now = clock.now()
        for envelope in envelopes:
            keep = _KEEPERS[type(envelope.event)]
            keep(connection, envelope, now)
        put_work(connection, POSTS, msp_id, _to_post(envelopes), now, envelopes[-1].correlation_id)
        put_work(connection, CATALOGUE, msp_id, _to_read(envelopes), now, envelopes[-1].correlation_id)

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


def _to_post(envelopes: list[Envelope]) -> list[ConnectionId]:
    wanted = {e.event.psa_connection_id for e in envelopes if isinstance(e.event, AdjustmentRequested)}
    return sorted(wanted | set(_to_read(envelopes)))


def _to_read(envelopes: list[Envelope]) -> list[ConnectionId]:
    saved = (e.event for e in envelopes if isinstance(e.event, ConnectionSaved))
    return sorted({event.connection_id for event in saved if event.kind == "autotask"})


def _requested(connection: Connection, envelope: Envelope, now: datetime) -> None:
    event: Any = envelope.event
    key = {
        "msp_id": envelope.msp_id,
        "request_id": event.request_id,
        "connection_id": event.psa_connection_id,
        "product_id": event.psa_product_id,
    }
    # A newer wish replaces an older one even when the word of its superseding comes later.
    connection.execute(
        text(
            """UPDATE psa_writer.requests SET state = 'superseded' WHERE msp_id = :msp_id
               AND connection_id = :connection_id AND psa_product_id = :product_id AND state NOT IN ('done', 'superseded')"""
        ),
        key,
    )
    connection.execute(
        text(
            """INSERT INTO psa_writer.requests (msp_id, request_id, connection_id, psa_agreement_id, psa_product_id,
                   position, correlation_id, wish, state, next_try_at)
               VALUES (:msp_id, :request_id, :connection_id, :agreement_id, :product_id, :position, :correlation_id,
                   CAST(:wish AS jsonb), 'planned', :now) ON CONFLICT DO NOTHING"""
        ),
        key
        | {
            "agreement_id": event.psa_agreement_id,
            "position": envelope.position,
            "correlation_id": envelope.correlation_id,
            "wish": orjson.dumps(encode(event)).decode(),
            "now": now,
        },
    )


def _superseded(connection: Connection, envelope: Envelope, _now: datetime) -> None:
    event: Any = envelope.event
    connection.execute(
        text(
            """UPDATE psa_writer.requests SET state = 'superseded'
               WHERE msp_id = :msp_id AND request_id = :request_id AND state <> 'done'"""
        ),
        {"msp_id": envelope.msp_id, "request_id": event.request_id},
    )


def _set(connection: Connection, envelope: Envelope, _now: datetime) -> None:
    event: Any = envelope.event
    connection.execute(
        text(
            """INSERT INTO psa_writer.relations (msp_id, relation_id, connection_id, psa_product_id)
               VALUES (:msp_id, :relation_id, :connection_id, :product_id) ON CONFLICT DO NOTHING"""
        ),
        {
            "msp_id": envelope.msp_id,
            "relation_id": event.relation_id,
            "connection_id": event.psa_connection_id,
            "product_id": event.psa_product_id,
        },
    )


def _cleared(connection: Connection, envelope: Envelope, _now: datetime) -> None:
    event: Any = envelope.event
    connection.execute(
        text("DELETE FROM psa_writer.relations WHERE msp_id = :msp_id AND relation_id = :relation_id"),
        {"msp_id": envelope.msp_id, "relation_id": event.relation_id},
    )


def _saved(connection: Connection, envelope: Envelope, _now: datetime) -> None:
    """A PSA connection that was saved is looked at at once, whatever pause its last failure left."""
    event: Any = envelope.event
    connection.execute(
        text(
            """UPDATE psa_writer.connections SET paused_until = NULL, next_catalogue_at = NULL
               WHERE msp_id = :msp_id AND connection_id = :connection_id"""
        ),
        {"msp_id": envelope.msp_id, "connection_id": event.connection_id},
    )


_KEEPERS: dict[type, Callable[[Connection, Envelope, datetime], None]] = {
    AdjustmentRequested: _requested,
    AdjustmentSuperseded: _superseded,
    RelationSet: _set,
    RelationCleared: _cleared,
    ConnectionSaved: _saved,
}
