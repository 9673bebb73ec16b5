"""The units rows of one product, as the PSA showed them -> its units on any day, its billing periods, and which are invoiced."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from domain.money import Money
from domain.periods import Period, PeriodType, next_period, period_at
from services.psa_writer.psa.port import UnitsRow
from services.psa_writer.psa.units_on import MidPeriodRows, units_on

#: What is known of a connection: how its PSA stores a change inside a period, or that no adjustment has shown it yet.
Calibration = Literal["total", "change", "unknown"]
BOTH: tuple[MidPeriodRows, MidPeriodRows] = ("total", "change")
ONE_DAY = timedelta(days=1)


def readings(calibration: Calibration) -> tuple[MidPeriodRows, ...]:
    """The ways in which rows may be read: one when the connection is calibrated, else both."""
    return BOTH if calibration == "unknown" else (calibration,)


def units_if_clear(rows: Iterable[UnitsRow], day: date, calibration: Calibration) -> int | None:
    """The units on a day; None when the connection is not calibrated and the rows can be read in two ways."""
    found = {units_on(rows, day, reading) for reading in readings(calibration)}
    return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, kw_only=True)
class AsRead:
    """One product as the PSA showed it a moment ago. start_date and end_date are its agreement's; both belong to it.
    rows: all that reach to read_since or later and begin by read_until. taken_dates: days from which we have posted a
    change of this product already, or may have."""

    start_date: date
    end_date: date
    period_type: PeriodType
    rows: tuple[UnitsRow, ...]
    read_since: date
    read_until: date
    calibration: Calibration
    unit_cost: Money | None
    unit_price: Money | None
    taken_dates: frozenset[date] = frozenset()

    def units(self, day: date) -> int | None:
        """The units on a day, None when they cannot be told (see units_if_clear)."""
        return units_if_clear(self.rows, day, self.calibration)

    def period(self, day: date) -> Period:
        """The billing period that holds the day; OutsideContract when the agreement does not run then."""
        return period_at(self.start_date, self.period_type, day, self.end_date)

    def period_after(self, day: date) -> Period | None:
        """The billing period after the one that holds the day; None when the agreement ends before it."""
        return next_period(self.start_date, self.period_type, day, self.end_date)

    def is_posted(self, period: Period) -> bool:
        """Whether the PSA has invoiced the period or a part of it."""
        return any(row.posted for row in self.rows if row.first_day in period)

    def first_free_day(self, day: date, until: date) -> date | None:
        """The first day from the given one on from which we have not posted a change yet; None when there is none."""
        while day in self.taken_dates:
            day += ONE_DAY
        return day if day <= until else None

    def turning_days(self, first: date, last: date) -> list[date]:
        """The first of the days and those up to the last one on which units may change."""
        return sorted({first, *(row.first_day for row in self.rows if first < row.first_day <= last)})
