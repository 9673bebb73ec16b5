"""Rows of a report -> an XLSX file with true numbers and days, its sums, and a sheet that says what it is.

XlsxWriter's constant_memory keeps one row at a time and the rest in temporary files; so the file is whole before its first
byte is sent, and a fault on the way is told as one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from services.reporting.exporting import FORMULA_STARTS
from services.reporting.queries import Column, Kind

MOST_ROWS = 1_048_576
_MOST_CHARACTERS = 32_767
# XML cannot hold these; of all that PostgreSQL can, only these.
_NO_XML = re.compile("[\ufffe\uffff]")
_FORMATS = {
    "head": {"bold": True, "bottom": 1},
    "text": {},
    "guarded": {"quote_prefix": True},
    "number": {"num_format": "#,##0.00;(#,##0.00)"},
    "position": {"num_format": "0"},
    "date": {"num_format": "yyyy-mm-dd"},
    "moment": {"num_format": "yyyy-mm-dd hh:mm:ss"},
    "sum": {"num_format": "#,##0.00;(#,##0.00)", "bold": True, "top": 1},
    "word": {"bold": True, "top": 1},
}
_KINDS = {
    Kind.NUMBER: "number",
    Kind.WHOLE: "number",
    Kind.MONEY: "number",
    Kind.POSITION: "position",
    Kind.DATE: "date",
    Kind.DAY: "date",
    Kind.MOMENT: "moment",
}
_FIRST_YEAR = 1900
_STARTS = frozenset(FORMULA_STARTS)
_WIDTHS = {"number": 14, "position": 10, "date": 12, "moment": 20, "text": 28}


def write_workbook(
    path: Path,
    title: str,
    columns: Sequence[tuple[Column, Sequence[str]]],
    rows: Iterable[Sequence[Sequence[Any]]],
    totals: Mapping[str, Any],
    about: Sequence[tuple[str, str | int]],
) -> None:
    """The file at the path. columns: each with the headings of its cells; rows: some at a time; totals: as a page has them;
    about: what the second sheet says, line by line."""
    with Workbook(path, {"constant_memory": True}) as book:
        formats = {name: book.add_format(looks) for name, looks in _FORMATS.items()}
        sheet = book.add_worksheet(title[:31])
        laid = list(_laid(columns))
        for place, kind, _, heading in laid:
            sheet.set_column(place, place, _WIDTHS[kind])
            sheet.write_string(0, place, heading, formats["head"])
        sheet.freeze_panes(1, 0)
        last = _write_rows(sheet, formats, [kind for _, kind, _, _ in laid], rows)
        for down, line in enumerate(_sum_lines(laid, totals), last + 1):
            for place, value in line.items():
                if isinstance(value, Decimal):
                    sheet.write_number(down, place, value, formats["sum"])
                else:
                    sheet.write_string(down, place, value, formats["word"])
        _write_about(book.add_worksheet("About"), formats, about)


def most_rows(sums: int) -> int:
    """The rows that a sheet can hold beside its head and so many sums."""
    return MOST_ROWS - 1 - sums


def _write_rows(
    sheet: Worksheet, formats: Mapping[str, Format], cells: Sequence[str], rows: Iterable[Sequence[Sequence[Any]]]
) -> int:
    down = 0
    for some in rows:
        for row in some:
            down += 1
            for place, (kind, value) in enumerate(zip(cells, row, strict=True)):
                if value is not None:
                    _write_cell(sheet, formats, (down, place), kind, value)
    return down


def _write_cell(sheet: Worksheet, formats: Mapping[str, Format], at: tuple[int, int], kind: str, value: Any) -> None:
    if kind == "text":
        if isinstance(value, bool):
            sheet.write_boolean(*at, value)
        else:
            # The value is exact; the prefix keeps it text when somebody edits the cell.
            sheet.write_string(*at, _cell_text(value), formats["guarded"] if value[:1] in _STARTS else None)
    elif isinstance(value, date):
        if value.year < _FIRST_YEAR:
            sheet.write_string(*at, value.isoformat())
            return
        sheet.write_datetime(*at, value, formats[kind])
    else:
        sheet.write_number(*at, value, formats[kind])


def _cell_text(value: str) -> str:
    text = _NO_XML.sub("\ufffd", value)
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _laid(columns: Sequence[tuple[Column, Sequence[str]]]) -> Iterator[tuple[int, str, str, str]]:
    """(place, what its cells are, column, heading) from left to right; the column's name stands at its first cell only."""
    place = 0
    for column, says in columns:
        yield place, _KINDS.get(column.kind, "text"), column.name, says[0]
        for currency in says[1:]:
            place += 1
            yield place, "text", "", currency
        place += 1


def _sum_lines(
    laid: Sequence[tuple[int, str, str, str]], totals: Mapping[str, Any]
) -> Iterator[dict[int, Decimal | str]]:
    """Lines of sums, place -> cell: one of plain numbers, then one for each currency."""
    lines: dict[str, dict[int, Decimal | str]] = {}
    for place, _, name, _ in laid:
        total = totals.get(name)
        if isinstance(total, str):
            lines.setdefault("", {})[place] = Decimal(total)
        for money in total if isinstance(total, list) else ():
            cells = {place: Decimal(money["amount"]), place + 1: money["currency"]}
            lines.setdefault(money["currency"], {}).update(cells)
    free = (place for place, kind, name, _ in laid if name and name not in totals)
    said = next(free, None)
    for currency, line in sorted(lines.items()):
        if said is not None:
            line[said] = f"Sum {currency}".strip()
        yield line


def _write_about(sheet: Worksheet, formats: Mapping[str, Format], about: Sequence[tuple[str, str | int]]) -> None:
    sheet.set_column(0, 0, 18)
    sheet.set_column(1, 1, 80)
    for down, (says, value) in enumerate(about):
        sheet.write_string(down, 0, says, formats["head"])
        if isinstance(value, int):
            sheet.write_number(down, 1, value, formats["position"])
        else:
            sheet.write_string(down, 1, _cell_text(value), formats["guarded"] if value[:1] in _STARTS else None)
