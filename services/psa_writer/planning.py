"""(due requests, what the PSA shows) -> what each comes to: changes to post, nothing to do, a hindrance, or the brake's word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import Connection, text

from domain.keys import PsaProductId
from services.psa_writer import braking, intents
from services.psa_writer.as_read import AsRead
from services.psa_writer.braking import Brake, Braked, Planned
from services.psa_writer.check_ledger import check_ledger
from services.psa_writer.decide_post import MoreRows, Plan, Target, decide_post
from services.psa_writer.hindrance import Hindrance
from services.psa_writer.open_requests import OpenRequest
from services.psa_writer.policies_for import fed_by, post_policies
from services.psa_writer.preflight import preflight
from services.psa_writer.psa.units_on import units_on
from services.psa_writer.reading import Fresh, Window, read_fresh, widen
from services.psa_writer.round import Round
from services.psa_writer.rows_kept import from_json

#: A plan asks for more rows at most this often: for rows before today, for later unposted periods, for all later ones.
_WIDENINGS = 4
_OWN_POSTS = 10


@dataclass(frozen=True)
class Hindered:
    """A request that cannot be posted now."""

    request: OpenRequest
    hindrance: Hindrance


@dataclass(frozen=True)
class Found:
    """What requests come to. brake: what was known beside them."""

    planned: Sequence[Planned]
    hindered: Sequence[Hindered]
    braked: Sequence[Braked]
    brake: Brake


def read_and_plan(round_: Round, requests: Sequence[OpenRequest]) -> Found:
    """What each request comes to, by a fresh read. PsaFailure when the read is not whole."""
    today = round_.today
    fresh = read_fresh(round_.psa, [r.psa_agreement_id for r in requests], [r.psa_product_id for r in requests], today)
    with round_.writer.engine.connect() as connection:
        known = _Known.load(round_, connection, requests, fresh)
        brake = braking.load(connection, round_, requests, round_.decided)
    planned: list[Planned] = []
    hindered: list[Hindered] = []
    left = list(requests)
    for _ in range(_WIDENINGS):
        wanted: dict[PsaProductId, Window] = {}
        for request in left:
            found = _plan(round_, request, fresh, known, today)
            if isinstance(found, MoreRows):
                wanted[request.psa_product_id] = Window(found.since, found.until)
            elif isinstance(found, Hindrance):
                hindered.append(Hindered(request, found))
            else:
                planned.append(found)
        left = [request for request in left if request.psa_product_id in wanted]
        if not left:
            break
        fresh = widen(round_.psa, fresh, wanted)
    hindered += [Hindered(request, _UNREADABLE) for request in left]
    fine, braked = brake.of_round(planned)
    return Found(fine, hindered, braked, brake)


@dataclass(frozen=True)
class _Known:
    """What we know beside the PSA: dates that are taken, and what we proved last."""

    calibration: str
    taken: Mapping[PsaProductId, frozenset[date]]
    proved: Mapping[PsaProductId, "_Proved"]

    @classmethod
    def load(cls, round_: Round, connection: Connection, requests: Sequence[OpenRequest], fresh: Fresh) -> "_Known":
        """For the products of these requests."""
        ids = [request.psa_product_id for request in requests]
        since = min((window.since for window in fresh.windows.values()), default=round_.today)
        return cls(
            round_.calibration(connection),
            intents.taken_dates(connection, round_.msp_id, round_.connection_id, ids, since),
            _proved(connection, round_, ids),
        )


@dataclass(frozen=True)
class _Proved:
    """The rows after our last proven post of a product, and the last (effective date, unit change) of ours, newest first."""

    rows: Sequence[Sequence[object]]
    posts: Sequence[tuple[date, int]]


def _plan(
    round_: Round, request: OpenRequest, fresh: Fresh, known: _Known, today: date
) -> Planned | MoreRows | Hindrance:
    product = fresh.products.get(request.psa_product_id)
    agreement = fresh.agreements.get(request.psa_agreement_id)
    policies = post_policies(round_.decided, fed_by(request.wish))
    cost = request.wish.target_unit_cost if policies.unit_cost == "post" else None
    price = request.wish.target_unit_price
    stands = preflight(agreement, product, request.psa_agreement_id, cost, price, today)
    taken = known.taken.get(request.psa_product_id, frozenset())
    as_read = fresh.as_read(request.psa_product_id, known.calibration, taken)  # type: ignore[arg-type]
    if stands is not None or product is None or as_read is None:
        return stands or _UNREADABLE
    if request.effective != "as_planned":
        policies = replace(policies, **_NEXT_PERIOD)
    plan = decide_post(as_read, today, Target(request.wish.target_units, cost, price), policies)
    if not isinstance(plan, Plan):
        return plan
    if any(change.unit_change for change in plan.changes) and not request.released:
        lost = _lost(as_read, known.proved.get(request.psa_product_id), today)
        if lost is not None:
            return lost
    return Planned(request, product, as_read, plan)


_NEXT_PERIOD = {"increase_effective": "next_period", "decrease_effective": "next_period"}
_UNREADABLE = Hindrance(
    "product_unreadable", "The product could not be read.", "Look at the product in the PSA, then retry."
)


def _lost(product: AsRead, proved: _Proved | None, today: date) -> Hindrance | None:
    if proved is None or not proved.posts:
        return None
    day = min(max(today, *(effective for effective, _ in proved.posts)), product.read_until)
    reading = "change" if product.calibration == "change" else "total"
    expected = units_on(from_json(PsaProductId(""), proved.rows), day, reading)  # type: ignore[arg-type]
    found = product.units(day)
    changes = [change for effective, change in proved.posts if effective <= day and change]
    return None if found is None else check_ledger(expected, found, changes)


def _proved(connection: Connection, round_: Round, product_ids: Sequence[PsaProductId]) -> dict[PsaProductId, _Proved]:
    found: dict[PsaProductId, tuple[Sequence[Sequence[object]], list[tuple[date, int]]]] = {}
    for product_id, rows, day, change in connection.execute(
        text(
            """SELECT psa_product_id, rows_after, effective_date, unit_change FROM (
                   SELECT *, row_number() OVER (PARTITION BY psa_product_id ORDER BY sent_at DESC) AS back
                   FROM psa_writer.intents LEFT JOIN psa_writer.resolved_drifts USING (msp_id, connection_id, psa_product_id)
                   WHERE msp_id = :m AND connection_id = :c AND psa_product_id = ANY(:ids)
                   AND state = 'proved' AND sent_at > coalesce(resolved_at, '-infinity')) i
               WHERE back <= :most ORDER BY psa_product_id, back"""
        ),
        {"m": round_.msp_id, "c": round_.connection_id, "ids": list(product_ids), "most": _OWN_POSTS},
    ):
        found.setdefault(product_id, (rows, []))[1].append((day, change))
    return {product_id: _Proved(rows, posts) for product_id, (rows, posts) in found.items()}
