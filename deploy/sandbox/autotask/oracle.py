"""(records of one database) -> what is wrong: two adjustments on one date, units below zero, rows or prorations that do not add up.

The days of each line are counted again from its beginning and the ledger, one by one, without the engine's rows and splits.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from deploy.sandbox.autotask.engine import Engine
from deploy.sandbox.autotask.periods import ONE_DAY, Period
from deploy.sandbox.autotask.records import Adjustment, Contract, Line

TOLERANCE = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Violation:
    """kind: same_date (inside a period), same_date_at_period_start, below_zero, units_off, row_total_off or proration_off."""

    kind: str
    line_id: int
    day: date
    told: str


@dataclass
class _Day:
    period: Period
    units: int
    cost: Decimal
    price: Decimal


def violations(engine: Engine) -> list[Violation]:
    """Everything that is wrong; an empty list when nothing is. Adjustments that were undone do not count."""
    lines = (line for contract in engine.books.all(Contract) for line in engine.books.children(Line, contract.id))
    return [violation for line in lines for violation in _line_violations(engine, line)]


def _line_violations(engine: Engine, line: Line) -> list[Violation]:
    ledger = [each for each in engine.books.children(Adjustment, line.id) if not each.undone]
    days = _days(engine, line)
    found = _same_date(line, ledger, {day.period.start for day in days.values()})
    for adjustment in ledger:
        found += _replay(adjustment, days)
    below = [day for day, state in days.items() if state.units < 0]
    found += [Violation("below_zero", line.id, day, f"{days[day].units} units") for day in below]
    return found + _rows(engine, line, days)


def _same_date(line: Line, ledger: list[Adjustment], period_starts: set[date]) -> list[Violation]:
    """Edits by hand are not counted: a person may do twice what a program must not."""
    dates = Counter(each.effective_date for each in ledger if not each.by_hand)
    return [
        Violation(
            "same_date_at_period_start" if day in period_starts else "same_date", line.id, day, f"{count} adjustments"
        )
        for day, count in dates.items()
        if count > 1
    ]


def _days(engine: Engine, line: Line) -> dict[date, _Day]:
    days: dict[date, _Day] = {}
    for period in engine.periods(line):
        for number in range(period.days):
            day = period.start + number * ONE_DAY
            if day >= line.first_day:
                days[day] = _Day(period, line.first_units, line.first_cost, line.first_price)
    return days


def _replay(adjustment: Adjustment, days: dict[date, _Day]) -> list[Violation]:
    """Apply it to the days from its date on, and compare its proration with what that changes in its own period."""
    cost = price = Decimal(0)
    period = days[adjustment.effective_date].period
    for day, state in days.items():
        if day < adjustment.effective_date:
            continue
        old_cost, old_price = state.units * state.cost, state.units * state.price
        state.units += adjustment.unit_change
        state.cost = state.cost if adjustment.unit_cost is None else adjustment.unit_cost
        state.price = state.price if adjustment.unit_price is None else adjustment.unit_price
        if state.period == period:
            cost += state.units * state.cost - old_cost
            price += state.units * state.price - old_price
    off = max(
        abs(cost / period.days - adjustment.proration_cost),
        abs(price / period.days - adjustment.proration_price),
    )
    if off <= TOLERANCE:
        return []
    told = f"adjustment {adjustment.id} is off by {off:.4f}"
    return [Violation("proration_off", adjustment.line_id, adjustment.effective_date, told)]


def _rows(engine: Engine, line: Line, days: dict[date, _Day]) -> list[Violation]:
    found = []
    covered: Counter[date] = Counter()
    for row in engine.rows(line.id):
        inside = [row.start + number * ONE_DAY for number in range(row.days)]
        covered.update(inside)
        if any(day not in days or days[day].units != row.units for day in inside):
            found.append(Violation("units_off", line.id, row.start, f"row {row.id} has {row.units} units"))
            continue
        cost = sum((days[day].units * days[day].cost for day in inside), Decimal(0)) / row.period_days
        if abs(cost - row.cost) > TOLERANCE:
            found.append(
                Violation("row_total_off", line.id, row.start, f"row {row.id} costs {row.cost}, its days {cost:.4f}")
            )
    if any(covered[day] != 1 for day in days):
        found.append(Violation("units_off", line.id, line.first_day, "a day has no row, or two"))
    return found
