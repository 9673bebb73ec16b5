"""A WebSocket that speaks graphql-transport-ws -> subscriptions, one stream of answers for each; queries go by POST.

The protocol is that of the library graphql-ws (its PROTOCOL.md), with its close codes. Whoever connects must sign in within
seconds, by the Authorization header, by the payload of connection_init or by the cookie of a sign-in; a page of another
origin is refused. Nothing is queued for a client: the next answer is made when the one before it was taken, from
what is true then, and a client that takes none for ten seconds is dropped (line.py).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import anyio.to_thread
import orjson
from graphql import ExecutionResult, GraphQLError
from prometheus_client import Gauge
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.asking import body_of
from gateway.documents import Invalid
from gateway.door import Door, Visit, same_origin, unauthenticated
from gateway.errors import Refusal, told
from gateway.people.callers import NOBODY
from plumbing.logs import correlated

log = logging.getLogger(__name__)
listeners = Gauge("trueup_listeners", "Open WebSockets")
PROTOCOL = "graphql-transport-ws"
MOST_CONNECTIONS = 200
MOST_SUBSCRIPTIONS = 20
LONGEST_ID = 100
LONGEST_REASON = 123
SIGN_IN_SECONDS = 10.0
SEND_SECONDS = 10.0
SEEN_EVERY_SECONDS = 10.0
# The protocol's own close codes.
BAD_REQUEST, UNAUTHORISED, FORBIDDEN, NO_SUCH_PROTOCOL = 4400, 4401, 4403, 4406
SIGN_IN_TIMEOUT, TAKEN, TOO_MANY_SIGN_INS = 4408, 4409, 4429
Stream = AsyncIterator[ExecutionResult]
Subscribe = Callable[[dict[str, Any], Visit], Awaitable[Stream | ExecutionResult]]


class Closed(Exception):
    """The connection must be closed with this code and reason; WebSocket has room for so many bytes of it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason.encode()[:LONGEST_REASON].decode(errors="ignore")


class Gone(Exception):
    """The client has gone, or takes nothing any more."""


class Doorway:
    """Takes WebSockets, so many at once. subscribe: {query, variables, operationName} -> its stream, or one answer that says
    why there is none."""

    def __init__(self, door: Door, subscribe: Subscribe) -> None:
        self._door, self._subscribe = door, subscribe
        self._open = 0

    async def take(self, websocket: WebSocket) -> None:
        """Talks until one of the two ends it."""
        if not same_origin(websocket) or self._open >= MOST_CONNECTIONS:
            await websocket.close()  # before it was accepted: the handshake is answered 403
            return
        self._open += 1
        try:
            with correlated(None), listeners.track_inprogress():
                await Talk(websocket, self._door, self._subscribe).go_on()
        finally:
            self._open -= 1


class Talk:
    """One connection."""

    def __init__(self, websocket: WebSocket, door: Door, subscribe: Subscribe) -> None:
        self._websocket, self._door, self._subscribe = websocket, door, subscribe
        self._visit = Visit()
        self._given = ""
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    async def go_on(self) -> None:
        """Reads messages one at a time until the connection ends, then ends all its streams."""
        last_word = None
        try:
            await self._begin()
            self._reading = asyncio.create_task(self._read())
            self._watching = asyncio.create_task(self._watch())
            await asyncio.wait([self._reading, self._watching], return_when=asyncio.FIRST_COMPLETED)
            for task in (self._watching, self._reading):
                if task.done() and not task.cancelled():
                    task.result()
        except Closed as closed:
            last_word = closed
        except Gone:
            pass
        finally:
            await _end(*self._streams.values(), *(task for task in (self._reading, self._watching) if task))
        if last_word:
            with suppress(Gone):
                await self._put(partial(self._websocket.close, last_word.code, last_word.reason))

    async def _read(self) -> None:
        while True:
            await self._answer(await self._next())

    async def _watch(self) -> None:
        """Whoever was signed out, or whose key was revoked, is told nothing more."""
        while True:
            await asyncio.sleep(SEEN_EVERY_SECONDS)
            if not await anyio.to_thread.run_sync(self._door.still, self._websocket, self._given):
                raise Closed(FORBIDDEN, unauthenticated().message)

    async def _begin(self) -> None:
        spoken = self._websocket.scope["subprotocols"]
        await self._put(partial(self._websocket.accept, PROTOCOL if PROTOCOL in spoken else None))
        if PROTOCOL not in spoken:
            raise Closed(NO_SUCH_PROTOCOL, f"speak {PROTOCOL}")
        try:
            async with asyncio.timeout(SIGN_IN_SECONDS):
                message = await self._next()
        except TimeoutError:
            raise Closed(SIGN_IN_TIMEOUT, "connection initialisation timeout") from None
        if message["type"] != "connection_init":
            raise Closed(UNAUTHORISED, "begin with connection_init")
        payload = message.get("payload")
        given = payload.get("authorization") if isinstance(payload, dict) else None
        self._given = given if isinstance(given, str) else ""
        try:
            self._visit = await anyio.to_thread.run_sync(self._door.visit, self._websocket, self._given)
        except Refusal as refusal:
            raise Closed(FORBIDDEN, refusal.message) from None
        if self._visit.caller is NOBODY:
            raise Closed(FORBIDDEN, unauthenticated().message)
        await self._send({"type": "connection_ack"})

    async def _next(self) -> dict[str, Any]:
        received = await self._websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise Gone
        try:
            message = orjson.loads(received.get("text") or b"")
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Closed(BAD_REQUEST, "a message is a JSON object with a type")
        return message

    async def _answer(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "ping"}:
                await self._send({"type": "pong"})
            case {"type": "pong"}:
                pass
            case {"type": "connection_init"}:
                raise Closed(TOO_MANY_SIGN_INS, "too many initialisation requests")
            case {"type": "subscribe", "id": str(name), "payload": payload} if 0 < len(name) <= LONGEST_ID:
                await self._begin_stream(name, payload)
            case {"type": "complete", "id": str(name)}:
                if task := self._streams.get(name):
                    await _end(task)
            case _:
                raise Closed(BAD_REQUEST, f"a message of type {message['type'][:40]!r} is not understood")

    async def _begin_stream(self, name: str, payload: Any) -> None:
        if name in self._streams:
            raise Closed(TAKEN, f"subscriber for {name} already exists")
        if len(self._streams) >= MOST_SUBSCRIPTIONS:
            said = f"A connection has at most {MOST_SUBSCRIPTIONS} subscriptions."
            await self._refuse(name, Refusal("TOO_MANY", said, "Complete one first."))
            return
        task = self._streams[name] = asyncio.create_task(self._stream(name, payload))
        task.add_done_callback(lambda _: self._streams.pop(name))

    async def _stream(self, name: str, payload: Any) -> None:
        """Sends each answer once the one before it was taken; a client that is too slow loses its connection."""
        try:
            stream = await self._subscribe(body_of(payload), self._visit)
            if isinstance(stream, ExecutionResult):
                await self._send({"id": name, "type": "error", "payload": [told(e) for e in stream.errors or ()]})
                return
            async with aclosing(stream) as answers:  # type: ignore[type-var]
                async for answer in answers:
                    body: dict[str, Any] = {"data": answer.data}
                    if answer.errors:
                        body["errors"] = [told(error) for error in answer.errors]
                    await self._send({"id": name, "type": "next", "payload": body})
            await self._send({"id": name, "type": "complete"})
        except Invalid as invalid:
            await self._send({"id": name, "type": "error", "payload": [told(error) for error in invalid.errors]})
        except Gone:
            pass  # the reading side ends the rest
        except Exception as fault:  # noqa: BLE001 whatever it was, the answer tells no more than its id
            with suppress(Gone):
                await self._refuse(name, fault)

    async def _refuse(self, name: str, fault: Exception) -> None:
        error = GraphQLError(str(fault), original_error=fault)
        await self._send({"id": name, "type": "error", "payload": [told(error)]})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._put(partial(self._websocket.send_text, orjson.dumps(message).decode()))

    async def _put(self, write: Callable[[], Awaitable[None]]) -> None:
        """Writes when the client has made room for it; Gone when it does not in time."""
        try:
            async with self._sending, asyncio.timeout(SEND_SECONDS):
                await write()
        except TimeoutError:
            log.warning("a slow listener is dropped")
            if self._reading:
                self._reading.cancel()
            raise Gone from None
        except (WebSocketDisconnect, RuntimeError, OSError):
            raise Gone from None


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
