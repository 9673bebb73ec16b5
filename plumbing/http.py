"""A request to an outside API -> its whole answer, or one failure of a named kind.

Never retries, never follows a redirect, never waits longer than told, never takes more bytes than told. What a failure tells
has *** where the server echoed what opens the API. The kinds:
unreachable (no or broken connection, time-out, 502, 503, 504), rate_limited (429), unauthorised (401), forbidden (403),
malformed (an answer that is not what the API speaks), address (the URL may not be called; nothing was sent) and rejected (any
other status of 400 and above).
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from eventlet.patcher import is_monkey_patched
from eventlet.timeout import Timeout
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import DecodeError, HTTPError

from plumbing import metrics, way_out
from plumbing.addresses import PrivateAddress
from plumbing.clock import Clock
from plumbing.hiding import Hiding
from plumbing.way_out import WayOut

LARGEST_ANSWER = 64 * 2**20
LONGEST_MESSAGE = 300
USER_AGENT = "Trueup/0.1"
_BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)
_KINDS = {
    401: "unauthorised",
    403: "forbidden",
    429: "rate_limited",
    502: "unreachable",
    503: "unreachable",
    504: "unreachable",
}


@dataclass(frozen=True)
class Limits:
    """Seconds: to connect, of silence between two bytes, and in all; bytes in an answer (unpacked)."""

    connect: float = 10
    read: float = 120
    total: float = 300
    largest: int = LARGEST_ANSWER


@dataclass(frozen=True)
class Answer:
    """A whole answer with a status below 400."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class OutsideFailure(Exception):
    """An outside API gave no usable answer. sent: whether the request may have reached it. retry_after: seconds it asked
    for. status, headers and body: what came, if anything (the body may hold personal data: do not log it)."""

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        sent: bool = True,
        retry_after: float | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.message, self.sent = kind, message, sent
        self.retry_after, self.status, self.headers, self.body = retry_after, status, headers or {}, body


class Http:
    """A keep-alive session with one outside API. api: its name in metrics; way: how its requests leave; secrets: what opens it,
    beside the Authorization of each request."""

    def __init__(self, api: str, limits: Limits, clock: Clock, way: WayOut, secrets: Iterable[str] = ()) -> None:
        self._api, self._limits, self._clock, self._secrets = api, limits, clock, tuple(secrets)
        self._session = way_out.session(way)
        self._session.headers.update({"User-Agent": USER_AGENT})

    def call(
        self,
        method: str,
        url: str,
        *,
        endpoint: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """The answer to one request, sent once. endpoint: its name in metrics, without ids. OutsideFailure."""
        began = time.monotonic()
        outcome = "answered"
        hidden: OutsideFailure
        try:
            with _in_time(self._limits.total):
                return self._call(
                    method, url, began + self._limits.total, headers=headers, params=params, data=body, auth=auth
                )
        except OutsideFailure as failure:
            outcome = failure.kind
            hidden = self._without_secrets(failure, (headers or {}).get("Authorization", ""))
        finally:
            metrics.outside_calls.labels(self._api, endpoint, outcome).inc()
            metrics.outside_seconds.labels(self._api, endpoint).observe(time.monotonic() - began)
        # Outside the handler: what it came from is not masked, and must stand in no traceback.
        raise hidden

    def _without_secrets(self, failure: OutsideFailure, authorization: str) -> OutsideFailure:
        hiding = self._hiding(authorization)
        return OutsideFailure(
            failure.kind,
            hiding.text(failure.message)[:LONGEST_MESSAGE],
            sent=failure.sent,
            retry_after=failure.retry_after,
            status=failure.status,
            headers=CaseInsensitiveDict({name: hiding.text(value) for name, value in failure.headers.items()}),
            body=hiding.bytes(failure.body),
        )

    def hide(self, text: str, authorization: str = "") -> str:
        """What stood in an answer, as it may be told: with *** for each of the secrets. authorization: the request's."""
        return self._hiding(authorization).text(text)

    def _hiding(self, authorization: str) -> Hiding:
        return Hiding((*self._secrets, authorization.rpartition(" ")[2]))

    def close(self) -> None:
        """Closes the kept connections."""
        self._session.close()

    def _call(self, method: str, url: str, deadline: float, **request: Any) -> Answer:
        try:
            response = self._session.request(
                method,
                url,
                timeout=(self._limits.connect, self._limits.read),
                allow_redirects=False,
                stream=True,
                **request,
            )
        except PrivateAddress as error:
            raise OutsideFailure("address", str(error), sent=False) from error
        except requests.exceptions.ConnectTimeout as error:
            raise OutsideFailure("unreachable", "it took too long to connect", sent=False) from error
        except requests.exceptions.ReadTimeout as error:
            raise OutsideFailure("unreachable", f"no answer for {self._limits.read:g} s") from error
        except requests.exceptions.ConnectionError as error:
            sent = not _never_connected(error)
            raise OutsideFailure("unreachable", _plainly(error), sent=sent) from error
        except _BAD_ADDRESS as error:
            raise OutsideFailure("unreachable", _plainly(error), sent=False) from error
        except (requests.exceptions.RequestException, HTTPError, ValueError) as error:
            # An answer whose head makes no sense (two lengths, a broken Location): the request did arrive.
            raise OutsideFailure("malformed", _plainly(error)) from error
        with response:
            return self._judged(response, self._whole_body(response, deadline))

    def _whole_body(self, response: requests.Response, deadline: float) -> bytes:
        """Reads what is there, piece by piece: a trickle of single bytes must not outlast the deadline."""
        parts: list[bytes] = []
        size = 0
        try:
            while part := response.raw.read1(65536, decode_content=True):
                parts.append(part)
                size += len(part)
                if size > self._limits.largest:
                    raise OutsideFailure("malformed", f"the answer is larger than {self._limits.largest} bytes")
                if time.monotonic() > deadline:
                    raise OutsideFailure("unreachable", f"the answer took longer than {self._limits.total:g} s")
        except DecodeError as error:
            raise OutsideFailure("malformed", _plainly(error)) from error
        except (HTTPError, OSError) as error:
            raise OutsideFailure("unreachable", f"the answer broke off: {_plainly(error)}") from error
        return b"".join(parts)

    def _judged(self, response: requests.Response, body: bytes) -> Answer:
        status = response.status_code
        if status < 300:
            return Answer(status, response.headers, body)
        if status < 400:
            raise OutsideFailure("malformed", f"answered with a redirect ({status}); check the address", status=status)
        raise OutsideFailure(
            _KINDS.get(status, "unreachable" if status >= 520 else "rejected"),
            f"status {status}",
            retry_after=self._retry_after(response.headers.get("Retry-After", "")),
            status=status,
            headers=response.headers,
            body=body,
        )

    def _retry_after(self, text: str) -> float | None:
        """Seconds from either form of the header (RFC 9110 section 10.2.3); None when there is none or it is no sense."""
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            moment = parsedate_to_datetime(text)
            return max(0.0, (moment - self._clock.now()).total_seconds())
        except (ValueError, TypeError):
            return None


@contextmanager
def _in_time(seconds: float) -> Iterator[None]:
    """Under eventlet, ends the call after so many seconds wherever it stands, such as in headers that trickle in."""
    if not is_monkey_patched("socket"):
        yield
        return
    failure = OutsideFailure("unreachable", f"the answer took longer than {seconds:g} s")
    with Timeout(seconds, failure):
        yield


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    """Whether the connection was never made, so that nothing can have been sent."""
    cause: BaseException | None = error.args[0] if error.args and isinstance(error.args[0], BaseException) else None
    reason = getattr(cause, "reason", cause)
    return type(reason).__name__ in {"NewConnectionError", "ConnectTimeoutError"}


def _plainly(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0]
