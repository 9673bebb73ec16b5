"""A real WebSocket client that speaks graphql-transport-ws -> what a gateway tells it."""

import base64
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from plumbing import topology
from plumbing.publisher import Message, Publisher
from tests.gateway.serving import TOKEN, Answering

PROTOCOL = Subprotocol("graphql-transport-ws")


class Listener:
    """One connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def next(self, seconds: float = 20) -> dict[str, Any]:
        return json.loads(self.connection.recv(timeout=seconds))

    def subscribe(self, query: str, name: str = "1", **variables: Any) -> None:
        self.send(type="subscribe", id=name, payload={"query": query, "variables": variables})

    def data(self, name: str = "1") -> Any:
        """What the next message of the subscription tells."""
        message = self.next()
        assert (message["type"], message["id"]) == ("next", name), message
        assert "errors" not in message["payload"], message
        (told,) = message["payload"]["data"].values()
        return told

    def closed(self) -> tuple[int, str]:
        """Code and reason with which the gateway closes the connection."""
        with pytest.raises(ConnectionClosed) as ended:
            self._drain()
        assert ended.value.rcvd is not None, repr(ended.value)
        return ended.value.rcvd.code, ended.value.rcvd.reason

    def vanish(self) -> None:
        """Goes without a word, by a TCP reset."""
        raw = self.connection.socket
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.shutdown(socket.SHUT_RD)
        raw.close()

    def _drain(self) -> None:
        while True:
            self.connection.recv(timeout=20)


def silent(listener: Listener, seconds: float) -> bool:
    try:
        listener.next(seconds)
    except TimeoutError:
        return True
    return False


def ring(vhost: str, upto: int, times: int = 1) -> None:
    """Bells of the MSP of these tests."""
    publisher = Publisher(vhost)
    body = json.dumps({"msp_id": "acme", "upto": upto}).encode()
    message = Message(topology.BELLS.name, "ResourceDiscovered", body, message_id="1")
    assert publisher.publish([message] * times) == {}
    publisher.close()


@contextmanager
def connected(answering: Answering, *, token: str | None = TOKEN, **more: Any) -> Iterator[Listener]:
    """A connection that is not signed in yet, but for its header."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    given = {
        "subprotocols": [PROTOCOL],
        "additional_headers": headers | more.pop("headers", {}),
        "max_size": None,
        "ping_interval": None,
    }
    url = answering.url.replace("http", "ws") + "/graphql"
    with connect(url, **(given | more)) as connection:
        yield Listener(connection)


@contextmanager
def listening(answering: Answering) -> Iterator[Listener]:
    """A connection that is signed in."""
    with connected(answering) as listener:
        listener.send(type="connection_init")
        assert listener.next() == {"type": "connection_ack"}
        yield listener


class Deaf:
    """A client that signs in, asks and asks, and takes no answer: each echoes the 30 kB that were asked."""

    def __init__(self, answering: Answering) -> None:
        address = urlsplit(answering.url)
        self._raw = socket.socket()
        # Before connecting, else it is too late for a small window.
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._raw.connect((address.hostname, address.port))
        self._raw.sendall(
            (
                f"GET /graphql HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n"
                f"Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
            ).encode()
        )
        assert b" 101 " in self._raw.recv(64)
        self._rest = _frame(type="connection_init")
        self._asked = 0

    def ask(self, seconds: float) -> bool:
        """Whether the gateway takes more of its questions; ConnectionError when it has cut the line."""
        self._raw.settimeout(seconds)
        try:
            sent = self._raw.send(self._rest)
        except TimeoutError:
            return False
        self._rest = self._rest[sent:]
        if not self._rest:
            self._asked += 1
            query = "subscription { " + "x" * 30_000 + " }"
            self._rest = _frame(type="subscribe", id=str(self._asked), payload={"query": query})
        return True

    def close(self) -> None:
        self._raw.close()

    def flood(self) -> None:
        """Asks until the gateway stands still."""
        while self.ask(1):
            pass

    def cut_within(self, seconds: float) -> bool:
        """Whether the gateway cuts the line."""
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                self.ask(0.2)
        except ConnectionError:
            return True
        return False


@contextmanager
def deaf(answering: Answering) -> Iterator[Deaf]:
    """A deaf client, flooded."""
    client = Deaf(answering)
    try:
        client.flood()
        yield client
    finally:
        client.close()


def _frame(**message: Any) -> bytes:
    return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)
