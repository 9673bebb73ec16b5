"""(a report, filter, order, columns) -> all its rows from one snapshot: as CSV made by PostgreSQL itself, or row by row.

Nothing is kept in memory but a piece of what is under way, however many rows there are. Beside `queries` this is what
the gateway and the operator's command may import.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import psycopg2
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Numeric,
    Select,
    Text,
    any_,
    case,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.exc import OperationalError

from services.reporting.paging import read_page
from services.reporting.question import BadQuestion, Question, questions
from services.reporting.reports.columns import Column, Kind, Order, Report, shown
from services.reporting.statements import holding, key_of

# Spreadsheets read a cell that begins so as a formula (OWASP, CSV injection); some read the wide forms alike.
FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"
_PIECE_BYTES = 64 * 1024
_FORMULA_CODES: ColumnElement[Any] = literal_column(f"'{{{','.join(str(ord(c)) for c in FORMULA_STARTS)}}}'::int[]")
Cell = Callable[[Kind, ColumnElement[Any]], ColumnElement[Any]]


@dataclass(frozen=True)
class Export:
    """What is exported. columns: those that are visible, in their order; filter, order, at: as in a Question, the order
    whole."""

    report: Report
    msp_id: str
    columns: tuple[str, ...]
    filter: Mapping[str, Mapping[str, Any]]
    order: tuple[Order, ...]
    at: int | None = None


@dataclass(frozen=True)
class Standing:
    """Where the rows of an export stand in the MSP's log (None: no event yet), how many they are and their sums; the last
    two only when they were asked for. Sums: column -> a number, or for money a list of {amount, currency}."""

    position: int | None
    recorded_at: datetime | None
    row_count: int | None
    totals: Mapping[str, Any] | None


class Snapshot:
    """One state of the database. Used by one thread; cancel alone may be called by others."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._raw = cast(psycopg2.extensions.connection, connection.connection.dbapi_connection)

    def standing(self, export: Export, *, totals: bool) -> Standing:
        """What is true of the rows as a whole. BadQuestion when a value of the filter cannot be read, NoSuchSide."""
        report = export.report
        wanted = {"as_of", "total_count", "totals"} if totals else {"as_of"}
        question = Question(
            filter=export.filter,
            order=[Order(report.identity)],
            first=1,
            columns=[report.identity],
            wanted=frozenset(wanted),
            at=export.at,
        )
        page = read_page(self._connection, report, export.msp_id, question)
        return Standing(page.position, page.recorded_at, page.total_count, page.totals)

    def write_csv(self, export: Export, put: Callable[[bytes], object], heading: bytes = b"") -> None:
        """The heading and then the rows as UTF-8, in pieces of at least 64 kB; the first piece holds rows, if there are any.

        Text that a spreadsheet would take for a formula begins with an apostrophe. Numbers have two decimals or as many as
        they need, days are ISO 8601, moments too, in the time zone of the snapshot. What is unknown is empty. Whatever
        put raises ends the export. BadQuestion.
        """
        statement, values = _statement(export, _csv_cell)
        out = io.BufferedWriter(_Pieces(put), _PIECE_BYTES)
        out.write(heading)
        with self._raw.cursor() as cursor:
            copied = b"COPY (" + cursor.mogrify(statement, values) + b") TO STDOUT (FORMAT csv, ENCODING 'UTF8')"
            try:
                cursor.copy_expert(copied, out)
            except psycopg2.DataError as error:
                raise BadQuestion(f"a value in the filter cannot be read: {str(error).splitlines()[0]}") from error
            except psycopg2.OperationalError as error:
                raise OperationalError("COPY", None, error) from error
        out.flush()

    def rows(self, export: Export, at_once: int = 2_000) -> Iterator[list[tuple[Any, ...]]]:
        """The rows, so many at a time: text, Decimal, int, bool, date, and moments as naive datetimes in the time zone of
        the snapshot; money is two cells, amount and currency."""
        statement, values = _statement(export, _plain_cell)
        found = self._connection.exec_driver_sql(
            statement, values, execution_options={"stream_results": True, "max_row_buffer": at_once}
        )
        for some in found.partitions(at_once):
            yield cast(list[tuple[Any, ...]], list(some))

    def cancel(self) -> None:
        """Ends the statement under way; does nothing when there is none."""
        with suppress(psycopg2.Error):
            self._raw.cancel()


@contextmanager
def snapshot(engine: Engine, time_zone: str, seconds: int) -> Iterator[Snapshot]:
    """One state of the database for as long as the block lasts; a statement takes at most so many seconds.

    A block that ends with an error gives the connection up at once: it may stand in the middle of a COPY.
    """
    settings = {
        "TimeZone": time_zone,
        "DateStyle": "ISO",
        "statement_timeout": f"{seconds}s",
        # All rows will be read: a plan that is quick to begin but slow to end is no use.
        "cursor_tuple_fraction": "1",
    }
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection:
        try:
            chosen = ", ".join(f"set_config(%(name_{n})s, %(value_{n})s, true)" for n in range(len(settings)))
            values = {f"name_{n}": name for n, name in enumerate(settings)}
            values |= {f"value_{n}": value for n, value in enumerate(settings.values())}
            connection.exec_driver_sql(f"SELECT {chosen}", values)
            yield Snapshot(connection)
        except BaseException:
            connection.invalidate()
            raise


class _Pieces(io.RawIOBase):
    """Hands on what is written; after a piece could not be handed on the rest goes nowhere."""

    def __init__(self, put: Callable[[bytes], object]) -> None:
        self._put, self._broken = put, False

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        if not self._broken:
            self._broken = True
            self._put(bytes(piece))
            self._broken = False
        return len(piece)


def _statement(export: Export, cell: Cell) -> tuple[str, dict[str, Any]]:
    """SQL for psycopg2 and its values."""
    report = export.report
    asked = questions(report, export.filter)
    keys = [(key_of(report.columns[order.name]), order.descending) for order in export.order]
    cells = [one for name in export.columns for one in _cells(report.columns[name], cell)]
    rows: Select[Any] = (
        select(*(one.label(f"cell_{n}") for n, one in enumerate(cells)))
        .select_from(report.source)
        .where(holding(report, [(name, word) for name, word, _ in asked]))
        .order_by(*(key.desc() if falling else key.asc() for key, falling in keys))
    )
    compiled = rows.compile(dialect=PGDialect_psycopg2())  # type: ignore[no-untyped-call]
    values = {f"is_{n}": value for n, (_, _, value) in enumerate(asked)}
    return str(compiled), dict(compiled.params) | {"msp_id": export.msp_id, "at": export.at} | values


def _cells(column: Column, cell: Cell) -> Iterator[ColumnElement[Any]]:
    if column.currency is None:
        yield cell(column.kind, shown(column))
    else:
        # An amount without a currency is no money, nor a currency without an amount: as on the page.
        yield cell(column.kind, case((column.currency.is_not(None), column.expression)))
        yield cell(Kind.ID, case((column.expression.is_not(None), column.currency)))


def _plain_cell(kind: Kind, value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.timezone(func.current_setting("TimeZone"), value) if kind is Kind.MOMENT else value


def _csv_cell(kind: Kind, value: ColumnElement[Any]) -> ColumnElement[Any]:
    match kind:
        case Kind.ID | Kind.TEXT:
            return case((func.ascii(value) == any_(_FORMULA_CODES), literal("'").op("||")(value)), else_=value)
        case Kind.NUMBER | Kind.MONEY:
            return func.round(value, func.greatest(func.min_scale(value), 2))
        case Kind.WHOLE:
            return sql_cast(value, Numeric(12, 2))
        case Kind.MOMENT:
            return func.to_char(value, 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM')
        case Kind.FLAG:
            return sql_cast(value, Text)
        case _:
            return value
