"""What may be asked of a report: columns, filter, order, where to begin; refused in words when it makes no sense.

Pages are walked by key, never by number: a cursor holds the values that its row is ordered by, so rows that come or go
while a person turns pages are neither shown twice nor make others be missed.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.reporting.reports.columns import Kind, Order, Report

MOST_ROWS = 100
MOST_ORDER_KEYS = 3
# Which questions a column of each kind takes.
QUESTIONS: dict[Kind, tuple[str, ...]] = {
    Kind.ID: ("in", "not_in", "contains", "is_empty"),
    Kind.TEXT: ("in", "not_in", "contains", "is_empty"),
    Kind.NUMBER: ("in", "gte", "lte", "is_empty"),
    Kind.WHOLE: ("in", "gte", "lte", "is_empty"),
    Kind.POSITION: ("in", "gte", "lte", "is_empty"),
    Kind.MONEY: ("in", "gte", "lte", "is_empty"),
    Kind.DATE: ("from", "to", "is_empty"),
    Kind.MOMENT: ("from", "to", "is_empty"),
    Kind.DAY: ("from", "to", "is_empty"),
    Kind.FLAG: ("in", "is_empty"),
}


class BadQuestion(ValueError):
    """The report cannot be asked this; the message says what it can be asked."""


class NoSuchSide(BadQuestion):
    """The report is not at hand as of this position (any more): have its side made, then ask again."""


@dataclass(frozen=True)
class Question:
    """What to read of a report. filter: column -> question -> value, all of which must hold. first/after reads forward,
    last/before backward. columns: which to read (none: all). wanted: which of total_count, totals and as_of to work out.
    at: the past position to read as of, of which there must be a side; None: as it is now."""

    filter: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    order: Sequence[Order] = ()
    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
    columns: Sequence[str] = ()
    wanted: frozenset[str] = frozenset({"total_count", "totals", "as_of"})
    at: int | None = None


def check(report: Report, question: Question) -> None:
    """BadQuestion when the report cannot be asked this; found without the database, so before a side is made for it."""
    direction(question)
    order = whole_order(report, question.order)
    for cursor in filter(None, (question.after, question.before)):
        cursor_values(cursor, order)
    questions(report, question.filter)
    known_columns(report, question.columns)


def direction(question: Question) -> tuple[int, str | None, bool]:
    """How many rows, from which cursor, and whether backward. BadQuestion."""
    forward = question.first is not None or question.after is not None
    backward = question.last is not None or question.before is not None
    if forward and backward:
        raise BadQuestion("read forward with first and after, or backward with last and before, not both")
    how_many = question.last if backward else question.first
    how_many = 50 if how_many is None else how_many
    if not 1 <= how_many <= MOST_ROWS:
        raise BadQuestion(f"a page has 1 to {MOST_ROWS} rows, not {how_many}")
    return how_many, question.before if backward else question.after, backward


def whole_order(report: Report, asked: Sequence[Order]) -> tuple[Order, ...]:
    """The keys, ended by the identity so that no two rows stand equal."""
    if len(asked) > MOST_ORDER_KEYS:
        raise BadQuestion(f"order by at most {MOST_ORDER_KEYS} columns")
    keys: dict[str, Order] = {}
    for key in asked or report.order:
        if key.name not in report.columns:
            raise BadQuestion(f"{report.name} has no column {key.name!r} to order by")
        keys.setdefault(key.name, key)
    keys.setdefault(report.identity, Order(report.identity, next(iter(keys.values())).descending))
    return tuple(keys.values())


def questions(report: Report, given: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, Any]]:
    """(column, word, value) of each question of the filter, by name: the same filter makes the same statement. BadQuestion."""
    asked = []
    for name, questions in sorted(given.items()):
        if name not in report.columns:
            raise BadQuestion(f"{report.name} has no column {name!r} to filter")
        for word, value in sorted(questions.items()):
            if word not in QUESTIONS[report.columns[name].kind]:
                raise BadQuestion(f"{name} cannot be filtered by {word!r}")
            if value is not None:
                asked.append((name, word, value))
    return asked


def known_columns(report: Report, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns asked for, in the report's order; none asked: all. BadQuestion."""
    unknown = set(columns) - report.columns.keys()
    if unknown:
        raise BadQuestion(f"{report.name} has no columns {sorted(unknown)}")
    return tuple(name for name in report.columns if name in columns) if columns else tuple(report.columns)


def signature(order: Sequence[Order]) -> str:
    """The order in one text, such as -adjustment_date,position: a cursor is good for one order only."""
    return ",".join(f"{'-' if key.descending else ''}{key.name}" for key in order)


def cursor_of(signature: str, values: Sequence[str | None]) -> str:
    """The cursor of a row with these values of the keys."""
    return base64.urlsafe_b64encode(orjson.dumps([signature, *values])).decode().rstrip("=")


def cursor_values(cursor: str, order: Sequence[Order]) -> list[str | None]:
    """What cursor_of was given. BadQuestion when the cursor is damaged or of another order."""
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        parts = None
    if not isinstance(parts, list) or parts[:1] != [signature(order)] or len(parts) != len(order) + 1:
        raise BadQuestion("the cursor is not of this report in this order: begin again without one")
    if not all(part is None or isinstance(part, str) for part in parts):
        raise BadQuestion("the cursor is damaged: begin again without one")
    return parts[1:]
