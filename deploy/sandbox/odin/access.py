"""(key, credentials, the clock) -> let in or refused: the gateway's limits per key and the platform's tokens."""

import secrets
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from math import ceil
from typing import Any

import orjson
from starlette.responses import Response

_MINUTE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the marketplace answers: an HTTP status, a JSON document and headers of its own."""

    status: int
    document: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """The HTTP response of it."""
        return Response(orjson.dumps(self.document), self.status, self.headers, "application/json")


class Refused(Exception):
    """The platform refuses the call with this HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def gateway_refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """A refusal in the body of the gateway in front of the platform: {statusCode, message}."""
    return Answer(status, {"statusCode": status, "message": message}, headers or {})


def too_many_calls(retry_after: int | None, *, told: bool) -> Answer:
    """The gateway's 429, with or without the Retry-After header; retry_after is in seconds."""
    headers = {"Retry-After": str(retry_after)} if told and retry_after is not None else {}
    seconds = "a few" if retry_after is None else str(retry_after)
    return gateway_refusal(429, f"Rate limit is exceeded. Try again in {seconds} seconds.", headers)


def day_spent(until: timedelta) -> Answer:
    """The gateway's 403 when the calls of the day are spent; until is the time to the next day."""
    hours = f"{int(until.total_seconds()) // 3600:02d}:{int(until.total_seconds()) // 60 % 60:02d}:00"
    return gateway_refusal(403, f"Out of call volume quota. Quota will be replenished in {hours}.")


class Throttle:
    """The calls of one key: so many in any 60 seconds, so many in a day (UTC). Refused calls do not count."""

    def __init__(self) -> None:
        self._minute: deque[datetime] = deque()
        self._day_calls = 0
        self._day = date.min
        self._lock = threading.Lock()

    def refusal(self, now: datetime, per_minute: int | None, per_day: int | None, *, told: bool) -> Answer | None:
        """None when the call may pass, and it is counted; else the gateway's refusal."""
        with self._lock:
            self._forget(now)
            if per_day is not None and self._day_calls >= per_day:
                midnight = datetime.combine(now.date() + timedelta(days=1), time(), now.tzinfo)
                return day_spent(midnight - now)
            if per_minute is not None and len(self._minute) >= per_minute:
                return too_many_calls(ceil((self._minute[0] + _MINUTE - now).total_seconds()), told=told)
            self._minute.append(now)
            self._day_calls += 1
            return None

    def _forget(self, now: datetime) -> None:
        while self._minute and not now - _MINUTE < self._minute[0] <= now:
            self._minute.popleft()
        if self._day != now.date():
            self._day, self._day_calls = now.date(), 0


class Tokens:
    """The bearer tokens that this account has been given."""

    def __init__(self) -> None:
        self._expiry: dict[str, datetime] = {}

    def issue(self, now: datetime, seconds: float) -> str:
        """A new token, good for so many seconds."""
        token = secrets.token_urlsafe(24)
        self._expiry[token] = now + timedelta(seconds=seconds)
        return token

    def good(self, token: str, now: datetime) -> bool:
        """Whether this token is known and still alive."""
        return self._expiry.get(token, now) > now

    def kill(self) -> None:
        """Let every token die at once, as when the platform ends the session behind it."""
        self._expiry.clear()
