"""A marketplace connection -> one poll of it: lists, hints, chosen whole reads, and a word at the end on how it went.

What was read whole is believed and stored as it comes; a list that was not whole ends the poll before anything is taken for
missing; a single subscription that could not be read keeps all of its company from being taken for gone.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine

from domain.events import PollCompleted, PollFailed
from domain.keys import CompanyId, SubscriptionId
from plumbing import outbox, setup
from plumbing.budget import Budget, BudgetSpent
from plumbing.calls import Calls, Tell
from plumbing.clock import Clock
from plumbing.http import OutsideFailure
from plumbing.setup import OutsideConnection
from services.poller import known as rows
from services.poller import schedule
from services.poller.choose_reads import LastRead, Room, choose_reads
from services.poller.explain import Explained, explain_failure, explain_spent
from services.poller.lease import Lease
from services.poller.opening import DAY_SECONDS, call_limits
from services.poller.orders import Orders
from services.poller.reading import Outcome, Reading
from services.poller.record import Record
from services.poller.sources.port import Source, SubscriptionRow
from services.poller.store import Store

log = logging.getLogger(__name__)
COMPANIES_EVERY = timedelta(hours=1)
ALL_SUBSCRIPTIONS = "0"


@dataclass(frozen=True)
class Run:
    """One run of one poll, and what it works with. deadline: the moment of time.monotonic() when reading ends; the rest
    waits for the next poll."""

    engine: Engine
    clock: Clock
    target: OutsideConnection
    lease: Lease
    source: Source
    budget: Budget
    calls: Calls
    deadline: float


class Poll:
    """One poll of one connection."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._place = run.lease.place
        self._store = Store(run.engine, run.clock, run.lease)
        self._outcome = Outcome()
        self._names: dict[CompanyId, str] = {}

    def read_and_store(self) -> PollCompleted | PollFailed | None:
        """Polls, and records how it ended; None when an earlier run had finished this poll already. LeaseLost."""
        try:
            subscriptions = self._read()
        except OutsideFailure as failure:
            return self._end_failed(explain_failure(failure), None)
        except BudgetSpent as spent:
            return self._end_failed(explain_spent(spent, self._run.clock.now()), spent.until)
        return self._end_completed(subscriptions)

    def _read(self) -> int:
        """The number of subscriptions there are, after reading what was chosen."""
        listing = [row for row in self._run.source.subscriptions() if self._wanted(row.subscription_id)]
        self._names = self._company_names(listing)
        self._outcome.failed += self._follow_orders(listing)
        choice = choose_reads(self._last_reads(), listing, self._room(), self._run.clock.now())
        self._store.chosen(len(choice.reads))
        by_id = {row.subscription_id: row for row in listing}
        run = self._run
        Reading(run.source, self._store, run.clock, run.deadline, by_id, self._names, self._outcome).read(choice)
        return len(listing)

    def _follow_orders(self, listing: Sequence[SubscriptionRow]) -> int:
        orders = Orders(self._run.engine, self._run.clock, self._run.lease, self._run.source)
        return orders.follow(listing, self._last_reads())

    def _company_names(self, listing: Sequence[SubscriptionRow]) -> dict[CompanyId, str]:
        """The names of all companies; the list is read hourly, and when a subscription names a company we do not know."""
        with self._run.engine.connect() as connection:
            known, _ = rows.companies(connection, self._place)
            read_at: datetime | None = connection.exec_driver_sql(
                """SELECT companies_read_at FROM poller.connections
                   WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s""",
                self._place.key,
            ).scalar()
        fresh = read_at is not None and self._run.clock.now() - read_at < COMPANIES_EVERY
        if fresh and all(row.company_id in known or row.ended for row in listing):
            return {company_id: company.name for company_id, company in known.items()}
        return self._store.companies(self._run.source.companies())

    def _last_reads(self) -> dict[SubscriptionId, LastRead]:
        with self._run.engine.connect() as connection:
            known = rows.last_reads(connection, self._place)
        return {key: each for key, each in known.items() if self._wanted(key)}

    def _wanted(self, subscription_id: SubscriptionId) -> bool:
        """A connection may be set up for a single subscription; "0" means all."""
        return str(self._run.target.settings.get("subscription", ALL_SUBSCRIPTIONS)) in ("0", "", subscription_id)

    def _room(self) -> Room:
        settings = self._run.target.settings
        per_minute, per_day = call_limits(self._run.target)
        minutes = max(0.0, self._run.deadline - time.monotonic()) / 60
        return Room(
            calls=max(per_minute, int(per_minute * minutes)) if minutes else 0,
            day_left=self._run.budget.left()[DAY_SECONDS],
            day_limit=per_day,
            oldest=timedelta(hours=float(settings.get("reread_hours", 24))),
            cycle=setup.poll_period(self._run.target),
        )

    def _end_completed(self, subscriptions: int) -> PollCompleted | None:
        outcome, tally = self._outcome, self._store.tally
        with self._telling() as tell, self._run.engine.begin() as connection:
            self._run.lease.keep(connection, self._run.clock)
            if not claim_poll(connection, self._run.lease, self._run.clock):
                return None
            ended_after = int(setup.policy(connection, self._place.msp_id, "ended_after_polls"))
            self._store.confirm(connection, outcome.broken, self._names, ended_after)
            ended = PollCompleted(
                connection_id=self._place.connection_id,
                poll_id=self._run.lease.poll_id,
                complete=outcome.failed == 0,
                subscriptions=subscriptions,
                subscriptions_read=tally.read,
                subscriptions_put_off=outcome.put_off,
                changes=tally.changes,
                calls=self._run.source.calls,
            )
            record_end(connection, self._run.lease, ended, self._run.clock)
            tell(connection, self._run.clock, "poller")
        return ended

    def _end_failed(self, why: Explained, until: datetime | None) -> PollFailed | None:
        with self._telling() as tell, self._run.engine.begin() as connection:
            self._run.lease.keep(connection, self._run.clock)
            if not claim_poll(connection, self._run.lease, self._run.clock):
                return None
            if until is not None:
                schedule.put_off(connection, self._place, until)
            failed = record_failure(connection, self._run.lease, self._run.target, why, self._run.clock)
            tell(connection, self._run.clock, "poller")
        return failed

    def _telling(self) -> AbstractContextManager[Tell]:
        """The calls of the poll are told with its end: the bell and the readers' positions move once for both."""
        return self._run.calls.telling(self._place.msp_id, self._place.connection_id)


def finished(engine: Engine, poll_id: str) -> bool:
    """Whether this poll has ended before: its message came once more."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT 1 FROM queue.inbox WHERE consumer = 'poller' AND message_id = %(id)s::uuid", {"id": poll_id}
        )
        return found.first() is not None


def claim_poll(connection: Connection, lease: Lease, clock: Clock) -> bool:
    """Whether this run is the one that ends the poll."""
    message_id = str(UUID(lease.poll_id))
    return message_id in outbox.claim(connection, "poller", [message_id], received_at=clock.now())


def record_failure(
    connection: Connection, lease: Lease, target: OutsideConnection, why: Explained, clock: Clock
) -> PollFailed:
    """Ends the poll with the reason, in the caller's transaction. A refused user or a broken set-up stops the connection
    until someone changes it: trying on would lock the user."""
    log.warning("poll failed", extra={"kind": why.kind, "reason": why.message})
    if why.kind in ("unauthorised", "set_up"):
        schedule.stop(connection, lease.place, target.version, why.message, clock.now())
    failed = PollFailed(
        connection_id=lease.place.connection_id,
        poll_id=lease.poll_id,
        kind=why.kind,
        message=why.message,
        fix=why.fix,
    )
    record_end(connection, lease, failed, clock)
    return failed


def record_end(connection: Connection, lease: Lease, ended: PollCompleted | PollFailed, clock: Clock) -> None:
    """Gives the lease back and appends how the poll ended, in the caller's transaction."""
    version: int = connection.exec_driver_sql(
        """UPDATE poller.connections SET stream_version = stream_version + 1
           WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s RETURNING stream_version""",
        lease.place.key,
    ).scalar_one()
    lease.give_back(connection)
    record = Record(lease.place, {lease.place.poll_stream: version - 1}, clock.now())
    record.add([ended])
    record.append(connection, clock.now())
