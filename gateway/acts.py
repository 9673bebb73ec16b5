"""What a person did at this door -> its event in the MSP's log, in the transaction of whatever else it changes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from domain.envelope import NewEvent
from domain.events import Event
from domain.keys import MspId
from plumbing import event_log
from plumbing.logs import correlation_id


def append_act(
    connection: Connection, msp_id: MspId, actor: str, now: datetime, stream: str, version: int, event: Event
) -> int:
    """The event's position. version: its place in the stream, from 1; event_log.StreamMoved when it is taken."""
    return append_acts(connection, msp_id, actor, now, stream, version, [event])


def append_acts(
    connection: Connection, msp_id: MspId, actor: str, now: datetime, stream: str, version: int, events: Sequence[Event]
) -> int:
    """The position of the last of several that were done at once. version: of the first."""
    return event_log.append(
        connection,
        msp_id,
        [
            NewEvent(stream=stream, stream_version=nth, event=event, occurred_at=now)
            for nth, event in enumerate(events, version)
        ],
        recorded_at=now,
        recorded_by="gateway",
        correlation_id=correlation_id(),
        actor=actor,
    )
