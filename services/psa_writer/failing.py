"""A PSA that cannot be asked -> a pause for the connection, and word of it for each request that was tried.

unreachable and rate_limited pass by themselves: the pause grows with each failure in a row, and after it one request tries
the way before all others. unauthorised stops the connection until its set-up changes: accounts lock after a few tries.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from domain.envelope import NewEvent
from plumbing.budget import BudgetSpent
from services.psa_writer import open_requests, standing, tell
from services.psa_writer.choose_pause import choose_pause
from services.psa_writer.open_requests import TO_DO, OpenRequest
from services.psa_writer.psa.port import PsaFailure
from services.psa_writer.round import Round
from services.psa_writer.settling import Settlement, append, settle

log = logging.getLogger(__name__)

#: A malformed answer is treated as none: it is not the PSA that speaks.
_KINDS = {"malformed": "unreachable"}
_BUDGET_FIX = (
    "Nothing to do: Trueup goes on by itself when its share of the hour's calls has room again. To give it a larger share, "
    "raise calls_per_hour of the connection."
)


def as_failure(failure: PsaFailure | BudgetSpent, now: datetime) -> PsaFailure:
    """The PSA's failure, or our own budget's refusal in the same terms."""
    if isinstance(failure, PsaFailure):
        return failure
    return PsaFailure("rate_limited", str(failure), _BUDGET_FIX, max(1.0, (failure.until - now).total_seconds()))


def fail(round_: Round, requests: Sequence[OpenRequest], failure: PsaFailure) -> None:
    """Pauses or stops the connection and tells it of the requests that were tried and that nobody else has taken up since."""
    with round_.writer.engine.begin() as connection:
        known = open_requests.locked(connection, round_.msp_id, [request.request_id for request in requests])
        left = [request for request in known.values() if request.state in TO_DO]
        append(connection, round_.msp_id, failed(connection, round_, left, failure, tried=True), round_.now)


def failed(
    connection: Connection, round_: Round, requests: Sequence[OpenRequest], failure: PsaFailure, *, tried: bool
) -> list[tuple[str, NewEvent]]:
    """As fail(), in the caller's transaction; the events are to be appended. tried: count it as an attempt."""
    now, kind = round_.now, _KINDS.get(failure.kind, failure.kind)
    until = now + timedelta(seconds=choose_pause(round_.standing.failures + 1, failure.retry_after))
    stopped = round_.outside.version if kind == "unauthorised" else None
    standing.set_failed(
        connection, round_.msp_id, round_.connection_id, kind, failure.message, now if stopped else until, stopped
    )
    log.warning(
        "the PSA cannot be asked",
        extra={"connection_id": round_.connection_id, "kind": kind, "reason": failure.message, "until": until},
    )
    settlements = [
        Settlement(
            request_id=request.request_id,
            state="waiting",
            events=(
                tell.failed(
                    request.wish,
                    kind,
                    failure.message,
                    failure.fix,
                    request.attempt + int(tried),
                    None if stopped else until,
                ),
            ),
            next_try_at=now if stopped else until,
            tried=tried,
        )
        for request in requests
    ]
    return settle(connection, round_.msp_id, settlements, now)
