"""The queues and exchanges of the house, declared before anything is published.

trueup.bells  topic   -> <service>.bells    one routing key an event type; a bell is a hint, the log is the truth
trueup.work   direct  -> <service>.<work>   work shared out among replicas
trueup.wait.N topic   -> trueup.wait.N      a failed message waits N seconds and returns to the queue it came from
trueup.dead   topic   -> trueup.dead        what was given up; the relay moves it into queue.dead_letters

Every queue is a durable quorum queue. Work queues keep a delivery limit, so that a message which kills its worker ends in
trueup.dead, and refuse new messages rather than drop old ones when full.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from eventlet.patcher import is_monkey_patched
from eventlet.timeout import Timeout
from kombu import Connection, Exchange, Queue, binding

from domain.events import EVENT_TYPES

DELIVERY_LIMIT = 5
ANSWER_SECONDS = 10
LONGEST_MESSAGE = 2**20
LONGEST_BELL_QUEUE = 10_000
# The kinds of work there are: they are declared before their first reader runs, so nothing is ever unroutable.
WORK_QUEUES = ("poller.polls", "psa_writer.posts", "psa_writer.catalogue")

BELLS = Exchange("trueup.bells", type="topic", durable=True)
WORK = Exchange("trueup.work", type="direct", durable=True)
DEAD = Exchange("trueup.dead", type="topic", durable=True)
DEAD_QUEUE = Queue(
    "trueup.dead",
    DEAD,
    routing_key="#",
    durable=True,
    queue_arguments={"x-queue-type": "quorum", "x-max-length": 1_000_000},
)


def _arguments(queue: str, longest: int) -> dict[str, object]:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD.name,
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-max-length": longest,
    }


def work_queue(name: str) -> Queue:
    """The queue of one kind of work, such as poller.polls; its routing key is its name."""
    return Queue(name, WORK, routing_key=name, durable=True, queue_arguments=_arguments(name, 1_000_000))


def bell_queue(service: str, types: Iterable[str]) -> Queue:
    """The queue on which a service hears of events of the given types."""
    wanted = sorted(types)
    unknown = set(wanted) - EVENT_TYPES.keys()
    if unknown:
        raise ValueError(f"no such events: {sorted(unknown)}")
    name = f"{service}.bells"
    return Queue(
        name,
        bindings=[binding(BELLS, routing_key=event_type) for event_type in wanted],
        durable=True,
        queue_arguments=_arguments(name, LONGEST_BELL_QUEUE),
    )


def wait_exchange(seconds: int) -> Exchange:
    """The exchange through which a failed message waits; publish with the name of its own queue as routing key."""
    return Exchange(f"trueup.wait.{seconds}", type="topic", durable=True)


def wait_queue(seconds: int) -> Queue:
    """Where failed messages wait so many seconds; then the default exchange carries each back to its own queue."""
    return Queue(
        f"trueup.wait.{seconds}",
        wait_exchange(seconds),
        routing_key="#",
        durable=True,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-message-ttl": seconds * 1000,
            "x-dead-letter-exchange": "",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def declare(rabbitmq_url: str, queues: Iterable[Queue], waits: Iterable[int]) -> None:
    """Declares the exchanges, the given queues, the waiting queues and the queue of the dead. Safe to repeat. OSError or
    amqp.AMQPError when the broker is away: kombu's default_channel would turn them into errors that nobody waits for."""
    with in_time(), broker_connection(rabbitmq_url) as connection:
        connection.connect()
        channel = connection.channel()
        for exchange in (BELLS, WORK, DEAD):
            exchange(channel).declare()
        for queue in (*queues, DEAD_QUEUE, *map(wait_queue, sorted(set(waits)))):
            queue(channel).declare()


def broker_connection(rabbitmq_url: str) -> Connection:
    """A connection, not yet made, whose every answer must come within seconds: on a half-open link nobody ever answers."""
    patience = {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
    return Connection(rabbitmq_url, connect_timeout=5, transport_options=patience)


@contextmanager
def in_time() -> Iterator[None]:
    """The same under eventlet, which knows nothing of a socket's own time limits."""
    if not is_monkey_patched("socket"):
        yield
        return
    with Timeout(2 * ANSWER_SECONDS, TimeoutError("RabbitMQ did not answer in time")):
        yield
