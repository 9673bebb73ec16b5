"""(due requests, what the PSA shows) -> what each comes to: changes to post, nothing to do, or a hindrance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Connection, text

from domain.keys import PsaProductId
from services.psa_writer import intents
from services.psa_writer.as_read import AsRead
from services.psa_writer.check_bounds import check_size, hour_is_full, units_moved
from services.psa_writer.check_ledger import check_ledger
from services.psa_writer.decide_post import MoreRows, Plan, Target, decide_post
from services.psa_writer.hindrance import Hindrance
from services.psa_writer.open_requests import OpenRequest
from services.psa_writer.preflight import preflight
from services.psa_writer.psa.port import PsaProduct
from services.psa_writer.psa.units_on import units_on
from services.psa_writer.reading import Fresh, Window, read_fresh, widen
from services.psa_writer.round import Round
from services.psa_writer.rows_kept import from_json

#: A plan asks for more rows at most this often: for rows before today, for later unposted periods, for all later ones.
_WIDENINGS = 4
_OWN_POSTS = 10
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Planned:
    """A request, the product as it was read for it, and its plan."""

    request: OpenRequest
    product: PsaProduct
    as_read: AsRead
    plan: Plan


@dataclass(frozen=True)
class Hindered:
    """A request that cannot be posted now."""

    request: OpenRequest
    hindrance: Hindrance


def read_and_plan(round_: Round, requests: Sequence[OpenRequest]) -> tuple[list[Planned], list[Hindered]]:
    """What each request comes to, by a fresh read. PsaFailure when the read is not whole."""
    today = round_.today
    fresh = read_fresh(round_.psa, [r.psa_agreement_id for r in requests], [r.psa_product_id for r in requests], today)
    with round_.writer.engine.connect() as connection:
        known = _Known.load(round_, connection, requests, fresh)
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
    return _within_the_hour(round_, planned, hindered, known.moved)


@dataclass(frozen=True)
class _Known:
    """What we know beside the PSA: dates that are taken, what we proved last, what moved in this hour."""

    calibration: str
    taken: Mapping[PsaProductId, frozenset[date]]
    proved: Mapping[PsaProductId, "_Proved"]
    moved: int

    @classmethod
    def load(cls, round_: Round, connection: Connection, requests: Sequence[OpenRequest], fresh: Fresh) -> "_Known":
        """For the products of these requests."""
        ids = [request.psa_product_id for request in requests]
        since = min((window.since for window in fresh.windows.values()), default=round_.today)
        return cls(
            round_.calibration(connection),
            intents.taken_dates(connection, round_.msp_id, round_.connection_id, ids, since),
            _proved(connection, round_, ids),
            intents.units_moved_since(connection, round_.msp_id, round_.now - _HOUR),
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
    cost = request.wish.target_unit_cost if round_.policies.unit_cost == "post" else None
    stands = preflight(agreement, product, request.psa_agreement_id, cost, today)
    taken = known.taken.get(request.psa_product_id, frozenset())
    as_read = fresh.as_read(request.psa_product_id, known.calibration, taken)  # type: ignore[arg-type]
    if stands is not None or product is None or as_read is None:
        return stands or _UNREADABLE
    plan = decide_post(as_read, today, Target(request.wish.target_units, cost), round_.policies)
    if not isinstance(plan, Plan):
        return plan
    moves = any(change.unit_change for change in plan.changes)
    if moves and not request.released:
        held = _lost(as_read, known.proved.get(request.psa_product_id), today) or check_size(
            plan, request.wish.target_units, round_.bounds
        )
        if held is not None:
            return held
    return Planned(request, product, as_read, plan)


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


def _within_the_hour(
    round_: Round, planned: list[Planned], hindered: list[Hindered], moved: int
) -> tuple[list[Planned], list[Hindered]]:
    """Lets out, in order, what still fits into the MSP's units of an hour."""
    fine: list[Planned] = []
    for each in planned:
        more = units_moved(each.plan)
        full = hour_is_full(moved, more, round_.bounds) if more and not each.request.released else None
        if full is not None:
            hindered.append(Hindered(each.request, full))
            continue
        moved += more
        fine.append(each)
    return fine, hindered
