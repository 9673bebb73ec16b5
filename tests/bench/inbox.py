"""Messages in a queue -> P9: how fast a service takes them in for good, against taking and acknowledging them alone."""

import time

import orjson

from plumbing.database import make_engine
from tests.bench.append import add_log
from tests.bench.generate import MSPS
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.relaying import QUEUE, body, connected, publish
from tests.bench.turns import Child, in_turns

P9 = Goal("P9", "inbox consumer", "raw consume, py-amqp, prefetch 100, an ack each", "messages/s", 0.50, 0.80)
PREFETCH = 100


def consumer(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """A nameko service with 10 workers, prefetch 100: claim the message and append an event in one transaction, then ack.
    4,000 messages from a durable quorum queue (quick: 1,000); the events go to the logs of 40 MSPs."""
    how_many = 1_000 if quick else 4_000
    ours, limits = in_turns(rounds, lambda: _taken_in(ground, how_many), lambda: _consumed(ground, 5 * how_many))
    return [Measured(P9, ours, limits, ["each message is a transaction of its own: claim, event, commit, ack"])]


def _taken_in(ground: Ground, how_many: int) -> float:
    with ground.database() as database, ground.vhost() as vhost:
        engine = make_engine(database, "bench")
        for msp_id in MSPS:
            add_log(engine, msp_id)
        engine.dispose()
        bodies = [body(number) | {"msp_id": MSPS[number % len(MSPS)]} for number in range(how_many)]
        publish(vhost, [orjson.dumps(one) for one in bodies])
        with Child("tests.bench.inbox_service", database, vhost, str(how_many)) as child:
            return float(child.answer()["rate"])


def _consumed(ground: Ground, how_many: int) -> float:
    with ground.vhost() as vhost:
        publish(vhost, [orjson.dumps(body(number)) for number in range(how_many)])
        connection = connected(vhost)
        channel = connection.channel()
        channel.basic_qos(0, PREFETCH, False)
        taken = 0

        def take(message: object) -> None:
            nonlocal taken
            channel.basic_ack(message.delivery_tag)  # type: ignore[attr-defined]
            taken += 1

        begun = time.perf_counter()
        channel.basic_consume(QUEUE, callback=take)
        while taken < how_many:
            connection.drain_events(timeout=30)
        seconds = time.perf_counter() - begun
        connection.close()
    return how_many / seconds
