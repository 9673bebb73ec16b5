"""The lines of a close -> a PDF to file and to send: the same lines always give the same bytes.

The letters come from a font that is embedded, for a PDF's own fonts know Latin only. It has Latin, Greek, Cyrillic and
Devanagari letters; any other character is written as its number, such as [U+6771], so that nothing is lost unseen.
"""

import io
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import as_file, files
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table

from gateway.exports.close_sheet import COLUMNS, Sheet

# Long texts stand below the table, where they may run over pages: a cell cannot.
_BELOW = ("Reason", "Names")
_WIDTHS_MM = {"Step": 10, "Check": 60, "State": 18, "Rows": 14, "Money": 34, "By": 24}
_USUAL_WIDTH_MM = 27
_MARGIN = 12 * mm
# A moment may break between its day and its time.
_DAY = re.compile(r"^(\d{4}-\d\d-\d\d)T")
_STATES = {"green": "#e3f4e3", "amber": "#fdf0d0", "red": "#fbdcdc", "accepted": "#e6e6f7"}


def write_pdf(sheet: Sheet) -> bytes:
    """The whole file."""
    letters = _letters()
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=landscape(A4),
        title=sheet.title,
        author="Trueup",
        invariant=1,
        **dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), _MARGIN),
    )
    document.build([*_head(sheet, letters), _table(sheet, letters), *_below(sheet, letters)])
    return out.getvalue()


@cache
def _letters() -> TTFont:
    """The font, known to reportlab from now on."""
    with as_file(files("fontpkg_noto_sans") / "files" / "NotoSans[wdth,wght].ttf") as file:
        font = TTFont("Noto Sans", str(file))
    pdfmetrics.registerFont(font)
    return font


def _style(size: float, **more: Any) -> ParagraphStyle:
    return ParagraphStyle(f"{size}", fontName="Noto Sans", fontSize=size, leading=1.3 * size, **more)


def _head(sheet: Sheet, letters: TTFont) -> Iterator[Flowable]:
    yield _text(sheet.title, _style(16), letters)
    yield Spacer(0, 3 * mm)
    for name, value in sheet.about:
        yield _text(f"{name}: {value}", _style(9), letters)
    yield Spacer(0, 4 * mm)


def _table(sheet: Sheet, letters: TTFont) -> Table:
    shown = [n for n, name in enumerate(COLUMNS) if name not in _BELOW]
    style = _style(7)
    cells = [[_text(_DAY.sub(r"\1 ", row[n]), style, letters) for n in shown] for row in (COLUMNS, *sheet.rows)]
    looks: list[tuple[Any, ...]] = [
        ("GRID", (0, 0), (-1, -1), 0.25, Color(0.7, 0.7, 0.7)),
        ("BACKGROUND", (0, 0), (-1, 0), Color(0.93, 0.93, 0.93)),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    state = COLUMNS.index("State")
    for down, row in enumerate(sheet.rows, 1):
        if row[state] in _STATES:
            place = (shown.index(state), down)
            looks.append(("BACKGROUND", place, place, HexColor(_STATES[row[state]])))
    widths = [_WIDTHS_MM.get(COLUMNS[n], _USUAL_WIDTH_MM) * mm for n in shown]
    return Table(cells, colWidths=widths, repeatRows=1, style=looks)


def _below(sheet: Sheet, letters: TTFont) -> Iterator[Flowable]:
    style = _style(8, spaceBefore=2 * mm)
    for row in sheet.rows:
        for name in _BELOW:
            said = row[COLUMNS.index(name)]
            if said:
                yield _text(f"{row[COLUMNS.index('Check')]}, {name.lower()}: {said}", style, letters)


def _text(text: str, style: ParagraphStyle, letters: TTFont) -> Paragraph:
    return Paragraph(escape("".join(_shown(character, letters) for character in text)), style)


def _shown(character: str, letters: TTFont) -> str:
    if character.isspace():
        return " "
    if unicodedata.category(character).startswith("C") or ord(character) not in letters.face.charToGlyph:
        return f"[U+{ord(character):04X}]"
    return character
