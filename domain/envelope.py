"""An event -> the same event with where it stands in the log and whence it came."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from domain.events import Event
from domain.keys import MspId


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event that is to be appended. stream_version is 1 for the first of a stream and rises by 1: it says what the
    writer of the event had seen, and the log refuses a second event with the same version."""

    stream: str
    stream_version: int
    event: Event
    occurred_at: datetime


class Envelope(NamedTuple):
    """An event as it stands in the log. occurred_at: when it was so; recorded_at: when it was stored; both UTC. A tuple,
    since they are made by the million: a frozen dataclass takes six times as long."""

    msp_id: MspId
    position: int
    event_id: str
    stream: str
    stream_version: int
    event: Event
    occurred_at: datetime
    recorded_at: datetime
    correlation_id: str
    caused_by: int | None
    recorded_by: str
    actor: str
