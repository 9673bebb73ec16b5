"""What is not known about the real Autotask -> one switch each, so that a client can be tried against every answer.

Where the facts leave it open, the default is the answer under which a client's mistake shows: the second of two adjustments on one
date is applied, a posted period takes changes, `update` leaves the unit cost. The rest follows what live integrations report.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

MidPeriodRow = Literal["total", "change"]
RowEnd = Literal["day_before", "effective_date"]
FutureRows = Literal["made_ahead", "made_late"]
SameDate = Literal["accepted", "duplicate_mid_period", "duplicate"]
PostedPeriod = Literal["accepted", "refused", "moved"]
BelowZero = Literal["refused", "clamped"]
UnitCostUpdate = Literal["ignored", "applied"]
SoapDates = Literal["date", "eastern", "day_early"]
ReplyId = Literal["real", "null"]
RefusalStatus = Literal[500, 429]


@dataclass
class Switches:
    """The answers of one database; every one may be changed while it runs.

    mid_period_row: units of a row that begins inside a period are the new total, or the change only (a day sums its rows).
    row_end: a row cut by an adjustment ends the day before the effective date, or on it.
    future_rows: rows of later periods are there from the start, or only when the period begins or an adjustment is dated into it.
    same_date: a second adjustment of a line on one date is accepted, refused as a duplicate inside a period, or on any date.
    posted_period: a date in an approved and posted period is accepted, refused, or moved to the next unposted period's first day.
    below_zero: a change that would leave negative units is refused, or cut down to zero.
    unit_cost_update: update(ContractService) ignores UnitCost silently, or applies it.
    soap_dates: a dateTime means its own date; or is Eastern time, so that an offset may move the day; or lands a day early.
    contract_notes: each adjustment leaves a ContractNote.
    reply_id: create answers an adjustment's real id, or 0.
    newer_fields: replies carry fields that the public 2019 description lacks, at the end of Account and BillingItem.
    refusal_status: the HTTP status of a refused thread or of a used-up hour (always with a fault text).
    """

    mid_period_row: MidPeriodRow = "total"
    row_end: RowEnd = "day_before"
    future_rows: FutureRows = "made_ahead"
    same_date: SameDate = "accepted"
    posted_period: PostedPeriod = "accepted"
    below_zero: BelowZero = "refused"
    unit_cost_update: UnitCostUpdate = "ignored"
    soap_dates: SoapDates = "date"
    contract_notes: bool = True
    reply_id: ReplyId = "real"
    newer_fields: bool = False
    refusal_status: RefusalStatus = 500

    def set(self, **values: Any) -> None:
        """Change several; an unknown name or value raises ValueError that tells the possible ones."""
        known = choices()
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"there is no switch {name!r}; there are {', '.join(known)}")
            if value not in known[name] or isinstance(value, bool) != isinstance(known[name][0], bool):
                raise ValueError(f"switch {name} may be {' or '.join(map(repr, known[name]))}, not {value!r}")
        for name, value in values.items():
            setattr(self, name, value)


def choices() -> dict[str, tuple[Any, ...]]:
    """Each switch and its possible values, the default one first."""
    hints = get_type_hints(Switches)
    every = {field.name: get_args(hints[field.name]) or (True, False) for field in fields(Switches)}
    return {
        name: tuple(sorted(values, key=lambda value: value != getattr(Switches, name)))
        for name, values in every.items()
    }
