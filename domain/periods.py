"""(start of a contract, period type, day) -> the billing period that holds the day, with month ends clipped."""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum


class PeriodType(StrEnum):
    """How long a billing period is."""

    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    HALF_YEARLY = "half_yearly"
    YEARLY = "yearly"

    @property
    def months(self) -> int:
        """Months in one period."""
        return {"monthly": 1, "quarterly": 3, "half_yearly": 6, "yearly": 12}[self.value]


class OutsideContract(ValueError):
    """The day lies before the contract's start or after its end."""


@dataclass(frozen=True)
class Period:
    """One billing period; both days belong to it."""

    first_day: date
    last_day: date

    @property
    def days(self) -> int:
        """Days in the period, both ends counted."""
        return (self.last_day - self.first_day).days + 1

    def days_from(self, day: date) -> int:
        """Days from the given day to the end, both counted; 0 when the day lies behind the period."""
        return max((self.last_day - max(day, self.first_day)).days + 1, 0)

    def share_from(self, day: date) -> Decimal:
        """The part of the period that a change on that day is charged for, unrounded."""
        return Decimal(self.days_from(day)) / Decimal(self.days)

    def __contains__(self, day: date) -> bool:
        return self.first_day <= day <= self.last_day


def add_months(day: date, months: int) -> date:
    """The same day so many months on, clipped to the month's end (31 Jan + 1 = 28 or 29 Feb)."""
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def period_at(start: date, period_type: PeriodType, day: date, end: date | None = None) -> Period:
    """The billing period that holds the day. Periods count from the contract's start, so a start on the 31st is
    clipped in short months and back on the 31st in long ones; the contract's end cuts the last one.
    OutsideContract when the contract does not run on that day."""
    if day < start or (end is not None and day > end):
        raise OutsideContract(f"{day} is outside {start}..{end or ''}")
    number = ((day.year - start.year) * 12 + day.month - start.month) // period_type.months
    while add_months(start, number * period_type.months) > day:
        number -= 1
    return _numbered(start, period_type, number, end)


def next_period(start: date, period_type: PeriodType, day: date, end: date | None = None) -> Period | None:
    """The period after the one that holds the day; None when the contract ends before it."""
    following = period_at(start, period_type, day, end).last_day + timedelta(days=1)
    if end is not None and following > end:
        return None
    return period_at(start, period_type, following, end)


def periods(start: date, period_type: PeriodType, end: date) -> Iterator[Period]:
    """All billing periods of a contract, in order, the last one cut at its end."""
    number = 0
    while (period := _numbered(start, period_type, number, end)).first_day <= end:
        yield period
        number += 1


def _numbered(start: date, period_type: PeriodType, number: int, end: date | None) -> Period:
    first_day = add_months(start, number * period_type.months)
    last_day = add_months(start, (number + 1) * period_type.months) - timedelta(days=1)
    return Period(first_day, last_day if end is None else min(last_day, end))
