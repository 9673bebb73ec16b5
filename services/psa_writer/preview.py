"""Wishes for units -> what would be posted, from when and for how much money, without posting anything."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from domain.keys import ConnectionId, MspId, PsaProductId
from domain.money import Money
from plumbing import setup
from plumbing.budget import BudgetSpent
from services.psa_writer import intents
from services.psa_writer.as_read import AsRead, Calibration
from services.psa_writer.check_brake import Facts, Held, Limits, check_brake, limits_of
from services.psa_writer.decide_post import Change, MoreRows, Plan, PostPolicies, Target, decide_post
from services.psa_writer.failing import as_failure
from services.psa_writer.hindrance import Hindrance
from services.psa_writer.policies_for import post_policies
from services.psa_writer.preflight import preflight
from services.psa_writer.prorate import prorate
from services.psa_writer.psa.port import Psa, PsaFailure, PsaProduct
from services.psa_writer.reading import Fresh, Window, read_fresh, widen
from services.psa_writer.standing import standing
from services.psa_writer.writer import Writer

_WIDENINGS = 4


def preview(writer: Writer, msp_id: MspId, wishes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """{"rows": [...], "refusal": None}: for each wish {"psa_connection_id", "psa_product_id", "target_units"} a row with
    "changes" ({"effective_date", "unit_change", "units_before", "units_after", "prorated_cost", "prorated_price"}),
    "units_now", and "hindrance" with what stands against posting it. A connection that cannot be read gives its rows a
    hindrance."""
    rows: list[dict[str, Any]] = [{} for _ in wishes]
    for connection_id in sorted({str(wish["psa_connection_id"]) for wish in wishes}):
        places = [place for place, wish in enumerate(wishes) if wish["psa_connection_id"] == connection_id]
        own = [wishes[place] for place in places]
        for place, row in zip(places, _of_connection(writer, msp_id, ConnectionId(connection_id), own), strict=True):
            rows[place] = row
    return {"rows": rows, "refusal": None}


def _of_connection(
    writer: Writer, msp_id: MspId, connection_id: ConnectionId, wishes: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    with writer.engine.begin() as connection:
        outside = setup.connection_of(connection, msp_id, connection_id)
        today = writer.clock.today(setup.msp(connection, msp_id).time_zone)
        decided = setup.policies(connection, msp_id)
        given = outside.settings.get("mid_period_rows", "unknown")
        calibration = standing(connection, msp_id, connection_id).calibration if given == "unknown" else given
        ids = [PsaProductId(str(wish["psa_product_id"])) for wish in wishes]
        taken = intents.taken_dates(connection, msp_id, connection_id, ids, today)
    opened = writer.open_psa(outside)
    try:
        desk = _Preview(opened.psa, today, post_policies(decided, ()), limits_of(decided, ()), calibration, taken)
        return desk.rows(ids, [int(wish["target_units"]) for wish in wishes])
    except (PsaFailure, BudgetSpent) as failure:
        failed = as_failure(failure, writer.clock.now())
        return [_row(wish, Hindrance(failed.kind, failed.message, failed.fix)) for wish in wishes]
    finally:
        opened.close()


class _Preview:
    """One reading of one connection."""

    def __init__(
        self,
        psa: Psa,
        today: date,
        policies: PostPolicies,
        limits: Limits,
        calibration: Calibration,
        taken: Mapping[PsaProductId, frozenset[date]],
    ) -> None:
        self._psa, self._today, self._policies, self._limits = psa, today, policies, limits
        self._calibration, self._taken = calibration, taken

    def rows(self, ids: Sequence[PsaProductId], targets: Sequence[int]) -> list[dict[str, Any]]:
        """A row for each product and target."""
        products = {p.psa_product_id: p for page in self._psa.products_by_id(sorted(set(ids))) for p in page}
        fresh = read_fresh(self._psa, [p.psa_agreement_id for p in products.values()], sorted(products), self._today)
        found = [self._plan(fresh, product_id, units) for product_id, units in zip(ids, targets, strict=True)]
        for _ in range(_WIDENINGS):
            wanted = {i: Window(f.since, f.until) for i, f in zip(ids, found, strict=True) if isinstance(f, MoreRows)}
            if not wanted:
                break
            fresh = widen(self._psa, fresh, wanted)
            found = [self._plan(fresh, product_id, units) for product_id, units in zip(ids, targets, strict=True)]
        return [self._shown(fresh, *each) for each in zip(ids, targets, found, strict=True)]

    def _plan(self, fresh: Fresh, product_id: PsaProductId, units: int) -> Plan | MoreRows | Hindrance:
        product = fresh.products.get(product_id)
        agreement = fresh.agreements.get(product.psa_agreement_id) if product else None
        linked = product.psa_agreement_id if product else None
        stands = preflight(agreement, product, linked, None, None, self._today)  # type: ignore[arg-type]
        as_read = fresh.as_read(product_id, self._calibration, self._taken.get(product_id, frozenset()))
        if stands is not None or as_read is None:
            return stands or Hindrance("product_unreadable", "The product could not be read.", "Look at it in the PSA.")
        return decide_post(as_read, self._today, Target(units), self._policies)

    def _shown(
        self, fresh: Fresh, product_id: PsaProductId, units: int, found: Plan | MoreRows | Hindrance
    ) -> dict[str, Any]:
        wish = {"psa_product_id": product_id, "target_units": units}
        if not isinstance(found, Plan):
            return _row(wish, found if isinstance(found, Hindrance) else None)
        product, as_read = fresh.products[product_id], fresh.as_read(product_id, self._calibration, frozenset())
        assert as_read is not None  # noqa: S101 a plan was made from it
        changes = [_change(change, product, as_read) for change in found.changes]
        said = check_brake(found, units, self._limits, Facts())
        held = Hindrance("held", said.message, "It is posted when it is approved.") if isinstance(said, Held) else None
        return _row(wish, held, changes, found.units_now)


def _row(
    wish: Mapping[str, Any],
    hindrance: Hindrance | None,
    changes: Sequence[dict[str, Any]] = (),
    units_now: int | None = None,
) -> dict[str, Any]:
    return {
        "psa_product_id": str(wish["psa_product_id"]),
        "target_units": int(wish["target_units"]),
        "units_now": units_now,
        "changes": list(changes),
        "hindrance": asdict(hindrance) if hindrance else None,
    }


def _change(change: Change, product: PsaProduct, as_read: AsRead) -> dict[str, Any]:
    proration = prorate(
        as_read.period(change.effective_date),
        change.effective_date,
        change.units_before,
        change.units_after,
        product.unit_cost,
        product.unit_cost,
        product.unit_price,
        product.unit_price,
    )
    return {
        "effective_date": change.effective_date.isoformat(),
        "unit_change": change.unit_change,
        "units_before": change.units_before,
        "units_after": change.units_after,
        "prorated_cost": _shown_money(proration.cost),
        "prorated_price": _shown_money(proration.price),
    }


def _shown_money(money: Money | None) -> dict[str, str] | None:
    """To the cent, as it is shown."""
    return None if money is None else {"amount": str(money.rounded().amount), "currency": money.currency}
