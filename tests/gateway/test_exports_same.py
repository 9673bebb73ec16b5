"""An export holds row for row and sum for sum what the pages hold, whatever is asked, in CSV and XLSX."""

import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from graphene.utils.str_converters import to_camel_case
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape
from sqlalchemy import Engine

from gateway.exports.headings import headings
from plumbing.row_security import of_msp
from services.reporting.queries import MOST_ROWS, REPORTS, Kind, Order, Question, Report, read_page
from tests.gateway.exporting import HOSTILE, ZONE, export, lines_of, reading

__all__ = ["reading"]
pytestmark = pytest.mark.postgres


def all_rows(engine: Engine, report: Report, **question: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every row that one who turns the pages sees, and the totals."""
    rows: list[dict[str, Any]] = []
    after = None
    with of_msp(engine, "acme").connect() as connection:
        while True:
            page = read_page(connection, report, "acme", Question(**question, first=MOST_ROWS, after=after))
            rows += page.rows
            if not page.has_next:
                assert page.totals is not None
                return rows, page.totals
            after = page.cursors[-1]


def as_csv(kind: Kind, value: Any) -> str:
    """How a value is written."""
    if value is None:
        return ""
    if kind in (Kind.ID, Kind.TEXT):
        return f"'{value}" if value[:1] in tuple("=+-@\t\r\n＝＋－＠") else value
    if kind in (Kind.NUMBER, Kind.WHOLE, Kind.MONEY):
        exponent = Decimal(value).normalize().as_tuple().exponent
        assert isinstance(exponent, int)
        return f"{Decimal(value):.{max(2, -exponent)}f}"
    if kind is Kind.MOMENT:
        return value.astimezone(ZoneInfo(ZONE)).isoformat(timespec="seconds")
    if kind is Kind.FLAG:
        return "true" if value else "false"
    return str(value)


def cells_of(report: Report, columns: list[str], row: dict[str, Any]) -> Iterator[tuple[Kind, Any]]:
    """The cells of a page's row: money is two."""
    for name in columns:
        if report.columns[name].currency is None:
            yield report.columns[name].kind, row[name]
        else:
            money = row[name] or {"amount": None, "currency": None}
            yield Kind.MONEY, money["amount"]
            yield Kind.ID, money["currency"]


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).replace("\\", "\\\\").replace(",", "\\,").replace("~", "\\~").replace("empty:", "\\empty:")


@st.composite
def questions(
    draw: st.DrawFn,
) -> tuple[Report, list[str], dict[str, dict[str, Any]], list[Order], list[tuple[str, str]]]:
    """A report, visible columns, a filter, an order; and the parameters of a URL that ask for them."""
    name = draw(st.sampled_from(["subscriptions", "linked", "unlinked", "adjustments", "failures", "relations"]))
    report = REPORTS[name]
    columns = draw(st.lists(st.sampled_from(list(report.columns)), min_size=1, max_size=8, unique=True))
    keys = draw(st.lists(st.sampled_from(list(report.columns)), max_size=3, unique=True))
    order = [Order(key, draw(st.booleans())) for key in keys]
    asked: dict[str, dict[str, Any]] = {}
    for column in draw(st.lists(st.sampled_from(list(report.columns.values())), max_size=2, unique=True)):
        asked[column.name] = draw(_questions_of(column.kind))
    given = [("cols", ",".join(map(to_camel_case, columns)))]
    if order:
        given.append(("sort", ",".join(("-" if key.descending else "") + to_camel_case(key.name) for key in order)))
    given += [(f"f.{to_camel_case(name)}", _parameter(words)) for name, words in asked.items()]
    return report, columns, asked, order, given


def _questions_of(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    empty = st.fixed_dictionaries({"is_empty": st.booleans()})
    if kind in (Kind.ID, Kind.TEXT):
        texts = st.sampled_from([*HOSTILE, "1", "2", "r1", "posted", "active", "odin", "a,b\\c", "~x", "empty:true"])
        some = st.sampled_from(["a", "=", ",", "1", "o", "\\", "~", "%"])
        return st.one_of(
            empty,
            st.fixed_dictionaries({"in": st.lists(texts, min_size=1, max_size=4)}),
            st.fixed_dictionaries({"contains": some}),
        )
    if kind is Kind.FLAG:
        return st.one_of(empty, st.fixed_dictionaries({"in": st.lists(st.booleans(), min_size=1, max_size=2)}))
    values: st.SearchStrategy[Any]
    if kind in (Kind.DATE, Kind.DAY):
        values = st.dates(date(2026, 2, 27), date(2026, 3, 8))
    elif kind is Kind.MOMENT:
        values = st.integers(0, 7200).map(lambda minutes: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minutes))
    elif kind in (Kind.WHOLE, Kind.POSITION):
        values = st.integers(0 if kind is Kind.POSITION else -25, 60)
    else:
        values = st.decimals(0, 50, places=2)
    low, high = ("from", "to") if kind in (Kind.DATE, Kind.DAY, Kind.MOMENT) else ("gte", "lte")
    return st.one_of(empty, st.fixed_dictionaries({}, optional={low: values, high: values}).filter(bool))


def _parameter(words: dict[str, Any]) -> str:
    parts = []
    for word, value in words.items():
        if word == "contains":
            return "~" + _written(value)
        if word == "in":
            parts += [_written(each) for each in value]
        else:
            parts.append(f"{'empty' if word == 'is_empty' else word}:{_written(value)}")
    return ",".join(parts)


MANY = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(question=questions())
def test_a_csv_holds_row_for_row_what_the_pages_hold(reading: Engine, question: Any) -> None:
    report, columns, asked, order, parameters = question

    head, *lines = lines_of(export(reading, report.name, "csv", *parameters))

    rows, _ = all_rows(reading, report, filter=asked, order=order)
    assert head == [says for name in columns for says in headings(report, report.columns[name])]
    assert lines == [[as_csv(kind, value) for kind, value in cells_of(report, columns, row)] for row in rows]


@settings(MANY, max_examples=30)
@given(question=questions())
def test_a_workbook_holds_row_for_row_and_sum_for_sum_what_the_pages_hold(reading: Engine, question: Any) -> None:
    report, columns, asked, order, parameters = question

    book = openpyxl.load_workbook(io.BytesIO(export(reading, report.name, "xlsx", *parameters)))

    rows, totals = all_rows(reading, report, filter=asked, order=order)
    sheet = book.worksheets[0]
    wide = [says for name in columns for says in headings(report, report.columns[name], ZONE)]
    assert [cell.value for cell in sheet[1]] == wide
    lines = sheet.iter_rows(min_row=2, max_row=len(rows) + 1, max_col=len(wide)) if rows else ()
    for line, row in zip(lines, rows, strict=True):
        for cell, (kind, value) in zip(line, cells_of(report, columns, row), strict=True):
            _assert_cell(cell, kind, value)
    sums = sheet.iter_rows(min_row=len(rows) + 2, max_row=len(rows) + 5, max_col=len(wide))
    assert _sums(report, columns, list(sums)) == _sums_of(report, columns, totals)


def _assert_cell(cell: Any, kind: Kind, value: Any) -> None:
    assert cell.data_type != "f"
    if value in (None, ""):
        assert cell.value in (None, "")
    elif kind in (Kind.ID, Kind.TEXT):
        assert unescape(cell.value) == value.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    elif kind in (Kind.NUMBER, Kind.WHOLE, Kind.MONEY):
        assert cell.number_format == "#,##0.00;(#,##0.00)"
        assert Decimal(str(cell.value)) == value
    elif kind is Kind.MOMENT:
        local = value.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None)
        assert abs((cell.value - local).total_seconds()) < 0.01
    elif kind in (Kind.DATE, Kind.DAY):
        assert cell.is_date
        assert cell.value.date() == value
    else:
        assert cell.value == value


def _sums(report: Report, columns: list[str], lines: list[Any]) -> dict[tuple[str, str], Decimal]:
    found = {}
    for line in lines:
        place = 0
        for name in columns:
            money = report.columns[name].currency is not None
            if name in report.summed and line[place].value is not None:
                currency = line[place + 1].value if money else ""
                found[name, currency] = Decimal(str(line[place].value))
            place += 1 + money
    return found


def _sums_of(report: Report, columns: list[str], totals: dict[str, Any]) -> dict[tuple[str, str], Decimal]:
    found = {}
    for name in set(columns) & set(report.summed):
        if report.columns[name].currency is None:
            found[name, ""] = Decimal(totals[name])
        else:
            found |= {(name, money["currency"]): Decimal(money["amount"]) for money in totals[name]}
    return found
