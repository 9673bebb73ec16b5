"""(a request, what became of it) -> the event that tells it, with the names of the request."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from domain.events import (
    AdjustmentApproved,
    AdjustmentDropped,
    AdjustmentFailed,
    AdjustmentHeld,
    AdjustmentMoved,
    AdjustmentParked,
    AdjustmentPosted,
    AdjustmentRefused,
    AdjustmentReleased,
    AdjustmentRequested,
    AdjustmentRetried,
    AdjustmentShadowed,
    Evidence,
    PlannedChange,
    UnitsFoundEqual,
)
from domain.events.names import OdinNames, PsaNames
from domain.money import Money
from services.psa_writer.as_read import AsRead
from services.psa_writer.check_brake import Held
from services.psa_writer.decide_post import Plan
from services.psa_writer.intents import Intent
from services.psa_writer.prorate import prorate
from services.psa_writer.psa.port import PsaProduct

_NAMES = tuple(f.name for f in (*fields(OdinNames), *fields(PsaNames)))


def posted(
    wish: AdjustmentRequested,
    intent: Intent,
    unit_cost_after: Money | None,
    unit_price_after: Money | None,
    proof: str,
    *,
    completes: bool,
) -> AdjustmentPosted:
    """The PSA took the intent's adjustment, and reading back agreed."""
    return AdjustmentPosted(
        **_names(wish),
        request_id=wish.request_id,
        operation_id=intent.operation_id,
        effective_date=intent.effective_date,
        unit_change=intent.unit_change,
        units_before=intent.units_before,
        units_after=intent.units_after,
        unit_cost_before=intent.money(intent.unit_cost_before),
        unit_cost_after=unit_cost_after,
        unit_price_before=intent.money(intent.unit_price_before),
        unit_price_after=unit_price_after,
        prorated_cost=intent.money(intent.prorated_cost),
        prorated_price=intent.money(intent.prorated_price),
        proof=proof,
        attempt=intent.attempt,
        completes_request=completes,
    )


def failed(
    wish: AdjustmentRequested, kind: str, message: str, fix: str, attempt: int, next_try_at: datetime | None
) -> AdjustmentFailed:
    """The adjustment did not go out and is tried again by itself."""
    return AdjustmentFailed(
        **_names(wish),
        request_id=wish.request_id,
        kind=kind,
        message=message,
        fix=fix,
        attempt=attempt,
        target_units=wish.target_units,
        next_try_at=next_try_at,
    )


def parked(wish: AdjustmentRequested, kind: str, message: str, fix: str, attempt: int) -> AdjustmentParked:
    """The adjustment waits for a person."""
    return AdjustmentParked(
        **_names(wish),
        request_id=wish.request_id,
        kind=kind,
        message=message,
        fix=fix,
        attempt=attempt,
        target_units=wish.target_units,
    )


def let_go(
    wish: AdjustmentRequested, kind: str | None, message: str | None, *, released: bool
) -> AdjustmentReleased | AdjustmentRetried:
    """A person released the adjustment, or had it tried again; kind and message: what stood in the way."""
    event = AdjustmentReleased if released else AdjustmentRetried
    return event(**_names(wish), request_id=wish.request_id, target_units=wish.target_units, kind=kind, message=message)


def found_equal(wish: AdjustmentRequested, units: int, on_date: date) -> UnitsFoundEqual:
    """Nothing had to be posted."""
    return UnitsFoundEqual(**_names(wish), request_id=wish.request_id, units=units, on_date=on_date)


def held(
    wish: AdjustmentRequested,
    why: Held,
    plan: Plan,
    product: PsaProduct,
    as_read: AsRead,
    evidence: Iterable[Evidence],
) -> AdjustmentHeld:
    """The brake holds what was planned."""
    return AdjustmentHeld(
        **_names(wish),
        request_id=wish.request_id,
        rule=why.rule,
        message=why.message,
        severity=why.severity,
        target_units=wish.target_units,
        units_before=plan.units_now,
        changes=_changes(plan, product, as_read),
        price_per_month=_price_per_month(plan, product),
        evidence=tuple(evidence),
        people_needed=why.people_needed,
    )


def shadowed(wish: AdjustmentRequested, plan: Plan, product: PsaProduct, as_read: AsRead) -> AdjustmentShadowed:
    """What would have been posted but for the mode."""
    return AdjustmentShadowed(
        **_names(wish),
        request_id=wish.request_id,
        target_units=wish.target_units,
        units_before=plan.units_now,
        changes=_changes(plan, product, as_read),
        price_per_month=_price_per_month(plan, product),
    )


def approved(
    wish: AdjustmentRequested, units_before: int, effective: str, nth: int, people_needed: int, comment: str
) -> AdjustmentApproved:
    """A person approved what was held."""
    return AdjustmentApproved(
        **_names(wish),
        request_id=wish.request_id,
        target_units=wish.target_units,
        units_before=units_before,
        effective=effective,
        nth=nth,
        people_needed=people_needed,
        comment=comment,
    )


def refused(wish: AdjustmentRequested, reason: str) -> AdjustmentRefused:
    """A person refused what was held."""
    return AdjustmentRefused(**_names(wish), request_id=wish.request_id, target_units=wish.target_units, reason=reason)


def moved(wish: AdjustmentRequested) -> AdjustmentMoved:
    """A person moved the adjustment to the next billing period."""
    return AdjustmentMoved(**_names(wish), request_id=wish.request_id, target_units=wish.target_units)


def dropped(wish: AdjustmentRequested, reason: str) -> AdjustmentDropped:
    """A person gave the adjustment up."""
    return AdjustmentDropped(**_names(wish), request_id=wish.request_id, target_units=wish.target_units, reason=reason)


def _changes(plan: Plan, product: PsaProduct, as_read: AsRead) -> tuple[PlannedChange, ...]:
    found = []
    for change in plan.changes:
        proration = prorate(
            as_read.period(change.effective_date),
            change.effective_date,
            change.units_before,
            change.units_after,
            product.unit_cost,
            change.unit_cost or product.unit_cost,
            product.unit_price,
            change.unit_price or product.unit_price,
        )
        found.append(
            PlannedChange(
                effective_date=change.effective_date, unit_change=change.unit_change, prorated_price=proration.price
            )
        )
    return tuple(found)


def _price_per_month(plan: Plan, product: PsaProduct) -> Money | None:
    """The plan's unit changes at the product's price, for a month, to four places."""
    if product.unit_price is None:
        return None
    units = sum(change.unit_change for change in plan.changes)
    return product.unit_price.times(Decimal(units) / product.period_type.months).rounded(4)


def _names(wish: AdjustmentRequested) -> dict[str, Any]:
    return {name: getattr(wish, name) for name in _NAMES}
