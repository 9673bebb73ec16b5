"""A queue -> calls of a nameko method: decoded here, tried again with pauses, given up with the cause kept.

nameko by itself acknowledges a message whose handler raised and drops one it cannot decode, both without a trace; its
event handlers cannot ask for quorum queues. So services use consume() of this module on queues of plumbing/topology.py:

- the body is decoded by us: what is not JSON of the expected shape goes to trueup.dead with its raw bytes and the cause;
- a handler that raises sends the message to a waiting queue and on return tries again, five times by default, then
  trueup.dead. The count of tries travels in our own header, since brokers stop counting what is published anew;
- a message that kills its worker is counted by the broker (delivery limit of the queue);
- a broken connection is made again by itself; a failed acknowledgement means that the message comes again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, Protocol

import amqp
import orjson
from kombu import Queue
from nameko import constants
from nameko.exceptions import ContainerBeingKilled
from nameko.messaging import Consumer as NamekoConsumer

from domain.keys import MspId
from plumbing import metrics, topology
from plumbing.link import HEARTBEAT_SECONDS, LinkedConsumer
from plumbing.logs import correlated
from plumbing.publisher import BrokerBlocked, Message, Publisher, PublishUnknown

log = logging.getLogger(__name__)
RETRY_CONFIG_KEY = "TRUEUP_RETRY_SECONDS"
DECLARE_CONFIG_KEY = "TRUEUP_DECLARE_SECONDS"


class BadMessage(Exception):
    """The message is not of the shape its queue carries; trying again cannot help."""


@dataclass(frozen=True)
class Bell:
    """Something was appended to the log of an MSP, up to this position."""

    msp_id: MspId
    upto: int

    @classmethod
    def parse(cls, body: Any) -> "Bell":
        """The bell in a message body; BadMessage for any other shape."""
        match body:
            case {"msp_id": str(msp_id), "upto": int(upto)} if msp_id and type(upto) is int and upto > 0:
                return cls(MspId(msp_id), upto)
        raise BadMessage("a bell has msp_id and upto")


class RawMessage(Protocol):
    """What kombu delivers."""

    body: bytes
    headers: dict[str, Any]
    properties: dict[str, Any]
    content_type: str
    channel: Any
    delivery_tag: int

    def ack(self, multiple: bool = False) -> None:  # noqa: FBT001 kombu's signature
        """Done: the broker may forget it, or with multiple all that came before it too."""

    def reject(self) -> None:
        """Not wanted: to the dead-letter exchange."""

    def requeue(self) -> None:
        """Back to the queue."""


class QueueConsumer(LinkedConsumer):
    """The consumer thread of bells and work, with undecoded delivery and acknowledgements that may fail."""

    _next_declared_at = 0.0
    # What was delivered on the channel in use and is not settled yet, in order, whichever entrypoint it is for.
    _channel: Any = None
    _unsettled: dict[int, RawMessage]

    def get_consumers(self, consumer_cls: Callable[..., Any], channel: Any) -> Any:
        """Consumers for all entrypoints; their queues and exchanges are declared again if someone deleted them."""
        self._declare()
        for provider in self._providers:
            consumer = consumer_cls(
                queues=[provider.queue], on_message=partial(self.handle_message, provider, None), auto_declare=False
            )
            consumer.qos(prefetch_count=provider.prefetch or self.prefetch_count)
            self._consumers[provider] = consumer
        return self._consumers.values()

    def on_iteration(self) -> None:
        """Declares everything again now and then: the broker tells a consumer that its queue was deleted, but nobody that an
        exchange was, and with it the bindings, so that bells would fall on nobody's ear for ever."""
        super().on_iteration()
        if time.monotonic() > self._next_declared_at:
            try:
                self._declare()
            except (OSError, amqp.AMQPError) as error:
                log.warning("the queues could not be declared again", extra={"reason": str(error)})

    def _declare(self) -> None:
        self._next_declared_at = time.monotonic() + self.container.config[DECLARE_CONFIG_KEY]
        retries = self.container.config[RETRY_CONFIG_KEY]
        topology.declare(self.amqp_uri, [provider.queue for provider in self._providers], retries)

    def handle_message(self, provider: "Consumer", _body: None, message: RawMessage) -> None:
        """Hands the undecoded message to its entrypoint."""
        if message.channel is not self._channel:
            self._channel, self._unsettled = message.channel, {}
        self._unsettled[message.delivery_tag] = message
        provider.take(message)

    def ack_message(self, message: RawMessage) -> None:
        """Acknowledges; when the connection is gone the broker delivers the message again by itself."""
        self._settled(message)
        _if_connected(message, message.ack)

    def ack_messages(self, messages: Sequence[RawMessage]) -> None:
        """Acknowledges all of them: with one word those before which nothing is unsettled, the others one by one."""
        wanted = {message.delivery_tag for message in messages if message.channel is self._channel}
        together = dict.fromkeys(takewhile(wanted.__contains__, self._unsettled if wanted else ()))
        if together:
            last = self._unsettled[next(reversed(together))]
            for tag in together:
                del self._unsettled[tag]
            _if_connected(last, partial(last.ack, multiple=True))
        for message in messages:
            if message.channel is not self._channel or message.delivery_tag not in together:
                self.ack_message(message)

    def requeue_message(self, message: RawMessage) -> None:
        """Gives the message back for anyone to take."""
        self._settled(message)
        _if_connected(message, message.requeue)

    def reject_message(self, message: RawMessage) -> None:
        """Sends the message to the dead-letter exchange by the broker's own hand."""
        self._settled(message)
        _if_connected(message, message.reject)

    def _settled(self, message: RawMessage) -> None:
        if message.channel is self._channel:
            self._unsettled.pop(message.delivery_tag, None)

    def on_consume_ready(self, connection: Any, channel: Any, consumers: Any, **kwargs: Any) -> None:
        """Remembers that messages flow, for the health page."""
        super().on_consume_ready(connection, channel, consumers, **kwargs)
        self.container.config["consuming"] = True

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        """Remembers that no messages flow, and says so."""
        self.container.config["consuming"] = False
        log.warning("RabbitMQ cannot be reached", extra={"reason": str(exc), "next_try_seconds": interval})


class Consumer(NamekoConsumer):
    """Decorates a service method as the handler of a queue. The method gets the body (decoded JSON) and the message id.
    prefetch: how many messages one replica may hold at once (default: its workers)."""

    queue_consumer = QueueConsumer()

    def __init__(self, queue: Queue, prefetch: int = 0, **kwargs: Any) -> None:
        self.prefetch = prefetch
        super().__init__(queue, **kwargs)

    def take(self, message: RawMessage) -> None:
        """Handles the message in a greenthread of its own: the thread that calls goes on reading."""
        self.container.spawn_managed_thread(partial(self.handle_message, message), identifier=self.queue.name)

    def handle_message(self, message: RawMessage) -> None:
        """Decodes the message and starts the method; what cannot be decoded is given up at once."""
        try:
            body = decoded(message)
        except BadMessage as fault:
            self.give_up(message, str(fault))
            return
        headers = {"correlation_id": message.properties.get("correlation_id", "")}
        message_id = str(message.properties.get("message_id", ""))
        try:
            self.container.spawn_worker(
                self,
                (body, message_id),
                {},
                context_data=headers,
                handle_result=partial(self.handle_result, message),
            )
        except ContainerBeingKilled:
            self.queue_consumer.requeue_message(message)

    def handle_message_processed(self, message: RawMessage, result: Any = None, exc_info: Any = None) -> None:
        """After the method: acknowledged, or on its way to another try, or given up."""
        if exc_info is None:
            metrics.messages_handled.labels(self.queue.name, "done").inc()
            self.queue_consumer.ack_message(message)
            return
        fault = exc_info[1]
        log.warning("message failed", extra={"queue": self.queue.name, "reason": repr(fault)}, exc_info=exc_info)
        retries: Sequence[int] = self.container.config[RETRY_CONFIG_KEY]
        attempt = attempts_of(message)
        if isinstance(fault, BadMessage) or attempt >= len(retries):
            self.give_up(message, repr(fault))
        else:
            self._try_again(message, attempt, retries[attempt], repr(fault))

    def _try_again(self, message: RawMessage, attempt: int, pause: int, cause: str) -> None:
        metrics.messages_handled.labels(self.queue.name, "again").inc()
        exchange = topology.wait_exchange(pause).name
        self._move(message, exchange, {"x-attempt": attempt + 1, "x-cause": cause[:1000]})

    def give_up(self, message: RawMessage, cause: str) -> None:
        """Sends the message to the dead with the cause."""
        metrics.messages_handled.labels(self.queue.name, "dead").inc()
        log.error("message given up", extra={"queue": self.queue.name, "reason": cause})
        attempt = attempts_of(message) + 1
        self._move(message, topology.DEAD.name, {"x-attempt": attempt, "x-cause": cause[:1000]})

    def _move(self, message: RawMessage, exchange: str, headers: dict[str, Any]) -> None:
        """Publishes the message elsewhere, then acknowledges it here: in doubt it is there twice, never gone."""
        moved = Message(
            exchange,
            self.queue.name,
            bytes(message.body) if not isinstance(message.body, str) else message.body.encode(),
            message_id=str(message.properties.get("message_id", "")),
            correlation_id=str(message.properties.get("correlation_id", "")),
            content_type=message.content_type or "application/octet-stream",
            headers=headers,
        )
        publisher = Publisher(self.queue_consumer.amqp_uri)
        try:
            refused = publisher.publish([moved])
        except (ConnectionError, PublishUnknown, BrokerBlocked) as fault:
            refused = {0: str(fault)}
        finally:
            publisher.close()
        if refused:
            log.error("message could not be moved", extra={"queue": self.queue.name, "reason": refused[0]})
            self.queue_consumer.requeue_message(message)
        else:
            self.queue_consumer.ack_message(message)


consume = Consumer.decorator


def attempts_of(message: RawMessage) -> int:
    """How often the message has been tried and has failed."""
    return int(message.headers.get("x-attempt", 0))


def decoded(message: RawMessage) -> Any:
    """The JSON in a message; BadMessage when it is none, is not sent as JSON, or is larger than a megabyte."""
    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
    if len(body) > topology.LONGEST_MESSAGE:
        raise BadMessage(f"{len(body)} bytes are more than a message may have")
    if message.content_type != "application/json":
        raise BadMessage(f"content type {message.content_type!r} instead of application/json")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise BadMessage(f"not JSON: {fault}") from fault


def config(
    rabbitmq_url: str,
    retry_seconds: Sequence[int],
    workers: int = 10,
    heartbeat: int = HEARTBEAT_SECONDS,
    declare_seconds: float = 60,
) -> dict[str, Any]:
    """nameko's configuration for one service process. heartbeat: seconds between two. declare_seconds: how often queues and
    bindings are declared again."""
    return {
        constants.AMQP_URI_CONFIG_KEY: rabbitmq_url,
        RETRY_CONFIG_KEY: list(retry_seconds),
        DECLARE_CONFIG_KEY: declare_seconds,
        constants.ACCEPT_CONFIG_KEY: ["json"],
        constants.MAX_WORKERS_CONFIG_KEY: workers,
        constants.PARENT_CALLS_CONFIG_KEY: 1,
        constants.HEARTBEAT_CONFIG_KEY: heartbeat,
        constants.SERIALIZER_CONFIG_KEY: "json",
    }


def correlated_with(worker_context_data: dict[str, Any]) -> Any:
    """The correlation of the message in hand, for `with`."""
    return correlated(worker_context_data.get("correlation_id"))


def _if_connected(message: RawMessage, act: Callable[[], None]) -> None:
    if message.channel is None or not message.channel.connection:
        return
    try:
        act()
    except (OSError, amqp.AMQPError) as error:
        log.warning("the broker will deliver again", extra={"reason": str(error)})
