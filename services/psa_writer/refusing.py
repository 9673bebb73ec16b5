"""A create that the PSA refused -> the refused requests parked in its words, the rest left to go again, a rest after many."""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import Connection

from services.psa_writer import intents, leases, open_requests, standing, tell
from services.psa_writer.choose_pause import BREAKER, LONGEST_SECONDS
from services.psa_writer.failing import failed
from services.psa_writer.intents import Intent
from services.psa_writer.leases import Lease
from services.psa_writer.open_requests import OpenRequest
from services.psa_writer.psa.port import PsaFailure, Refusal, Refused
from services.psa_writer.round import Round
from services.psa_writer.settling import Settlement, append, settle

_BREAKER_FIX = (
    "Nothing to do if the cause is cured: one adjustment tries again in a few minutes, and the rest follow it."
)


def take_out_refused(round_: Round, batch: Sequence[Intent], outcome: Refused, held: Lease) -> list[Intent]:
    """Parks the requests that the PSA refused; answers what is left to be sent again (all, when it named nobody)."""
    refused = {batch[place].request_id: refusal for place, refusal in outcome.refusals.items()}
    if not refused and len({intent.request_id for intent in batch}) == 1:
        refused = {batch[0].request_id: Refusal(outcome.message, _BREAKER_FIX)}
    out = {request_id: refusal for request_id, refusal in refused.items() if not refusal.duplicate}
    with round_.writer.engine.begin() as connection:
        kept = leases.renew(
            connection, held, [i.psa_agreement_id for i in batch], round_.writer.lease, round_.writer.clock
        )
        ours = [i for i in batch if i.psa_agreement_id in kept]
        gone = [i for i in ours if i.request_id in out]
        if gone:
            intents.close(connection, round_.msp_id, gone, "refused", round_.now, outcome.message)
            _park_refused(connection, round_, {i.request_id: out[i.request_id] for i in gone})
    return [i for i in ours if i.request_id not in out]


def trip_breaker(round_: Round, cause: str, how_many: int, waiting: Iterable[OpenRequest]) -> bool:
    """Whether refusals of one cause in a row now pause the connection's posts; what was waiting behind them is told so."""
    with round_.writer.engine.begin() as connection:
        streak = standing.count_refusals(connection, round_.msp_id, round_.connection_id, cause, how_many)
        if streak < BREAKER:
            return False
        message = f"{streak} adjustments in a row were refused for one cause: {cause.removeprefix('rejected: ')}"
        failure = PsaFailure("rejected", message, _BREAKER_FIX, LONGEST_SECONDS)
        events = failed(connection, round_, list(waiting), failure, tried=False)
        append(connection, round_.msp_id, events, round_.now)
    return True


def cause_of(message: str) -> str:
    """What refusals of one cause have in common: their words without numbers."""
    return "rejected: " + re.sub(r"\d+", "#", message)[:300]


def _park_refused(connection: Connection, round_: Round, refused: dict[str, Refusal]) -> None:
    known = open_requests.locked(connection, round_.msp_id, refused)
    until = round_.now + timedelta(seconds=LONGEST_SECONDS)
    settlements = []
    for request in known.values():
        refusal = refused[request.request_id]
        event = tell.parked(request.wish, "rejected", refusal.message, refusal.fix, request.attempt)
        settlements.append(
            Settlement(
                request_id=request.request_id,
                state="parked",
                events=(event,),
                cause=cause_of(refusal.message),
                next_try_at=until,
            )
        )
    events = settle(connection, round_.msp_id, settlements, round_.now)
    causes = {settlement.cause for settlement in settlements if settlement.cause}
    open_requests.put_off_the_cause(connection, round_.msp_id, round_.connection_id, causes, until)
    append(connection, round_.msp_id, events, round_.now)
