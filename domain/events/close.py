"""What people decide at the close of a month: an exception accepted, the month signed off, opened again, invoiced.

Stream of all of them: close/<PSA connection>/<month>. The person is the actor of the event. operation_id: made once for each
wish, so that a wish that comes twice is done once. period: a month such as "2018-07" in the MSP's time zone.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from domain.keys import ConnectionId
from domain.money import Money


@dataclass(frozen=True, kw_only=True)
class CloseCheck:
    """One check as it was told. state: green, amber, red or accepted. rows: how many things are not as they should be, worth
    money (one amount a currency), the oldest since oldest_at, the next tried again at next_try_at; of some the first ids and
    names. read_at: when the side that it speaks of was last read, None when it never was."""

    check: str
    title: str
    step: int
    state: str
    rows: int
    money: tuple[Money, ...]
    oldest_at: datetime | None
    next_try_at: datetime | None
    ids: tuple[str, ...]
    names: tuple[str, ...]
    read_at: datetime | None
    accepted_by: str | None
    accepted_at: datetime | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class CloseCheckAccepted:
    """A person takes a check as it is, for this month and for so many rows: with more of them it stands as before."""

    type: ClassVar[str] = "CloseCheckAccepted"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    period: str
    operation_id: str
    check: str
    title: str
    state: str
    rows: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class CloseSignedOff:
    """The month may be invoiced. checks: as they were told, from read models that were folded at least up to position.
    reason: why it was signed off though not all checks were green."""

    type: ClassVar[str] = "CloseSignedOff"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    period: str
    operation_id: str
    due_on: date
    freeze_from: datetime
    position: int
    checks: tuple[CloseCheck, ...]
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class CloseReopened:
    """A month that was signed off is open again, and not invoiced any more; what was accepted stays accepted."""

    type: ClassVar[str] = "CloseReopened"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    period: str
    operation_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CloseInvoiced:
    """A person has calculated and sent the month's invoices in the PSA."""

    type: ClassVar[str] = "CloseInvoiced"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    period: str
    operation_id: str
