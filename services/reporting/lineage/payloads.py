"""An event -> the masked answer of ODIN that led to it, as text, with the place of the value that it tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from domain.envelope import Envelope
from domain.events import (
    ResourceCostChanged,
    ResourceCountChanged,
    ResourceDisappeared,
    ResourceDiscovered,
    ResourceRenamed,
    SubscriptionObserved,
    SubscriptionRenewed,
)
from domain.keys import MspId
from plumbing import evidence
from plumbing.evidence import Answer, Sought
from services.reporting.lineage.streams import Log

#: Characters of a payload's text.
LONGEST = 256 * 1024
_READ = (
    ResourceDiscovered
    | ResourceCountChanged
    | ResourceCostChanged
    | ResourceRenamed
    | ResourceDisappeared
    | SubscriptionObserved
    | SubscriptionRenewed
)


@dataclass(frozen=True)
class Payload:
    """A masked answer. mark: the JSON pointer (RFC 6901) of the value that the event tells, None when it tells none. whole:
    whether all of it is here; of a long one only what surrounds the mark is."""

    payload_id: str
    content_type: str
    text: str
    mark: str | None
    whole: bool
    position: int
    event_type: str
    occurred_at: datetime


def payload_id(msp_id: MspId, position: int) -> str:
    """The id of the payload behind the event at the position. It names its MSP, so another's is refused, not mistaken."""
    return f"{position}/{msp_id}"


def payload_ids(log: Log, envelopes: Sequence[Envelope]) -> dict[int, str]:
    """The ids of the payloads that are still kept, by the position of the event."""
    read = {each.position: sought for each in envelopes if (sought := _sought(each))}
    kept = evidence.are_kept(log.connection, log.msp_id, list(read.values()))
    return {position: payload_id(log.msp_id, position) for position, there in zip(read, kept, strict=True) if there}


def payload(log: Log, wanted_id: str) -> Payload | None:
    """The payload of that id; None when it is another MSP's, of no event, never kept, or kept long enough."""
    digits, _, msp_id = wanted_id.partition("/")
    if msp_id != log.msp_id or not digits.isascii() or not digits.isdecimal() or len(digits) > 18:
        return None
    envelope = log.at(int(digits))
    sought = _sought(envelope) if envelope else None
    answer = evidence.find(log.connection, log.msp_id, sought) if sought else None
    if envelope is None or answer is None:
        return None
    text, mark, whole = _readable(answer, _mark(envelope, answer))
    return Payload(
        wanted_id,
        answer.content_type,
        text,
        mark,
        whole,
        envelope.position,
        envelope.event.type,
        envelope.occurred_at,
    )


def _sought(envelope: Envelope) -> Sought | None:
    event = envelope.event
    if not isinstance(event, _READ):
        return None
    return Sought(event.connection_id, event.subscription_id, envelope.correlation_id, envelope.occurred_at)


def _mark(envelope: Envelope, answer: Answer) -> str | None:
    match envelope.event:
        case ResourceDiscovered(resource_id=id_) | ResourceCountChanged(resource_id=id_):
            name = f"{id_}/count"
        case ResourceCostChanged(resource_id=id_) as event:
            name = f"{id_}/{'price' if event.unit_cost == event.previous_unit_cost else 'cost'}"
        case ResourceDisappeared(resource_id=id_):
            # Still listed, it disappeared because the whole subscription ended.
            name = "status" if f"{id_}/count" in answer.marks else "resources"
        case SubscriptionObserved():
            name = "status"
        case _:
            return None
    return answer.marks.get(name)


def _readable(answer: Answer, mark: str | None) -> tuple[str, str | None, bool]:
    """(text with one value a line, mark, whole). Numbers keep their digits."""
    text = msgspec.json.format(answer.text, indent=2).decode()
    if len(text) <= LONGEST:
        return text, mark, True
    around, mark = _around(answer.text, (mark or "").split("/")[1:])
    return msgspec.json.format(around, indent=2).decode()[:LONGEST], mark or None, False


def _around(text: bytes, path: Sequence[str]) -> tuple[bytes, str]:
    """The JSON with nothing but the way to the value in its lists, and the pointer as it is then."""
    if not path:
        return text, ""
    step, rest = path[0], path[1:]
    if text[:1] == b"[":
        inner, pointer = _around(bytes(msgspec.json.decode(text, type=list[msgspec.Raw])[int(step)]), rest)
        return b"[" + inner + b"]", f"/0{pointer}"
    parts: dict[str, Any] = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    inner, pointer = _around(bytes(parts[step]), rest)
    parts[step] = msgspec.Raw(inner)
    return msgspec.json.encode(parts), f"/{step}{pointer}"
