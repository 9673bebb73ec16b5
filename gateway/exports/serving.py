"""GET /export/<report>.<csv|xlsx>?<the page's URL> -> the file, streamed; half a file never looks like a whole one.

A few exports at once have threads of their own, so that those who turn pages never wait for them. The database is given
up as soon as the client has gone or takes nothing more.
"""

import asyncio
import logging
import time
from functools import partial

import anyio
import anyio.from_thread
import anyio.to_thread
import orjson
from anyio.streams.memory import MemoryObjectSendStream
from graphene.utils.str_converters import to_camel_case
from graphql import GraphQLError
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.door import Door, unauthenticated
from gateway.errors import Refusal, told
from gateway.exports.asked import FORMATS, once, report_of
from gateway.exports.making import Making, wish
from gateway.people.callers import NOBODY, Caller
from plumbing import rpc
from plumbing.clock import Clock
from plumbing.logs import correlated

log = logging.getLogger(__name__)
AT_ONCE = 3
RETRY_SECONDS = 10
STALLED_SECONDS = 30
_KINDS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_STATUS = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NO_SUCH_REPORT": 404,
    "NO_SUCH_MSP": 404,
    "NO_SUCH_CONNECTION": 404,
    "NO_SUCH_POSITION": 409,
    "INTERNAL": 500,
    "BUSY": 503,
    "UNAVAILABLE": 503,
    "OLD_HTTP": 505,
}


class Exports:
    """The exports of one gateway process. rpc_seconds: the longest wait for a past position to be made readable."""

    def __init__(self, engine: Engine, clock: Clock, door: Door, rabbitmq_url: str, rpc_seconds: float) -> None:
        self._engine, self._door, self._clock = engine, door, clock
        self._make_side = partial(rpc.call, rabbitmq_url, "reporting", "side", rpc_seconds)
        self._under_way = 0
        self._threads = anyio.CapacityLimiter(AT_ONCE)

    async def answer(self, request: Request) -> Response:
        """The route's handler."""
        return _Answer(self, request)

    async def send_file(self, request: Request, sending: "Sending", receive: Receive, send: Send) -> None:
        """Sends the file that the request asks for. Refusal, or any fault, with sending.begun telling whether half a file
        is out already."""
        by = await signed_in(self._door, request)
        if request.scope["http_version"] == "1.0":
            raise Refusal("OLD_HTTP", "HTTP/1.0 cannot tell half a file from a whole one.", "Ask by HTTP/1.1.")
        if self._under_way >= AT_ONCE:
            raise Refusal("BUSY", f"{AT_ONCE} exports are under way.", f"Try again in {RETRY_SECONDS} seconds.")
        self._under_way += 1
        try:
            making = await anyio.to_thread.run_sync(self._making, request, by)
            await sending.send(making, self._threads, receive, send)
        finally:
            self._under_way -= 1

    def _making(self, request: Request, by: Caller) -> Making:
        stem, _, file_format = str(request.path_params["file"]).rpartition(".")
        if file_format not in FORMATS:
            fix = f"It ends in {' or '.join(f'.{each}' for each in FORMATS)}."
            raise Refusal("NO_SUCH_REPORT", "There is no such file.", fix)
        given = request.query_params.multi_items()
        report = report_of(stem)
        # None at all is refused by whoever reads the rest.
        msp_id = once(given).get("msp", "")
        if msp_id or not report.model:
            by.refuse(f"Query.{to_camel_case(report.name)}", msp_id)
        asked = wish(self._engine, self._clock, report, file_format, given, by.name)
        return Making(self._engine, asked, self._make_side)


async def signed_in(door: Door, request: Request) -> Caller:
    """Who asks for a file. Refusal UNAUTHENTICATED."""
    caller = (await anyio.to_thread.run_sync(partial(door.visit, request, reads=True))).caller
    if caller is NOBODY or caller.must_change:
        raise unauthenticated()
    return caller


class Sending:
    """One file on its way from the thread that makes it to the client. begun: whether anything was sent."""

    def __init__(self, correlation_id: str) -> None:
        self.begun = False
        self._correlation_id = correlation_id
        self._pieces, self._taken = anyio.create_memory_object_stream[bytes](2)

    async def send(self, making: Making, threads: anyio.CapacityLimiter, receive: Receive, send: Send) -> None:
        """The whole file, unless the client goes away before; whatever goes wrong is raised."""
        begun = time.monotonic()
        made = asyncio.ensure_future(anyio.to_thread.run_sync(_make, making, self._pieces, limiter=threads))
        sent = asyncio.ensure_future(self._send(making, made, send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({sent, gone}, return_when=asyncio.FIRST_COMPLETED)
            how = "exported" if sent.done() else "client left an export"
            if sent.done():
                sent.result()
        except BaseException:
            how = "export failed"
            raise
        finally:
            sent.cancel()
            gone.cancel()
            self._taken.close()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(making.stop)
                await asyncio.gather(made, sent, gone, return_exceptions=True)
            export = making.wish.asked.export
            log.info(
                how,
                extra={
                    "report": export.report.name,
                    "msp_id": export.msp_id,
                    "file": making.wish.file_name,
                    "position": making.standing and making.standing.position,
                    "seconds": round(time.monotonic() - begun, 1),
                    "by": making.wish.by,
                },
            )

    async def _send(self, making: Making, made: asyncio.Future[None], send: Send) -> None:
        async for piece in self._taken:
            if not self.begun:
                self.begun = True
                await send(self._start(making))
            async with asyncio.timeout(STALLED_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await made
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _start(self, making: Making) -> dict[str, object]:
        wish, standing = making.wish, making.standing
        headers = {
            "content-type": _KINDS[wish.asked.format],
            "content-disposition": f'attachment; filename="{wish.file_name}"',
            "x-trueup-position": "" if standing is None or standing.position is None else str(standing.position),
            "x-correlation-id": self._correlation_id,
        }
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return {"type": "http.response.start", "status": 200, "headers": raw}


class _Answer(Response):
    """An export as an ASGI answer: it alone sees when the client goes away."""

    def __init__(self, exports: Exports, request: Request) -> None:
        super().__init__()
        self._exports, self._request = exports, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with correlated(None) as correlation_id:
            sending = Sending(correlation_id)
            try:
                await self._exports.send_file(self._request, sending, receive, send)
            except Exception as fault:
                if sending.begun:
                    # The connection is closed before the end of the file: the client knows that it is not whole.
                    raise
                await refused_answer(fault, correlation_id)(scope, receive, send)


def refused_answer(fault: Exception, correlation_id: str) -> Response:
    """What went wrong before the first byte was sent, with its status."""
    answer = told(GraphQLError(str(fault), original_error=fault))
    code = answer["extensions"]["code"]
    headers = {"x-correlation-id": correlation_id}
    if code == "BUSY":
        headers["retry-after"] = str(RETRY_SECONDS)
    if code == "UNAUTHENTICATED":
        headers["www-authenticate"] = "Bearer"
    return Response(orjson.dumps({"errors": [answer]}), _STATUS.get(code, 400), headers, "application/json")


def _make(making: Making, pieces: MemoryObjectSendStream[bytes]) -> None:
    try:
        making.run(lambda piece: anyio.from_thread.run(pieces.send, piece))
    finally:
        anyio.from_thread.run_sync(pieces.close)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
