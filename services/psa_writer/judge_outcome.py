"""(rows before a post, what was sent, rows now) -> whether it was applied, was not, or someone else edited meanwhile.

A PSA whose adjustments can neither be read nor be given a key leaves only their effect to look at. The units of every day
that was read are compared: before the post, with the sent changes added, and now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from domain.money import Money
from services.psa_writer.as_read import ONE_DAY, Calibration, readings
from services.psa_writer.decide_post import same_money
from services.psa_writer.psa.port import UnitsRow
from services.psa_writer.psa.units_on import MidPeriodRows, units_on


class Verdict(StrEnum):
    """What the rows tell. DOUBLED: as if it had been applied twice. MISDATED: applied, but from another day."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    EDITED = "edited"
    DOUBLED = "doubled"
    MISDATED = "misdated"


@dataclass(frozen=True)
class Sent:
    """What was sent for one product: {effective date: unit change}, and the new unit cost and price if there were any."""

    changes: dict[date, int]
    unit_cost: Money | None
    unit_price: Money | None = None


@dataclass(frozen=True)
class Evidence:
    """One product as it was read before the post or after it. since, until: the days that were read."""

    rows: tuple[UnitsRow, ...]
    unit_cost: Money | None
    unit_price: Money | None = None


@dataclass(frozen=True)
class Judgement:
    """The verdict, what the connection was found to store in rows that begin inside a period, and what was seen."""

    verdict: Verdict
    calibration: Calibration
    seen: str


def judge_outcome(
    before: Evidence, sent: Sent, after: Evidence, since: date, until: date, calibration: Calibration, *, replied: bool
) -> Judgement:
    """The judgement from rows read from `since` to `until` both times. replied: the PSA said that it took the post; a cost
    or price that it then does not show was not taken, while without a reply that means that nothing was applied."""
    days = _days(before, after, sent, since, until)
    fitting = [reading for reading in readings(calibration) if _fits(before, sent.changes, after, days, reading)]
    now = _seen(after, sent)
    if _untouched(before, after) and not (replied and not any(sent.changes.values())):
        return Judgement(Verdict.NOT_APPLIED, calibration, now)
    if fitting and _money_fits(sent, after, replied=replied):
        learned = fitting[0] if len(fitting) == 1 else _learned(before, sent, after, calibration)
        return Judgement(Verdict.APPLIED, learned, now)
    return Judgement(_contradiction(before, sent, after, days, calibration), calibration, now)


def _learned(before: Evidence, sent: Sent, after: Evidence, calibration: Calibration) -> Calibration:
    """Where rows leave no doubt either way: a row that cuts an older one and holds all units shows totals."""
    for day, step in sent.changes.items():
        cuts = any(row.first_day < day <= row.last_day for row in before.rows)
        begun_before = any(row.first_day == day for row in before.rows)
        units = units_on(after.rows, day, "total")
        if cuts and not begun_before and step and units != step:
            return "total"
    return calibration


def _days(before: Evidence, after: Evidence, sent: Sent, since: date, until: date) -> list[date]:
    """The days on which units may turn, and the eves of the effective dates: days before them must stay as they were."""
    turns = {row.first_day for row in (*before.rows, *after.rows)}
    dates = {day for effective in sent.changes for day in (effective - ONE_DAY, effective, effective + ONE_DAY)}
    return sorted(day for day in {*turns, *dates, until} if since <= day <= until)


def _fits(
    before: Evidence, changes: dict[date, int], after: Evidence, days: Sequence[date], reading: MidPeriodRows
) -> bool:
    return all(
        units_on(after.rows, day, reading)
        == units_on(before.rows, day, reading) + sum(step for of, step in changes.items() if of <= day)
        for day in days
    )


def _untouched(before: Evidence, after: Evidence) -> bool:
    """Whether the rows are those of before, one by one; that a row was invoiced meanwhile changes no units."""
    return (
        _keys(before.rows) == _keys(after.rows)
        and same_money(before.unit_cost, after.unit_cost)
        and same_money(before.unit_price, after.unit_price)
    )


def _keys(rows: Sequence[UnitsRow]) -> list[tuple[str, date, date, int]]:
    return sorted((row.row_id, row.first_day, row.last_day, row.units) for row in rows)


def _money_fits(sent: Sent, after: Evidence, *, replied: bool) -> bool:
    if any(sent.changes.values()) or replied:
        return True
    pairs = ((sent.unit_cost, after.unit_cost), (sent.unit_price, after.unit_price))
    return all(same_money(wished, found) for wished, found in pairs if wished is not None)


def _contradiction(
    before: Evidence, sent: Sent, after: Evidence, days: Sequence[date], calibration: Calibration
) -> Verdict:
    twice = {day: 2 * step for day, step in sent.changes.items()}
    for reading in readings(calibration):
        if _fits(before, twice, after, days, reading) and any(sent.changes.values()):
            return Verdict.DOUBLED
        for shift in (-ONE_DAY, ONE_DAY):
            moved = {day + shift: step for day, step in sent.changes.items()}
            if _fits(before, moved, after, days, reading) and any(sent.changes.values()):
                return Verdict.MISDATED
    return Verdict.EDITED


def _seen(after: Evidence, sent: Sent) -> str:
    rows = ", ".join(f"{row.first_day}..{row.last_day}: {row.units} (row {row.row_id})" for row in sorted(after.rows))
    cost = f"; unit cost {after.unit_cost.amount} {after.unit_cost.currency}" if after.unit_cost else ""
    price = f"; unit price {after.unit_price.amount} {after.unit_price.currency}" if after.unit_price else ""
    return f"units read back: {rows or 'no rows'}{cost if sent.unit_cost else ''}{price if sent.unit_price else ''}"
