"""(a request, what became of it) -> the event that tells it, with the names of the request."""

from dataclasses import fields
from datetime import date, datetime
from typing import Any

from domain.events import (
    AdjustmentFailed,
    AdjustmentParked,
    AdjustmentPosted,
    AdjustmentReleased,
    AdjustmentRequested,
    AdjustmentRetried,
    UnitsFoundEqual,
)
from domain.events.names import OdinNames, PsaNames
from domain.money import Money
from services.psa_writer.intents import Intent

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


def _names(wish: AdjustmentRequested) -> dict[str, Any]:
    return {name: getattr(wish, name) for name in _NAMES}
