"""RabbitMQ -> a call for each bell, heard on a queue of this gateway's own that lives as long as its connection.

A bell is a hint: while the broker is away nobody is told, and the live updates find out by their own sweep.
"""

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Any

from kombu import Connection, Consumer, Queue

from domain.keys import MspId
from plumbing import topology
from plumbing.broker import BadMessage, Bell, decoded
from plumbing.link import HEARTBEAT_SECONDS

log = logging.getLogger(__name__)
AGAIN_SECONDS = 5.0
STOP_SECONDS = 1.5
# The oldest are dropped: the newest bell of an MSP says all that those before it said.
MOST_WAITING = 10_000


class Bells:
    """A thread that hears every bell of the house. heard: called in that thread with the MSP that a bell rang for."""

    def __init__(self, rabbitmq_url: str, heard: Callable[[MspId], None]) -> None:
        self._url, self._heard = rabbitmq_url, heard
        self._ended = Event()
        self._thread = Thread(target=self._listen, name="bells", daemon=True)

    def start(self) -> None:
        """Begins to listen, whether the broker is there or not."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; one that waits for a silent broker is left behind and ends with the process."""
        self._ended.set()
        self._thread.join(STOP_SECONDS)

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                self._hear()
            except Exception as fault:  # noqa: BLE001 whatever it was, the next try may hear again
                log.warning("bells are not heard", extra={"reason": str(fault), "next_try_seconds": AGAIN_SECONDS})
                self._ended.wait(AGAIN_SECONDS)

    def _hear(self) -> None:
        connection = topology.broker_connection(self._url)
        connection.heartbeat = HEARTBEAT_SECONDS
        try:
            connection.connect()
            queue = Queue(
                "",
                topology.BELLS,
                routing_key="#",
                durable=False,
                exclusive=True,
                auto_delete=True,
                queue_arguments={"x-max-length": MOST_WAITING},
            )
            with Consumer(connection.channel(), [queue], on_message=self._take, no_ack=True):
                self._drain(connection)
        finally:
            # Without a goodbye: on a frozen link nobody would answer it.
            connection.collect()

    def _drain(self, connection: Connection) -> None:
        while not self._ended.is_set():
            with suppress(socket.timeout):
                connection.drain_events(timeout=1)
            connection.heartbeat_check()

    def _take(self, message: Any) -> None:
        with suppress(BadMessage):
            self._heard(Bell.parse(decoded(message)).msp_id)
