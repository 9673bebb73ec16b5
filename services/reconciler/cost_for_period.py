"""(a unit cost, the months ODIN bills it for, the months of the PSA's period) -> the unit cost for one PSA period."""

import re

from domain.money import Money
from domain.periods import PeriodType

_MONTHS = {"month": 1, "year": 12}
_PERIOD = re.compile(r"\s*(\d{1,3})\s+(month|year)s?\s*", re.ASCII)


def billing_months(billing_period: str | None) -> int | None:
    """Months in an ODIN billing period such as "1 month" or "3 years"; None when it is not counted in whole months."""
    found = _PERIOD.fullmatch(billing_period or "")
    return int(found[1]) * _MONTHS[found[2]] or None if found else None


def period_months(period_type: str) -> int | None:
    """Months in a PSA period type; None for one that is not known here."""
    try:
        return PeriodType(period_type).months
    except ValueError:
        return None


def cost_for_period(unit_cost: Money, billed_months: int, months: int) -> Money:
    """The cost (or price) of a unit for a PSA period of so many months, to four decimal places as Autotask keeps them: 34.00
    a year is 2.8333 a month."""
    return Money(unit_cost.amount * months / billed_months, unit_cost.currency).rounded(4)
