"""Rows M1-M12 of the messages: whatever happens to a message, its effect comes once and nothing is given up untold."""

import json
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import Engine, text

from plumbing import outbox, relay, topology
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.link import LONGEST_PAUSE_SECONDS
from plumbing.publisher import Message, Publisher, PublishUnknown
from tests.fault_proxy import FaultProxy
from tests.processes import Process
from tests.reliability import QUEUE
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]
CLOCK = Clock()


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE effects (message_id text, n bigint)"))
        connection.execute(text("CREATE TABLE tries (message_id text)"))
    yield engine
    engine.dispose()


@pytest.fixture
def sender(engine: Engine, vhost: str) -> Iterator[relay.Relay]:
    publisher = Publisher(vhost)
    yield relay.Relay(engine, publisher, CLOCK)
    publisher.close()


@pytest.fixture
def kept(engine: Engine, vhost: str) -> Iterator[Callable[[], list[Any]]]:
    keeper = relay.DeadLetters(engine, vhost, CLOCK)

    def rows() -> list[Any]:
        keeper.keep()
        with engine.connect() as connection:
            return list(connection.execute(text("SELECT * FROM queue.dead_letters ORDER BY number")))

    yield rows
    keeper.close()


def worker(
    database: str, vhost: str, retries: str = "0,0,1,1,1", heartbeat: int = 30, answer_seconds: int = 10
) -> Process:
    return Process("tests.reliability.worker", database, vhost, retries, str(heartbeat), str(answer_seconds))


def declare(vhost: str) -> None:
    topology.declare(vhost, [topology.work_queue(QUEUE)], [0, 1])


def send(vhost: str, *bodies: Any, message_id: str = "", exchange: str = topology.WORK.name) -> list[str]:
    ids = [message_id or str(uuid.uuid4()) for _ in bodies]
    publisher = Publisher(vhost)
    messages = [
        Message(exchange, QUEUE, body if isinstance(body, bytes) else json.dumps(body).encode(), message_id=one)
        for one, body in zip(ids, bodies, strict=True)
    ]
    assert publisher.publish(messages) == {}
    publisher.close()
    return ids


def column(engine: Engine, query: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.scalars(text(query)))


def effects(engine: Engine) -> list[str]:
    return column(engine, "SELECT message_id FROM effects ORDER BY 1")


def test_m1_a_handler_that_always_raises_is_tried_six_times_then_kept_with_its_cause(
    engine: Engine, database: str, vhost: str, kept: Callable[[], list[Any]]
) -> None:
    # given
    declare(vhost)
    (message_id,) = send(vhost, {"do": "raise"})
    (healthy,) = send(vhost, {"do": "effect"})

    # when
    with worker(database, vhost):
        (dead,) = wait_for(kept)

        # then
        assert (dead.message_id, dead.queue, dead.attempts) == (message_id, QUEUE, 6)
        assert "as told" in dead.cause
        assert json.loads(bytes(dead.body)) == {"do": "raise"}
        assert column(engine, "SELECT count(*) FROM tries") == [7]
        assert effects(engine) == [healthy]


def test_m2_a_message_that_kills_its_worker_is_stopped_by_the_delivery_limit(
    engine: Engine, database: str, vhost: str, kept: Callable[[], list[Any]]
) -> None:
    # given
    declare(vhost)
    (message_id,) = send(vhost, {"do": "die"})

    # when: a supervisor starts the worker again each time
    dead: list[Any] = []
    for _ in range(topology.DELIVERY_LIMIT + 3):
        with worker(database, vhost) as process:
            wait_for(lambda: not process.running or kept(), what="the worker to die or the message to be given up")
        dead = kept()
        if dead:
            break

    # then
    assert [row.message_id for row in dead] == [message_id]
    assert column(engine, "SELECT count(*) FROM tries") == [topology.DELIVERY_LIMIT + 1]


BROKEN = {
    "cut JSON": b'{"do": "eff',
    "wrong type": b"[1, 2]",
    "missing field": b'{"n": 1}',
    "two megabytes": b'{"do": "effect", "n": "' + b"x" * 2**21 + b'"}',
    "NUL": b"\x00\x00",
    "lone surrogate": b'{"do": "\\ud800"}',
    "NaN": b'{"do": "effect", "n": NaN}',
    "number as text": b'"7"',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_m3_a_broken_message_is_kept_with_its_raw_bytes_and_others_flow(
    engine: Engine, database: str, vhost: str, kept: Callable[[], list[Any]], body: bytes
) -> None:
    # given
    declare(vhost)
    (broken,) = send(vhost, body)
    (healthy,) = send(vhost, {"do": "effect"})

    # when
    with worker(database, vhost):
        (dead,) = wait_for(kept)
        wait_for(lambda: effects(engine))

    # then
    assert (dead.message_id, bytes(dead.body)) == (broken, body)
    assert dead.cause
    assert effects(engine) == [healthy]


def test_m4_messages_that_come_one_to_five_times_in_any_order_have_one_effect_each(
    engine: Engine, database: str, vhost: str
) -> None:
    # given
    declare(vhost)
    chance = random.Random(4)
    ids = [str(uuid.uuid4()) for _ in range(40)]
    deliveries = [message_id for message_id in ids for _ in range(chance.randint(1, 5))]
    chance.shuffle(deliveries)
    for message_id in deliveries:
        send(vhost, {"do": "effect"}, message_id=message_id)

    # when
    with worker(database, vhost):
        wait_for(lambda: len(column(engine, "SELECT 1 FROM tries")) >= len(deliveries))
        wait_for(lambda: len(effects(engine)) >= len(ids))

    # then
    assert effects(engine) == sorted(ids)


def put(engine: Engine, *bodies: dict[str, Any], queue: str = QUEUE) -> list[str]:
    with engine.begin() as connection:
        return [str(i) for i in outbox.put(connection, queue, bodies, correlation_id="c", put_at=CLOCK.now())]


def unsent(engine: Engine) -> Sequence[Any]:
    return column(engine, "SELECT message_id::text FROM queue.outbox WHERE sent_at IS NULL ORDER BY number")


def test_m7_a_link_that_breaks_under_an_acknowledgement_leaves_no_silent_consumer(
    engine: Engine, database: str, vhost: str
) -> None:
    # given
    declare(vhost)
    with worker(database, vhost):
        (cut,) = send(vhost, {"do": "cut"})
        wait_for(lambda: effects(engine) == [cut])

        # when: beyond the second after which the reader looks up
        after = []
        for _ in range(6):
            after += send(vhost, {"do": "effect"})
            time.sleep(0.5)

        # then
        wait_for(lambda: set(after) <= set(effects(engine)), what="work after the link was cut")


def test_m5_a_broker_that_is_away_for_longer_than_an_answer_may_take_is_waited_for(
    engine: Engine, database: str, vhost: str
) -> None:
    # given
    declare(vhost)
    parts = urlsplit(vhost)
    with FaultProxy(parts.hostname or "", parts.port or 5672) as proxy:
        link = urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))
        with worker(database, link, answer_seconds=1) as process:
            (before,) = send(vhost, {"do": "effect"})
            wait_for(lambda: effects(engine) == [before])

            # when
            proxy.faults.refused = True
            proxy.reset_all()
            time.sleep(7)
            proxy.faults.refused = False

            # then
            (after,) = send(vhost, {"do": "effect"})
            wait_for(lambda: effects(engine) == sorted([before, after]), what="work after the broker was away")
            assert process.running
            pauses = [float(each) for each in re.findall(r'"next_try_seconds":([0-9.]+)', process.output)]
            assert len(pauses) > 2
            assert max(pauses) <= LONGEST_PAUSE_SECONDS


def test_m8_a_handler_busy_for_three_heartbeats_has_one_effect_and_its_service_lives_on(
    engine: Engine, database: str, vhost: str
) -> None:
    # given
    declare(vhost)
    (busy,) = send(vhost, {"do": "busy", "seconds": 7})

    # when
    with worker(database, vhost, heartbeat=2) as process:
        wait_for(lambda: effects(engine), seconds=60)
        (after,) = send(vhost, {"do": "effect"})
        wait_for(lambda: after in effects(engine), seconds=60, what="work after the busy handler")

        # then
        assert process.running
        assert sorted([busy, after]) == effects(engine)


def test_m9_work_that_no_queue_takes_stays_in_the_outbox_with_the_reason(
    engine: Engine, vhost: str, sender: relay.Relay
) -> None:
    # given
    declare(vhost)
    (lost,) = put(engine, {"do": "effect"}, queue="nobody.listens")
    put(engine, {"do": "effect"})

    # when
    assert sender.round() == 1
    assert sender.round() == 0

    # then
    assert unsent(engine) == [lost]
    assert "nobody.listens" in column(engine, "SELECT refused_reason FROM queue.outbox WHERE sent_at IS NULL")[0]


def test_m9_a_missing_exchange_raises_and_the_row_stays(engine: Engine, sender: relay.Relay) -> None:
    # given: a broker without our topology
    (waiting,) = put(engine, {"do": "effect"})

    # when
    with pytest.raises(PublishUnknown, match=r"trueup\.work"):
        sender.round()

    # then
    assert unsent(engine) == [waiting]


def test_m10_on_sigterm_with_ten_in_flight_each_is_done_or_returned_and_none_is_lost(
    engine: Engine, database: str, vhost: str
) -> None:
    # given
    declare(vhost)
    ids = send(vhost, *({"do": "rest", "seconds": 1} for _ in range(30)))

    # when
    with worker(database, vhost) as process:
        wait_for(lambda: column(engine, "SELECT 1 FROM tries LIMIT 10"))
        assert process.stop(seconds=30) == 0
    with worker(database, vhost):
        wait_for(lambda: len(effects(engine)) == 30)

    # then
    assert effects(engine) == sorted(ids)


@pytest.mark.parametrize("step", relay.STEPS)
def test_m11_the_relay_killed_at_each_step_loses_nothing_and_doubles_die_in_the_inbox(
    engine: Engine, database: str, vhost: str, sender: relay.Relay, step: str
) -> None:
    # given
    from tests.msps import add_msp
    from tests.plumbing.test_event_log import append, count_changed

    declare(vhost)
    ids = put(engine, *({"do": "effect", "n": n} for n in range(20)))
    append(engine, add_msp(engine), count_changed(1, 1))

    # when
    with Process("tests.reliability.dying_relay", database, vhost, step) as process:
        assert process.wait() == -9
    assert sender.round() >= 0

    # then
    assert unsent(engine) == []
    assert column(engine, "SELECT position FROM log.bells") == [1]
    with worker(database, vhost):
        wait_for(lambda: len(effects(engine)) >= 20)
        wait_for(lambda: depth(vhost) == 0, what="doubles to be taken")
    assert effects(engine) == sorted(ids)


def depth(vhost: str) -> int:
    from kombu import Connection

    with Connection(vhost) as connection:
        return int(connection.channel().queue_declare(QUEUE, passive=True).message_count)


def test_m12_every_declared_queue_is_durable_limited_and_gives_its_dead_to_our_hand(vhost: str, rabbitmq: Any) -> None:
    # given
    types = ["ResourceCountChanged"]
    queues = [topology.bell_queue("reconciler", types), *map(topology.work_queue, topology.WORK_QUEUES)]

    # when
    topology.declare(vhost, queues, [10, 60])

    # then
    found = rabbitmq.api("GET", f"queues/{vhost.rsplit('/', 1)[1]}").json()
    assert len(found) == len(queues) + 3
    for queue in found:
        arguments = queue["arguments"]
        assert queue["durable"]
        assert not queue["exclusive"]
        assert not queue["auto_delete"]
        assert arguments["x-queue-type"] == "quorum"
        assert not {"x-queue-mode", "x-queue-version"} & arguments.keys()
        if "wait" not in queue["name"] and queue["name"] != "trueup.dead":
            assert arguments["x-delivery-limit"] == topology.DELIVERY_LIMIT
            assert arguments["x-dead-letter-exchange"] == "trueup.dead"
            assert arguments["x-dead-letter-strategy"] == "at-least-once"


def test_m8_an_acknowledgement_on_a_broken_connection_is_not_the_end_of_the_service(vhost: str) -> None:
    """The broker delivers again by itself; nameko would die here of what the socket raises."""
    from kombu import Connection

    from plumbing.broker import QueueConsumer

    # given: a message taken over a connection that broke since
    declare(vhost)
    send(vhost, {"do": "effect"})
    connection = Connection(vhost)
    message = connection.default_channel.basic_get(QUEUE)
    message.ack = lambda: message.channel.basic_ack(message.delivery_tag)
    connection.transport.client.connection.transport.sock.close()

    # when
    QueueConsumer().ack_message(message)

    # then
    connection.collect()
    assert depth(vhost) == 1
