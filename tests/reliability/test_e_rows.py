"""Rows E1-E9 of the events and reports: every event is applied exactly once, in order, and a rebuild equals what lives."""

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DatabaseError

from domain.codec import decode, encode
from domain.envelope import NewEvent
from domain.events import EVENT_TYPES, Event, ResourceCountChanged
from domain.keys import MspId
from domain.upcasters import STEPS
from plumbing import event_log
from plumbing.catch_up import Reactor, Slice, catch_up, stopped
from plumbing.clock import Clock
from plumbing.database import make_engine
from services.reporting.projections import READ_MODELS
from services.reporting.queries import REPORTS, Question, read_page
from services.reporting.replay import NotReplayable, replay
from tests.msps import add_msp
from tests.processes import Process
from tests.reliability import tally as t
from tests.reporting import history as h
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
CLOCK = Clock()
GOLDEN = Path(__file__).parents[1] / "golden" / "events"
A, B, P = h.odin("a"), h.odin("b"), h.psa("p")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test", pool_size=20)
    t.make_tables(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def msp_id(engine: Engine) -> MspId:
    return add_msp(engine)


def append(connection: Connection, msp_id: MspId, stream: str, first_version: int, how_many: int = 1) -> None:
    """Events of one stream, in the caller's transaction."""
    new = [
        NewEvent(stream=stream, stream_version=n, event=h.counted(A, None, str(n)), occurred_at=datetime.now(UTC))
        for n in range(first_version, first_version + how_many)
    ]
    event_log.append(connection, msp_id, new, recorded_at=datetime.now(UTC), recorded_by="test", correlation_id="c")


def together(*acts: Callable[[], object]) -> None:
    """All of them at once; the first failure is raised."""
    with ThreadPoolExecutor(len(acts)) as pool:
        for running in [pool.submit(act) for act in acts]:
            running.result()


def until(done: threading.Event, act: Callable[[], object]) -> Callable[[], None]:
    """The act again and again until all is done, and once more after that."""

    def again() -> None:
        while not done.is_set():
            act()
        act()

    return again


def test_e1_eight_writers_rollbacks_a_long_transaction_and_three_projections(engine: Engine, msp_id: MspId) -> None:
    written = threading.Event()
    left = threading.Semaphore(0)

    def writer(number: int) -> None:
        chance = random.Random(number)
        version = 1
        while version <= 40:
            how_many = chance.randint(1, 4)
            with engine.connect() as connection, connection.begin() as transaction:
                connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": chance.random() / 100})
                append(connection, msp_id, f"stream/{number}", version, how_many)
                connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": chance.random() / 200})
                if chance.random() < 0.3:
                    transaction.rollback()
                else:
                    version += how_many
        left.release()

    def long_transaction() -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO reporting.seen_c VALUES ('nobody', 0, NULL)"))
            connection.execute(text("SELECT pg_sleep(10)"))
            append(connection, msp_id, "stream/long", 1)
        left.release()

    def watch() -> None:
        for _ in range(9):
            left.acquire()
        written.set()

    projectors = [until(written, lambda name=name: catch_up(engine, t.tally(name), msp_id, CLOCK)) for name in "aabbcc"]
    together(*(lambda n=n: writer(n) for n in range(8)), long_transaction, watch, *projectors)

    t.assert_complete(engine, msp_id, "a", "b", "c")
    t.assert_ordered(engine, msp_id)


@pytest.mark.chaos
@pytest.mark.parametrize("step", ["before commit", "after commit"])
def test_e2_a_projector_killed_around_its_commit(engine: Engine, msp_id: MspId, database: str, step: str) -> None:
    with engine.begin() as connection:
        append(connection, msp_id, "stream/1", 1, 35)

    with Process("tests.reliability.projector", database, msp_id, step) as projector:
        wait_for(lambda: "here" in projector.output, what="the step")
        projector.kill()
    assert t.checksum(engine, "reporting.seen_a", msp_id)[0] == 10

    def goes_on() -> bool:
        # The row of the killed one stays locked until PostgreSQL has noticed its end.
        return catch_up(engine, t.tally("a"), msp_id, CLOCK) > 0

    wait_for(goes_on, what="the lock of the killed projector")
    t.assert_complete(engine, msp_id, "a")


def test_e3_of_two_projectors_started_at_once_one_works(engine: Engine, msp_id: MspId) -> None:
    with engine.begin() as connection:
        append(connection, msp_id, "stream/1", 1, 20)
    in_the_middle, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection, part: Slice) -> None:
        t.fold_into("a")(connection, part)
        in_the_middle.set()
        assert go_on.wait(30)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(catch_up, engine, replace(t.tally("a"), fold=slow), msp_id, CLOCK)
        assert in_the_middle.wait(30)
        second = catch_up(engine, t.tally("a"), msp_id, CLOCK)
        go_on.set()

    assert (second, first.result()) == (0, 20)
    t.assert_complete(engine, msp_id, "a")


def test_e3_an_event_that_found_the_projector_at_work_is_not_overlooked(
    engine: Engine, msp_id: MspId, database: str
) -> None:
    with engine.begin() as connection:
        append(connection, msp_id, "stream/1", 1, 5)
    other = make_engine(database, "other")
    turned_away: list[int] = []

    def at_the_head() -> bool:
        return t.checksum(other, "reporting.seen_a", msp_id) == t.checksum(other, "log.events", msp_id)

    def ring(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        # The lock was just taken, for the first time or with nothing left to do: one more event, whose bell rings in vain.
        if "SKIP LOCKED" in statement and len(turned_away) < 3 and (not turned_away or at_the_head()):
            with other.begin() as connection:
                append(connection, msp_id, "stream/2", len(turned_away) + 1)
            turned_away.append(catch_up(other, t.tally("a"), msp_id, CLOCK))

    event.listen(engine, "after_cursor_execute", ring)
    catch_up(engine, t.tally("a"), msp_id, CLOCK)
    event.remove(engine, "after_cursor_execute", ring)
    other.dispose()

    assert turned_away
    assert set(turned_away) == {0}
    t.assert_complete(engine, msp_id, "a")


def test_e3_many_projectors_race_for_every_new_event(engine: Engine, msp_id: MspId) -> None:
    written = threading.Event()

    def write() -> None:
        for n in range(1, 60):
            with engine.begin() as connection:
                append(connection, msp_id, "stream/1", n)
        written.set()

    together(write, *[until(written, lambda: catch_up(engine, t.tally("a", 2), msp_id, CLOCK)) for _ in range(4)])

    t.assert_complete(engine, msp_id, "a")


def test_e4_a_forgotten_open_transaction_holds_up_nobody(engine: Engine, msp_id: MspId, database: str) -> None:
    forgotten = psycopg2.connect(database)
    cursor = forgotten.cursor()
    cursor.execute("INSERT INTO reporting.seen_c VALUES ('nobody', 0, NULL)")
    cursor.execute("SELECT pg_current_xact_id(), count(*) FROM log.events")

    with engine.begin() as connection:
        append(connection, msp_id, "stream/1", 1, 5)
    passed = catch_up(engine, t.tally("a"), msp_id, CLOCK)

    assert forgotten.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_INTRANS
    forgotten.close()
    assert passed == 5
    t.assert_complete(engine, msp_id, "a")


def test_e4_a_forgotten_append_of_ours_is_ended_by_the_database(engine: Engine, msp_id: MspId) -> None:
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
    forgotten = engine.connect()
    forgotten.execute(text("SET idle_in_transaction_session_timeout = '1s'"))
    append(forgotten, msp_id, "stream/forgotten", 1)

    with engine.begin() as connection:
        append(connection, msp_id, "stream/1", 1, 5)
    forgotten.invalidate()
    forgotten.close()
    catch_up(engine, t.tally("a"), msp_id, CLOCK)

    t.assert_complete(engine, msp_id, "a")
    assert t.checksum(engine, "log.events", msp_id)[0] == 5


@pytest.mark.chaos
def test_e5_a_rebuild_under_live_load_killed_half_way_and_run_again(
    engine: Engine, msp_id: MspId, database: str
) -> None:
    h.append(engine, msp_id, [each for n in range(300) for each in story(n)])
    h.project(engine, msp_id)
    done = threading.Event()
    live = {"n": 300, "rows": 300}
    swapped: dict[str, int] = {}

    def write() -> None:
        h.append(engine, msp_id, story(live["n"]))
        live["n"] += 1
        h.project(engine, msp_id)

    def read() -> None:
        with engine.connect() as connection:
            page = read_page(connection, REPORTS["subscriptions"], msp_id, Question(first=100))
        assert len(page.rows) == 100
        assert page.total_count is not None
        assert page.total_count >= live["rows"], "a reader saw fewer rows than before"
        live["rows"] = page.total_count

    def rebuild() -> None:
        try:
            with Process("tests.reliability.rebuilder", database, "20") as first:
                wait_for(lambda: "resources 300 of" in first.output, seconds=120, what="half a rebuild")
                first.kill()
            assert generations(engine) == {}
            with Process("tests.reliability.rebuilder", database, "200") as second:
                wait_for(lambda: generations(engine), seconds=120, what="the first swap")
                second.kill()
            swapped.update(generations(engine))
            with Process("tests.reliability.rebuilder", database, "200") as third:
                assert third.wait(180) == 0
        finally:
            done.set()

    together(until(done, write), until(done, read), rebuild)

    assert generations(engine) == {name: 2 if name in swapped else 1 for name in READ_MODELS}
    h.project(engine, msp_id)
    assert [outcome.equal for outcome in replay(engine, ["all"], msp_id, swap=False)] == [True] * len(READ_MODELS)


def story(n: int) -> list[Event]:
    names, to = h.odin(f"r{n}"), h.psa(f"p{n}")
    return [
        h.discovered(names, str(n)),
        h.product(to),
        h.linked(names, to),
        h.requested(names, to, f"q{n}"),
        h.failed(names, to, f"q{n}"),
        h.posted(names, to, f"q{n}"),
    ]


def generations(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT model, generation FROM reporting.generations")).all()
    return {row.model: row.generation for row in found}


def test_e6_a_replay_touches_nothing_outside(
    engine: Engine, msp_id: MspId, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    h.append(engine, msp_id, [each for n in range(5) for each in story(n)])
    h.project(engine, msp_id)
    living = h.everything(engine, msp_id)
    with engine.begin() as connection:
        # A replay that tried to append or to put work would be refused by the database.
        connection.execute(text("REVOKE INSERT ON log.events, queue.outbox FROM trueup_reporting"))
        connection.execute(text("REVOKE UPDATE ON log.heads FROM trueup_reporting"))
    raised: list[object] = []

    def outward(*address: object) -> None:
        raised.append(address)
        raise AssertionError("a replay called outside")

    for way in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, way, outward)
    restricted = make_engine(role_url(database, "trueup_reporting"), "replay")

    outcomes = replay(restricted, ["all"])

    restricted.dispose()
    assert raised == []
    assert all(outcome.equal and outcome.swapped for outcome in outcomes)
    assert h.everything(engine, msp_id) == living


def test_e6_a_reactor_is_never_replayed(engine: Engine, msp_id: MspId) -> None:
    acted: list[object] = []
    reactor = Reactor("reporting.seen_a", "reporting", ("RelationSet",), lambda *given: acted.append(given))
    h.append(engine, msp_id, [h.linked(A, P)])

    with pytest.raises(NotReplayable):
        replay(engine, [reactor], msp_id)

    assert acted == []


@dataclass(frozen=True, kw_only=True)
class Newer(ResourceCountChanged):
    """As a newer program knows it: the count is called licences."""

    version = 2


def put_raw(engine: Engine, msp_id: MspId, event_type: str, version: int, payload: object) -> None:
    """An event as another program's version wrote it."""
    with engine.begin() as connection:
        position = connection.scalar(
            text("UPDATE log.heads SET position = position + 1 WHERE msp_id = :m RETURNING position"), {"m": msp_id}
        )
        connection.execute(
            text(
                """INSERT INTO log.events (msp_id, position, stream, stream_version, type, version, payload, occurred_at,
                   recorded_at, correlation_id, recorded_by, actor)
                   VALUES (:m, :p, 'raw/' || :p, 1, :type, :version, CAST(:payload AS jsonb),
                   timestamptz '2026-03-01 08:00Z' + :p * interval '1 minute', now(), 'c', 'test', 'mara')"""
            ),
            {"m": msp_id, "p": position, "type": event_type, "version": version, "payload": json.dumps(payload)},
        )


def test_e7_an_event_of_an_unknown_newer_version_stops_the_projection_until_the_upgrade(
    engine: Engine, msp_id: MspId, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = add_msp(engine, "other")
    newer = encode(h.counted(A, "4", "12"))
    h.append(engine, msp_id, [h.discovered(A, "4"), h.poll_failed()])
    put_raw(engine, msp_id, "ResourceCountChanged", 2, newer)
    h.append(engine, msp_id, [h.discovered(B, "1"), h.poll_completed()])
    h.append(engine, other, [h.discovered(B, "7")])
    resources, failures = READ_MODELS["resources"].living(), READ_MODELS["failures"].living()

    for each in (msp_id, other):
        catch_up(engine, resources, each, CLOCK)
        catch_up(engine, failures, each, CLOCK)

    (told,) = stopped(engine, "reporting")
    assert (told.consumer, told.msp_id, told.position) == ("reporting.resources", msp_id, 2)
    assert "ResourceCountChanged version 2 at position 3" in told.reason
    assert [row["resource_id"] for row in h.rows(engine, "resources", msp_id)] == ["a"]
    assert h.rows(engine, "failures", msp_id)[0]["state"] == "closed"
    assert h.rows(engine, "resources", other)[0]["count"] == 7

    monkeypatch.setitem(EVENT_TYPES, "ResourceCountChanged", Newer)
    monkeypatch.setitem(STEPS, ("ResourceCountChanged", 1), lambda payload: payload)
    assert catch_up(engine, resources, msp_id, CLOCK) == 3
    assert stopped(engine, "reporting") == []
    assert {row["resource_id"]: row["count"] for row in h.rows(engine, "resources", msp_id)} == {"a": 12, "b": 1}


def test_e8_every_golden_version_of_every_event_gives_the_rows_of_today(engine: Engine) -> None:
    old, today = add_msp(engine, "of-old"), add_msp(engine, "of-today")
    files = sorted(GOLDEN.glob("*.v*.json"))
    assert {file.name.split(".")[0] for file in files} == EVENT_TYPES.keys()

    for file in files:
        event_type, version = file.name.split(".")[0], int(file.name.split(".")[1][1:])
        payload = json.loads(file.read_text("utf-8"))
        put_raw(engine, old, event_type, version, payload)
        known = decode(event_type, version, payload)
        put_raw(engine, today, event_type, known.version, encode(known))
    for msp_id in (old, today):
        h.project(engine, msp_id)

    found = h.everything(engine, old)
    assert found == h.everything(engine, today)
    assert sum(map(len, found.values())) > 8


def test_e8_events_of_three_versions_give_the_same_rows_however_they_are_cut(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def words(payload: dict, **names: str) -> dict:
        return {names.get(name, name): value for name, value in payload.items()}

    monkeypatch.setitem(STEPS, ("ResourceCountChanged", 1), lambda p: words(p, qty="licences", qty_before="before"))
    monkeypatch.setitem(
        STEPS, ("ResourceCountChanged", 2), lambda p: words(p, licences="count", before="previous_count")
    )
    monkeypatch.setitem(EVENT_TYPES, "ResourceCountChanged", type("Third", (Newer,), {"version": 3}))
    past = [
        (1, words(encode(h.counted(A, "4", "5")), count="qty", previous_count="qty_before")),
        (2, words(encode(h.counted(A, "5", None)), count="licences", previous_count="before")),
        (3, encode(h.counted(A, None, "7"))),
        (1, words(encode(h.counted(A, "7", "8.0")), count="qty", previous_count="qty_before")),
    ]
    told = {}
    for name, batch in (("mixed", 20_000), ("cut", 1), ("today", 20_000)):
        msp_id = add_msp(engine, name)
        h.append(engine, msp_id, [h.discovered(A, "4")])
        for version, payload in past:
            as_told = (
                (3, encode(decode("ResourceCountChanged", version, payload))) if name == "today" else (version, payload)
            )
            put_raw(engine, msp_id, "ResourceCountChanged", *as_told)
        h.project(engine, msp_id, batch)
        told[name] = h.everything(engine, msp_id)
        assert replay(engine, ["resources"], msp_id)[0].equal

    assert told["mixed"] == told["cut"] == told["today"]
    assert '"count": 8.0' in told["mixed"]["resources"][0]


ROLES = ("poller", "mapping", "reconciler", "psa_writer", "reporting", "gateway", "relay")
CHANGES = (
    "UPDATE log.events SET actor = 'nobody'",
    "DELETE FROM log.events",
    "TRUNCATE log.events",
    "ALTER TABLE log.events DISABLE TRIGGER append_only",
    "DROP TABLE log.events",
)


@pytest.mark.parametrize("role", ROLES)
def test_e9_no_service_may_change_or_delete_an_event(engine: Engine, msp_id: MspId, database: str, role: str) -> None:
    h.append(engine, msp_id, [h.discovered(A)])
    before = t.checksum(engine, "log.events", msp_id)
    service = make_engine(role_url(database, f"trueup_{role}"), "test")

    for change in CHANGES:
        assert refused(service, change), change

    service.dispose()
    assert t.checksum(engine, "log.events", msp_id) == before


def test_e9_nor_may_the_owner_without_taking_the_trigger_away(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(A)])

    for change in CHANGES[:3]:
        assert "never updated or deleted" in refused(engine, change)


def refused(engine: Engine, change: str) -> str:
    """Why the database refused it; empty when it did not."""
    try:
        with engine.begin() as connection:
            connection.execute(text(change))
    except DatabaseError as error:
        return str(error.orig)
    return ""
