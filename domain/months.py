"""(a month, an MSP's time zone) -> its days, when its invoice is due, and from when on its numbers should stand still."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from domain.periods import add_months


class BadMonth(ValueError):
    """A month is written as 2018-07."""


@dataclass(frozen=True)
class Month:
    """One calendar month: the period of a close."""

    first_day: date

    @classmethod
    def parse(cls, text: str) -> "Month":
        """The month in a text such as 2018-07. BadMonth."""
        if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text, re.ASCII) or not "1900" < text < "9999":
            raise BadMonth(f"a month is written as 2018-07, not {text[:20]!r}")
        return cls(date(int(text[:4]), int(text[5:]), 1))

    @property
    def last_day(self) -> date:
        """Its last day."""
        return self.due_on - timedelta(days=1)

    @property
    def due_on(self) -> date:
        """The first day after it, on which its invoice is due."""
        return add_months(self.first_day, 1)

    @property
    def before(self) -> "Month":
        """The month before it."""
        return Month(add_months(self.first_day, -1))

    def freeze_from(self, time_zone: str, hours: int) -> datetime:
        """So many hours, as clocks there show them, before it ends."""
        wall = datetime.combine(self.due_on, time(), ZoneInfo(time_zone)) - timedelta(hours=hours)
        return wall.astimezone(UTC)

    def __str__(self) -> str:
        return f"{self.first_day:%Y-%m}"
