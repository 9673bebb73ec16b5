"""(a script or a rate of faults, a call) -> the fault that befalls it, and the broken answer that comes of it.

Kinds that replace the answer:
    error_500, error_502, error_503, error_504   platform JSON; HTML of a proxy for 502, 503 and 504
    conflict_500                                 a business conflict dressed as 500
    throttled                                    429 of the gateway; retry_after in seconds, None: no header
    day_spent                                    403 of the gateway: no calls left today
    unauthorised, forbidden                      401 and 403 of the platform
    html_200                                     a web page with status 200
    redirect                                     302 to `location`
    gzip_bomb                                    a few hundred kB that unpack to 100 MB of blanks
    endless                                      a body without end, a byte every `seconds`
    reset                                        TCP reset without a byte
    hang                                         `seconds` of silence, then the line closes
Kinds that break the true answer:
    truncated_json                               a complete HTTP answer whose JSON stops half way
    cut_off, reset_mid_body                      `after_bytes` of the body, then closed or reset
    hang_mid_body                                half a body, then `seconds` of silence, then closed
    slow                                         the true answer after `seconds`
    trickle                                      the true answer, a byte every `seconds`
    wrong_content_type                           the true JSON as text/plain
    stale                                        the answer that the last such call that went well got
    lying_total                                  pagination.total is `total_by` too high
    empty_list                                   data is empty, total stays
"""

import asyncio
import random
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any

from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import ASGIApp

from deploy.sandbox.odin.access import Answer, Refused, day_spent, too_many_calls
from deploy.sandbox.serving import CutOff, Hang, Trickle


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its kind, the calls it befalls, and its measures (see the module's docstring).

    path is a prefix of what follows the region; a list's path ends in "?" even without a query, so "/subscriptions?"
    means the list alone and "/subscriptions/" each detail. query is a part of the query string, such as "offset=20".
    calls None means for ever; skip lets so many such calls pass first; share below 1 befalls that part of them.
    """

    kind: str
    path: str = ""
    query: str = ""
    calls: int | None = 1
    skip: int = 0
    share: float = 1
    seconds: float = 120
    after_bytes: int = 40
    retry_after: int | None = 1
    total_by: int = 1
    location: str = "http://127.0.0.1:1/"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind!r}; there are {', '.join(sorted(KINDS))}")


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault's answer and the HTTP status that a log would show (0: none was sent)."""

    status: int
    response: ASGIApp


@dataclass(slots=True)
class Faults:
    """The faults that wait for one account's calls; the first in the script that fits a call befalls it."""

    _script: list[Fault] = field(default_factory=list)
    _chance: random.Random = field(default_factory=lambda: random.Random(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, fault: Fault | str, path: str = "", **measures: object) -> None:
        """Let the next call (or calls=N) to this path meet the fault; ValueError for an unknown kind."""
        made = fault if isinstance(fault, Fault) else Fault(fault, path, **measures)  # type: ignore[arg-type]
        with self._lock:
            self._script.append(made)

    def rate(self, kind: str, share: float, *, path: str = "", seed: int = 1, **measures: object) -> None:
        """Let this share of the calls (0 to 1) meet the fault for ever, by seeded chance."""
        with self._lock:
            self._chance = random.Random(seed)
        self.script(Fault(kind, path, share=share, calls=None, **measures))  # type: ignore[arg-type]

    def clear(self) -> None:
        """Let the faults end."""
        with self._lock:
            self._script.clear()

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """The faults still to come."""
        return tuple(self._script)

    def befalling(self, path: str, query: str) -> Fault | None:
        """The fault that this call meets, which is thereby used up by one call; None when it goes well."""
        with self._lock:
            for place, fault in enumerate(self._script):
                if not f"{path}?{query}".startswith(fault.path) or fault.query not in query:
                    continue
                if fault.skip:
                    self._script[place] = replace(fault, skip=fault.skip - 1)
                elif fault.share >= 1 or self._chance.random() < fault.share:
                    self._use_up(place, fault)
                    return fault
        return None

    def _use_up(self, place: int, fault: Fault) -> None:
        if fault.calls == 1:
            del self._script[place]
        elif fault.calls is not None:
            self._script[place] = replace(fault, calls=fault.calls - 1)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A call that meets a fault: answer makes the true answer, last is that of the last such call that went well."""

    fault: Fault
    answer: Callable[[], Answer]
    last: Answer | None

    def broken(self) -> Broken:
        """What the caller gets; raises Refused when it is a refusal of the platform."""
        return KINDS[self.fault.kind](self)


Breaking = Callable[[Meeting], Broken]


def _refused(status: int, message: str) -> Breaking:
    def breaking(_: Meeting) -> Broken:
        raise Refused(status, message)

    return breaking


def _page(status: int, title: str) -> Breaking:
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center><hr>nginx</body></html>"
    return lambda _: Broken(status, HTMLResponse(page, status))


def _redirect(meeting: Meeting) -> Broken:
    return Broken(302, RedirectResponse(meeting.fault.location, 302))


@cache
def _bomb() -> bytes:
    packer, megabyte = zlib.compressobj(1, wbits=31), b" " * 2**20
    return b"".join(packer.compress(megabyte) for _ in range(100)) + packer.flush()


def _gzip_bomb(_: Meeting) -> Broken:
    return Broken(200, Response(_bomb(), headers={"Content-Encoding": "gzip"}, media_type="application/json"))


def _endless(meeting: Meeting) -> Broken:
    async def blanks() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(meeting.fault.seconds)

    return Broken(200, StreamingResponse(blanks(), media_type="application/json"))


def _answered(answer: Answer) -> Broken:
    return Broken(answer.status, answer.response())


def _altered(change: Callable[[Fault, Response], ASGIApp]) -> Breaking:
    def breaking(meeting: Meeting) -> Broken:
        true = meeting.answer()
        return Broken(true.status, change(meeting.fault, true.response()))

    return breaking


def _listing(change: Callable[[Fault, dict[str, Any]], dict[str, Any]]) -> Breaking:
    """Break the document of a list; any other answer stays true."""

    def breaking(meeting: Meeting) -> Broken:
        true = meeting.answer()
        if "pagination" in true.document:
            true = replace(true, document=change(meeting.fault, true.document))
        return _answered(true)

    return breaking


def _truncated(_: Fault, response: Response) -> Response:
    body = bytes(response.body)
    return Response(body[: len(body) // 2], response.status_code, media_type="application/json")


def _plain(_: Fault, response: Response) -> Response:
    return Response(response.body, response.status_code, media_type="text/plain")


def _half_then_silence(fault: Fault, response: Response) -> ASGIApp:
    half = len(response.body) // 2
    return CutOff(Trickle(response, max(half, 1), fault.seconds), half)


def _lying_total(fault: Fault, document: dict[str, Any]) -> dict[str, Any]:
    paging = document["pagination"]
    return document | {"pagination": paging | {"total": paging["total"] + fault.total_by}}


KINDS: Mapping[str, Breaking] = {
    "error_500": _refused(500, "Internal server error"),
    "error_502": _page(502, "502 Bad Gateway"),
    "error_503": _page(503, "503 Service Temporarily Unavailable"),
    "error_504": _page(504, "504 Gateway Time-out"),
    "conflict_500": _refused(500, "Cannot read: an order of the same type is still being provisioned, status LO"),
    "throttled": lambda meeting: _answered(too_many_calls(meeting.fault.retry_after, told=True)),
    "day_spent": lambda _: _answered(day_spent(timedelta(hours=5))),
    "unauthorised": _refused(401, "The token is missing, unknown or expired"),
    "forbidden": _refused(403, "Access to this resource is denied"),
    "html_200": _page(200, "Maintenance"),
    "redirect": _redirect,
    "gzip_bomb": _gzip_bomb,
    "endless": _endless,
    "reset": lambda _: Broken(0, CutOff(reset=True)),
    "hang": lambda meeting: Broken(0, Hang(meeting.fault.seconds)),
    "truncated_json": _altered(_truncated),
    "cut_off": _altered(lambda fault, response: CutOff(response, fault.after_bytes)),
    "reset_mid_body": _altered(lambda fault, response: CutOff(response, fault.after_bytes, reset=True)),
    "hang_mid_body": _altered(_half_then_silence),
    "slow": _altered(lambda fault, response: Hang(fault.seconds, response)),
    "trickle": _altered(lambda fault, response: Trickle(response, 1, fault.seconds)),
    "wrong_content_type": _altered(_plain),
    "stale": lambda meeting: _answered(meeting.last or meeting.answer()),
    "lying_total": _listing(_lying_total),
    "empty_list": _listing(lambda _, document: document | {"data": []}),
}
