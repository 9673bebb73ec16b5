"""Bells as messages: many are one call, one MSP does not wait for another, and none is lost or tried for ever."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
from kombu import Connection
from sqlalchemy import Engine, text

from domain.keys import MspId
from plumbing import topology
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.publisher import Message, Publisher
from plumbing.relay import DeadLetters
from tests.msps import add_msp
from tests.plumbing import QUEUE
from tests.processes import Process
from tests.reporting import history as h
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE calls (msp_id text)"))
        connection.execute(text("CREATE TABLE orders (msp_id text, rest numeric, fail boolean)"))
    yield engine
    engine.dispose()


@pytest.fixture
def bells(vhost: str) -> str:
    """The broker's URL, the queue of the bells declared."""
    topology.declare(vhost, [QUEUE], [1])
    return vhost


def hearer(database: str, vhost: str) -> Process:
    return Process("tests.plumbing.hearer", database, vhost)


def ring(vhost: str, msp_id: str, times: int = 1, upto: object = 1) -> None:
    body = json.dumps({"msp_id": msp_id, "after": 0, "upto": upto}).encode()
    publisher = Publisher(vhost)
    assert publisher.publish([Message(topology.BELLS.name, "ResourceDiscovered", body)] * times) == {}
    publisher.close()


def order(engine: Engine, msp_id: MspId, rest: str = "0", *, fail: bool = False) -> None:
    with engine.begin() as connection:
        order = {"m": msp_id, "rest": Decimal(rest), "fail": fail}
        connection.execute(text("INSERT INTO orders VALUES (:m, :rest, :fail)"), order)


def happened(engine: Engine, msp_id: MspId, number: str = "1") -> None:
    h.append(engine, msp_id, [h.discovered(h.odin(number))])


def calls(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT msp_id FROM calls ORDER BY 1")))


def positions(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {row.msp_id: row.position for row in connection.execute(text("SELECT * FROM reconciler.positions"))}


def left(vhost: str) -> int:
    """Messages that wait in the queue or among those to be tried again."""
    with Connection(vhost) as connection:
        channel = connection.channel()
        names = (QUEUE.name, topology.wait_queue(1).name)
        return sum(channel.queue_declare(name, passive=True).message_count for name in names)


def test_a_thousand_bells_of_an_msp_are_one_call(engine: Engine, database: str, bells: str) -> None:
    # given
    a = add_msp(engine, "a")
    happened(engine, a)
    ring(bells, a, 1_000)

    # when: a bell that came after them has had its effect, so each look at them has ended
    b = add_msp(engine, "b")
    happened(engine, b)
    ring(bells, b)
    with hearer(database, bells) as process:
        wait_for(lambda: positions(engine) == {a: 1, b: 1})
        process.kill()

    # then: all but perhaps that last one were acknowledged, not only taken, and cost no call
    assert left(bells) <= 1
    assert calls(engine) == [a, b]


def test_while_one_msp_is_worked_on_its_bells_gather_and_others_are_served(
    engine: Engine, database: str, bells: str
) -> None:
    # given
    slow, quick = add_msp(engine, "slow"), add_msp(engine, "quick")
    order(engine, slow, rest="2")
    happened(engine, slow)
    ring(bells, slow, 50)

    with hearer(database, bells):
        wait_for(lambda: calls(engine) == [slow])

        # when
        happened(engine, slow, "2")
        ring(bells, slow, 50)
        happened(engine, quick)
        ring(bells, quick)

        # then
        wait_for(lambda: positions(engine).get(quick) == 1, what="the other MSP")
        assert positions(engine)[slow] == 0
        wait_for(lambda: positions(engine)[slow] == 2, what="what happened in the meantime")
        wait_for(lambda: left(bells) == 0)
    assert calls(engine).count(quick) == 1
    assert calls(engine).count(slow) <= 2


def test_of_many_bells_that_fail_one_is_tried_again_and_at_last_kept(engine: Engine, database: str, bells: str) -> None:
    # given
    a = add_msp(engine, "a")
    order(engine, a, fail=True)
    happened(engine, a)
    ring(bells, a, 20)

    # when
    keeper = DeadLetters(engine, bells, Clock())
    with hearer(database, bells):
        wait_for(keeper.keep, 30, what="the bell to be given up")
        wait_for(lambda: left(bells) == 0)
    keeper.close()

    # then
    with engine.connect() as connection:
        (dead,) = connection.execute(text("SELECT * FROM queue.dead_letters")).all()
    assert dead.attempts == 4
    assert "as told" in dead.cause
    assert len(calls(engine)) <= 8


def test_bells_in_the_hands_of_a_killed_process_come_again(engine: Engine, database: str, bells: str) -> None:
    # given
    a = add_msp(engine, "a")
    order(engine, a, rest="60")
    happened(engine, a)
    ring(bells, a, 5)
    with hearer(database, bells) as process:
        wait_for(lambda: calls(engine) == [a])
        process.kill()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM orders"))

    # when
    with hearer(database, bells):
        # then
        wait_for(lambda: positions(engine) == {a: 1})
        wait_for(lambda: left(bells) == 0)


def test_bells_that_are_done_are_not_acknowledged_for_those_that_came_before_and_are_not(
    engine: Engine, database: str, bells: str
) -> None:
    # given: an MSP in hand, whose bells came first
    slow, quick = add_msp(engine, "slow"), add_msp(engine, "quick")
    order(engine, slow, rest="60")
    happened(engine, slow)
    ring(bells, slow, 3)
    with hearer(database, bells) as process:
        wait_for(lambda: calls(engine) == [slow])

        # when: another's bells are done twice, so those of the first time are acknowledged for certain
        for number in (1, 2):
            happened(engine, quick, str(number))
            ring(bells, quick, 20)
            wait_for(lambda number=number: positions(engine).get(quick) == number)
        process.kill()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM orders"))

    # then: what was in hand comes again
    with hearer(database, bells):
        wait_for(lambda: positions(engine)[slow] == 1)


@pytest.mark.parametrize(("msp_id", "upto", "cause"), [("a", "1", "a bell has"), ("nobody", 1, "UnknownMsp")])
def test_a_bell_that_cannot_be_followed_is_kept_and_others_are_heard(
    engine: Engine, database: str, bells: str, msp_id: str, upto: object, cause: str
) -> None:
    # given
    a = add_msp(engine, "a")
    happened(engine, a)
    ring(bells, msp_id, upto=upto)
    ring(bells, a)

    # when
    keeper = DeadLetters(engine, bells, Clock())
    with hearer(database, bells):
        wait_for(keeper.keep, 30, what="the bell to be given up")
        wait_for(lambda: positions(engine) == {a: 1})
    keeper.close()

    # then
    with engine.connect() as connection:
        (dead,) = connection.execute(text("SELECT * FROM queue.dead_letters")).all()
    assert cause in dead.cause
