"""A message of the queue poller.polls -> that poll, run once: under a lease, bounded in time, its end recorded."""

import logging
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.events import PollCompleted, PollFailed
from domain.keys import ConnectionId, MspId
from plumbing import setup
from plumbing.broker import BadMessage
from plumbing.house import House
from plumbing.settings import OutsideSettings
from plumbing.setup import OutsideConnection
from services.poller import schedule
from services.poller.explain import Explained, explain_set_up
from services.poller.lease import Lease, LeaseLost, take_lease
from services.poller.opening import BadSetUp, budget_of, opened
from services.poller.place import Place
from services.poller.poll import Poll, Run, claim_poll, finished, record_failure

log = logging.getLogger(__name__)
# What is not read by then waits for the next poll, so that one slow marketplace cannot hold a worker for ever.
LONGEST_POLL_SECONDS = 600


@dataclass(frozen=True)
class PollWork:
    """One poll to be run. reason: "due", or who asked for it."""

    place: Place
    poll_id: str

    @classmethod
    def parse(cls, body: Any) -> "PollWork":
        """The work in a message body; BadMessage for any other shape."""
        match body:
            case {"msp_id": str(msp_id), "connection_id": str(connection_id), "poll_id": str(poll_id)}:
                try:
                    UUID(poll_id)
                except ValueError:
                    raise BadMessage(f"poll_id {poll_id!r} is not a uuid") from None
                return cls(Place(MspId(msp_id), ConnectionId(connection_id)), poll_id)
        raise BadMessage("a poll has msp_id, connection_id and poll_id")


def do_poll(house: House, work: PollWork, seconds: float = LONGEST_POLL_SECONDS) -> PollCompleted | PollFailed | None:
    """How the poll ended; None when there was nothing to do: it has ended before, goes on elsewhere, or its connection is
    gone. PollBusy when another poll of the connection runs."""
    target = _target(house, work.place)
    if target is None or finished(house.engine, work.poll_id):
        return None
    lease = take_lease(house.engine, work.place, work.poll_id, house.clock)
    try:
        stopped = _stopped(house, target)
        if stopped is not None:
            return _refuse(house, lease, target, stopped)
        return _poll(house, lease, target, time.monotonic() + seconds)
    except LeaseLost as lost:
        log.warning("poll given up", extra={"reason": str(lost)})
        return None


def _poll(house: House, lease: Lease, target: OutsideConnection, deadline: float) -> PollCompleted | PollFailed | None:
    settings = house.settings
    assert isinstance(settings, OutsideSettings)  # noqa: S101 service.py names the class
    budget = budget_of(house.engine, target, house.clock)
    counting = house.calls.through(target.msp_id, target.connection_id)
    try:
        with opened(target, settings, budget, house.clock, deadline, counting) as source:
            log.info("poll begins", extra=lease.place.key | {"poll_id": lease.poll_id})
            ended = Poll(
                Run(house.engine, house.clock, target, lease, source, budget, house.calls, deadline)
            ).read_and_store()
            log.info("poll ended", extra=lease.place.key | {"poll_id": lease.poll_id, "calls": source.calls})
            return ended
    except BadSetUp as fault:
        return _refuse(house, lease, target, explain_set_up(fault))


def _refuse(house: House, lease: Lease, target: OutsideConnection, why: Explained) -> PollFailed | None:
    with house.engine.begin() as connection:
        lease.keep(connection, house.clock)
        if not claim_poll(connection, lease, house.clock):
            return None
        return record_failure(connection, lease, target, why, house.clock)


def _stopped(house: House, target: OutsideConnection) -> Explained | None:
    with house.engine.connect() as connection:
        reason = schedule.stopped_reason(connection, schedule.place_of(target), target.version)
    if reason is None:
        return None
    return Explained("unauthorised", f"not polled since the marketplace refused: {reason}", _SAVE_ANEW)


def _target(house: House, place: Place) -> OutsideConnection | None:
    with house.engine.connect() as connection:
        try:
            return setup.connection_of(connection, place.msp_id, place.connection_id)
        except KeyError:
            log.warning("poll dropped: there is no such connection", extra=place.key)
            return None


_SAVE_ANEW = "Correct user, password or secret and save the connection, or try it with `trueup connection test`."
