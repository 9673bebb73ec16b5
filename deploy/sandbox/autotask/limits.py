"""Requests of one database over time -> what Autotask does about them: nothing, a delay, or a refusal."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

HOUR = timedelta(minutes=60)
THREADS = "Thread Threshold Exceeded. The Autotask API thread threshold of {} threads has been exceeded."
USED_UP = "The Autotask API request threshold of {} requests in {} minutes has been exceeded."
LOCKED = "The user account has been locked.  Please see your Autotask Administrator for details."


class Refusal(Exception):
    """Autotask does not serve this request now; the message is its text."""


@dataclass
class Limits:
    """The limits of one database; all may be set while it runs.

    threshold: requests in a rolling hour. neighbour: how many of them other integrations of the same MSP use up.
    latency_scale: how long the added delay is (0: none). threads: at once per tracking identifier and entity type.
    bad_logins: so many in a row lock the user. server_seconds: how long the server works on each request.
    """

    now: Callable[[], datetime]
    threshold: int = 10_000
    neighbour: int = 0
    latency_scale: float = 1.0
    threads: int = 3
    bad_logins: int = 5
    server_seconds: float = 0.0
    bad_logins_so_far: int = 0
    _requests: deque[datetime] = field(default_factory=deque)
    _running: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def used(self) -> int:
        """Requests in the last 60 minutes, the neighbour's included."""
        now = self.now()
        while self._requests and not now - HOUR < self._requests[0] <= now:
            self._requests.popleft()
        return len(self._requests) + self.neighbour

    @property
    def locked(self) -> bool:
        """Whether too many bad logins have locked the user."""
        return self.bad_logins_so_far >= self.bad_logins

    def count_request(self) -> float:
        """Count a request; the seconds by which it is delayed. Refusal when the hour is used up."""
        used = self.used
        if used >= self.threshold:
            raise Refusal(USED_UP.format(self.threshold, 60))
        self._requests.append(self.now())
        share = (used + 1) / self.threshold
        delay = 1.0 if share >= 0.75 else 0.5 if share >= 0.5 else 0.0
        return delay * self.latency_scale + self.server_seconds

    @contextmanager
    def thread(self, tracking_identifier: str, entity: str) -> Iterator[None]:
        """One of the threads that may run at once for this entity type; Refusal when all are taken."""
        key = (tracking_identifier, entity.lower())
        if self._running[key] >= self.threads:
            raise Refusal(THREADS.format(self.threads))
        self._running[key] += 1
        try:
            yield
        finally:
            self._running[key] -= 1

    def usage_text(self) -> str:
        """What getThresholdAndUsageInfo says."""
        return f"ThresholdOfExternalRequest: {self.threshold}; TimeframeOfLimitation: 60; numberOfExternalRequest: {self.used};"
