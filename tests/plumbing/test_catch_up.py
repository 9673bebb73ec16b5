"""Catching up: rows and position in one transaction, one place at a time, a bad event stops one MSP only."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import OperationalError

from deploy.migrations.rights import SERVICES
from domain.envelope import Envelope
from domain.keys import MspId
from plumbing.catch_up import Projection, Reactor, Slice, catch_up, stopped, sweep
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.stops import tell_stops
from tests.msps import add_msp
from tests.plumbing.test_event_log import append, count_changed
from tests.servers import role_url

pytestmark = pytest.mark.postgres
TYPES = ("ResourceCountChanged",)
CLOCK = Clock()


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test", pool_size=10)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE reporting.seen (msp_id text, position bigint)"))
    yield engine
    engine.dispose()


def fold(connection: Connection, part: Slice) -> None:
    connection.execute(
        text(
            """INSERT INTO reporting.seen SELECT msp_id, position FROM log.events
               WHERE msp_id = :msp_id AND position > :after AND position <= :upto AND payload->>'resource_name' <> 'bad'
               AND (payload->>'resource_name' <> 'poison' OR 1 / (position - position) = 1)"""
        ),
        {"msp_id": part.msp_id, "after": part.after, "upto": part.upto},
    )


PROJECTION = Projection("reporting.seen", "reporting", TYPES, fold, batch=3)


CURED = replace(PROJECTION, fold=lambda connection, part: None)


def told(engine: Engine, msp_id: str) -> list[tuple[str, dict[str, object]]]:
    """What the log says of consumers."""
    query = "SELECT type, payload FROM log.events WHERE msp_id = :m AND stream LIKE 'consumer/%' ORDER BY position"
    with engine.connect() as connection:
        return [(row.type, row.payload) for row in connection.execute(text(query), {"m": msp_id})]


def seen(engine: Engine, msp_id: str = "acme") -> list[int]:
    with engine.connect() as connection:
        query = text("SELECT position FROM reporting.seen WHERE msp_id = :msp_id ORDER BY position")
        return list(connection.scalars(query, {"msp_id": msp_id}))


def test_nothing_new_changes_nothing(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))
    catch_up(engine, PROJECTION, msp_id, CLOCK)

    assert catch_up(engine, PROJECTION, msp_id, CLOCK) == 0
    assert seen(engine) == [1]


def test_every_event_is_folded_once_in_batches(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, *(count_changed(number, 1) for number in range(10)))

    assert catch_up(engine, PROJECTION, msp_id, CLOCK) == 10
    assert seen(engine) == list(range(1, 11))


def test_a_lost_bell_is_found_by_the_sweep_for_every_msp(engine: Engine) -> None:
    for name in ("acme", "other"):
        append(engine, add_msp(engine, name), count_changed(1, 1))
    add_msp(engine, "silent")

    assert sweep(engine, [PROJECTION], CLOCK) == 2
    assert seen(engine, "acme") == seen(engine, "other") == [1]
    assert sweep(engine, [PROJECTION], CLOCK) == 0


def test_e3_consumers_started_at_once_do_the_work_once(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, *(count_changed(number, 1) for number in range(200)))

    threads = [threading.Thread(target=catch_up, args=(engine, PROJECTION, msp_id, CLOCK)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert seen(engine) == list(range(1, 201))


def test_a_consumer_that_finds_the_msp_taken_leaves_and_the_one_at_work_looks_again(engine: Engine) -> None:
    # given: a reactor that stands inside its first batch
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))
    inside, go_on = threading.Event(), threading.Event()
    handled: list[int] = []

    def react(_: Connection, __: MspId, events: list[Envelope]) -> None:
        handled.extend(e.position for e in events)
        inside.set()
        assert go_on.wait(10)

    reactor = Reactor("reporting.slow", "reporting", TYPES, react)
    first = threading.Thread(target=catch_up, args=(engine, reactor, msp_id, CLOCK))
    catch_up(engine, Reactor("reporting.slow", "reporting", ("MspAdded",), react), msp_id, CLOCK)
    append(engine, msp_id, count_changed(1, 2))
    first.start()
    assert inside.wait(10)

    # when: another event and its bell come while the first still works
    append(engine, msp_id, count_changed(1, 3))
    assert catch_up(engine, reactor, msp_id, CLOCK) == 0
    go_on.set()
    first.join(10)

    # then: nobody overlooked it
    assert handled == [2, 3]


def test_e7_a_poison_event_stops_its_msp_at_that_event_only_and_goes_on_after_the_cure(engine: Engine) -> None:
    # given
    sick, sound = add_msp(engine, "sick"), add_msp(engine, "sound")
    append(engine, sick, count_changed(1, 1), count_changed(2, 1), count_changed(3, 1, "poison"), count_changed(4, 1))
    append(engine, sound, count_changed(1, 1))

    # when
    sweep(engine, [PROJECTION], CLOCK)

    # then
    assert seen(engine, "sick") == [1, 2]
    assert seen(engine, "sound") == [1]
    (halt,) = stopped(engine, "reporting")
    assert (halt.msp_id, halt.position, halt.consumer) == ("sick", 2, "reporting.seen")
    assert "division by zero" in halt.reason

    # when: a release that can take the event
    sweep(engine, [CURED], CLOCK)

    # then
    assert stopped(engine, "reporting") == []


def test_a_consumer_that_stops_and_goes_on_is_told_once_each_without_a_word_of_the_event(engine: Engine) -> None:
    # given
    sick, sound = add_msp(engine, "sick"), add_msp(engine, "sound")
    append(engine, sick, count_changed(1, 1), count_changed(2, 1, "poison"))
    append(engine, sound, count_changed(1, 1))

    # when
    for _ in range(4):
        sweep(engine, [PROJECTION], CLOCK)

    # then
    stop = {
        "consumer": "reporting.seen",
        "position": 1,
        "event_type": "ResourceCountChanged",
        "event_version": 1,
        "fault": "DataError",
    }
    assert told(engine, "sick") == [("ConsumerStopped", stop)]

    # when
    for _ in range(3):
        sweep(engine, [CURED], CLOCK)

    # then: its own events are passed too
    assert told(engine, "sick")[1:] == [("ConsumerResumed", {"consumer": "reporting.seen", "position": 3})]
    assert told(engine, "sound") == []
    with engine.connect() as connection:
        assert connection.scalar(
            text("SELECT occurred_at <= recorded_at FROM log.events WHERE type = 'ConsumerStopped'")
        )


def test_a_consumer_that_goes_on_and_stops_anew_between_two_looks_is_told_of_both(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1, "poison"))
    for _ in range(2):
        sweep(engine, [PROJECTION], CLOCK)

    catch_up(engine, CURED, msp_id, CLOCK)
    append(engine, msp_id, count_changed(2, 1, "poison"))
    catch_up(engine, PROJECTION, msp_id, CLOCK)
    sweep(engine, [PROJECTION], CLOCK)

    assert [kind for kind, _ in told(engine, msp_id)] == ["ConsumerStopped", "ConsumerResumed", "ConsumerStopped"]
    assert [payload["position"] for _, payload in told(engine, msp_id)] == [0, 2, 2]


def test_what_was_over_before_anyone_told_it_is_not_told(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1, "poison"))
    catch_up(engine, PROJECTION, msp_id, CLOCK)
    catch_up(engine, CURED, msp_id, CLOCK)

    sweep(engine, [PROJECTION], CLOCK)

    assert told(engine, msp_id) == []


def test_a_look_that_dies_while_it_tells_has_told_nothing_and_the_next_tells_once(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1, "poison"))
    catch_up(engine, PROJECTION, msp_id, CLOCK)

    def die(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "INSERT INTO log.events" in statement:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    event.listen(engine, "after_cursor_execute", die)
    with pytest.raises(OperationalError):
        sweep(engine, [PROJECTION], CLOCK)
    event.remove(engine, "after_cursor_execute", die)
    assert told(engine, msp_id) == []

    for _ in range(2):
        sweep(engine, [PROJECTION], CLOCK)
    assert [kind for kind, _ in told(engine, msp_id)] == ["ConsumerStopped"]


def test_of_many_replicas_that_look_at_once_one_tells(engine: Engine) -> None:
    names = ("acme", "other", "third")
    for name in names:
        msp_id = add_msp(engine, name)
        append(engine, msp_id, count_changed(1, 1, "poison"))
        catch_up(engine, PROJECTION, msp_id, CLOCK)

    with ThreadPoolExecutor(8) as pool:
        by_each = list(pool.map(lambda _: tell_stops(engine, "reporting", ["reporting.seen"], CLOCK), range(16)))

    assert sum(by_each) == 3
    assert [[kind for kind, _ in told(engine, name)] for name in names] == [["ConsumerStopped"]] * 3


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "poller"])
def test_each_service_may_tell_of_its_own_consumers(database: str, engine: Engine, service: str) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("4711 is the secret count")

    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))
    own = make_engine(role_url(database, f"trueup_{service}"), "test")
    for _ in range(2):
        sweep(own, [Reactor(f"{service}.own", service, TYPES, refuse)], CLOCK)
    own.dispose()

    ((kind, payload),) = told(engine, msp_id)
    assert (kind, payload["consumer"], payload["fault"]) == ("ConsumerStopped", f"{service}.own", "ValueError")


def test_an_older_release_does_not_stop_what_a_newer_one_has_taken_meanwhile(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1, "poison"))

    class Slow(Clock):
        """While the older one looks at the clock to write down its stop, the newer one takes the event."""

        def now(self) -> datetime:
            catch_up(engine, CURED, msp_id, CLOCK)
            return super().now()

    catch_up(engine, PROJECTION, msp_id, Slow())

    assert stopped(engine, "reporting") == []


@pytest.mark.parametrize("consumer", ["projection", "reactor"])
def test_e7_an_event_of_a_newer_version_stops_the_consumer_there(engine: Engine, consumer: str) -> None:
    # given
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))
    append(engine, msp_id, count_changed(2, 1))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE log.events DISABLE TRIGGER append_only"))
        connection.execute(text("UPDATE log.events SET version = 9 WHERE position = 2"))
    handled: list[int] = []
    reactor = Reactor(
        "reporting.seen", "reporting", TYPES, lambda c, m, events: handled.extend(e.position for e in events)
    )

    # when
    catch_up(engine, PROJECTION if consumer == "projection" else reactor, msp_id, CLOCK)

    # then
    (halt,) = stopped(engine, "reporting")
    assert halt.position == 1
    assert "ResourceCountChanged version 9" in halt.reason
    assert (seen(engine) or handled) == [1]


def test_a_database_fault_is_not_held_against_the_event(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))

    def react(connection: Connection, _: MspId, __: list[Envelope]) -> None:
        connection.execute(text("SET LOCAL statement_timeout = 10"))
        connection.execute(text("SELECT pg_sleep(1)"))

    with pytest.raises(OperationalError):
        catch_up(engine, Reactor("reporting.seen", "reporting", TYPES, react), msp_id, CLOCK)
    assert stopped(engine, "reporting") == []


def test_what_a_reactor_wrote_goes_with_its_position(engine: Engine) -> None:
    """A failure after the effect takes the effect back: the next try has it once."""
    # given
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))
    tries: list[int] = []

    def react(connection: Connection, msp_id: MspId, events: list[Envelope]) -> None:
        connection.execute(text("INSERT INTO reporting.seen VALUES (:m, :p)"), {"m": msp_id, "p": events[0].position})
        tries.append(1)
        if len(tries) == 1:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    reactor = Reactor("reporting.once", "reporting", TYPES, react)

    # when
    with pytest.raises(OperationalError):
        catch_up(engine, reactor, msp_id, CLOCK)
    catch_up(engine, reactor, msp_id, CLOCK)

    # then
    assert len(tries) == 2
    assert seen(engine) == [1]
