"""Wishes for units -> what would be posted, from when and for how much money, without posting anything."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from domain.keys import CompanyId, ConnectionId, MspId, PsaAgreementId, PsaProductId, ResourceId
from domain.money import Money
from domain.policies import Policies
from plumbing import setup
from plumbing.budget import BudgetSpent
from services.psa_writer import intents
from services.psa_writer.as_read import Calibration
from services.psa_writer.check_brake import Facts, Held, check_brake, limits_of
from services.psa_writer.decide_post import Change, MoreRows, Plan, Target, decide_post
from services.psa_writer.failing import as_failure
from services.psa_writer.hindrance import Hindrance
from services.psa_writer.policies_for import post_policies
from services.psa_writer.preflight import preflight
from services.psa_writer.prorate import Proration
from services.psa_writer.psa.port import Psa, PsaFailure
from services.psa_writer.reading import Fresh, Window, read_fresh, widen
from services.psa_writer.reckon import Reckoning, reckon
from services.psa_writer.standing import standing
from services.psa_writer.writer import Writer

_WIDENINGS = 4


def preview(writer: Writer, msp_id: MspId, wishes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """{"rows": [...], "refusal": None}: a row for each wish {"psa_connection_id", "psa_agreement_id", "psa_product_id",
    "target_units" or "unit_change", "target_unit_cost", "target_unit_price", "fed_by" [(company, resource)]}; the agreement is
    the one that the relation names or will name; cost, price and who feeds the product may be left out. A row has "units" as
    read at "units_read_at", "target_units", "unit_change", "effective_date" of the first of "changes" ({"effective_date",
    "unit_change", "units_before", "units_after", "prorated_cost", "prorated_price"}), "period" {"first_day", "last_day",
    "posted"} with "days" {"charged", "of"}, money by the names of reckon.Reckoning, "hindrance" with what stands against
    posting it, and "held" with why it would wait for a person or only be shown. A connection that cannot be read gives its rows
    a hindrance. Nothing is posted."""
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
        desk = _Preview(opened.psa, writer.clock.now(), today, decided, calibration, taken)
        return desk.rows(wishes)
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
        now: datetime,
        today: date,
        decided: Policies,
        calibration: Calibration,
        taken: Mapping[PsaProductId, frozenset[date]],
    ) -> None:
        self._psa, self._now, self._today, self._decided = psa, now, today, decided
        self._calibration, self._taken = calibration, taken

    def rows(self, wishes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A row for each wish."""
        ids = [PsaProductId(str(wish["psa_product_id"])) for wish in wishes]
        agreements = [PsaAgreementId(str(wish["psa_agreement_id"])) for wish in wishes]
        fresh = read_fresh(self._psa, agreements, ids, self._today)
        found = [self._plan(fresh, wish) for wish in wishes]
        for _ in range(_WIDENINGS):
            wanted = {i: Window(f.since, f.until) for i, f in zip(ids, found, strict=True) if isinstance(f, MoreRows)}
            if not wanted:
                break
            fresh = widen(self._psa, fresh, wanted)
            found = [self._plan(fresh, wish) for wish in wishes]
        return [self._shown(fresh, *each) for each in zip(wishes, found, strict=True)]

    def _plan(self, fresh: Fresh, wish: Mapping[str, Any]) -> Plan | MoreRows | Hindrance:
        product_id, agreement_id = (
            PsaProductId(str(wish["psa_product_id"])),
            PsaAgreementId(str(wish["psa_agreement_id"])),
        )
        policies = post_policies(self._decided, _fed_by(wish))
        cost = _given_money(wish.get("target_unit_cost")) if policies.unit_cost == "post" else None
        price = _given_money(wish.get("target_unit_price"))
        product, agreement = fresh.products.get(product_id), fresh.agreements.get(agreement_id)
        stands = preflight(agreement, product, agreement_id, cost, price, self._today)
        as_read = fresh.as_read(product_id, self._calibration, self._taken.get(product_id, frozenset()))
        units = _target(wish, as_read.units(self._today) if as_read else None)
        if stands is not None or as_read is None or units is None:
            return stands or Hindrance("product_unreadable", "The product could not be read.", "Look at it in the PSA.")
        if units < 0:
            return Hindrance(
                "below_zero", f"It would leave the product with {units} units.", "Correct the units in the PSA by hand."
            )
        return decide_post(as_read, self._today, Target(units, cost, price), policies)

    def _shown(self, fresh: Fresh, wish: Mapping[str, Any], found: Plan | MoreRows | Hindrance) -> dict[str, Any]:
        product_id = PsaProductId(str(wish["psa_product_id"]))
        product, as_read = fresh.products.get(product_id), fresh.as_read(product_id, self._calibration, frozenset())
        now = as_read.units(self._today) if as_read else None
        if not isinstance(found, Plan) or product is None or as_read is None:
            unread = Hindrance("product_unreadable", "The product's units could not be told.", "Look at it in the PSA.")
            return _row(wish, found if isinstance(found, Hindrance) else unread, self._now, now)
        units = _target(wish, now) or 0
        reckoned = reckon(found, product, as_read, self._today)
        held = self._brake(found, units, wish)
        return _row(wish, None, self._now, found.units_now) | {"target_units": units} | _plan(found, reckoned, held)

    def _brake(self, plan: Plan, target_units: int, wish: Mapping[str, Any]) -> Hindrance | None:
        """Why the change would wait for a person, or is only shown."""
        said = check_brake(plan, target_units, limits_of(self._decided, _fed_by(wish)), Facts())
        if said is None:
            return None
        if isinstance(said, Held):
            return Hindrance(said.rule, said.message, "It is posted when it is approved.")
        return Hindrance(
            "shadow", "The mode is shadow: changes are only shown.", "Set the policy mode to have it posted."
        )


def _fed_by(wish: Mapping[str, Any]) -> list[tuple[CompanyId, ResourceId]]:
    return [(CompanyId(company), ResourceId(resource)) for company, resource in wish.get("fed_by", ())]


def _target(wish: Mapping[str, Any], units_now: int | None) -> int | None:
    """The units that the product shall have: those wished for, or so many more than there are."""
    if wish.get("target_units") is not None:
        return int(wish["target_units"])
    return None if units_now is None else units_now + int(wish["unit_change"])


def _row(
    wish: Mapping[str, Any], hindrance: Hindrance | None, read_at: datetime | None = None, units_now: int | None = None
) -> dict[str, Any]:
    """A row with nothing planned."""
    return {
        "psa_connection_id": str(wish["psa_connection_id"]),
        "psa_product_id": str(wish["psa_product_id"]),
        "target_units": wish.get("target_units"),
        "units": units_now,
        "units_read_at": read_at.isoformat() if read_at and units_now is not None else None,
        "unit_change": None,
        "effective_date": None,
        "changes": [],
        "period": None,
        "days": None,
        **dict.fromkeys(_MONEY),
        "hindrance": asdict(hindrance) if hindrance else None,
        "held": None,
    }


_MONEY = ("price_now", "cost_now", "price_month", "cost_month", "margin_month")


def _plan(plan: Plan, reckoned: Reckoning, held: Hindrance | None) -> dict[str, Any]:
    """What a row tells of a plan."""
    period, changes = reckoned.period, plan.changes
    return {
        "unit_change": sum(change.unit_change for change in changes),
        "effective_date": changes[0].effective_date.isoformat() if changes else None,
        "changes": [_change(*each) for each in zip(changes, reckoned.prorations, strict=True)],
        "period": {
            "first_day": period.first_day.isoformat(),
            "last_day": period.last_day.isoformat(),
            "posted": reckoned.posted,
        },
        "days": {"charged": reckoned.charged, "of": period.days},
        **{name: _shown_money(getattr(reckoned, name)) for name in _MONEY},
        "held": asdict(held) if held else None,
    }


def _change(change: Change, proration: Proration) -> dict[str, Any]:
    return {
        "effective_date": change.effective_date.isoformat(),
        "unit_change": change.unit_change,
        "units_before": change.units_before,
        "units_after": change.units_after,
        "prorated_cost": _shown_money(proration.cost),
        "prorated_price": _shown_money(proration.price),
    }


def _given_money(given: Mapping[str, str] | None) -> Money | None:
    return None if given is None else Money.parse(given["amount"], given["currency"])


def _shown_money(money: Money | None) -> dict[str, str] | None:
    """To the cent, as it is shown."""
    return None if money is None else {"amount": str(money.rounded().amount), "currency": money.currency}
