"""(a report, filter, order, where to begin) -> one SQL statement: the page, its totals and how new it is, in one round trip.

Pages are walked by key, never by number: a cursor holds the values that its row is ordered by, so rows that come or go
while a person turns pages are neither shown twice nor make others be missed. Nulls stand last in a rising order.

A statement is written once for each shape of question and then reused; only values change.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import orjson
from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Integer,
    Interval,
    Numeric,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.exc import DataError
from sqlalchemy.types import BigInteger, Date, TypeEngine

from services.reporting.reports import MSP, REPORTS, TIME_ZONE, Column, Kind, Order, Report, events, shown
from services.reporting.tables import positions

MOST_ROWS = 100
MOST_ORDER_KEYS = 3
# Which questions a column of each kind takes.
QUESTIONS: dict[Kind, tuple[str, ...]] = {
    Kind.ID: ("in", "contains", "is_empty"),
    Kind.TEXT: ("in", "contains", "is_empty"),
    Kind.NUMBER: ("in", "gte", "lte", "is_empty"),
    Kind.WHOLE: ("in", "gte", "lte", "is_empty"),
    Kind.POSITION: ("in", "gte", "lte", "is_empty"),
    Kind.MONEY: ("in", "gte", "lte", "is_empty"),
    Kind.DATE: ("from", "to", "is_empty"),
    Kind.MOMENT: ("from", "to", "is_empty"),
    Kind.DAY: ("from", "to", "is_empty"),
    Kind.FLAG: ("in", "is_empty"),
}
_TYPES: dict[Kind, TypeEngine[Any]] = {
    Kind.ID: Text(),
    Kind.TEXT: Text(),
    Kind.NUMBER: Numeric(),
    Kind.WHOLE: Integer(),
    Kind.POSITION: BigInteger(),
    Kind.MONEY: Numeric(),
    Kind.DATE: Date(),
    Kind.MOMENT: DateTime(timezone=True),
    Kind.DAY: DateTime(timezone=True),
    Kind.FLAG: Boolean(),
}


class BadQuestion(ValueError):
    """The report cannot be asked this; the message says what it can be asked."""


@dataclass(frozen=True)
class Question:
    """What to read of a report. filter: column -> question -> value, all of which must hold. first/after reads forward,
    last/before backward. columns: which to read (none: all). wanted: which of total_count, totals and as_of to work out."""

    filter: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    order: Sequence[Order] = ()
    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
    columns: Sequence[str] = ()
    wanted: frozenset[str] = frozenset({"total_count", "totals", "as_of"})


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


@dataclass(frozen=True)
class _Shape:
    report: str
    columns: tuple[str, ...]
    filter: tuple[tuple[str, str], ...]
    order: tuple[Order, ...]
    backward: bool
    cursor: tuple[bool, ...] | None
    wanted: frozenset[str]


def read_page(connection: Connection, report: Report, msp_id: str, question: Question) -> Page:
    """One page of the report for the MSP, in one statement. BadQuestion."""
    how_many, given, backward = _direction(question)
    order = _whole_order(report, question.order)
    after = None if given is None else _cursor_values(given, order)
    values: dict[str, Any] = {"msp_id": msp_id, "how_many": how_many + 1}
    if after is not None:
        values |= {f"key_{n}": value for n, value in enumerate(after) if value is not None}
    asked = _questions(report, question.filter)
    values |= {f"is_{n}": value for n, (_, _, value) in enumerate(asked)}
    shape = _Shape(
        report.name,
        _known(report, question.columns),
        tuple((name, word) for name, word, _ in asked),
        order,
        backward,
        None if after is None else tuple(value is not None for value in after),
        question.wanted,
    )
    statement, fixed = _statement(shape)
    try:
        found = connection.exec_driver_sql(statement, fixed | values).mappings().all()
    except DataError as error:
        raise BadQuestion(
            f"a value in the filter or cursor cannot be read: {str(error.orig).splitlines()[0]}"
        ) from error
    return _page(report, shape, [dict(row) for row in found], how_many)


def _direction(question: Question) -> tuple[int, str | None, bool]:
    forward = question.first is not None or question.after is not None
    backward = question.last is not None or question.before is not None
    if forward and backward:
        raise BadQuestion("read forward with first and after, or backward with last and before, not both")
    how_many = question.last if backward else question.first
    how_many = 50 if how_many is None else how_many
    if not 1 <= how_many <= MOST_ROWS:
        raise BadQuestion(f"a page has 1 to {MOST_ROWS} rows, not {how_many}")
    return how_many, question.before if backward else question.after, backward


def _whole_order(report: Report, asked: Sequence[Order]) -> tuple[Order, ...]:
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


def _questions(report: Report, given: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, Any]]:
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


def _known(report: Report, columns: Sequence[str]) -> tuple[str, ...]:
    unknown = set(columns) - report.columns.keys()
    if unknown:
        raise BadQuestion(f"{report.name} has no columns {sorted(unknown)}")
    return tuple(name for name in report.columns if name in columns) if columns else tuple(report.columns)


@lru_cache(maxsize=1024)
def _statement(shape: _Shape) -> tuple[str, dict[str, Any]]:
    report = REPORTS[shape.report]
    conditions = and_(
        report.condition, *(_holds(report.columns[name], word, n) for n, (name, word) in enumerate(shape.filter))
    )
    keys = [(_key(report.columns[order.name]), order.descending != shape.backward) for order in shape.order]
    beyond = true() if shape.cursor is None else _beyond(report, shape, keys)
    page = (
        select(
            *(shown(report.columns[name]).label(f"c_{name}") for name in shape.columns),
            *(
                column.currency.label(f"m_{name}")
                for name in shape.columns
                if (column := report.columns[name]).currency is not None
            ),
            *(key.label(f"o_{n}") for n, (key, _) in enumerate(keys)),
            literal_column("1").label("there"),
        )
        .select_from(report.source)
        .where(conditions, beyond)
        .order_by(*(k.desc() if falling else k.asc() for k, falling in keys))
        .limit(bindparam("how_many"))
    ).subquery("page")
    about = _about(report, shape, conditions, beyond).subquery("about")
    placed = [(page.c[f"o_{n}"], falling) for n, (_, falling) in enumerate(keys)]
    whole = (
        select(about, page, *(sql_cast(key, Text).label(f"k_{n}") for n, (key, _) in enumerate(placed)))
        .select_from(about.outerjoin(page, true()))
        .order_by(*(k.desc() if falling else k.asc() for k, falling in placed))
    )
    compiled = whole.compile(dialect=PGDialect_psycopg2())  # type: ignore[no-untyped-call]
    return str(compiled), dict(compiled.params)


def _about(report: Report, shape: _Shape, conditions: ColumnElement[bool], beyond: ColumnElement[bool]) -> Select[Any]:
    """One row: what is true of the filter as a whole, and whether rows stand before the page."""
    parts: list[Any] = [literal_column("1").label("one")]
    rows = select(func.count()).select_from(report.source).where(conditions)
    if "total_count" in shape.wanted or "totals" in shape.wanted:
        parts.append(rows.scalar_subquery().label("total_count"))
    if "totals" in shape.wanted:
        sums = {name: _sum(report, report.columns[name], conditions) for name in report.summed}
        parts += [total.scalar_subquery().label(f"s_{name}") for name, total in sums.items()]
    if "as_of" in shape.wanted and report.model:
        at = select(positions.c.position).where(
            positions.c.consumer == f"reporting.{report.model}", positions.c.msp_id == MSP
        )
        recorded = select(events.c.recorded_at).where(events.c.msp_id == MSP, events.c.position == at.scalar_subquery())
        parts += [at.scalar_subquery().label("position"), recorded.scalar_subquery().label("recorded_at")]
    if shape.cursor is not None:
        behind = exists(select(literal_column("1")).select_from(report.source).where(conditions, beyond.isnot(true())))
        parts.append(behind.label("behind"))
    return select(*parts)


def _sum(report: Report, column: Column, conditions: ColumnElement[bool]) -> Select[Any]:
    if column.currency is None:
        whole = sql_cast(func.coalesce(func.sum(column.expression), 0), Text)
        return select(whole).select_from(report.source).where(conditions)
    each = (
        select(column.currency.label("currency"), func.sum(column.expression).label("amount"))
        .select_from(report.source)
        .where(conditions, column.expression.is_not(None))
        .group_by(column.currency)
        .subquery()
    )
    return select(func.jsonb_object_agg(each.c.currency, sql_cast(each.c.amount, Text)))


def _key(column: Column) -> ColumnElement[Any]:
    """What rows are ordered by: names without regard to capitals, and the same in every database's locale."""
    if column.kind is Kind.TEXT:
        return func.lower(column.expression).collate("C")
    return column.expression


def _beyond(report: Report, shape: _Shape, keys: Sequence[tuple[ColumnElement[Any], bool]]) -> ColumnElement[bool]:
    """Whether a row stands after the cursor's in the direction of reading."""
    columns = [report.columns[order.name] for order in shape.order]
    given = cast(tuple[bool, ...], shape.cursor)
    values: list[ColumnElement[Any]] = [
        sql_cast(bindparam(f"key_{n}", type_=Text), _TYPES[column.kind]) if given[n] else null()
        for n, column in enumerate(columns)
    ]
    directions = {falling for _, falling in keys}
    if len(directions) == 1 and not any(column.nullable for column in columns):
        # One comparison of whole keys: an index can begin right there.
        row, cursor = tuple_(*(key for key, _ in keys)), tuple_(*values)
        return row < cursor if directions == {True} else row > cursor
    choices = []
    for n, (key, falling) in enumerate(keys):
        ties = [keys[m][0].is_not_distinct_from(values[m]) for m in range(n)]
        choices.append(
            and_(*ties, _after(key, values[n], falling=falling, given=given[n], nullable=columns[n].nullable))
        )
    return or_(*choices)


def _after(
    key: ColumnElement[Any], value: ColumnElement[Any], *, falling: bool, given: bool, nullable: bool
) -> ColumnElement[bool]:
    """Nulls stand above every value: last in a rising order, first in a falling one."""
    if falling:
        return key < value if given else key.is_not(None)
    if not given:
        return false()
    return or_(key > value, key.is_(None)) if nullable else key > value


def _holds(column: Column, word: str, number: int) -> ColumnElement[bool]:
    name, shape = f"is_{number}", _TYPES[column.kind]
    here = column.expression
    value = sql_cast(bindparam(name, type_=shape), shape)
    if word == "is_empty":
        return here.is_(None) == sql_cast(bindparam(name, type_=Boolean), Boolean)
    if word == "in":
        return here == any_(sql_cast(bindparam(name, type_=ARRAY(shape)), ARRAY(shape)))
    if word == "contains":
        return func.strpos(func.lower(here), func.lower(value)) > 0
    if column.kind is Kind.DAY:
        day = sql_cast(sql_cast(bindparam(name, type_=Text), Date), DateTime)
        if word == "to":
            return here < func.timezone(TIME_ZONE, day + sql_cast("1 day", Interval))
        return here >= func.timezone(TIME_ZONE, day)
    return here >= value if word in ("gte", "from") else here <= value


def _page(report: Report, shape: _Shape, found: list[dict[str, Any]], how_many: int) -> Page:
    about = found[0]
    rows = [row for row in found if row["there"] is not None]
    more, rows = len(rows) > how_many, rows[:how_many]
    if shape.backward:
        rows.reverse()
    behind = bool(about.get("behind"))
    signature = _signature(shape.order)
    return Page(
        [_row(report, shape.columns, row) for row in rows],
        [_cursor(signature, [row[f"k_{n}"] for n in range(len(shape.order))]) for row in rows],
        behind if shape.backward else more,
        more if shape.backward else behind,
        about.get("total_count"),
        _totals(report, about) if "totals" in shape.wanted else None,
        about.get("position"),
        about.get("recorded_at"),
    )


def _row(report: Report, names: Sequence[str], row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: row[f"c_{name}"] if report.columns[name].currency is None else _money(row[f"c_{name}"], row[f"m_{name}"])
        for name in names
    }


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


def _signature(order: Sequence[Order]) -> str:
    return ",".join(f"{'-' if key.descending else ''}{key.name}" for key in order)


def _cursor(signature: str, values: Sequence[str | None]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([signature, *values])).decode().rstrip("=")


def _cursor_values(cursor: str, order: Sequence[Order]) -> list[str | None]:
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        parts = None
    if not isinstance(parts, list) or parts[:1] != [_signature(order)] or len(parts) != len(order) + 1:
        raise BadQuestion("the cursor is not of this report in this order: begin again without one")
    if not all(part is None or isinstance(part, str) for part in parts):
        raise BadQuestion("the cursor is damaged: begin again without one")
    return parts[1:]
