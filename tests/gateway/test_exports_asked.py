"""What the parameters of an export mean, and that a bad one is refused by name."""

import pytest
from sqlalchemy import Engine

from gateway.errors import Refusal
from services.reporting.queries import BadQuestion
from tests.gateway.exporting import export, lines_of, reading

__all__ = ["reading"]
pytestmark = pytest.mark.postgres


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
