"""(a change, the billing period it falls into) -> what it costs and bills for the rest of that period, to four places."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.money import Money
from domain.periods import Period


@dataclass(frozen=True)
class Proration:
    """Money for the days from the effective date to the period's end, to four places; None where the unit value is not
    known. For show: rounded() to cents."""

    cost: Money | None
    price: Money | None


def prorate(
    period: Period,
    effective_date: date,
    units_before: int,
    units_after: int,
    unit_cost_before: Money | None,
    unit_cost_after: Money | None,
    unit_price_before: Money | None,
    unit_price_after: Money | None,
) -> Proration:
    """What the change comes to: change x unit value x remaining days / days of the period, both ends counted (the PSA's own
    formula is not published; this one agrees with a clone's). A new cost or price counts for all units from the date on."""
    share = period.share_from(effective_date)
    return Proration(
        _prorated(share, units_before, units_after, unit_cost_before, unit_cost_after),
        _prorated(share, units_before, units_after, unit_price_before, unit_price_after),
    )


def _prorated(
    share: Decimal, units_before: int, units_after: int, value_before: Money | None, value_after: Money | None
) -> Money | None:
    if value_after is None:
        return None
    before = value_after if value_before is None else value_before
    return (value_after.times(Decimal(units_after)) - before.times(Decimal(units_before))).times(share).rounded(4)
