"""What an export holds: the rows, order, columns and sums of the page, harmless to spreadsheets, in CSV and XLSX."""

import csv
import io
import uuid
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
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.exports.headings import headings
from gateway.exports.making import Making, wish
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from services.reporting.queries import MOST_ROWS, REPORTS, BadQuestion, Kind, Order, Question, Report, read_page
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import Postgres, role_url

pytestmark = pytest.mark.postgres
ZONE = "America/New_York"
CLOCK = FrozenClock(datetime(2026, 3, 29, 2, tzinfo=UTC))
HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2.00",
    "@SUM(A1:A9)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    'a "quoted", name',
    "two\nlines\r\nthree",
    "\ufeffmark",
    "\u202eright to left שלום",
    "half;=of,it",
    "_x0041_ \x01\x1f",
    "\\N",
    "\ufffe\uffff",
    "'already",
    "Größe ✓ 🙂",
    "plain",
    "%s %(x)s",
)


def _told(engine: Engine) -> MspId:
    """An MSP with hostile names, two currencies, unknown counts, and posts around midnight of its time zone."""
    msp_id = add_msp(engine, time_zone=ZONE)
    events: list[Any] = []
    for number in range(44):
        names = h.odin(str(number), subscription=str(number % 9), company=str(number % 4))
        names["resource_name"] = HOSTILE[number % len(HOSTILE)]
        names["company_name"] = HOSTILE[-(number % 4) - 1]
        cost = None if number % 5 == 0 else h.Money(Decimal(number) / 8, "EUR" if number % 3 else "USD")
        count = None if number % 7 == 0 else str(Decimal(number) / (1 if number % 2 else 1000))
        events += [h.subscription(names, period=None if number % 6 == 0 else "1 month")]
        events += [h.discovered(names, count, unit_cost=cost, unit=None if number % 4 else "licence")]
        product = h.psa(str(number))
        if number % 2:
            events += [h.product(product), h.linked(names, product, f"r{number}")]
        if number % 3 == 0:
            request = f"q{number}"
            events += [h.requested(names, product, request), h.posted(names, product, request, number - 20)]
        if number % 11 == 0:
            events += [h.failed(names, product, f"f{number}")]
    for hour, event in enumerate(events):
        h.append(engine, msp_id, [event], occurred_at=datetime(2026, 3, 1 + hour // 24, hour % 24, 30, tzinfo=UTC))
    h.project(engine, msp_id)
    return msp_id


@pytest.fixture(scope="module")
def reading(postgres: Postgres, migrated_template: str) -> Iterator[Engine]:
    """A told database as the gateway's role reads it; the tests of the module share it."""
    name = f"exports_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    owner = make_engine(postgres.database_url(name), "test")
    _told(owner)
    owner.dispose()
    engine = make_engine(role_url(postgres.database_url(name), "trueup_gateway"), "test")
    yield engine
    engine.dispose()
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


def export(engine: Engine, report: str, file_format: str, *given: tuple[str, str]) -> bytes:
    """The file that the parameters ask for, whole."""
    pieces: list[bytes] = []
    asked = [("msp", "acme"), *given] if REPORTS[report].model else given
    Making(engine, wish(engine, CLOCK, REPORTS[report], file_format, asked, "mara"), _no_service).run(pieces.append)
    return b"".join(pieces)


def _no_service(**asked: Any) -> dict[str, Any]:
    raise AssertionError(f"no service is asked here: {asked}")


def lines_of(file: bytes) -> list[list[str]]:
    """The lines of a CSV file, the headings first."""
    # A line of one empty cell is an empty line.
    return [line or [""] for line in csv.reader(io.StringIO(file.decode("utf-8-sig"), newline=""))]


def all_rows(engine: Engine, report: Report, **question: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every row that one who turns the pages sees, and the totals."""
    rows: list[dict[str, Any]] = []
    after = None
    with engine.connect() as connection:
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


# The columns of the reports as figures 3-7, 3-10, 3-15, 3-19 and 3-20 of the user guide show them (features A40, A46, A49,
# A53, A55); the guide's figure of the unlinked report has "Subcription", which is a slip.
GUIDE = {
    "adjustments": [
        "Adjustment Date",
        "ODIN Company Name",
        "ODIN Subscription",
        "ODIN Resource Name",
        "PSA Customer",
        "PSA Agreement",
        "PSA Product",
        "Adjustment Amount",
    ],
    "failures": [
        "Adjustment Date",
        "ODIN Company Name",
        "ODIN Subscription",
        "ODIN Resource Name",
        "PSA Customer",
        "PSA Agreement",
        "PSA Product",
        "Adjustment Amount",
        "Error Message",
    ],
    "subscriptions": [
        "ODIN Account ID",
        "ODIN Company Name",
        "ODIN Subscription ID",
        "ODIN Subscription Name",
        "ODIN Resource ID",
        "ODIN Resource Name",
        "Count",
    ],
    "linked": [
        "[PSA Billing] Customer Name",
        "[PSA Billing] Agreement Name",
        "[PSA Billing] Product ID",
        "[PSA Billing] Product Description",
        "ODIN Company Name",
        "ODIN Subscription Name",
        "ODIN Resource Name",
        "Count",
    ],
    "unlinked": [
        "ODIN Account ID",
        "ODIN Company Name",
        "ODIN Subscription ID",
        "ODIN Subscription Name",
        "ODIN Resource ID",
        "ODIN Resource Name",
        "Resource Count",
    ],
}


@pytest.mark.parametrize("report", GUIDE)
def test_without_a_choice_the_columns_are_those_of_the_user_guide(reading: Engine, report: str) -> None:
    assert lines_of(export(reading, report, "csv"))[0] == GUIDE[report]


@pytest.mark.parametrize("report", REPORTS)
def test_every_column_of_every_report_can_be_exported_under_a_heading_of_its_own(reading: Engine, report: str) -> None:
    every = ",".join(map(to_camel_case, REPORTS[report].columns))

    head, *_ = lines_of(export(reading, report, "csv", ("cols", every)))
    book = openpyxl.load_workbook(io.BytesIO(export(reading, report, "xlsx", ("cols", every))))

    assert len(set(head)) == len(head)
    assert book.worksheets[0].max_column == len(head)


def test_a_name_that_a_spreadsheet_would_execute_is_harmless_and_no_other_is_changed(reading: Engine) -> None:
    parameters = (
        ("cols", "resourceName"),
        ("f.resourceId", ",".join(map(str, range(len(HOSTILE))))),
        ("sort", "resourceId"),
    )

    found = {line[0] for line in lines_of(export(reading, "subscriptions", "csv", *parameters))[1:]}

    guarded = {name for name in HOSTILE if name[0] in "=+-@\t\r\n＝"}
    assert found == {f"'{name}" for name in guarded} | (set(HOSTILE) - guarded)
    assert len(guarded) == 8


def test_a_csv_begins_with_its_mark_and_writes_numbers_plainly(reading: Engine) -> None:
    file = export(reading, "adjustments", "csv", ("cols", "unitChange,adjustmentDate"), ("sort", "position"))

    assert file.startswith("\ufeffAdjustment Amount,Adjustment Date\n-20.00,2026-02-28\n".encode())


def test_a_day_is_that_of_the_msps_time_zone(reading: Engine) -> None:
    both = ("cols", "adjustmentDate,postedAt"), ("from", "2026-03-02"), ("to", "2026-03-02")

    lines = lines_of(export(reading, "adjustments", "csv", *both))[1:]

    assert lines
    assert {day for day, _ in lines} == {"2026-03-02"}
    assert {moment[:10] for _, moment in lines} == {"2026-03-02"}
    assert {moment[-6:] for _, moment in lines} == {"-05:00"}


def test_the_last_thirty_days_end_today_in_the_msps_time_zone(reading: Engine) -> None:
    # It is 28 March in New York: from 2 March on.
    ranged = lines_of(export(reading, "adjustments", "csv", ("range", "26d"), ("cols", "adjustmentDate")))
    told = lines_of(
        export(reading, "adjustments", "csv", ("from", "2026-03-02"), ("to", "2026-03-28"), ("cols", "adjustmentDate"))
    )

    assert ranged == told
    assert len(told) < len(lines_of(export(reading, "adjustments", "csv", ("range", "all"))))


def test_a_workbook_says_what_it_is(reading: Engine) -> None:
    parameters = (
        ("f.resourceName", "~plain"),
        ("sort", "-count"),
        ("position", str(_position(reading))),
        ("row", "7"),
    )
    book = openpyxl.load_workbook(io.BytesIO(export(reading, "unlinked", "xlsx", *parameters)))

    about = {row[0].value: row[1].value for row in book["About"].iter_rows()}
    assert book.sheetnames == ["Unlinked", "About"]
    assert book.worksheets[0].freeze_panes == "A2"
    assert about["Filter"] == "resourceName contains plain"
    assert about["Order"] == "count falling, resourceKey falling"
    assert (about["Log position"], about["Rows"]) == (_position(reading), 2)
    assert (about["Exported by"], about["Time zone"]) == ("mara", ZONE)
    assert about["Exported at"] == "2026-03-29T02:00:00+00:00"


def _position(engine: Engine) -> int:
    with engine.connect() as connection:
        position = connection.scalar(text("SELECT position FROM log.heads WHERE msp_id = 'acme'"))
    assert isinstance(position, int)
    return position


def test_rows_of_a_group_stand_together(reading: Engine) -> None:
    parameters = ("group", "companyId"), ("sort", "-count"), ("cols", "companyId,count")

    companies = [line[0] for line in lines_of(export(reading, "subscriptions", "csv", *parameters))[1:]]

    assert companies == sorted(companies)


def test_lesser_and_greater_mean_what_they_say(reading: Engine) -> None:
    changes = ("cols", "unitChange")

    below = lines_of(export(reading, "adjustments", "csv", changes, ("f.unitChange", "lt:-14")))[1:]
    between = lines_of(export(reading, "adjustments", "csv", changes, ("f.unitChange", "gt:-14,lt:-2")))[1:]

    assert {line[0] for line in below} == {"-20.00", "-17.00"}
    assert {line[0] for line in between} == {"-11.00", "-8.00", "-5.00"}


@pytest.mark.parametrize(
    ("report", "parameter", "value", "said"),
    [
        ("unlinked", "f.nothing", "1", "resourceName"),
        ("unlinked", "f.count", "lots", "f.count"),
        ("unlinked", "f.count", "lt:4", "gte: or lte:"),
        ("unlinked", "f.count", "gte:1,gte:2", "twice"),
        ("unlinked", "f.count", "", "empty"),
        ("unlinked", "f.usageBased", "perhaps", "f.usageBased"),
        ("unlinked", "f.renewalDate", "2026-03-01", "from:"),
        ("unlinked", "f.firstSeenAt", "from:2026-03-01", "time zone"),
        ("unlinked", "f.resourceName", "a\x00b", "NUL"),
        ("unlinked", "f.companyId", ",".join(map(str, range(201))), "200"),
        ("unlinked", "f.unit", "empty:perhaps", "f.unit"),
        ("unlinked", "sort", "nothing", "sort"),
        ("unlinked", "sort", "count,unit,companyName,companyId", "at most 3"),
        ("unlinked", "group", "count,unit,companyName", "group"),
        ("unlinked", "cols", "count,count", "cols"),
        ("unlinked", "cols", "", "cols"),
        ("unlinked", "from", "2026-03-01", "from"),
        ("adjustments", "from", "yesterday", "from"),
        ("adjustments", "range", "1y", "range"),
        ("unlinked", "context", "sap", "autotask"),
        ("unlinked", "position", "last", "position"),
        ("unlinked", "q", "exchange", "f.resourceName=~"),
        ("unlinked", "view", "mine", "cols"),
        ("unlinked", "limit", "10", "limit"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(
    reading: Engine, report: str, parameter: str, value: str, said: str
) -> None:
    with pytest.raises(Refusal) as refused:
        export(reading, report, "csv", (parameter, value))

    assert refused.value.code == "BAD_PARAMETER"
    assert f"The parameter {parameter} " in refused.value.message
    assert said in refused.value.message + refused.value.fix


def test_what_is_asked_twice_is_refused(reading: Engine) -> None:
    for parameters in (
        [("sort", "count"), ("sort", "unit")],
        [("from", "2026-03-01"), ("f.adjustmentDate", "from:2026-03-02")],
    ):
        with pytest.raises(Refusal, match=r"The parameter (sort|from) "):
            export(reading, "adjustments", "csv", *parameters)


def test_a_number_that_no_column_can_hold_is_refused_before_a_byte_is_written(reading: Engine) -> None:
    for file_format in ("csv", "xlsx"):
        with pytest.raises(BadQuestion):
            export(reading, "adjustments", file_format, ("f.unitChange", "99999999999"))
