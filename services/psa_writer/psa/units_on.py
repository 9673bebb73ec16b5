"""(units rows of a product, a day) -> the units it has on that day, however the PSA stores a change inside a period."""

from collections.abc import Iterable
from datetime import date
from typing import Literal

from services.psa_writer.psa.port import UnitsRow

#: What the units of a row that begins inside a billing period are: all units from that day on, or only the change.
MidPeriodRows = Literal["total", "change"]


def units_on(rows: Iterable[UnitsRow], day: date, mid_period_rows: MidPeriodRows) -> int:
    """The units of one product on a day; 0 before its first row. Rows are taken as stored.

    A day behind all rows has the units of the last ones: Autotask makes the rows of later periods when it bills them, and
    until then the units carry on. A row may end on the day on which the next begins; the later one counts.
    """
    begun = [row for row in rows if row.first_day <= day]
    if not begun:
        return 0
    if mid_period_rows == "total":
        return max(begun, key=lambda row: (row.first_day, _made(row))).units
    return _sum_of_period(begun, day)


def _sum_of_period(begun: list[UnitsRow], day: date) -> int:
    """The units of the latest period's own row and of the changes inside it that reach to the day."""
    period, *others = sorted(begun, key=lambda row: (row.first_day, -row.last_day.toordinal(), _made(row)))
    changes: list[UnitsRow] = []
    for row in others:
        if row.last_day <= period.last_day:
            changes.append(row)
        else:
            period, changes = row, []
    reach = min(day, period.last_day)
    return period.units + sum(row.units for row in changes if row.last_day >= reach)


def _made(row: UnitsRow) -> tuple[int, str]:
    """Orders rows as they were made: ids are numbers in text."""
    return len(row.row_id), row.row_id
