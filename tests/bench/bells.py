"""Bells in a queue -> P9: how fast reporting is done with them, against taking and acknowledging them alone."""

import time

import orjson
from sqlalchemy import Engine

from plumbing import event_log, topology
from plumbing.database import make_engine
from services.reporting.projections import TYPES
from tests.bench.append import add_log
from tests.bench.generate import count_changes
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.names import FIRST_MOMENT, MSPS
from tests.bench.relaying import connected, publish
from tests.bench.turns import Child, in_turns

P9 = Goal("P9", "backlog of bells", "raw consume, py-amqp, prefetch 100, an ack each", "messages/s", 0.50, 0.80)
PREFETCH = 100
QUEUE = topology.bell_queue("reporting", TYPES)
EVENTS = 100


def backlog(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """The reporting service as it runs: 8,000 bells (quick: 2,000) of 40 MSPs in its queue, each MSP's log of 100 events to
    be folded into every read model first."""
    how_many = 2_000 if quick else 8_000
    ours, limits = in_turns(rounds, lambda: _heard(ground, how_many), lambda: _consumed(ground, how_many))
    note = f"the first bell of an MSP folds its {EVENTS} events into every read model; that is within the time"
    return [Measured(P9, ours, limits, [note])]


def _heard(ground: Ground, how_many: int) -> float:
    with ground.database() as database, ground.vhost() as vhost:
        engine = make_engine(database, "bench")
        _fill_logs(engine)
        engine.dispose()
        _ring(vhost, how_many)
        with Child("tests.bench.bells_service", database, vhost, str(how_many)) as child:
            return float(child.answer()["rate"])


def _consumed(ground: Ground, how_many: int) -> float:
    with ground.vhost() as vhost:
        _ring(vhost, how_many)
        connection = connected(vhost)
        channel = connection.channel()
        channel.basic_qos(0, PREFETCH, False)
        taken = 0

        def take(message: object) -> None:
            nonlocal taken
            channel.basic_ack(message.delivery_tag)  # type: ignore[attr-defined]
            taken += 1

        begun = time.perf_counter()
        channel.basic_consume(QUEUE.name, callback=take)
        while taken < how_many:
            connection.drain_events(timeout=30)
        seconds = time.perf_counter() - begun
        connection.close()
    return how_many / seconds


def _fill_logs(engine: Engine) -> None:
    for number, msp_id in enumerate(MSPS):
        add_log(engine, msp_id)
        with engine.begin() as connection:
            event_log.append(
                connection,
                msp_id,
                list(count_changes(number, 50, EVENTS)),
                recorded_at=FIRST_MOMENT,
                recorded_by="bench",
                correlation_id="bench",
            )


def _ring(vhost: str, how_many: int) -> None:
    """The bells as the relay rings them, for one append after the other."""
    topology.declare(vhost, [QUEUE], [])
    bells = (
        {"msp_id": MSPS[number % len(MSPS)], "after": place, "upto": place + 1, "type": "ResourceCountChanged"}
        for number in range(how_many)
        for place in [number // len(MSPS) % EVENTS]
    )
    publish(vhost, [orjson.dumps(bell | {"events": []}) for bell in bells], QUEUE.name, "")
