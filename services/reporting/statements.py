"""The shape of a question -> its SQL: the rows of a page, or of a whole filter, and what is true of the filter as a whole.

A statement is written once for each shape and then reused; only values change. Nulls stand last in a rising order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    DateTime,
    Integer,
    Interval,
    Numeric,
    Select,
    Text,
    all_,
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
from sqlalchemy.types import BigInteger, Date, TypeEngine

from services.reporting.reports import REPORTS
from services.reporting.reports.columns import AT, MSP, TIME_ZONE, Column, Kind, Order, Report, events, shown
from services.reporting.tables import positions, sides

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


# What rows are ordered by, each with whether it falls.
Keys = Sequence[tuple[ColumnElement[Any], bool]]


@dataclass(frozen=True)
class Shape:
    """All of a question but its values. cursor: which of the cursor's values there are (None: no cursor). past: whether a
    side is read instead of the living rows."""

    report: str
    columns: tuple[str, ...]
    filter: tuple[tuple[str, str], ...]
    order: tuple[Order, ...]
    backward: bool
    cursor: tuple[bool, ...] | None
    wanted: frozenset[str]
    past: bool = False


@lru_cache(maxsize=1024)
def page_statement(shape: Shape) -> tuple[str, dict[str, Any]]:
    """SQL for psycopg2, and the values that are the same for every question of this shape."""
    report = REPORTS[shape.report]
    conditions = holding(report, shape.filter)
    keys = [(key_of(report.columns[order.name]), order.descending != shape.backward) for order in shape.order]
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
    about = _about(report, shape, conditions, keys).subquery("about")
    placed = [(page.c[f"o_{n}"], falling) for n, (_, falling) in enumerate(keys)]
    whole = (
        select(about, page, *(sql_cast(key, Text).label(f"k_{n}") for n, (key, _) in enumerate(placed)))
        .select_from(about.outerjoin(page, true()))
        .order_by(*(k.desc() if falling else k.asc() for k, falling in placed))
    )
    compiled = whole.compile(dialect=PGDialect_psycopg2())  # type: ignore[no-untyped-call]
    return str(compiled), dict(compiled.params)


def _about(report: Report, shape: Shape, conditions: ColumnElement[bool], keys: Keys) -> Select[Any]:
    """One row: what is true of the filter as a whole, and whether rows stand before the page."""
    parts: list[Any] = [literal_column("1").label("one")]
    rows = select(func.count()).select_from(report.source).where(conditions)
    if "total_count" in shape.wanted or "totals" in shape.wanted:
        parts.append(rows.scalar_subquery().label("total_count"))
    if "totals" in shape.wanted:
        sums = {name: _sum(report, report.columns[name], conditions) for name in report.summed}
        parts += [total.scalar_subquery().label(f"s_{name}") for name, total in sums.items()]
    if "as_of" in shape.wanted and report.model:
        living_at = select(positions.c.position).where(
            positions.c.consumer == f"reporting.{report.model}", positions.c.msp_id == MSP
        )
        at = AT if shape.past else living_at.scalar_subquery()
        recorded = select(events.c.recorded_at).where(events.c.msp_id == MSP, events.c.position == at)
        parts += [at.label("position"), recorded.scalar_subquery().label("recorded_at")]
    if shape.past:
        there = sides.c.msp_id == MSP, sides.c.position == AT, sides.c.folded == sides.c.position
        models = select(func.coalesce(func.array_agg(sides.c.model), sql_cast([], ARRAY(Text))))
        parts.append(models.where(*there).scalar_subquery().label("sides"))
    if shape.cursor is not None:
        parts.append(_behind(report, shape, conditions, keys).label("behind"))
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


def key_of(column: Column) -> ColumnElement[Any]:
    """What rows are ordered by: names without regard to capitals, and the same in every database's locale."""
    if column.kind is Kind.TEXT:
        return func.lower(column.expression).collate("C")
    return column.expression


def _behind(report: Report, shape: Shape, conditions: ColumnElement[bool], keys: Keys) -> ColumnElement[bool]:
    """Whether a row stands at the cursor's or before it."""
    columns = [report.columns[order.name] for order in shape.order]
    if not _is_one_comparison(columns, keys):
        not_beyond = _beyond(report, shape, keys).isnot(true())
        return exists(select(literal_column("1")).select_from(report.source).where(conditions, not_beyond))
    # The nearest, by the same index: any of them would be looked for among all rows, and of the second page few are before it.
    row, cursor = tuple_(*(key for key, _ in keys)), tuple_(*_values(shape, columns))
    falling = keys[0][1]
    nearest: Select[Any] = (
        select(literal_column("1"))
        .select_from(report.source)
        .where(conditions, row >= cursor if falling else row <= cursor)
        .order_by(*(key.asc() if falling else key.desc() for key, _ in keys))
        .limit(1)
    )
    return nearest.scalar_subquery().is_not(None)


def _is_one_comparison(columns: Sequence[Column], keys: Keys) -> bool:
    """Whether rows can be compared by their whole keys, so that an index can begin right there."""
    return len({falling for _, falling in keys}) == 1 and not any(column.nullable for column in columns)


def _values(shape: Shape, columns: Sequence[Column]) -> list[ColumnElement[Any]]:
    """The cursor's values."""
    given = cast(tuple[bool, ...], shape.cursor)
    return [
        sql_cast(bindparam(f"key_{n}", type_=Text), _TYPES[column.kind]) if given[n] else null()
        for n, column in enumerate(columns)
    ]


def _beyond(report: Report, shape: Shape, keys: Keys) -> ColumnElement[bool]:
    """Whether a row stands after the cursor's in the direction of reading."""
    columns = [report.columns[order.name] for order in shape.order]
    given, values = cast(tuple[bool, ...], shape.cursor), _values(shape, columns)
    if _is_one_comparison(columns, keys):
        row, cursor = tuple_(*(key for key, _ in keys)), tuple_(*values)
        return row < cursor if keys[0][1] else row > cursor
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


def holding(report: Report, asked: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    """Whether a row belongs to the report and all that is asked of it, as (column, word), holds; values: is_0, is_1, ..."""
    return and_(report.condition, *(holds(report.columns[name], word, n) for n, (name, word) in enumerate(asked)))


def holds(column: Column, word: str, number: int) -> ColumnElement[bool]:
    name, shape = f"is_{number}", _TYPES[column.kind]
    here = column.expression
    value = sql_cast(bindparam(name, type_=shape), shape)
    if word == "is_empty":
        return here.is_(None) == sql_cast(bindparam(name, type_=Boolean), Boolean)
    if word in ("in", "not_in"):
        listed = sql_cast(bindparam(name, type_=ARRAY(shape)), ARRAY(shape))
        return here == any_(listed) if word == "in" else or_(here.is_(None), here != all_(listed))
    if word == "contains":
        return func.strpos(func.lower(here), func.lower(value)) > 0
    if column.kind is Kind.DAY:
        day = sql_cast(sql_cast(bindparam(name, type_=Text), Date), DateTime)
        if word == "to":
            return here < func.timezone(TIME_ZONE, day + sql_cast("1 day", Interval))
        return here >= func.timezone(TIME_ZONE, day)
    return here >= value if word in ("gte", "from") else here <= value
