"""A month in an MSP's time zone: its days, when its invoice is due, from when on its numbers should stand still."""

from datetime import UTC, date, datetime

import pytest

from domain.months import BadMonth, Month


def test_a_month_has_its_last_day_and_is_due_on_the_day_after() -> None:
    december, february = Month.parse("2018-12"), Month.parse("2024-02")

    assert (str(december), december.first_day, december.last_day) == ("2018-12", date(2018, 12, 1), date(2018, 12, 31))
    assert (december.due_on, february.last_day) == (date(2019, 1, 1), date(2024, 2, 29))


@pytest.mark.parametrize(
    "text", ["", "2018-7", "2018-13", "2018-00", "18-07", "2018-07-01", "٢٠١٨-٠٧", "9999-12", "0001-01"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(BadMonth, match="2018-07"):
        Month.parse(text)


@pytest.mark.parametrize(
    ("month", "zone", "hours", "moment"),
    [
        ("2018-07", "America/New_York", 6, datetime(2018, 7, 31, 22, tzinfo=UTC)),
        ("2018-07", "Pacific/Auckland", 6, datetime(2018, 7, 31, 6, tzinfo=UTC)),
        # Clocks go forward on its last day: it freezes when they show midnight, 23 hours before its end.
        ("2024-03", "Europe/Berlin", 24, datetime(2024, 3, 30, 23, tzinfo=UTC)),
    ],
)
def test_its_freeze_begins_so_many_hours_before_its_end_as_clocks_there_show_them(
    month: str, zone: str, hours: int, moment: datetime
) -> None:
    assert Month.parse(month).freeze_from(zone, hours) == moment
