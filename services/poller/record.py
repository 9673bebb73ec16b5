"""Events of the poller -> numbered events of their streams, appended last in the transaction that keeps their rows."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from domain.envelope import NewEvent
from domain.events import (
    CompanyObserved,
    Event,
    PollCompleted,
    PollFailed,
    ResourceCostChanged,
    ResourceCountChanged,
    ResourceDisappeared,
    ResourceDiscovered,
    ResourceRenamed,
    SubscriptionObserved,
    SubscriptionRenewalSettled,
    SubscriptionRenewalUnclear,
    SubscriptionRenewed,
)
from plumbing import event_log, logs
from services.poller.place import Place


class Record:
    """The events of one transaction. versions: the last version of each stream that has one."""

    def __init__(self, place: Place, versions: Mapping[str, int], occurred_at: datetime) -> None:
        self._place, self._occurred_at = place, occurred_at
        self.versions = dict(versions)
        self._events: list[NewEvent] = []

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Iterable[Event]) -> None:
        """Numbers the events on; nothing is written yet."""
        for event in events:
            stream = stream_of(self._place, event)
            self.versions[stream] = self.versions.get(stream, 0) + 1
            new = NewEvent(
                stream=stream, stream_version=self.versions[stream], event=event, occurred_at=self._occurred_at
            )
            self._events.append(new)

    def append(self, connection: Connection, recorded_at: datetime, actor: str = "") -> None:
        """Appends them all at once: the last statement of the transaction. actor: on whose behalf, if not our own."""
        if self._events:
            event_log.append(
                connection,
                self._place.msp_id,
                self._events,
                recorded_at=recorded_at,
                recorded_by="poller",
                correlation_id=logs.correlation_id(),
                actor=actor,
            )


def stream_of(place: Place, event: Event) -> str:
    """The stream that an event of the poller belongs to."""
    match event:
        case CompanyObserved():
            return place.company_stream(event.company_id)
        case (
            SubscriptionObserved() | SubscriptionRenewed() | SubscriptionRenewalUnclear() | SubscriptionRenewalSettled()
        ):
            return place.subscription_stream(event.subscription_id)
        case PollCompleted() | PollFailed():
            return place.poll_stream
        case (
            ResourceDiscovered()
            | ResourceCountChanged()
            | ResourceCostChanged()
            | ResourceRenamed()
            | ResourceDisappeared()
        ):
            return place.resource_stream(event.company_id, event.subscription_id, event.resource_id)
    raise TypeError(f"{event.type} is not an event of the poller")
