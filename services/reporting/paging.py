"""(a report, filter, order, where to begin) -> the page, its totals and how new it is, in one round trip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DataError

from services.reporting.question import (
    BadQuestion,
    NoSuchSide,
    Question,
    cursor_of,
    cursor_values,
    direction,
    known_columns,
    questions,
    signature,
    whole_order,
)
from services.reporting.reports.columns import Report
from services.reporting.sides import models_of
from services.reporting.statements import Shape, page_statement


@dataclass(frozen=True)
class Page:
    """Rows in the order asked for, each with its cursor. totals: of the whole filter, not of the page; sums of money are one
    a currency. position, recorded_at: how new the rows are."""

    rows: list[dict[str, Any]]
    cursors: list[str]
    has_next: bool
    has_previous: bool
    total_count: int | None
    totals: dict[str, Any] | None
    position: int | None
    recorded_at: Any


def read_page(connection: Connection, report: Report, msp_id: str, question: Question) -> Page:
    """One page of the report for the MSP, in one statement. BadQuestion, NoSuchSide."""
    how_many, given, backward = direction(question)
    order = whole_order(report, question.order)
    after = None if given is None else cursor_values(given, order)
    values: dict[str, Any] = {"msp_id": msp_id, "how_many": how_many + 1, "at": question.at}
    if after is not None:
        values |= {f"key_{n}": value for n, value in enumerate(after) if value is not None}
    asked = questions(report, question.filter)
    values |= {f"is_{n}": value for n, (_, _, value) in enumerate(asked)}
    shape = Shape(
        report.name,
        known_columns(report, question.columns),
        tuple((name, word) for name, word, _ in asked),
        order,
        backward,
        None if after is None else tuple(value is not None for value in after),
        question.wanted,
        question.at is not None,
    )
    statement, fixed = page_statement(shape)
    try:
        found = connection.exec_driver_sql(statement, fixed | values)
    except DataError as error:
        raise BadQuestion(
            f"a value in the filter or cursor cannot be read: {str(error.orig).splitlines()[0]}"
        ) from error
    # Not .mappings(): it takes longer to make dicts of its rows than PostgreSQL to find them.
    names = tuple(found.keys())
    rows = [dict(zip(names, row, strict=True)) for row in found]
    if shape.past and not {model.name for model in models_of(report)} <= set(rows[0]["sides"]):
        raise NoSuchSide(
            f"{report.name} is not at hand as of position {question.at}: ask for it to be made, then again"
        )
    return _page(report, shape, rows, how_many)


def _page(report: Report, shape: Shape, found: list[dict[str, Any]], how_many: int) -> Page:
    about = found[0]
    rows = [row for row in found if row["there"] is not None]
    more, rows = len(rows) > how_many, rows[:how_many]
    if shape.backward:
        rows.reverse()
    behind = bool(about.get("behind"))
    keys = signature(shape.order)
    return Page(
        _written(report, shape.columns, rows),
        [cursor_of(keys, [row[f"k_{n}"] for n in range(len(shape.order))]) for row in rows],
        behind if shape.backward else more,
        more if shape.backward else behind,
        about.get("total_count"),
        _totals(report, about) if "totals" in shape.wanted else None,
        about.get("position"),
        about.get("recorded_at"),
    )


def _written(report: Report, names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    money = {name for name in names if report.columns[name].currency is not None}
    keys = [(name, f"c_{name}", f"m_{name}" if name in money else "") for name in names]
    return [{name: _money(row[c], row[m]) if m else row[c] for name, c, m in keys} for row in found]


def _money(amount: Any, currency: str | None) -> dict[str, Any] | None:
    return None if amount is None or currency is None else {"amount": amount, "currency": currency}


def _totals(report: Report, about: Mapping[str, Any]) -> dict[str, Any]:
    totals: dict[str, Any] = {"rows": about["total_count"]}
    for name in report.summed:
        found = about[f"s_{name}"]
        if report.columns[name].currency is None:
            totals[name] = found
        else:
            totals[name] = [{"amount": found[code], "currency": code} for code in sorted(found or {})]
    return totals
