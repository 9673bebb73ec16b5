"""(what is known, the lists of this cycle, the calls left) -> which subscriptions to read whole now, and how many wait.

Counts and costs stand only in a subscription's own answer, one call each under a throttle, so reads are chosen: first what
a hint points at, then what is new, then the oldest, so that nothing grows older than the set age. Each of the three has a
part of the room for itself, so that none starves.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from math import ceil

from domain.keys import CompanyId, SubscriptionId
from services.poller.known_model import State
from services.poller.sources.port import SubscriptionRow

# Re-reading the oldest stops when so much of the day's calls is spent: the rest is for what has changed.
_REREAD_UNTIL_SPENT = 0.8
_NEVER = datetime.min.replace(tzinfo=UTC)


class Reason(StrEnum):
    """Why a subscription is read whole."""

    VANISHED = "vanished"
    CONFIRMING = "confirming"
    TOUCHED = "touched"
    CHANGED = "changed"
    RETURNED = "returned"
    NEW = "new"
    AGED = "aged"


@dataclass(frozen=True, slots=True)
class LastRead:
    """What choosing needs of a known subscription. row_print: that of its list row when it was last read; touched: an
    order concerned it since."""

    subscription_id: SubscriptionId
    company_id: CompanyId
    state: State
    read_at: datetime
    row_print: str
    touched: bool


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be read: calls of this poll, calls left of the day and in a whole day; the greatest age of a read and
    the time between two polls."""

    calls: int
    day_left: int
    day_limit: int
    oldest: timedelta
    cycle: timedelta


@dataclass(frozen=True, slots=True)
class Read:
    """One subscription to be read whole."""

    subscription_id: SubscriptionId
    company_id: CompanyId
    reason: Reason


@dataclass(frozen=True, slots=True)
class Choice:
    """What is read now, and what should have been but for the budget."""

    reads: tuple[Read, ...]
    put_off: tuple[Read, ...]


def row_print(row: SubscriptionRow) -> str:
    """A short text that differs when anything in the list row differs."""
    return blake2b(repr(astuple(row)).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def choose_reads(
    known: Mapping[SubscriptionId, LastRead], listing: Sequence[SubscriptionRow], room: Room, now: datetime
) -> Choice:
    """The reads of this poll. listing must be whole: what it lacks counts as vanished."""
    hinted = sorted(_hinted(known, listing), key=lambda read: _age_key(known, read))
    new = [
        Read(row.subscription_id, row.company_id, Reason.NEW)
        for row in listing
        if row.subscription_id not in known and not row.ended
    ]
    aged = _aged(known, listing, {read.subscription_id for read in hinted}, room, now)
    calls = max(0, min(room.calls, room.day_left))
    aged_calls = max(0, min(calls, room.day_left - ceil(room.day_limit * (1 - _REREAD_UNTIL_SPENT))))
    for_aged = min(len(aged), aged_calls, ceil(calls / 10))
    for_new = min(len(new), ceil(calls / 4))
    hinted_now = hinted[: max(0, calls - for_aged - for_new)]
    new_now = new[: max(0, calls - for_aged - len(hinted_now))]
    aged_now = aged[: max(0, min(aged_calls, calls - len(hinted_now) - len(new_now)))]
    waiting = (*hinted[len(hinted_now) :], *new[len(new_now) :], *aged[len(aged_now) :])
    return Choice((*hinted_now, *new_now, *aged_now), waiting)


def _hinted(known: Mapping[SubscriptionId, LastRead], listing: Sequence[SubscriptionRow]) -> Iterable[Read]:
    rows = {row.subscription_id: row for row in listing}
    for last in known.values():
        reason = _hint(last, rows.get(last.subscription_id))
        if reason is not None:
            yield Read(last.subscription_id, last.company_id, reason)


def _hint(last: LastRead, row: SubscriptionRow | None) -> Reason | None:
    if last.state in (State.ENDED, State.HELD):
        return Reason.RETURNED if row is not None and not row.ended else None
    if row is None:
        return Reason.VANISHED
    if last.state is State.CONFIRMING:
        return Reason.CONFIRMING
    if last.touched:
        return Reason.TOUCHED
    return Reason.CHANGED if row.ended or last.row_print != row_print(row) else None


def _aged(
    known: Mapping[SubscriptionId, LastRead],
    listing: Sequence[SubscriptionRow],
    hinted: Collection[SubscriptionId],
    room: Room,
    now: datetime,
) -> list[Read]:
    """The oldest reads: an even share each cycle, and all that would be too old by the next one."""
    live = [
        known[row.subscription_id]
        for row in listing
        if row.subscription_id in known and known[row.subscription_id].state is State.LIVE
    ]
    share = int(len(live) * min(1.0, room.cycle / room.oldest))
    oldest_first = sorted((each for each in live if each.subscription_id not in hinted), key=lambda each: each.read_at)
    due = [
        each
        for place, each in enumerate(oldest_first)
        if place < share or now - each.read_at + room.cycle > room.oldest
    ]
    return [Read(each.subscription_id, each.company_id, Reason.AGED) for each in due]


def _age_key(known: Mapping[SubscriptionId, LastRead], read: Read) -> datetime:
    last = known.get(read.subscription_id)
    return _NEVER if last is None else last.read_at
