"""The system's clock -> moments in UTC and billing days in an MSP's time zone; the only place that asks what time it is.

A sandbox may set the clock forward: the file named in the settings holds the seconds to add, so that all processes agree.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo


class Clock:
    """Tells moments and days. One a process, handed to whatever needs the time."""

    def __init__(self, offset_file: str = "") -> None:
        self._offset_file = Path(offset_file) if offset_file else None

    def now(self) -> datetime:
        """This moment, aware, in UTC."""
        return datetime.now(UTC) + self._offset()

    def today(self, time_zone: str) -> date:
        """The day it is now in the given IANA time zone."""
        return self.now().astimezone(ZoneInfo(time_zone)).date()

    def _offset(self) -> timedelta:
        if self._offset_file is None or not self._offset_file.exists():
            return timedelta()
        return timedelta(seconds=float(self._offset_file.read_text() or 0))


class FrozenClock(Clock):
    """A clock that stands still until it is told otherwise: for tests and previews."""

    def __init__(self, moment: datetime) -> None:
        super().__init__()
        self.moment = moment

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.moment
