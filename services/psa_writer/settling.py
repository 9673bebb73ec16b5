"""What became of requests -> their rows and the events that tell it, appended last in the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from domain.codec import encode
from domain.envelope import NewEvent
from domain.events import (
    AdjustmentFailed,
    AdjustmentHeld,
    AdjustmentParked,
    AdjustmentPosted,
    AdjustmentShadowed,
    UnitsFoundEqual,
)
from domain.keys import MspId
from plumbing import event_log
from services.psa_writer import open_requests
from services.psa_writer.open_requests import Became, OpenRequest

#: What is still the same is told again after this time: a failure that passes by itself, and what waits for a person.
_NEWS_AGAIN = {AdjustmentFailed: timedelta(hours=1), AdjustmentParked: timedelta(days=1)}

#: Ends that a newer request or a person brought: whatever becomes of a post in flight, they stay.
_FINAL = ("superseded", "refused", "dropped")
Unposted = AdjustmentHeld | AdjustmentShadowed
Told = AdjustmentPosted | AdjustmentFailed | AdjustmentParked | UnitsFoundEqual | Unposted
#: What may look otherwise although nothing has changed: it speaks of other requests.
_BESIDE = "evidence"


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """One request's outcome. cause: see tables.requests; None leaves the one
    before. tried: an attempt was made that was not counted as sent. A
    contradiction also makes the request go out alone from now on.
    moves: units that what is held would move, without sign."""

    request_id: str
    state: str
    events: tuple[Told, ...] = ()
    cause: str | None = None
    next_try_at: datetime | None = None
    tried: bool = False
    contradiction: bool = False
    moves: int = 0


def settle(
    connection: Connection, msp_id: MspId, settlements: Sequence[Settlement], now: datetime
) -> list[tuple[str, NewEvent]]:
    """Stores the outcomes; answers the events, each with the correlation of its request. A request that was superseded
    or given up meanwhile stays so: of it only posts are told, which no longer complete anything."""
    known = open_requests.locked(connection, msp_id, [s.request_id for s in settlements])
    rows: list[Became] = []
    found: list[tuple[str, NewEvent]] = []
    for settlement in settlements:
        request = known[settlement.request_id]
        events = _news(request, settlement, now)
        for number, event in enumerate(events, request.stream_version + 1):
            stream = f"adjustment/{request.request_id}"
            new = NewEvent(stream=stream, stream_version=number, event=event, occurred_at=now)
            found.append((request.correlation_id, new))
        rows.append(_row(request, settlement, events, now))
    open_requests.save(connection, msp_id, rows)
    return found


def append(
    connection: Connection,
    msp_id: MspId,
    events: Iterable[tuple[str, NewEvent]],
    recorded_at: datetime,
    actor: str = "",
) -> None:
    """Appends the events, those of one correlation in one statement. Last in the transaction: it holds the log's lock.
    actor: the person on whose behalf."""
    groups: dict[str, list[NewEvent]] = {}
    for correlation_id, event in events:
        groups.setdefault(correlation_id, []).append(event)
    for correlation_id, group in groups.items():
        event_log.append(
            connection,
            msp_id,
            group,
            recorded_at=recorded_at,
            recorded_by="psa_writer",
            correlation_id=correlation_id,
            actor=actor,
        )


def _news(request: OpenRequest, settlement: Settlement, now: datetime) -> tuple[Told, ...]:
    if request.state in _FINAL:
        posts = (event for event in settlement.events if isinstance(event, AdjustmentPosted))
        return tuple(replace(event, completes_request=False) for event in posts)
    return tuple(event for event in settlement.events if not _is_repeated(request, event, now))


def _is_repeated(request: OpenRequest, event: Told, now: datetime) -> bool:
    if isinstance(event, Unposted):
        return request.told is not None and _without_evidence(request.told) == _without_evidence(_kept(event))
    again = _NEWS_AGAIN.get(type(event))
    if again is None or request.told_at is None or now - request.told_at >= again:
        return False
    return isinstance(event, AdjustmentFailed | AdjustmentParked) and (
        (event.kind, event.message) == (request.kind, request.message)
    )


def _row(request: OpenRequest, settlement: Settlement, events: Sequence[Told], now: datetime) -> Became:
    told = next((e for e in settlement.events if isinstance(e, AdjustmentFailed | AdjustmentParked)), None)
    unposted = next((e for e in settlement.events if isinstance(e, Unposted)), None)
    is_news = unposted is not None and unposted in events
    return Became(
        request_id=request.request_id,
        state=request.state if request.state in _FINAL else settlement.state,
        attempt=request.attempt + int(settlement.tried),
        stream_version=request.stream_version + len(events),
        kind=told.kind if told else None,
        cause=settlement.cause or request.cause,
        message=told.message if told else unposted.message if isinstance(unposted, AdjustmentHeld) else None,
        told_at=now if told and events else request.told_at if told else None,
        next_try_at=settlement.next_try_at,
        contradictions=request.contradictions + int(settlement.contradiction),
        alone=request.alone or settlement.contradiction,
        moves=settlement.moves,
        told=None if unposted is None else _kept(unposted) if is_news else request.told,
        not_approved=is_news,
    )


def _kept(event: Unposted) -> dict[str, Any]:
    return {"type": event.type, **encode(event)}


def _without_evidence(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != _BESIDE}
