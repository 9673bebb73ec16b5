"""Rows of the outbox -> P8: how fast the relay carries them to the broker, against the same bodies published by py-amqp alone."""

import itertools
import time
from uuid import uuid4

import amqp
import orjson
from kombu import Connection as BrokerConnection
from sqlalchemy import Engine

from plumbing import outbox, topology
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.publisher import Publisher
from plumbing.relay import Relay
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.names import FIRST_MOMENT
from tests.bench.turns import in_turns

P8 = Goal("P8", "outbox relay", "raw publish, py-amqp, window of 100", "messages/s", 0.20, 0.50)
WINDOW = 100
QUEUE = "poller.polls"


def relay(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """20,000 messages of 500 bytes (quick: 4,000) into a durable quorum queue, each confirmed by the broker."""
    how_many = 4_000 if quick else 20_000
    ours, limits = in_turns(rounds, lambda: _relayed(ground, how_many), lambda: _published(ground, how_many))
    return [Measured(P8, ours, limits)]


def body(number: int) -> dict[str, str]:
    """A message of about 500 bytes, as work messages are at their longest."""
    return {"msp_id": "bench", "connection_id": "odin", "poll_id": f"{number:032}", "reason": "x" * 400}


def fill_outbox(engine: Engine, how_many: int) -> None:
    """So many rows of work that wait to be sent."""
    for start in range(0, how_many, 5_000):
        with engine.begin() as connection:
            bodies = [body(number) for number in range(start, min(start + 5_000, how_many))]
            outbox.put(connection, QUEUE, bodies, correlation_id="bench", put_at=FIRST_MOMENT)


def connected(url: str) -> amqp.Connection:
    """A plain connection to the broker."""
    address = BrokerConnection(url).info()
    connection = amqp.Connection(
        host=f"{address['hostname']}:{address['port']}",
        userid=address["userid"],
        password=address["password"],
        virtual_host=address["virtual_host"],
    )
    connection.connect()
    return connection


def publish(url: str, bodies: list[bytes], queue: str = QUEUE, exchange: str = topology.WORK.name) -> float:
    """The seconds that py-amqp takes to publish the bodies, a hundred unconfirmed at most."""
    connection = connected(url)
    channel = connection.channel()
    channel.confirm_select()
    newest_confirmed = 0

    def confirmed(tag: int, multiple: bool) -> None:  # noqa: FBT001
        nonlocal newest_confirmed
        newest_confirmed += tag - newest_confirmed if multiple else 1

    channel.events["basic_ack"].add(confirmed)
    begun = time.perf_counter()
    for sent in range(0, len(bodies), WINDOW):
        for text in bodies[sent : sent + WINDOW]:
            message = amqp.Message(
                text, content_type="application/json", delivery_mode=2, message_id=str(uuid4()), correlation_id="bench"
            )
            channel.basic_publish(message, exchange, queue)
        while newest_confirmed < min(sent + WINDOW, len(bodies)):
            connection.drain_events(timeout=30)
    seconds = time.perf_counter() - begun
    connection.close()
    return seconds


def _relayed(ground: Ground, how_many: int) -> float:
    with ground.database() as database, ground.vhost() as vhost:
        engine = make_engine(database, "bench")
        fill_outbox(engine, how_many)
        publisher = Publisher(vhost)
        publisher.beat()
        carrier = Relay(engine, publisher, Clock())
        begun = time.perf_counter()
        sent = sum(itertools.takewhile(bool, iter(carrier.send_outbox, None)))
        seconds = time.perf_counter() - begun
        publisher.close()
        engine.dispose()
    assert sent == how_many
    return how_many / seconds


def _published(ground: Ground, how_many: int) -> float:
    with ground.vhost() as vhost:
        return how_many / publish(vhost, [orjson.dumps(body(number)) for number in range(how_many)])
