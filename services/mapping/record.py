"""Decisions about relations and exclusions -> their rows and their events, in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Connection

from domain.codec import encode_part
from domain.envelope import NewEvent
from domain.events import (
    RelationCleared,
    RelationFrozen,
    RelationSet,
    RelationSettingsSaved,
    RelationUnfrozen,
    ResourceExcluded,
    ResourceIncluded,
)
from domain.events.names import OdinNames
from domain.keys import MspId
from domain.relation_settings import AS_NEW, RelationSettings
from plumbing import event_log
from plumbing.upsert import upsert
from services.mapping import known, suggesting, tables
from services.mapping.decide_relation import Relation

RelationEvent = RelationSet | RelationCleared | RelationSettingsSaved | RelationFrozen | RelationUnfrozen
ExclusionEvent = ResourceExcluded | ResourceIncluded
MappingEvent = RelationEvent | ExclusionEvent


@dataclass(frozen=True)
class Cause:
    """Whence a decision comes, as the log keeps it. actor: "" for the service itself."""

    correlation_id: str
    actor: str = ""
    caused_by: int | None = None


def record(connection: Connection, msp_id: MspId, events: Sequence[MappingEvent], cause: Cause, now: datetime) -> None:
    """Writes each row as the last of its events leaves it, and appends the events, in order, in one go. The caller holds the
    MSP's lock, so the streams cannot move meanwhile."""
    if not events:
        return
    keys = sorted({str(event.resource_key(msp_id)) for event in events})
    relations = known.relation_rows(connection, msp_id, keys)
    exclusions = known.exclusion_rows(connection, msp_id, keys)
    new = []
    for event in events:
        resource_key = str(event.resource_key(msp_id))
        rows = exclusions if isinstance(event, ExclusionEvent) else relations
        before = rows.get(resource_key, {"msp_id": msp_id, "resource_key": resource_key, "stream_version": 0})
        version = before["stream_version"] + 1
        rows[resource_key] = before | _became(event) | {"stream_version": version}
        new.append(NewEvent(stream=stream(event, msp_id), stream_version=version, event=event, occurred_at=now))
    upsert(connection, tables.relations, list(relations.values()))
    upsert(connection, tables.exclusions, list(exclusions.values()))
    suggesting.mark(connection, msp_id)
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
        **_names(relation),
        relation_id=relation.relation_id,
        followed_from=followed_from,
        hold_first=hold_first,
        score=score,
    )


def cleared(relation: Relation, reason: str, followed_to: str | None = None) -> RelationCleared:
    """The event of a relation that ends."""
    return RelationCleared(
        **_names(relation),
        relation_id=relation.relation_id,
        reason=reason,
        followed_to=followed_to,
    )


def taken_along(old: Relation, following: Relation) -> list[RelationEvent]:
    """The events that tell of a relation which continues another what was settled for that one."""
    events: list[RelationEvent] = []
    if old.settings != AS_NEW:
        events.append(settings_saved(following, old.settings))
    if old.frozen:
        events.append(frozen(following, "the relation that it continues was frozen"))
    return events


def settings_saved(relation: Relation, settings: RelationSettings) -> RelationSettingsSaved:
    """The event of a relation that has other settings from now on, or has taken its own along."""
    return RelationSettingsSaved(
        **_names(relation), relation_id=relation.relation_id, settings=settings, previous_settings=relation.settings
    )


def frozen(relation: Relation, reason: str) -> RelationFrozen:
    """The event of a relation that posts nothing more for the time being."""
    return RelationFrozen(**_names(relation), relation_id=relation.relation_id, reason=reason)


def unfrozen(relation: Relation, reason: str) -> RelationUnfrozen:
    """The event of a relation that posts again."""
    return RelationUnfrozen(**_names(relation), relation_id=relation.relation_id, reason=reason)


def excluded(names: OdinNames, reason: str, until: date | None) -> ResourceExcluded:
    """The event of a resource that is left out of billing."""
    return ResourceExcluded(**vars(names), reason=reason, until=until)


def included(names: OdinNames, reason: str) -> ResourceIncluded:
    """The event of a resource that is to be linked again."""
    return ResourceIncluded(**vars(names), reason=reason)


def stream(event: MappingEvent, msp_id: MspId) -> str:
    """The stream of a resource's relations, or of its exclusions."""
    of = "exclusion" if isinstance(event, ExclusionEvent) else "relation"
    return f"{of}/" + str(event.resource_key(msp_id)).split("/", 1)[1]


def _names(relation: Relation) -> dict[str, Any]:
    return vars(relation.odin) | vars(relation.psa)


def _became(event: MappingEvent) -> dict[str, object]:
    """What the event leaves in the row of its resource."""
    match event:
        case RelationSet():
            return {
                "relation_id": event.relation_id,
                "psa_connection_id": event.psa_connection_id,
                "psa_product_id": event.psa_product_id,
                "live": True,
                "settings": None,
                "frozen": False,
            }
        case RelationCleared():
            return {"live": False}
        case RelationSettingsSaved(settings=settings):
            return {"settings": None if settings == AS_NEW else orjson.dumps(encode_part(settings)).decode()}
        case RelationFrozen() | RelationUnfrozen():
            return {"frozen": isinstance(event, RelationFrozen)}
        case ResourceExcluded():
            return {"excluded": True, "reason": event.reason, "until": event.until}
        case ResourceIncluded():
            return {"excluded": False, "reason": event.reason, "until": None}
