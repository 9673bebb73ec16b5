"""The lines of a close -> CSV as the other exports write it: UTF-8 with its mark, and no cell that a spreadsheet would execute."""

import csv
import io

from gateway.exports.close_sheet import COLUMNS, Sheet
from services.reporting.exporting import FORMULA_STARTS


def write_csv(sheet: Sheet) -> bytes:
    """One line a check and decision, each with what is true of the month as a whole before it."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow((*(name for name, _ in sheet.about), *COLUMNS))
    for row in sheet.rows:
        lines.writerow(_harmless(cell) for cell in (*(value for _, value in sheet.about), *row))
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell[:1] in tuple(FORMULA_STARTS) else cell
