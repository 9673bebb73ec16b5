"""What the house noticed about its own work: a consumer that stands still, a poll that does not come, a close that is red."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from domain.keys import ConnectionId


@dataclass(frozen=True, kw_only=True)
class ConsumerStopped:
    """A consumer cannot take an event of this MSP and stands still for this MSP, since the event occurred. position: up to
    where it has read; event_type, event_version: the event after that; fault: the class of what went wrong with it, no word
    of the event itself. Stream: consumer/<consumer>."""

    type: ClassVar[str] = "ConsumerStopped"
    version: ClassVar[int] = 1
    consumer: str
    position: int
    event_type: str
    event_version: int
    fault: str


@dataclass(frozen=True, kw_only=True)
class ConsumerResumed:
    """A consumer that stood still goes on, from where it stood. position: up to where it had read when that was noticed.
    Stream: consumer/<consumer>."""

    type: ClassVar[str] = "ConsumerResumed"
    version: ClassVar[int] = 1
    consumer: str
    position: int


@dataclass(frozen=True, kw_only=True)
class PollLate:
    """A marketplace connection was not polled for so long that something must be wrong. due_at: when its poll was due at the
    latest. The end of a poll ends it. Stream: late-poll/<connection>."""

    type: ClassVar[str] = "PollLate"
    version: ClassVar[int] = 1
    connection_id: ConnectionId
    due_at: datetime


@dataclass(frozen=True, kw_only=True)
class CloseDue:
    """The checks of a close that is due soon, or was and is not signed off: told when the first of them is red, and when none
    is any more. red, amber: their titles. Stream: close-due/<PSA connection>/<month>."""

    type: ClassVar[str] = "CloseDue"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    period: str
    due_on: date
    red: tuple[str, ...]
    amber: tuple[str, ...]
