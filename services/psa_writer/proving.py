"""Intents that were sent -> their effect read back and judged, and what follows from it told."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain

from sqlalchemy import Connection

from domain.envelope import NewEvent
from domain.keys import PsaAgreementId, PsaProductId
from services.psa_writer import intents, leases, open_requests, standing, tell
from services.psa_writer.as_read import Calibration
from services.psa_writer.decide_post import same_money
from services.psa_writer.intents import Intent
from services.psa_writer.judge_outcome import Evidence, Judgement, Sent, Verdict, judge_outcome
from services.psa_writer.leases import Lease
from services.psa_writer.observed import AgreementNames, Scope, observe_products, observe_units
from services.psa_writer.open_requests import OpenRequest
from services.psa_writer.psa.port import PsaProduct, UnitsRow
from services.psa_writer.psa.units_on import units_on
from services.psa_writer.reading import Window, read_rows
from services.psa_writer.round import Round
from services.psa_writer.settling import Settlement, append, settle

log = logging.getLogger(__name__)

#: So often may someone else edit at the same moment; then a person looks.
MOST_CONTRADICTIONS = 2
_FIX = (
    "Look at the product's units and its prorated transactions in the PSA and put them right if need be; then release the "
    "adjustment, and it is planned anew from what is there."
)
_TOLD = {
    Verdict.NOT_APPLIED: "The PSA said that it took the adjustment, but shows nothing of it.",
    Verdict.DOUBLED: "The PSA shows the adjustment as if it had been applied twice.",
    Verdict.MISDATED: "The PSA applied the adjustment from another day than we sent.",
    Verdict.EDITED: "The PSA shows neither the units from before nor those after the adjustment: someone else edits them.",
}


@dataclass(frozen=True)
class Judged:
    """The intents of one request in one batch, and what was found."""

    intents: tuple[Intent, ...]
    judgement: Judgement
    rows: tuple[UnitsRow, ...]
    product: PsaProduct | None

    @property
    def request_id(self) -> str:
        """The request."""
        return self.intents[0].request_id

    @property
    def psa_product_id(self) -> PsaProductId:
        """The product."""
        return self.intents[0].psa_product_id


def look(round_: Round, sent: Sequence[Intent]) -> list[Judged]:
    """What the PSA shows of the intents now, request by request. PsaFailure."""
    groups: dict[Window, list[PsaProductId]] = {}
    for intent in sent:
        groups.setdefault(Window(intent.read_since, intent.read_until), []).append(intent.psa_product_id)
    rows: dict[PsaProductId, tuple[UnitsRow, ...]] = {}
    for window, ids in groups.items():
        rows |= read_rows(round_.psa, ids, window)
    with_money = sorted({intent.psa_product_id for intent in sent if intent.carries_money})
    pages = round_.psa.products_by_id(with_money) if with_money else ()
    products = {product.psa_product_id: product for product in chain.from_iterable(pages)}
    return [_judge(own, rows[own[0].psa_product_id], products.get(own[0].psa_product_id)) for own in by_request(sent)]


def by_request(sent: Iterable[Intent]) -> list[tuple[Intent, ...]]:
    """The intents of each request together, by date."""
    groups: dict[str, list[Intent]] = {}
    for intent in sent:
        groups.setdefault(intent.request_id, []).append(intent)
    return [tuple(sorted(group, key=lambda i: i.effective_date)) for group in groups.values()]


def record(round_: Round, judged: Sequence[Judged], held: Lease) -> list[Judged]:
    """Stores and tells the verdicts on what is still ours by its fence. Answers those that were not applied, though nobody
    said that they were: they may be sent again."""
    with round_.writer.engine.begin() as connection:
        agreements = [each.intents[0].psa_agreement_id for each in judged]
        kept = leases.renew(connection, held, agreements, round_.writer.lease, round_.writer.clock)
        ours = [each for each in judged if each.intents[0].psa_agreement_id in kept]
        if len(ours) < len(judged):
            log.warning("lease lost", extra={"intents": len(judged) - len(ours)})
        again = [each for each in ours if _may_go_again(each)]
        decided = [each for each in ours if not _may_go_again(each)]
        append(connection, round_.msp_id, _told(connection, round_, decided), round_.now)
    log.info("posts recorded", extra={"step": "record", "intents": sum(len(each.intents) for each in decided)})
    return again


def release_dates(round_: Round, judged: Sequence[Judged], held: Lease) -> None:
    """The PSA refused these as doubles, and they are not ours: someone else has the date, so another day is planned."""
    with round_.writer.engine.begin() as connection:
        agreements = [each.intents[0].psa_agreement_id for each in judged]
        kept = leases.renew(connection, held, agreements, round_.writer.lease, round_.writer.clock)
        ours = [each for each in judged if each.intents[0].psa_agreement_id in kept]
        settlements = []
        for each in ours:
            intents.close(connection, round_.msp_id, each.intents, "duplicate", round_.now, each.judgement.seen)
            settlements.append(Settlement(request_id=each.request_id, state="planned", next_try_at=round_.now))
        append(connection, round_.msp_id, settle(connection, round_.msp_id, settlements, round_.now), round_.now)


def _may_go_again(judged: Judged) -> bool:
    return judged.judgement.verdict == Verdict.NOT_APPLIED and not judged.intents[0].replied


def _judge(own: tuple[Intent, ...], rows: tuple[UnitsRow, ...], product: PsaProduct | None) -> Judged:
    first = own[0]
    cost = next((i.money(i.unit_cost) for i in own if i.unit_cost is not None), None)
    price = next((i.money(i.unit_price) for i in own if i.unit_price is not None), None)
    before, after = Evidence(first.rows_read, None), Evidence(rows, None)
    if product is not None:
        # Compared is only what was sent: the other may be changed by hand at any time.
        before = Evidence(
            first.rows_read,
            first.money(first.unit_cost_before) if cost else None,
            first.money(first.unit_price_before) if price else None,
        )
        after = Evidence(rows, product.unit_cost if cost else None, product.unit_price if price else None)
    judgement = judge_outcome(
        before,
        Sent({i.effective_date: i.unit_change for i in own}, cost, price),
        after,
        first.read_since,
        first.read_until,
        first.calibration,
        replied=first.replied,
    )
    return Judged(own, judgement, rows, product)


def _told(connection: Connection, round_: Round, decided: Sequence[Judged]) -> list[tuple[str, NewEvent]]:
    known = open_requests.locked(connection, round_.msp_id, [each.request_id for each in decided])
    applied = [each for each in decided if each.judgement.verdict == Verdict.APPLIED]
    others = [each for each in decided if each.judgement.verdict != Verdict.APPLIED]
    settlements = [_posted(known[each.request_id], each) for each in applied]
    for each in others:
        intents.close(connection, round_.msp_id, each.intents, "edited", round_.now, each.judgement.seen)
        settlements += _contradicted(connection, round_, known[each.request_id], each)
    if applied:
        _keep_applied(connection, round_, applied, [known[each.request_id] for each in applied])
    found = settle(connection, round_.msp_id, settlements, round_.now)
    return found + _observed(connection, round_, [(known[each.request_id], each) for each in applied])


def _posted(request: OpenRequest, judged: Judged) -> Settlement:
    product = judged.product
    events = tuple(
        tell.posted(
            request.wish,
            intent,
            product.unit_cost if product else intent.money(intent.unit_cost_before),
            product.unit_price if product else intent.money(intent.unit_price_before),
            _proof(intent, judged),
            completes=intent.completes,
        )
        for intent in judged.intents
    )
    return Settlement(request_id=request.request_id, state="done", events=events)


def _proof(intent: Intent, judged: Judged) -> str:
    product = judged.product
    pairs = {
        "cost": (intent.money(intent.unit_cost), product.unit_cost if product else None),
        "price": (intent.money(intent.unit_price), product.unit_price if product else None),
    }
    ignored = "".join(
        f"; the PSA kept its unit {name} of {kept.amount} though {sent.amount} was sent"
        for name, (sent, kept) in pairs.items()
        if sent and kept and not same_money(sent, kept)
    )
    return f"{judged.judgement.seen}{ignored}"


def _contradicted(connection: Connection, round_: Round, request: OpenRequest, judged: Judged) -> list[Settlement]:
    """Planned anew when someone edited at the same moment; a person looks when it happens again, or when the evidence cannot
    come from an edit. Of a request that was superseded its successor is stopped."""
    verdict = judged.judgement.verdict
    edits = request.contradictions + 1
    unsure = judged.intents[0].calibration == "unknown"
    if verdict == Verdict.EDITED and edits < MOST_CONTRADICTIONS and not unsure:
        return [Settlement(request_id=request.request_id, state="planned", next_try_at=round_.now, contradiction=True)]
    target: OpenRequest | None = request
    if request.state == "superseded":
        ids = [judged.psa_product_id]
        target = open_requests.open_for(connection, round_.msp_id, round_.connection_id, ids).get(ids[0])
    log.error("contradiction", extra={"request_id": request.request_id, "seen": judged.judgement.seen})
    if target is None:
        return []
    message = f"{_TOLD[verdict]} Sent: {_sent(judged.intents)}. {judged.judgement.seen}."
    event = tell.parked(target.wish, "contradiction", message, _FIX, judged.intents[0].attempt)
    return [
        Settlement(
            request_id=target.request_id, state="parked", events=(event,), cause="contradiction", contradiction=True
        )
    ]


def _sent(own: Iterable[Intent]) -> str:
    return ", ".join(f"{i.unit_change:+d} from {i.effective_date}" for i in own)


def _keep_applied(
    connection: Connection, round_: Round, applied: Sequence[Judged], requests: Sequence[OpenRequest]
) -> None:
    proofs = [(intent, each.judgement.seen, each.rows) for each in applied for intent in each.intents]
    intents.prove(connection, round_.msp_id, proofs, round_.now)
    standing.set_well(connection, round_.msp_id, round_.connection_id, posted=True)
    causes = {request.cause for request in requests if request.cause}
    if causes:
        open_requests.free_the_cause(connection, round_.msp_id, round_.connection_id, causes, round_.now)
    for learned in {each.judgement.calibration for each in applied} - {"unknown"}:
        standing.set_calibration(connection, round_.msp_id, round_.connection_id, learned)


def _observed(
    connection: Connection, round_: Round, applied: Sequence[tuple[OpenRequest, Judged]]
) -> list[tuple[str, NewEvent]]:
    """What the catalogue now knows better: units, and costs and prices that were sent."""
    scope = Scope(connection, round_.msp_id, round_.connection_id, round_.now)
    names: dict[PsaAgreementId, AgreementNames] = {}
    for request, judged in applied:
        wish = request.wish
        names[judged.intents[0].psa_agreement_id] = AgreementNames(
            wish.psa_customer_id, wish.psa_customer_name, wish.psa_agreement_name
        )
    products = [judged.product for _, judged in applied if judged.product]
    units = {judged.psa_product_id: _units(judged, round_.today) for _, judged in applied}
    found = observe_products(scope, products, names) + observe_units(scope, units, round_.today, names)
    correlations = {f"psa-product/{round_.connection_id}/{r.psa_product_id}": r.correlation_id for r, _ in applied}
    return [(correlations[event.stream], event) for event in found]


def _units(judged: Judged, day: date) -> int:
    reading: Calibration = judged.judgement.calibration
    return units_on(judged.rows, day, "change" if reading == "change" else "total")
