"""An ASGI app -> a real HTTP server on loopback, with answers that break off, hang or trickle as networks do.

An endpoint may return one of the answers below in place of a response:

    CutOff(response, after_bytes=40)               half a body, then the line is closed
    CutOff(response, after_bytes=40, reset=True)   half a body, then TCP reset
    CutOff(reset=True)                             nothing at all, then TCP reset
    Hang(120, response)                            silence for 120 s, then the response (without one: closed)
    Trickle(response, bytes_at_once=1, every=1.0)  a slow body, byte by byte
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "sandbox.transport"
_START_SECONDS = 10
_CLOSE_WITH_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class CutOff:
    """An answer that ends after so many body bytes: closed, or reset. Without a response nothing is sent at all."""

    response: ASGIApp | None = None
    after_bytes: int = 0
    reset: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = self.after_bytes

        async def send_until_cut(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.body":
                body = message.get("body", b"")[:left]
                left -= len(body)
                message = {"type": "http.response.body", "body": body, "more_body": True}
            await send(message)

        if self.response is not None:
            await self.response(scope, receive, send_until_cut)
        await _drop_line(scope, receive, reset=self.reset)


@dataclass(frozen=True)
class Hang:
    """An answer that comes after so many seconds of silence, or not at all; a caller who hangs up ends it at once."""

    seconds: float
    response: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_until_disconnect(receive))
        await asyncio.wait({gone}, timeout=self.seconds)
        hung_up = gone.done()
        gone.cancel()
        if hung_up:
            return
        if self.response is None:
            await _drop_line(scope, receive, reset=False)
        else:
            await self.response(scope, receive, send)


@dataclass(frozen=True)
class Trickle:
    """An answer whose body comes a few bytes at a time, with a pause in seconds after each."""

    response: ASGIApp
    bytes_at_once: int = 1
    every: float = 1.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_slowly(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            body, more = message.get("body", b""), message.get("more_body", False)
            for start in range(0, len(body), self.bytes_at_once):
                piece = body[start : start + self.bytes_at_once]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(self.every)
            await send({"type": "http.response.body", "body": b"", "more_body": more})

        await self.response(scope, receive, send_slowly)


@contextmanager
def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The base URL ("http://127.0.0.1:41234") of the app, served by a thread until the block ends.

    Port 0 takes a free one. A port that is taken raises OSError. Calls still running at the end are cut off.
    """
    listener = _listen(host, port)
    server = _Server(_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True)
    address = f"http://{host}:{listener.getsockname()[1]}"
    thread.start()
    try:
        _wait_until_started(server, thread)
        try:
            yield address
        finally:
            server.stop()
            thread.join(_START_SECONDS)
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which ends at once when it is told to instead of looking every 0.1 s and waiting for callers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._told_to_stop = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        while not self._told_to_stop.is_set():
            await self.on_tick(0)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_stop.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await asyncio.sleep(0)

    def stop(self) -> None:
        """Stop listening and cut off what is still running; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._told_to_stop.set)


class _LineProtocol(H11Protocol):
    """uvicorn's own protocol, which also hands each call its TCP transport so that an answer can break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = cast("ASGIApp", self.app)

        async def app_with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[_TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = app_with_transport


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_LineProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        timeout_keep_alive=75,
    )


def _listen(host: str, port: int) -> socket.socket:
    # asyncio turns Nagle off only where the protocol is named; else each small answer waits 40 ms for an ACK
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    for _ in range(_START_SECONDS * 200):
        if server.started:
            return
        thread.join(0.005)
        if not thread.is_alive():
            break
    raise RuntimeError("the sandbox's HTTP server did not start; the log of uvicorn.error says why")


async def _drop_line(scope: Scope, receive: Receive, *, reset: bool) -> None:
    transport = cast("asyncio.Transport", scope[_TRANSPORT])
    if reset:
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_WITH_RESET)
        transport.abort()
    else:
        transport.close()
    await _until_disconnect(receive)


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
