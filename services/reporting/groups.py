"""(a report, a filter, a column) -> its groups for charts: key, label, rows, sums and share, in one statement.

The groups that weigh most stand first, and what is beyond them is one group more, Other. Groups of days stand by time, the
newest are kept, and what is earlier is Other. A group weighs its licences where the report sums a count that cannot fall
below zero, else its rows. Shares are cut from the running sum, so all of them together are exactly 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.exc import DataError
from sqlalchemy.types import Date

from domain.keys import MspId
from services.reporting.question import BadQuestion, NoSuchSide, questions
from services.reporting.reports import REPORTS
from services.reporting.reports.columns import TIME_ZONE, Column, Kind, Report
from services.reporting.sides import has_side, models_of
from services.reporting.statements import holding

MOST_GROUPS = 300
SHARE_DIGITS = 6
OTHER = "Other"
_TIMES = (Kind.DATE, Kind.DAY, Kind.MOMENT)
_FIRST: ColumnElement[int] = bindparam("first", type_=Integer)


class Step(StrEnum):
    """How long the groups of a column of days or moments are, in the MSP's time zone. A week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True)
class Grouping:
    """What to group. by: a column; first: groups beside Other, 1 to 300; step: of a column of days or moments only.
    ignore_own_filter: what the filter says of the column itself is left out, so that a chosen part stands among the others.
    at: the past position to group as of, of which there must be a side; None: as it is now."""

    by: str
    filter: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    first: int = 12
    step: Step | None = None
    ignore_own_filter: bool = False
    at: int | None = None


@dataclass(frozen=True)
class _Shape:
    """All of a grouping but its values."""

    report: str
    by: str
    step: Step | None
    filter: tuple[tuple[str, str], ...]


def read_groups(connection: Connection, report: Report, msp_id: str, grouping: Grouping) -> list[dict[str, Any]]:
    """The groups as {key, label, other, rows, share} and each sum of the report: a number as text, money as one amount a
    currency. key: the value as text, null for rows without one and for Other; share: a Decimal, null when nothing weighs
    anything. BadQuestion."""
    if grouping.by not in report.columns:
        raise BadQuestion(f"{report.name} has no column {grouping.by!r} to group by")
    if not 1 <= grouping.first <= MOST_GROUPS:
        raise BadQuestion(f"ask for 1 to {MOST_GROUPS} groups, not {grouping.first}")
    wanted = {
        name: q for name, q in grouping.filter.items() if not (grouping.ignore_own_filter and name == grouping.by)
    }
    asked = questions(report, wanted)
    step = _step(report.columns[grouping.by], grouping.step)
    shape = _Shape(report.name, grouping.by, step, tuple((name, word) for name, word, _ in asked))
    statement, fixed = _statement(shape)
    values = {f"is_{n}": value for n, (_, _, value) in enumerate(asked)}
    values |= {"msp_id": msp_id, "first": grouping.first, "at": grouping.at}
    try:
        found = connection.exec_driver_sql(statement, fixed | values).mappings().all()
    except DataError as error:
        raise BadQuestion(f"a value in the filter cannot be read: {str(error.orig).splitlines()[0]}") from error
    if grouping.at is not None and not has_side(connection, models_of(report), MspId(msp_id), grouping.at):
        raise NoSuchSide(
            f"{report.name} is not at hand as of position {grouping.at}: ask for it to be made, then again"
        )
    return [_group(report, dict(row)) for row in found]


def _step(column: Column, step: Step | None) -> Step | None:
    if column.kind is Kind.MONEY:
        raise BadQuestion(f"{column.name} is money and cannot be grouped by")
    if column.kind in _TIMES:
        return step or Step.DAY
    if step is not None:
        raise BadQuestion(f"{column.name} is no day: it cannot be grouped by {step}")
    return None


@lru_cache(maxsize=256)
def _statement(shape: _Shape) -> tuple[str, dict[str, Any]]:
    """SQL for psycopg2, and the values that are the same for every grouping of this shape."""
    report = REPORTS[shape.report]
    parts = _parts(report, shape).cte("parts")
    ranked = _ranked(report, parts, by_time=shape.step is not None).cte("ranked")
    buckets = _buckets(parts, ranked).cte("buckets")
    compiled = _whole(report, buckets).compile(dialect=PGDialect_psycopg2())  # type: ignore[no-untyped-call]
    return str(compiled), dict(compiled.params)


def _parts(report: Report, shape: _Shape) -> Select[Any]:
    """Rows by key and by the currencies of their money: the only pass over the report's rows."""
    key = _key(report.columns[shape.by], shape.step)
    currencies = [(name, c.currency) for name in report.summed if (c := report.columns[name]).currency is not None]
    label = report.columns.get(f"{shape.by.removesuffix('_id')}_name") if shape.by.endswith("_id") else None
    return (
        select(
            key.label("key"),
            func.max(label.expression if label else sql_cast(key, Text)).label("label"),
            func.count().label("rows"),
            *(func.sum(report.columns[name].expression).label(f"s_{name}") for name in report.summed),
            *(currency.label(f"m_{name}") for name, currency in currencies),
        )
        .select_from(report.source)
        .where(holding(report, shape.filter))
        .group_by(key, *(currency for _, currency in currencies))
    )


def _key(column: Column, step: Step | None) -> ColumnElement[Any]:
    if step is None:
        return column.expression
    day = column.expression if column.kind is Kind.DATE else func.timezone(TIME_ZONE, column.expression)
    return sql_cast(day if step is Step.DAY else func.date_trunc(literal_column(f"'{step}'"), day), Date)


def weight_of(report: Report) -> str | None:
    """The sum that groups of the report weigh; None: their rows."""
    return next((name for name in report.summed if report.columns[name].kind is Kind.NUMBER), None)


def _ranked(report: Report, parts: CTE, *, by_time: bool) -> Select[Any]:
    """Each key with its rank."""
    heavy = weight_of(report)
    weight = func.sum(parts.c.rows if heavy is None else func.coalesce(parts.c[f"s_{heavy}"], 0))
    first = [parts.c.key.desc()] if by_time else [weight.desc(), sql_cast(parts.c.key, Text).collate("C")]
    return select(
        parts.c.key,
        func.row_number().over(order_by=[e.nulls_last() for e in first]).label("rank"),
    ).group_by(parts.c.key)


def _buckets(parts: CTE, ranked: CTE) -> Select[Any]:
    """The parts, each with the rank of the group that it is shown in: Other's is one beyond the last."""
    bucket = func.least(ranked.c.rank, _FIRST + 1)
    return select(bucket.label("bucket"), parts).join_from(
        parts, ranked, parts.c.key.is_not_distinct_from(ranked.c.key)
    )


def _whole(report: Report, buckets: CTE) -> Select[Any]:
    other = buckets.c.bucket > _FIRST
    numbers = [name for name in report.summed if report.columns[name].currency is None]
    groups = (
        select(
            buckets.c.bucket,
            other.label("other"),
            case((~other, func.max(sql_cast(buckets.c.key, Text)))).label("key"),
            case((other, literal(OTHER)), else_=func.max(buckets.c.label)).label("label"),
            sql_cast(func.sum(buckets.c.rows), BigInteger).label("rows"),
            *(sql_cast(func.coalesce(func.sum(buckets.c[f"s_{n}"]), 0), Text).label(f"s_{n}") for n in numbers),
            _weight(report, buckets).label("weight"),
        )
        .group_by(buckets.c.bucket)
        .subquery("groups")
    )
    monies = {name: _money(buckets, name) for name in report.summed if name not in numbers}
    source: Any = groups
    for money in monies.values():
        source = source.outerjoin(money, money.c.bucket == groups.c.bucket)
    total = func.sum(groups.c.weight).over()
    upto = func.sum(groups.c.weight).over(order_by=groups.c.bucket)
    cut = func.round(upto / func.nullif(total, 0), SHARE_DIGITS)
    before = func.round((upto - groups.c.weight) / func.nullif(total, 0), SHARE_DIGITS)
    columns = [groups.c[name] for name in ("key", "label", "other", "rows", *(f"s_{n}" for n in numbers))]
    return (
        select(*columns, (cut - before).label("share"), *(money.c.sums.label(f"s_{n}") for n, money in monies.items()))
        .select_from(source)
        .order_by(groups.c.bucket)
    )


def _weight(report: Report, buckets: CTE) -> ColumnElement[Any]:
    heavy = weight_of(report)
    return func.coalesce(func.sum(buckets.c.rows if heavy is None else buckets.c[f"s_{heavy}"]), 0)


def _money(buckets: CTE, name: str) -> Any:
    """{currency: amount as text} of each group."""
    sums = buckets.c[f"s_{name}"]
    each = (
        select(buckets.c.bucket, buckets.c[f"m_{name}"].label("currency"), func.sum(sums).label("amount"))
        .where(sums.is_not(None))
        .group_by(buckets.c.bucket, buckets.c[f"m_{name}"])
        .subquery()
    )
    amounts = func.jsonb_object_agg(each.c.currency, sql_cast(each.c.amount, Text))
    return select(each.c.bucket, amounts.label("sums")).group_by(each.c.bucket).subquery(f"sums_of_{name}")


def _group(report: Report, row: Mapping[str, Any]) -> dict[str, Any]:
    group = {name: row[name] for name in ("key", "label", "other", "rows", "share")}
    for name in report.summed:
        found = row[f"s_{name}"]
        if report.columns[name].currency is not None:
            found = [{"amount": found[code], "currency": code} for code in sorted(found or {})]
        group[name] = found
    return group
