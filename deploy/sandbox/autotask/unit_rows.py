"""Stored unit rows -> their totals, and the rows as a client sees them under the switches."""

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from deploy.sandbox.autotask.periods import ONE_DAY
from deploy.sandbox.autotask.records import UnitRow
from deploy.sandbox.autotask.switches import Switches

FOUR_PLACES = Decimal("0.0001")


def exact_total(row: UnitRow, unit_amount: Decimal) -> Decimal:
    """What the row's units come to over its days at this amount a unit and period, unrounded."""
    return row.units * unit_amount * row.days / row.period_days


def to_four_places(amount: Decimal) -> Decimal:
    """The amount as Autotask stores it."""
    return amount.quantize(FOUR_PLACES, ROUND_HALF_UP)


def priced(row: UnitRow) -> UnitRow:
    """The row with its totals: units x unit amount x row days / period days, to 4 places."""
    return replace(
        row,
        cost=to_four_places(exact_total(row, row.unit_cost)),
        price=to_four_places(exact_total(row, row.unit_price)),
    )


def seen(rows: list[UnitRow], switches: Switches, today: date) -> list[UnitRow]:
    """A line's stored rows, by date, as a query shows them; a row with the change only has the change's units and totals."""
    shown = [row for row in rows if switches.future_rows == "made_ahead" or row.touched or row.period <= today]
    if switches.mid_period_row == "change":
        return _changes_only(shown)
    if switches.row_end == "effective_date":
        return [
            _ending_on_effective_date(row, following) for row, following in zip(shown, [*shown[1:], None], strict=True)
        ]
    return shown


def _ending_on_effective_date(row: UnitRow, following: UnitRow | None) -> UnitRow:
    if following is None or following.period != row.period:
        return row
    return replace(row, end=row.end + ONE_DAY)


def _changes_only(rows: list[UnitRow]) -> list[UnitRow]:
    """The first row of a period runs to its end; each later one adds its change to it."""
    ends = {row.period: row.end for row in rows}
    shown: list[UnitRow] = []
    for before, row in zip([None, *rows[:-1]], rows, strict=True):
        whole = replace(row, end=ends[row.period])
        if before is None or before.period != row.period:
            shown.append(priced(whole))
            continue
        replaced = replace(whole, units=before.units)
        shown.append(
            replace(
                whole,
                units=row.units - before.units,
                cost=to_four_places(exact_total(whole, row.unit_cost) - exact_total(replaced, before.unit_cost)),
                price=to_four_places(exact_total(whole, row.unit_price) - exact_total(replaced, before.unit_price)),
            )
        )
    return shown
