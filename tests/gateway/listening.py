"""A real WebSocket client that speaks graphql-transport-ws -> what a gateway tells it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

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

    def _drain(self) -> None:
        while True:
            self.connection.recv(timeout=20)


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
