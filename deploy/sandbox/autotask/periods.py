"""(contract start and end, period type) -> its billing periods, as the sandbox counts them.

Written apart from Trueup's own `domain/periods.py` on purpose: two counts that agree check each other.
"""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

ONE_DAY = timedelta(days=1)


class PeriodType(StrEnum):
    """How long a billing period is; the letter is Autotask's picklist value in SOAP."""

    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    SEMI_ANNUAL = "semi-annual"
    YEARLY = "yearly"

    @property
    def months(self) -> int:
        """Months in one period."""
        return {"m": 1, "q": 3, "s": 6, "y": 12}[self.letter]

    @property
    def letter(self) -> str:
        """The picklist value: m, q, s or y."""
        return self.value[0]

    @classmethod
    def _missing_(cls, value: object) -> "PeriodType | None":
        """A picklist letter, or half_yearly as Trueup calls it, means the same type."""
        return next(
            (each for each in cls if value in {each.letter, each.name.lower()} or (value, each) == _HALF_YEARLY), None
        )


_HALF_YEARLY = ("half_yearly", PeriodType.SEMI_ANNUAL)


@dataclass(frozen=True, slots=True)
class Period:
    """One billing period, both days included."""

    start: date
    end: date

    @property
    def days(self) -> int:
        """Days in the period."""
        return (self.end - self.start).days + 1


def months_later(day: date, months: int) -> date:
    """The same day so many months on; a day the month lacks becomes its last one."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def billing_periods(start: date, end: date, period_type: PeriodType) -> list[Period]:
    """All periods of a contract, each counted from its start so that clipped month ends do not creep; the last one is cut."""
    periods: list[Period] = []
    first = start
    while first <= end:
        following = months_later(start, (len(periods) + 1) * period_type.months)
        periods.append(Period(first, min(following - ONE_DAY, end)))
        first = following
    return periods
