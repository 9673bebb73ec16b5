"""Plans -> intents committed as sent, one create, and what its outcome means for each of them."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from sqlalchemy import Connection, text

from domain.money import Money
from plumbing import setup
from plumbing.budget import BudgetSpent
from plumbing.catch_up import read_to_head
from plumbing.pausing import may_post
from services.psa_writer import braking, intents, leases, open_requests, standing, tell
from services.psa_writer.braking import Planned, free_to_go
from services.psa_writer.choose_pause import FIRST_SECONDS
from services.psa_writer.failing import as_failure, failed
from services.psa_writer.intents import Intent
from services.psa_writer.leases import POSTS, Lease
from services.psa_writer.open_requests import TO_DO, OpenRequest
from services.psa_writer.prorate import prorate
from services.psa_writer.psa.port import Outcome, PsaFailure, Unknown
from services.psa_writer.reactor import reactor
from services.psa_writer.round import Round
from services.psa_writer.settling import Settlement, append, settle

log = logging.getLogger(__name__)

_UNKNOWN_FIX = (
    "Nothing to do: when the PSA can no longer be working on it, reading back its units tells whether it was applied."
)


def mark(round_: Round, planned: Sequence[Planned], held: Lease) -> list[Intent]:
    """The intents of the plans, committed as sent: those whose lease is still ours, whose request is still open, and whose
    product still has a relation and no frozen one when the log is read to its end, and of which the brake still says nothing.
    What has none is never posted. None while posts are paused: what is marked before a pause is told has left, what is not
    stays."""
    if not _caught_up(round_):
        log.error("the log cannot be read to its end: nothing is posted", extra={"msp_id": round_.msp_id})
        return []
    with round_.writer.engine.begin() as connection:
        if not may_post(connection, round_.msp_id):
            return []
        kept = _keep_leases(connection, round_, held, [each.request.psa_agreement_id for each in planned])
        open_ = _still_open(connection, round_, [each.request for each in planned], TO_DO)
        open_ &= _let_by_the_brake(connection, round_, [each for each in planned if each.request.request_id in open_])
        in_flight = intents.products_in_flight(connection, round_.msp_id, round_.connection_id)
        fine = [
            each
            for each in planned
            if each.request.psa_agreement_id in kept
            and each.request.request_id in open_
            and each.request.psa_product_id not in in_flight
        ]
        batch_id = uuid4().hex
        marked = [intent for each in fine for intent in _intents(each, held, batch_id, round_.now)]
        if marked:
            intents.put(connection, round_.msp_id, round_.connection_id, marked)
            open_requests.set_state(connection, round_.msp_id, [e.request.request_id for e in fine], "sending")
    log.info("adjustments marked as sent", extra={"step": "mark", "intents": len(marked)})
    return marked


def mark_again(round_: Round, rest: Sequence[Intent], held: Lease) -> list[Intent]:
    """The same intents as a new batch, under the same conditions as at first. Those that must not go out any more are closed;
    while posts are paused all are, and so are those that the brake would hold or only show by now (another mode, a month that
    stands still): their requests are planned anew."""
    if not rest or not _caught_up(round_):
        return []
    with round_.writer.engine.begin() as connection:
        may = may_post(connection, round_.msp_id)
        kept = _keep_leases(connection, round_, held, [intent.psa_agreement_id for intent in rest])
        ours = [intent for intent in rest if intent.psa_agreement_id in kept]
        known = open_requests.locked(connection, round_.msp_id, [intent.request_id for intent in ours])
        open_ = _still_open(connection, round_, known.values(), ("sending", "unknown"))
        dropped = [intent for intent in ours if intent.request_id not in open_]
        if dropped:
            intents.close(connection, round_.msp_id, dropped, "not_applied", round_.now)
            # Frozen ones stay open until the reconciler takes them back, or they are unfrozen.
            left = open_requests.locked(connection, round_.msp_id, [intent.request_id for intent in dropped])
            waiting = [i for i, request in left.items() if request.state in ("sending", "unknown")]
            open_requests.plan_anew(connection, round_.msp_id, waiting, round_.now)
        by_now = [intent for intent in ours if intent.request_id in open_]
        stopped = braking.held_back(connection, round_, by_now, known) if may else open_
        back = [intent for intent in ours if intent.request_id in stopped]
        if back:
            intents.close(connection, round_.msp_id, back, "not_applied", round_.now, "posts were stopped")
            open_requests.plan_anew(connection, round_.msp_id, stopped, round_.now)
        open_ -= stopped
        going = [intent for intent in ours if intent.request_id in open_]
        if not going:
            return []
        fences = dict(held.fences)
        again = intents.send_again(connection, round_.msp_id, going, round_.now, fences)
        open_requests.set_state(connection, round_.msp_id, sorted(open_), "sending")
    log.info("adjustments marked as sent", extra={"step": "mark", "intents": len(again), "attempt": again[0].attempt})
    return again


def send(round_: Round, batch: Sequence[Intent]) -> Outcome | PsaFailure:
    """What the PSA says to one create. Whatever goes wrong in a way that nobody foresaw leaves the outcome unknown."""
    deadline = min(intent.sent_at for intent in batch) + timedelta(seconds=round_.writer.send_within)
    log.info("adjustments sent", extra={"step": "send", "intents": len(batch), "batch_id": batch[0].batch_id})
    round_.opened.send_by(deadline)
    outcome: Outcome | PsaFailure
    try:
        outcome = round_.psa.create_adjustments([intent.order() for intent in batch])
    except PsaFailure as failure:
        outcome = failure
    except BudgetSpent as spent:
        outcome = as_failure(spent, round_.now)
    except Exception as fault:
        log.exception("a create ended in a way that nobody foresaw")
        outcome = Unknown(f"{type(fault).__name__}: {fault}")
    finally:
        round_.opened.send_by(None)
    log.info("the PSA replied", extra={"step": "reply", "outcome": type(outcome).__name__})
    return outcome


def note_applied(round_: Round, batch: Sequence[Intent]) -> None:
    """Remembers that the PSA said yes, should we die before reading back."""
    with round_.writer.engine.begin() as connection:
        intents.set_replied(connection, round_.msp_id, batch[0].batch_id)


def tell_unknown(round_: Round, batch: Sequence[Intent], message: str, held: Lease) -> None:
    """Nobody can say yet what became of the batch: its requests wait until reading back can tell."""
    decided_at = max(intent.sent_at for intent in batch) + round_.undecided
    with round_.writer.engine.begin() as connection:
        known = open_requests.locked(connection, round_.msp_id, _ours(connection, round_, batch, held))
        settlements = [
            Settlement(
                request_id=request.request_id,
                state="unknown",
                events=(
                    tell.failed(request.wish, "outcome_unknown", message, _UNKNOWN_FIX, request.attempt, decided_at),
                ),
            )
            for request in known.values()
        ]
        pause = round_.now + timedelta(seconds=FIRST_SECONDS)
        standing.set_failed(connection, round_.msp_id, round_.connection_id, "outcome_unknown", message, pause, None)
        append(connection, round_.msp_id, settle(connection, round_.msp_id, settlements, round_.now), round_.now)


def tell_not_sent(round_: Round, batch: Sequence[Intent], failure: PsaFailure, held: Lease) -> None:
    """The PSA certainly did no work on the batch: its intents end, and its requests wait as the failure asks."""
    with round_.writer.engine.begin() as connection:
        ours = _ours(connection, round_, batch, held)
        mine = [intent for intent in batch if intent.request_id in ours]
        intents.close(connection, round_.msp_id, mine, "not_sent", round_.now, failure.message)
        known = open_requests.locked(connection, round_.msp_id, ours)
        events = failed(connection, round_, list(known.values()), failure, tried=False)
        append(connection, round_.msp_id, events, round_.now)


def _ours(connection: Connection, round_: Round, batch: Sequence[Intent], held: Lease) -> set[str]:
    """The requests of the batch whose agreement is still ours: what another has taken over is its to decide."""
    agreements = [intent.psa_agreement_id for intent in batch]
    kept = leases.renew(connection, held, agreements, round_.writer.lease, round_.writer.clock)
    return {intent.request_id for intent in batch if intent.psa_agreement_id in kept}


def _caught_up(round_: Round) -> bool:
    """Whether our own consumer has read the log to where it ends now."""
    writer = round_.writer
    return read_to_head(writer.engine, reactor(writer.clock), round_.msp_id, writer.clock)


def _keep_leases(connection: Connection, round_: Round, held: Lease, agreements: Sequence[str]) -> set[str]:
    """Keeps the leases until the outcome can be told by reading, and our turn with them."""
    seconds = round_.undecided.total_seconds()
    leases.renew(connection, round_.turn, [POSTS], seconds, round_.writer.clock)
    return leases.renew(connection, held, agreements, seconds, round_.writer.clock)


def _still_open(
    connection: Connection, round_: Round, requests: Iterable[OpenRequest], states: Sequence[str]
) -> set[str]:
    """The requests that may be posted: open in one of the states, their product linked and not frozen. Open ones whose
    product has no relation any more are closed; frozen ones are left to the reconciler, which takes them back."""
    known = open_requests.locked(connection, round_.msp_id, [request.request_id for request in requests])
    linked = {
        row.psa_product_id: row.frozen
        for row in connection.execute(
            text(
                """SELECT psa_product_id, bool_or(frozen) AS frozen FROM psa_writer.relations
                   WHERE msp_id = :m AND connection_id = :c AND psa_product_id = ANY(:ids) GROUP BY psa_product_id"""
            ),
            {
                "m": round_.msp_id,
                "c": round_.connection_id,
                "ids": [request.psa_product_id for request in known.values()],
            },
        )
    }
    open_ = {request.request_id for request in known.values() if request.state in states}
    cleared = {request_id for request_id in open_ if known[request_id].psa_product_id not in linked}
    if cleared:
        open_requests.set_state(connection, round_.msp_id, cleared, "superseded")
    return {request_id for request_id in open_ - cleared if not linked[known[request_id].psa_product_id]}


def _let_by_the_brake(connection: Connection, round_: Round, planned: Sequence[Planned]) -> set[str]:
    known = open_requests.locked(connection, round_.msp_id, [each.request.request_id for each in planned])
    return free_to_go(connection, round_, planned, known, setup.policies(connection, round_.msp_id))


def _intents(planned: Planned, held: Lease, batch_id: str, now: datetime) -> list[Intent]:
    request, product, as_read = planned.request, planned.product, planned.as_read
    changes = planned.plan.in_sending_order()
    last_day = max(change.effective_date for change in changes)
    first_day = min(change.effective_date for change in changes)
    new_cost = next((change.unit_cost for change in changes if change.unit_cost), product.unit_cost)
    new_price = next((change.unit_price for change in changes if change.unit_price), product.unit_price)
    money = product.unit_cost or product.unit_price or new_cost or new_price
    found = []
    for change in changes:
        is_first = change.effective_date == first_day
        cost_before = product.unit_cost if is_first else new_cost
        price_before = product.unit_price if is_first else new_price
        proration = prorate(
            as_read.period(change.effective_date),
            change.effective_date,
            change.units_before,
            change.units_after,
            cost_before,
            new_cost,
            price_before,
            new_price,
        )
        found.append(
            Intent(
                operation_id=str(uuid4()),
                request_id=request.request_id,
                psa_agreement_id=request.psa_agreement_id,
                psa_product_id=request.psa_product_id,
                effective_date=change.effective_date,
                unit_change=change.unit_change,
                units_before=change.units_before,
                units_after=change.units_after,
                unit_cost=_amount(change.unit_cost),
                currency=money.currency if money else None,
                unit_cost_before=_amount(cost_before),
                unit_price=_amount(change.unit_price),
                unit_price_before=_amount(price_before),
                prorated_cost=_amount(proration.cost),
                prorated_price=_amount(proration.price),
                completes=change.effective_date == last_day,
                rows_read=as_read.rows,
                read_since=as_read.read_since,
                read_until=as_read.read_until,
                calibration=as_read.calibration,
                batch_id=batch_id,
                fence=held.fences[request.psa_agreement_id],
                attempt=request.attempt + 1,
                sent_at=now,
            )
        )
    return found


def _amount(money: Money | None) -> Decimal | None:
    return None if money is None else money.amount
