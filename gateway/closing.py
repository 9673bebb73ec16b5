"""What a person decides at the close of a month -> an event in the month's stream, if its checklist allows it; else a refusal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from domain.events import CloseCheck, CloseCheckAccepted, CloseInvoiced, CloseReopened, CloseSignedOff
from domain.keys import ConnectionId, MspId
from domain.months import BadMonth, Month
from gateway.acts import append_act
from gateway.errors import Refusal
from plumbing import event_log
from plumbing.clock import Clock
from plumbing.row_security import of_msp
from services.reporting.queries import CHECKS, Checklist, State, close_stream, read_checklist

LONGEST_REASON = 1_000
# Whoever finds that another decided meanwhile looks again and decides anew.
MOST_LOOKS = 5
NO_SUCH_CONNECTION = Refusal(
    "NO_SUCH_CONNECTION", "There is no such PSA connection.", "Make it with `trueup connection set`."
)
Event = CloseCheckAccepted | CloseSignedOff | CloseReopened | CloseInvoiced


@dataclass(frozen=True)
class Close:
    """The close of one month for one PSA connection of an MSP."""

    msp_id: MspId
    psa_connection_id: ConnectionId
    month: Month

    @classmethod
    def named(cls, msp_id: str, psa_connection_id: str, period: str) -> "Close":
        """The close in the words of a request. Refusal BAD_PERIOD."""
        try:
            return cls(MspId(msp_id), ConnectionId(psa_connection_id), Month.parse(period))
        except BadMonth as error:
            raise Refusal("BAD_PERIOD", f"A period is a month: {error}.", "Give it as in 2018-07.") from error


class Closing:
    """The door through which decisions on a month come in. actor: on whose behalf."""

    def __init__(self, engine: Engine, clock: Clock, actor: str) -> None:
        self._engine, self._clock, self._actor = engine, clock, actor

    def accept_check(self, close: Close, operation_id: str, check: str, reason: str) -> None:
        """Takes a check as it is, for as many rows as it has now. Refusal."""
        said = _needed(reason, "accept a check")

        def decide(found: Checklist) -> Event:
            _refuse_signed(found)
            if check not in CHECKS:
                known = ", ".join(CHECKS)
                raise Refusal("NO_SUCH_CHECK", f"There is no check {check[:40]!r} to accept.", f"There are: {known}.")
            (told,) = (one for one in found.checks if one.check == check)
            if told.state == State.GREEN:
                raise Refusal("NOTHING_TO_ACCEPT", f"{told.title}: there are none.", "Nothing: the check is green.")
            return CloseCheckAccepted(
                **_named(close, operation_id),
                check=check,
                title=told.title,
                state=CHECKS[check].worst.value,
                rows=told.rows,
                reason=said,
            )

        self._decide(close, operation_id, decide)

    def sign_off(self, close: Close, operation_id: str, reason: str) -> None:
        """Keeps the checklist as it is now as the month's record. Refusal."""
        said = _reason(reason)

        def decide(found: Checklist) -> Event:
            _refuse_signed(found)
            if found.month.first_day > self._clock.today(found.time_zone):
                raise Refusal("NOT_BEGUN", f"{found.month} has not begun.", "Sign it off when it ends.")
            checks = tuple(one for one in found.checks if one.check in CHECKS)
            if red := _in(State.RED, checks):
                raise Refusal(
                    "RED_CHECKS", f"These checks are red: {red}.", "Mend what they show, or accept each with a reason."
                )
            if said is None and (amber := _in(State.AMBER, checks)):
                raise Refusal("REASON_MISSING", f"These checks are amber: {amber}.", "Say why it is signed off anyway.")
            return CloseSignedOff(
                **_named(close, operation_id),
                due_on=found.due_on,
                freeze_from=found.freeze_from,
                position=found.position,
                checks=checks,
                reason=said,
            )

        self._decide(close, operation_id, decide)

    def reopen(self, close: Close, operation_id: str, reason: str) -> None:
        """Opens a month again that was signed off. Refusal."""
        said = _needed(reason, "open a month again")

        def decide(found: Checklist) -> Event:
            _refuse_open(found)
            return CloseReopened(**_named(close, operation_id), reason=said)

        self._decide(close, operation_id, decide)

    def mark_invoiced(self, close: Close, operation_id: str) -> None:
        """Notes that the month's invoices were calculated and sent in the PSA. Refusal."""

        def decide(found: Checklist) -> Event:
            _refuse_open(found)
            if found.standing.invoiced is not None:
                by = found.standing.invoiced.by
                raise Refusal("ALREADY_INVOICED", f"{found.month} was marked as invoiced by {by}.", "Nothing.")
            return CloseInvoiced(**_named(close, operation_id))

        self._decide(close, operation_id, decide)

    def _decide(self, close: Close, operation_id: str, decide: Callable[[Checklist], Event]) -> None:
        """Appends what is decided on the newest checklist; what was done by this operation before is not done again."""
        for _ in range(MOST_LOOKS):
            try:
                with of_msp(self._engine, close.msp_id).begin() as connection:
                    now = self._clock.now()
                    found = read_checklist(connection, close.msp_id, close.psa_connection_id, close.month, now)
                    if found is None:
                        raise NO_SUCH_CONNECTION
                    if operation_id in found.standing.operations:
                        return
                    stream, version = close_stream(close.psa_connection_id, close.month), found.standing.version + 1
                    append_act(connection, close.msp_id, self._actor, now, stream, version, decide(found))
                return
            except event_log.StreamMoved:
                continue
        raise Refusal("CLOSE_MOVED", "Others keep deciding on this month.", "Look at it again, then send this again.")


def _named(close: Close, operation_id: str) -> dict[str, Any]:
    return {"psa_connection_id": close.psa_connection_id, "period": str(close.month), "operation_id": operation_id}


def _in(state: State, checks: tuple[CloseCheck, ...]) -> str:
    return ", ".join(f"{one.title} ({one.rows})" for one in checks if one.state == state)


def _reason(given: str) -> str | None:
    said = given.strip()
    if len(said) > LONGEST_REASON:
        raise Refusal("BAD_REASON", f"A reason has at most {LONGEST_REASON} characters.", "Shorten it.")
    return said or None


def _needed(given: str, to_do: str) -> str:
    said = _reason(given)
    if said is None:
        raise Refusal("REASON_MISSING", f"To {to_do}, a reason is needed.", "Say why.")
    return said


def _refuse_signed(found: Checklist) -> None:
    signed = found.standing.signed_off
    if signed is not None:
        raise Refusal(
            "ALREADY_SIGNED_OFF", f"{found.month} was signed off by {signed.by}.", "Reopen it first, with a reason."
        )


def _refuse_open(found: Checklist) -> None:
    if found.standing.signed_off is None:
        raise Refusal("NOT_SIGNED_OFF", f"{found.month} is not signed off.", "Sign it off first.")
