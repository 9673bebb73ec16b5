"""(an MSP, a PSA connection, a month) -> its checklist: as it is now, or as it was signed off, with who decided what and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from domain.codec import decode
from domain.events import (
    CloseCheck,
    CloseCheckAccepted,
    CloseInvoiced,
    CloseReopened,
    CloseSignedOff,
)
from domain.keys import ConnectionId, MspId
from domain.money import Money
from domain.months import Month
from domain.policies import POLICIES
from services.reporting.closing.checks import CHECKS, INVOICED, Side, State
from services.reporting.closing.statement import asking

CloseEvent = CloseCheckAccepted | CloseSignedOff | CloseReopened | CloseInvoiced


@dataclass(frozen=True)
class Act:
    """What a person decided, when, and where it stands in the MSP's log."""

    event: CloseEvent
    by: str
    at: datetime
    position: int


@dataclass(frozen=True)
class Standing:
    """What people have decided on a month. version: how many acts there are; operations: the wishes that were done;
    accepted: by check, the newest; signed_off, invoiced: None while it is open; reopened: when it is open once more."""

    version: int = 0
    operations: frozenset[str] = frozenset()
    accepted: Mapping[str, Act] = field(default_factory=dict)
    signed_off: Act | None = None
    invoiced: Act | None = None
    reopened: Act | None = None


@dataclass(frozen=True)
class Checklist:
    """A month's close. Its checks and position are those of now, or once it is signed off those of its record.

    checks: of CHECKS, and last what is done by hand; exceptions: how many were not green or are not; checked_at: when they
    were so; freeze_from: from when on its numbers should stand still, until it is invoiced; frozen: whether they should now;
    psa_kind: such as autotask."""

    msp_id: MspId
    msp_name: str
    psa_connection_id: ConnectionId
    psa_kind: str
    time_zone: str
    month: Month
    due_on: date
    freeze_from: datetime
    frozen: bool
    position: int
    checked_at: datetime
    checks: tuple[CloseCheck, ...]
    standing: Standing

    @property
    def state(self) -> str:
        """open, signed_off or invoiced."""
        if self.standing.signed_off is None:
            return "open"
        return "signed_off" if self.standing.invoiced is None else "invoiced"

    def count(self, *states: State) -> int:
        """How many checks are in one of these states."""
        return sum(check.state in states for check in self.checks)

    @property
    def exceptions(self) -> int:
        """How many checks are not as they should be."""
        return self.count(State.AMBER, State.RED, State.ACCEPTED)


def close_stream(psa_connection_id: ConnectionId, month: Month) -> str:
    """The stream of a month's close."""
    return f"close/{psa_connection_id}/{month}"


def read_checklist(
    connection: Connection, msp_id: MspId, psa_connection_id: ConnectionId, month: Month, now: datetime
) -> Checklist | None:
    """The checklist, in one round trip; None: the MSP has no such PSA connection. What people decided is read from the log
    itself, so that whoever has just decided sees it also while the read models lag."""
    given = asking()
    values = given.values | {
        "msp_id": msp_id,
        "psa_connection_id": psa_connection_id,
        "stream": close_stream(psa_connection_id, month),
        "last_day": month.last_day,
        "now": now,
    }
    rows = [dict(row) for row in connection.execute(given.statement, values).mappings()]
    if not rows or rows[0]["psa_kind"] is None:
        return None
    about, standing = rows[0], standing_of(rows[0]["acts"])
    hours = int(about["freeze_hours"] or POLICIES["freeze_hours"].default)
    freeze_from = month.freeze_from(about["time_zone"], hours)
    found = Checklist(
        msp_id,
        about["msp_name"],
        psa_connection_id,
        about["psa_kind"],
        about["time_zone"],
        month,
        month.due_on,
        freeze_from,
        freeze_from <= now and standing.invoiced is None,
        int(about["position"]),
        now,
        tuple(_told(rows, standing, now)),
        standing,
    )
    return _with_invoiced(_as_signed(found))


def standing_of(acts: Iterable[Mapping[str, Any]]) -> Standing:
    """The acts of a month's stream in their order, each {type, version, payload, at, by, position} -> what holds now."""
    standing = Standing()
    for row in acts:
        event = decode(row["type"], row["version"], row["payload"])
        if not isinstance(event, CloseEvent):
            raise TypeError(f"{event.type} is no act of a close")
        standing = _after(standing, Act(event, row["by"], datetime.fromisoformat(row["at"]), row["position"]))
    return standing


def _after(before: Standing, act: Act) -> Standing:
    match act.event:
        case CloseCheckAccepted(check=check):
            after = replace(before, accepted={**before.accepted, check: act})
        case CloseSignedOff():
            after = replace(before, signed_off=act, invoiced=None)
        case CloseReopened():
            after = replace(before, signed_off=None, invoiced=None, reopened=act)
        case CloseInvoiced():
            after = replace(before, invoiced=act)
    return replace(after, version=before.version + 1, operations=before.operations | {act.event.operation_id})


def _told(rows: Iterable[Mapping[str, Any]], standing: Standing, now: datetime) -> Iterable[CloseCheck]:
    by_key = {row["check"]: row for row in rows}
    for key, check in CHECKS.items():
        row = by_key[key]
        sides = {Side.ODIN: row["odin_read_at"], Side.PSA: row["psa_read_at"], Side.OURS: now}
        both = sides[Side.ODIN] and sides[Side.PSA] and min(sides[Side.ODIN], sides[Side.PSA])
        told = CloseCheck(
            check=key,
            title=check.title,
            step=check.step,
            state=check.worst if row["rows"] else State.GREEN,
            rows=row["rows"],
            money=tuple(Money(Decimal(amount), code) for code, amount in sorted((row["money"] or {}).items())),
            oldest_at=row["oldest_at"],
            next_try_at=row["next_try_at"],
            ids=tuple(row["ids"]),
            names=tuple(row["names"]),
            read_at=both if check.side is Side.BOTH else sides[check.side],
            accepted_by=None,
            accepted_at=None,
            reason=None,
        )
        yield _accepted(told, standing.accepted.get(key))


def _accepted(told: CloseCheck, act: Act | None) -> CloseCheck:
    """An acceptance holds for as many rows as there were, not for more."""
    if act is None or not isinstance(act.event, CloseCheckAccepted) or not 0 < told.rows <= act.event.rows:
        return told
    return replace(told, state=State.ACCEPTED, accepted_by=act.by, accepted_at=act.at, reason=act.event.reason)


def _as_signed(now: Checklist) -> Checklist:
    """Once it is signed off, the record stands for what is now."""
    act = now.standing.signed_off
    if act is None or not isinstance(act.event, CloseSignedOff):
        return now
    record = act.event
    return replace(
        now,
        due_on=record.due_on,
        freeze_from=record.freeze_from,
        position=record.position,
        checked_at=act.at,
        checks=record.checks,
    )


def _with_invoiced(found: Checklist) -> Checklist:
    done = found.standing.invoiced
    by_hand = CloseCheck(
        check=INVOICED,
        title="Invoices calculated and sent in the PSA",
        step=4,
        state=State.GREEN if done else State.OPEN,
        rows=0,
        money=(),
        oldest_at=None,
        next_try_at=None,
        ids=(),
        names=(),
        read_at=done.at if done else None,
        accepted_by=None,
        accepted_at=None,
        reason=None,
    )
    return replace(found, checks=(*found.checks, by_hand))
