"""A PSA product -> the line as the PSA shows it, with the prorated transactions that came from here."""

from dataclasses import dataclass
from datetime import date, datetime

from domain.events import AdjustmentPosted, PsaProductObserved, PsaRecordGone
from domain.events.names import PsaNames
from domain.keys import PsaProductKey
from domain.money import Money
from services.reporting.lineage.streams import Log, product_stream, units_in


@dataclass(frozen=True)
class ProratedTransaction:
    """One adjustment that we posted. prorated_cost and prorated_price are our own reckoning for the rest of that billing
    period; None: not known."""

    posted_at: datetime
    unit_change: int
    units_before: int
    units_after: int
    effective_date: date
    prorated_cost: Money | None
    prorated_price: Money | None
    operation_id: str
    event_id: str
    position: int


@dataclass(frozen=True)
class PsaLine:
    """One line as it was last read. Cost and price are per unit and billing period (period_type); units None: never read, or
    the line is gone. transactions: the newest first, as many as were asked for."""

    names: PsaNames
    vendor: str | None
    period_type: str
    unit_cost: Money | None
    unit_price: Money | None
    units: int | None
    units_read_at: datetime | None
    active: bool
    gone: bool
    read_at: datetime
    transactions: tuple[ProratedTransaction, ...]


def psa_line(log: Log, product: PsaProductKey, first: int) -> PsaLine | None:
    """The line; None when the PSA never showed it. first: 1 to 100 transactions."""
    stream = product_stream(product)
    read = log.latest([stream], (PsaProductObserved.type,)).get(stream)
    if read is None:
        return None
    event = read.event
    assert isinstance(event, PsaProductObserved)  # noqa: S101 the query asks for nothing else
    gone = log.latest([stream], (PsaProductObserved.type, PsaRecordGone.type))[stream].position > read.position
    counted = None if gone else log.units_read(product)
    return PsaLine(
        names=PsaNames(**{name: getattr(event, name) for name in PsaNames.__dataclass_fields__}),
        vendor=event.vendor,
        period_type=event.period_type,
        unit_cost=event.unit_cost,
        unit_price=event.unit_price,
        units=units_in(counted),
        units_read_at=counted.occurred_at if counted else None,
        active=event.active,
        gone=gone,
        read_at=read.occurred_at,
        transactions=_transactions(log, product, first),
    )


def _transactions(log: Log, product: PsaProductKey, first: int) -> tuple[ProratedTransaction, ...]:
    return tuple(
        ProratedTransaction(
            posted_at=each.occurred_at,
            unit_change=each.event.unit_change,
            units_before=each.event.units_before,
            units_after=each.event.units_after,
            effective_date=each.event.effective_date,
            prorated_cost=each.event.prorated_cost,
            prorated_price=each.event.prorated_price,
            operation_id=each.event.operation_id,
            event_id=each.event_id,
            position=each.position,
        )
        for each in log.of_product(product, (AdjustmentPosted.type,), first)
        if isinstance(each.event, AdjustmentPosted)
    )
