"""What an export looks like: the user guide's columns, names harmless to spreadsheets, numbers and days, what a workbook says."""

import io

import openpyxl
import pytest
from graphene.utils.str_converters import to_camel_case
from sqlalchemy import Engine, text

from plumbing.row_security import of_msp
from services.reporting.queries import REPORTS
from tests.gateway.exporting import HOSTILE, ZONE, export, lines_of, reading

__all__ = ["reading"]
pytestmark = pytest.mark.postgres


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
    with of_msp(engine, "acme").connect() as connection:
        position = connection.scalar(text("SELECT position FROM log.heads WHERE msp_id = 'acme'"))
    assert isinstance(position, int)
    return position
