"""Messages -> the broker, many in flight, each confirmed, returned or refused; nothing is ever sent twice by itself.

A confirm a message would cap publishing at some 1,500 a second; a window of 100 gives ten times that. When the connection
breaks, messages without a confirm may or may not have arrived: the caller is told so and decides. A broker in memory or
disk alarm says so ("blocked"): then nothing is sent, since a send would hang until the alarm ends.
"""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import amqp
from kombu import Connection

WINDOW = 100


@dataclass(frozen=True)
class Message:
    """One message to publish: bytes are sent as they are."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str = ""
    correlation_id: str = ""
    content_type: str = "application/json"
    headers: dict[str, Any] = field(default_factory=dict)


class BrokerBlocked(Exception):
    """RabbitMQ takes no messages at the moment (memory or disk alarm): free some, it goes on by itself."""


class PublishUnknown(Exception):
    """The connection broke while messages were in flight: they may have arrived. Publishing again may double them."""


class Publisher:
    """One connection for publishing. Not for several threads at once."""

    def __init__(self, rabbitmq_url: str, heartbeat: int = 20) -> None:
        self._url, self._heartbeat = rabbitmq_url, heartbeat
        self._connection: amqp.Connection | None = None
        self._channel: amqp.Channel | None = None
        self._last_beat = 0.0
        self._blocked = ""
        self._open: dict[int, int] = {}
        self._failed: dict[int, str] = {}
        self._returned: dict[int, str] = {}
        self._tag = 0

    def publish(self, messages: Sequence[Message], wait_seconds: float = 30) -> dict[int, str]:
        """Publishes all and waits for the broker's word on each; answers the refused ones: {place: reason}. Messages
        that no queue takes are refused. BrokerBlocked: none was sent. PublishUnknown: nobody knows."""
        refused: dict[int, str] = {}
        for start in range(0, len(messages), WINDOW):
            window = messages[start : start + WINDOW]
            for place, reason in self._publish_window(window, wait_seconds).items():
                refused[start + place] = reason
        return refused

    def beat(self) -> None:
        """Keeps an idle connection alive and hears alarms; call it at least every few seconds."""
        try:
            self._connected()
            self._hear()
        except (OSError, amqp.AMQPError):
            self.close()

    @property
    def blocked(self) -> str:
        """Why the broker takes no messages; empty when it does."""
        return self._blocked

    @property
    def connected(self) -> bool:
        """Whether the broker was there at the last beat or publish."""
        return self._connection is not None and self._connection.connected

    def close(self) -> None:
        """Forgets the connection; the next publish makes a new one."""
        connection, self._connection, self._channel = self._connection, None, None
        self._blocked = ""
        if connection is not None:
            try:
                connection.collect()
            except (OSError, amqp.AMQPError):
                return

    def _publish_window(self, window: Sequence[Message], wait_seconds: float) -> dict[int, str]:
        sent = 0
        try:
            channel = self._connected()
            self._hear()
            if self._blocked:
                raise BrokerBlocked(self._blocked)
            self._open, self._failed, self._returned = {}, {}, {}
            for place, message in enumerate(window):
                sent = place + 1
                self._send(channel, place, message)
            self._await_confirms(time.monotonic() + wait_seconds)
        except (OSError, amqp.AMQPError) as error:
            self.close()
            if sent:
                raise PublishUnknown(str(error)) from error
            raise ConnectionError(f"RabbitMQ cannot be reached: {error}") from error
        return self._returned | self._failed

    def _send(self, channel: amqp.Channel, place: int, message: Message) -> None:
        properties = {
            "content_type": message.content_type,
            "delivery_mode": 2,
            "application_headers": {**message.headers, "x-place": place},
        }
        if message.message_id:
            properties["message_id"] = message.message_id
        if message.correlation_id:
            properties["correlation_id"] = message.correlation_id
        # The tags count from 1 on each channel, in the order of sending.
        self._tag += 1
        self._open[self._tag] = place
        channel.basic_publish(
            amqp.Message(message.body, **properties), message.exchange, message.routing_key, mandatory=True
        )

    def _await_confirms(self, deadline: float) -> None:
        while self._open:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{len(self._open)} messages were not confirmed in time")
            assert self._connection is not None  # noqa: S101
            self._connection.drain_events(timeout=left)

    def _connected(self) -> amqp.Channel:
        if self._connection is None or self._channel is None or not self._connection.connected:
            self.close()
            address = Connection(self._url).info()
            self._connection = amqp.Connection(
                host=f"{address['hostname']}:{address['port'] or 5672}",
                userid=address["userid"],
                password=address["password"],
                virtual_host=address["virtual_host"],
                ssl=address["ssl"],
                connect_timeout=5,
                read_timeout=30,
                write_timeout=30,
                heartbeat=self._heartbeat,
                confirm_publish=False,
                on_blocked=self._on_blocked,
                on_unblocked=self._on_unblocked,
            )
            self._connection.connect()
            self._channel = self._connection.channel()
            self._channel.confirm_select()
            self._channel.events["basic_ack"].add(self._on_ack)
            self._channel.events["basic_nack"].add(self._on_nack)
            self._channel.events["basic_return"].add(self._on_return)
            self._tag = 0
        return self._channel

    def _hear(self) -> None:
        assert self._connection is not None  # noqa: S101
        if time.monotonic() - self._last_beat > self._heartbeat / 4:
            self._connection.heartbeat_tick(rate=2)
            self._last_beat = time.monotonic()
        try:
            while True:
                self._connection.drain_events(timeout=0.001)
        except (TimeoutError, socket.timeout):  # noqa: UP041
            return

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001
        for confirmed in [t for t in self._open if t == tag or (multiple and t <= tag)]:
            del self._open[confirmed]

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001
        for refused in [t for t in self._open if t == tag or (multiple and t <= tag)]:
            self._failed[self._open.pop(refused)] = "the broker refused it (queue full?)"

    def _on_return(self, _why: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self._returned[message.headers["x-place"]] = f"no queue takes {routing_key!r} from exchange {exchange!r}"

    def _on_blocked(self, reason: str) -> None:
        self._blocked = reason or "blocked"

    def _on_unblocked(self) -> None:
        self._blocked = ""
