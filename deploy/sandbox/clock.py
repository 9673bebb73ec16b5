"""Real time plus an offset -> the sandbox's time, which a test or a person can set and move on."""

import threading
from datetime import UTC, date, datetime, timedelta


class SandboxClock:
    """A running clock in UTC; one may be shared by several sandboxes, so that they agree on the day."""

    def __init__(self, offset: timedelta = timedelta()) -> None:
        self._offset = offset
        self._lock = threading.Lock()

    @property
    def offset(self) -> timedelta:
        """How far ahead of real time this clock runs; negative when behind."""
        return self._offset

    def now(self) -> datetime:
        """The sandbox's time, aware, in UTC."""
        return datetime.now(UTC) + self._offset

    def today(self) -> date:
        """The sandbox's day in UTC."""
        return self.now().date()

    def set(self, moment: datetime) -> None:
        """Run on from this moment. A moment without a zone raises ValueError."""
        if moment.tzinfo is None:
            raise ValueError(f"the clock needs a time with a zone, such as 2026-08-01T00:00:00Z, not {moment}")
        with self._lock:
            self._offset = moment - datetime.now(UTC)

    def advance(self, by: timedelta) -> None:
        """Move on by this much; a negative one goes back."""
        with self._lock:
            self._offset += by
