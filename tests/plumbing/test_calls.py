"""Calls are counted in memory and told as one event a connection and stretch of time; nothing is told of no calls."""

from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from domain.events import CallsCounted
from domain.keys import MspId
from plumbing import event_log
from plumbing.calls import Calls
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.http import OutsideFailure
from tests.msps import add_msp

pytestmark = pytest.mark.postgres
CLOCK = Clock()


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test", pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def msp_id(engine: Engine) -> MspId:
    return add_msp(engine)


def told(engine: Engine, msp_id: MspId) -> list[CallsCounted]:
    with engine.connect() as connection:
        return [each.event for each in event_log.read(connection, msp_id, 0, event_log.head(connection, msp_id))]


def call(calls: Calls, endpoint: str, kind: str = "", msp_id: str = "acme", connection_id: str = "odin") -> None:
    try:
        with calls.through(msp_id, connection_id)(endpoint):
            if kind:
                raise OutsideFailure(kind, "no")
    except OutsideFailure:
        pass


def test_no_calls_are_told_of_by_no_event(engine: Engine, msp_id: MspId) -> None:
    Calls().tell(engine, CLOCK, "poller", after_seconds=0)

    assert told(engine, msp_id) == []


def test_calls_are_told_once_when_the_first_of_them_is_old_enough(engine: Engine, msp_id: MspId) -> None:
    # given
    calls = Calls()
    for kind in ("", "", "rate_limited", "unreachable"):
        call(calls, "/subscriptions/{id}", kind)
    call(calls, "/orders")
    before = CLOCK.now()

    # when
    calls.tell(engine, CLOCK, "poller")
    assert told(engine, msp_id) == []
    for _ in range(2):
        calls.tell(engine, CLOCK, "poller", after_seconds=0)

    # then
    [counted] = told(engine, msp_id)
    assert (counted.connection_id, counted.seconds, counted.since < before) == ("odin", 1, True)
    orders, subscriptions = counted.endpoints
    assert (orders.endpoint, orders.calls, orders.failed) == ("/orders", 1, 0)
    assert (subscriptions.calls, subscriptions.failed, subscriptions.limited) == (4, 2, 1)
    assert subscriptions.p50_milliseconds <= subscriptions.p95_milliseconds <= subscriptions.slowest_milliseconds


def test_each_connection_of_each_msp_has_an_event_of_its_own(engine: Engine, msp_id: MspId) -> None:
    calls, other = Calls(), add_msp(engine, "other")
    call(calls, "/orders")
    call(calls, "/orders", connection_id="second")
    call(calls, "/orders", msp_id=other)

    calls.tell(engine, CLOCK, "poller", after_seconds=0)

    assert sorted(each.connection_id for each in told(engine, msp_id)) == ["odin", "second"]
    assert [each.connection_id for each in told(engine, other)] == ["odin"]


def test_replicas_that_tell_at_the_same_moment_lose_and_double_nothing(engine: Engine, msp_id: MspId) -> None:
    # given eight replicas of which each has made so many calls
    replicas = [Calls() for _ in range(8)]
    for number, calls in enumerate(replicas, 1):
        for _ in range(number):
            call(calls, "/orders")

    # when
    threads = [Thread(target=calls.tell, args=(engine, CLOCK, "poller", 0)) for calls in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # then
    assert sorted(each.endpoints[0].calls for each in told(engine, msp_id)) == list(range(1, 9))


def test_what_the_database_does_not_take_is_told_later_with_what_came_meanwhile(engine: Engine, msp_id: MspId) -> None:
    # given
    calls = Calls()
    call(calls, "/orders")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE log.heads RENAME TO hidden"))

    # when
    with pytest.raises(SQLAlchemyError):
        calls.tell(engine, CLOCK, "poller", after_seconds=0)
    call(calls, "/orders", "unreachable")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE log.hidden RENAME TO heads"))
    calls.tell(engine, CLOCK, "poller", after_seconds=0)

    # then
    [counted] = told(engine, msp_id)
    assert [(each.calls, each.failed) for each in counted.endpoints] == [(2, 1)]


def test_what_is_told_in_a_transaction_that_is_taken_back_stays_counted(engine: Engine, msp_id: MspId) -> None:
    # given
    calls = Calls()
    call(calls, "/orders")

    # when one transaction is taken back and another does not come to telling
    with suppress(KeyError), calls.telling(msp_id, "odin") as tell, engine.begin() as connection:
        tell(connection, CLOCK, "poller")
        raise KeyError
    with calls.telling(msp_id, "odin"):
        pass
    assert told(engine, msp_id) == []

    # then
    with calls.telling(msp_id, "odin") as tell, engine.begin() as connection:
        tell(connection, CLOCK, "poller")
        tell(connection, CLOCK, "poller")
    assert [each.endpoints[0].calls for each in told(engine, msp_id)] == [1]
