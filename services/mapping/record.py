"""Decisions about relations -> their rows and their events, in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from domain.envelope import NewEvent
from domain.events import RelationCleared, RelationSet
from domain.keys import MspId, ResourceKey
from plumbing import event_log
from plumbing.upsert import upsert
from services.mapping import known, tables
from services.mapping.decide_relation import Relation

RelationEvent = RelationSet | RelationCleared


@dataclass(frozen=True)
class Cause:
    """Whence a decision comes, as the log keeps it. actor: "" for the service itself."""

    correlation_id: str
    actor: str = ""
    caused_by: int | None = None


def record(connection: Connection, msp_id: MspId, events: Sequence[RelationEvent], cause: Cause, now: datetime) -> None:
    """Writes each relation's row as the last of its events leaves it, and appends the events, in order, in one go. The
    caller holds the MSP's lock, so the streams cannot move meanwhile."""
    if not events:
        return
    versions = known.stream_versions(connection, msp_id, {str(event.resource_key(msp_id)) for event in events})
    rows, new = {}, []
    for event in events:
        resource_key = event.resource_key(msp_id)
        versions[str(resource_key)] = version = versions.get(str(resource_key), 0) + 1
        new.append(NewEvent(stream=stream(resource_key), stream_version=version, event=event, occurred_at=now))
        rows[str(resource_key)] = _row(msp_id, event, version)
    upsert(connection, tables.relations, list(rows.values()))
    event_log.append(
        connection,
        msp_id,
        new,
        recorded_at=now,
        recorded_by="mapping",
        correlation_id=cause.correlation_id,
        caused_by=cause.caused_by,
        actor=cause.actor,
    )


def was_set(
    relation: Relation, followed_from: str | None = None, *, hold_first: bool = False, score: Decimal | None = None
) -> RelationSet:
    """The event of a relation that begins."""
    return RelationSet(
        **vars(relation.odin),
        **vars(relation.psa),
        relation_id=relation.relation_id,
        followed_from=followed_from,
        hold_first=hold_first,
        score=score,
    )


def cleared(relation: Relation, reason: str, followed_to: str | None = None) -> RelationCleared:
    """The event of a relation that ends."""
    return RelationCleared(
        **vars(relation.odin),
        **vars(relation.psa),
        relation_id=relation.relation_id,
        reason=reason,
        followed_to=followed_to,
    )


def stream(resource_key: ResourceKey) -> str:
    """The stream of a resource's relations."""
    return "relation/" + str(resource_key).split("/", 1)[1]


def _row(msp_id: MspId, event: RelationEvent, version: int) -> dict[str, object]:
    return {
        "msp_id": msp_id,
        "resource_key": str(event.resource_key(msp_id)),
        "relation_id": event.relation_id,
        "psa_connection_id": event.psa_connection_id,
        "psa_product_id": event.psa_product_id,
        "live": isinstance(event, RelationSet),
        "stream_version": version,
    }
