"""A page's URL -> the export that it asks for: the same filter, order and columns, or a refusal that names the parameter.

    msp=acme  sort=-adjustmentDate,companyName  cols=companyName,count  from=2018-06-28  to=2018-07-28  range=30d  asOf=2018-06-30
    f.companyId=1200000501,1200000503   f.resourceName=~exchange   f.unit=empty:true   f.usageBased=false
    f.count=4,12   f.unitChange=lt:0   f.count=gte:1,lte:5   f.linkedAt=from:2018-07-01T00:00:00Z

Columns are named as in GraphQL. A backslash before a comma, a tilde or another backslash takes away its meaning. A page
drops a parameter that it does not know and says so; an export refuses it, for a file cannot say what it left out.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from graphene.utils.str_converters import to_camel_case
from graphql import GraphQLError

from gateway.errors import Refusal
from gateway.exports.headings import usual_columns
from gateway.schema.as_of import Past
from gateway.schema.filters import MOST_LISTED
from gateway.schema.scalars import Date, DateTime, Decimal, Position
from services.reporting.exporting import Export
from services.reporting.queries import QUESTIONS, REPORTS, BadQuestion, Column, Kind, Order, Report
from services.reporting.question import whole_order

FORMATS = ("csv", "xlsx")
CONTEXTS = ("autotask",)
# They say how a page looks, not which rows it has.
_OF_THE_PAGE = ("row", "expand", "tab")
MOST_GROUPS = 2
_STEPS = {"lt": ("lte", -1), "gt": ("gte", 1)}


@dataclass(frozen=True)
class Asked:
    """An export, as asked for. position: where the page said that its rows stood (None: wherever they stand); as_of: the
    past day or position that the page shows (None: now, or the position is given)."""

    export: Export
    format: str
    context: str
    position: int | None
    as_of: date | int | None


def report_of(name: str) -> Report:
    """The report of this name in a URL, such as unlinked or psa-products. Refusal NO_SUCH_REPORT."""
    report = REPORTS.get(name.replace("-", "_"))
    if report is None:
        names = ", ".join(each.replace("_", "-") for each in REPORTS)
        raise Refusal("NO_SUCH_REPORT", f"There is no report {name!r}.", f"There are: {names}.")
    return report


def asked(report: Report, file_format: str, given: Iterable[tuple[str, str]], today: Callable[[], date]) -> Asked:
    """What the parameters ask for; today: in the MSP's time zone, for a relative range. Refusal BAD_PARAMETER."""
    parameters = once(given)
    msp_id = parameters.pop("msp", "")
    if report.model and not msp_id:
        raise refused("msp", "is missing", "Say whose rows: msp=<the MSP's id>.")
    wanted: dict[str, dict[str, Any]] = {}
    for name in [name for name in parameters if name.startswith("f.")]:
        column = _column(report, name, name[2:])
        wanted[column.name] = _filter(name, column, parameters.pop(name))
    _add_days(report, wanted, parameters, today)
    order = _order(report, parameters.pop("group", ""), parameters.pop("sort", ""))
    columns = _columns(report, parameters.pop("cols")) if "cols" in parameters else usual_columns(report)
    context = _one_of("context", parameters.pop("context"), CONTEXTS) if "context" in parameters else ""
    position, as_of = _when(report, parameters)
    for name in parameters:
        if name not in _OF_THE_PAGE:
            raise _unknown(name)
    export = Export(report, msp_id, columns, wanted, order)
    return Asked(export, file_format, context, position, as_of if position is None else None)


def in_words(export: Export) -> list[str]:
    """The filter, a line for each question; what an export says of itself."""
    said = {
        "in": "is one of",
        "contains": "contains",
        "gte": "is at least",
        "lte": "is at most",
        "from": "is from",
        "to": "is to",
    }
    lines = []
    for name, questions in export.filter.items():
        for word, value in questions.items():
            if word == "is_empty":
                lines.append(f"{to_camel_case(name)} {'has no value' if value else 'has a value'}")
            else:
                shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
                lines.append(f"{to_camel_case(name)} {said[word]} {shown}")
    return lines or ["all rows"]


def order_in_words(export: Export) -> str:
    """The order, such as adjustmentDate falling, position falling."""
    return ", ".join(f"{to_camel_case(key.name)} {'falling' if key.descending else 'rising'}" for key in export.order)


def refused(parameter: str, what: str, fix: str) -> Refusal:
    """The refusal of one parameter."""
    return Refusal("BAD_PARAMETER", f"The parameter {parameter} {what}.", fix)


def once(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parameters by name. Refusal BAD_PARAMETER when one is given twice, or with a NUL."""
    parameters: dict[str, str] = {}
    for name, value in given:
        if name in parameters:
            raise refused(name, "is given twice", "Give it once; several values are divided by commas.")
        if "\x00" in value:
            raise refused(name, "contains the character NUL", "Take it out.")
        parameters[name] = value
    return parameters


def _unknown(name: str) -> Refusal:
    fixes = {
        "q": "Filter a column instead, as in f.resourceName=~exchange.",
        "view": "Give its columns, order and filter as cols, sort and f.<column>.",
    }
    usual = "There are msp, f.<column>, sort, cols, from, to, range, group, context, asOf and position."
    return refused(name, "is not known to exports", fixes.get(name, usual))


def _column(report: Report, parameter: str, name: str) -> Column:
    for column in report.columns.values():
        if to_camel_case(column.name) == name:
            return column
    names = ", ".join(map(to_camel_case, report.columns))
    raise refused(parameter, f"names the column {name!r}, which {report.name} does not have", f"There are: {names}.")


def _columns(report: Report, value: str) -> tuple[str, ...]:
    names = [_column(report, "cols", name).name for name in value.split(",") if name]
    if not names or len(set(names)) < len(names):
        raise refused("cols", "must name at least one column, and each once", "As in cols=companyName,count.")
    return tuple(names)


def _order(report: Report, group: str, sort: str) -> tuple[Order, ...]:
    """Rows of a group stand together, as on the page."""
    groups = [Order(_column(report, "group", name).name) for name in group.split(",") if name]
    if len(groups) > MOST_GROUPS:
        raise refused("group", f"names more than {MOST_GROUPS} columns", "As in group=companyName.")
    asked = [
        Order(_column(report, "sort", key.removeprefix("-")).name, key.startswith("-"))
        for key in sort.split(",")
        if key
    ]
    try:
        keys = whole_order(report, asked)
    except BadQuestion as error:
        raise refused("sort", f"cannot be met: {error}", "As in sort=-adjustmentDate,companyName.") from error
    directions = {key.name: key for key in reversed(keys)}
    first = [directions.get(key.name, key) for key in groups]
    return (*first, *(key for key in keys if key not in first))


def _one_of(parameter: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise refused(parameter, f"is {value!r}", f"It may be {' or '.join(known)}.")
    return value


def _range(value: str, today: date) -> dict[str, date]:
    if value == "all":
        return {}
    found = re.fullmatch(r"([1-9][0-9]{0,3})d", value)
    if not found:
        raise refused("range", f"is {value!r}", "It may be all or so many days, as in 30d; else give from and to.")
    return {"from": today - timedelta(days=int(found[1])), "to": today}


def _add_days(
    report: Report, wanted: dict[str, dict[str, Any]], parameters: dict[str, str], today: Callable[[], date]
) -> None:
    """The date range of a page is a question to the day that the report is told by."""
    given = [name for name in ("from", "to", "range") if name in parameters]
    if not given:
        return
    days = _range(parameters.pop("range"), today()) if "range" in parameters else {}
    days |= {name: _read(name, Date.parse_value, parameters.pop(name)) for name in ("from", "to") if name in parameters}
    if not days:
        return
    column = next((c for c in report.columns.values() if c.kind is Kind.DAY), None)
    if column is None:
        raise refused(given[0], f"has no meaning for {report.name}", "Filter a column, as in f.readAt=from:....")
    filtered = wanted.setdefault(column.name, {})
    if filtered.keys() & days.keys():
        raise refused(given[0], f"and f.{to_camel_case(column.name)} ask the same", "Give one of the two.")
    filtered.update(days)


def _when(report: Report, parameters: dict[str, str]) -> tuple[int | None, date | int | None]:
    """position and asOf."""
    for name in ("position", "asOf"):
        if name in parameters and not report.model:
            raise refused(name, f"has no meaning for {report.name}", "Leave it out: these rows have no past.")
    position = _read("position", Position.parse_value, parameters.pop("position")) if "position" in parameters else None
    as_of = _read("asOf", Past.parse_value, parameters.pop("asOf")) if "asOf" in parameters else None
    return position, as_of


def _filter(parameter: str, column: Column, value: str) -> dict[str, Any]:
    """The questions in a value; see the module's examples."""
    is_text = column.kind in (Kind.ID, Kind.TEXT)
    if is_text and value.startswith("~"):
        return {"contains": _plain(value[1:])}
    asked: dict[str, Any] = {}
    found: Any
    for part in re.findall(r"(?:\\.|[^,\\]|\\$)+", value, re.DOTALL):
        word, colon, rest = part.partition(":")
        if colon and word == "empty":
            word, found = "is_empty", _one_of(parameter, rest, ("true", "false")) == "true"
        elif colon and not is_text and (word in _STEPS or word in QUESTIONS[column.kind]):
            word, found = _compared(parameter, column, word, rest)
        else:
            found = [*asked.pop("in", []), _read(parameter, _READERS[column.kind], _plain(part))]
            word = "in"
        if word in asked:
            raise refused(parameter, f"asks the same twice: {value[:40]!r}", "Ask it once.")
        asked[word] = found
    if "in" in asked and "in" not in QUESTIONS[column.kind]:
        raise refused(parameter, f"cannot be {value[:40]!r}", "As in from:2018-06-28,to:2018-07-28.")
    if len(asked.get("in", ())) > MOST_LISTED:
        raise refused(parameter, f"lists more than {MOST_LISTED} values", "Export in several files.")
    if not asked:
        raise refused(parameter, "is empty", "Leave it out, or ask for f.<column>=empty:true.")
    return asked


def _compared(parameter: str, column: Column, word: str, value: str) -> tuple[str, Any]:
    found = _read(parameter, _READERS[column.kind], value)
    if word not in _STEPS:
        return word, found
    if column.kind not in (Kind.WHOLE, Kind.POSITION):
        raise refused(parameter, f"asks {word}: of a number that need not be whole", "Ask gte: or lte: instead.")
    word, step = _STEPS[word]
    return word, found + step


def _plain(part: str) -> str:
    return re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL)


def _read(parameter: str, reader: Callable[[str], Any], value: str) -> Any:
    try:
        return reader(value)
    except (GraphQLError, ValueError) as error:
        raise refused(parameter, f"cannot be {value[:40]!r}", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


def _whole(value: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise ValueError("a whole number is written as -2")
    return int(value)


def _flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("it is true or false")
    return value == "true"


_READERS: Mapping[Kind, Callable[[str], Any]] = {
    Kind.ID: str,
    Kind.TEXT: str,
    Kind.NUMBER: Decimal.parse_value,
    Kind.WHOLE: _whole,
    Kind.POSITION: Position.parse_value,
    Kind.MONEY: Decimal.parse_value,
    Kind.DATE: Date.parse_value,
    Kind.MOMENT: DateTime.parse_value,
    Kind.DAY: Date.parse_value,
    Kind.FLAG: _flag,
}
