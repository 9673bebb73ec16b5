"""The log: gap-free positions in commit order, one writer a stream version, nothing ever changed."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from domain.envelope import NewEvent
from domain.events import CompanyObserved, ResourceCountChanged
from domain.keys import CompanyId, ConnectionId, MspId, ResourceId, SubscriptionId
from plumbing import event_log
from plumbing.database import make_engine
from plumbing.logs import JsonLines
from tests.msps import add_msp
from tests.servers import role_url

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 7, 11, 14, 1, tzinfo=UTC)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test", pool_size=10)
    yield engine
    engine.dispose()


def count_changed(resource: int, version: int, name: str = "Exchange Online (Plan 1)") -> NewEvent:
    event = ResourceCountChanged(
        connection_id=ConnectionId("odin"),
        company_id=CompanyId("1200000501"),
        company_name="Repair and Wear",
        subscription_id=SubscriptionId("1000823"),
        subscription_name="Exchange",
        resource_id=ResourceId(str(resource)),
        resource_name=name,
        previous_count=Decimal(4),
        count=Decimal(12),
    )
    return NewEvent(stream=f"resource/{resource}", stream_version=version, event=event, occurred_at=NOW)


def append(engine: Engine, msp_id: MspId, *events: NewEvent) -> int:
    with engine.begin() as connection:
        return event_log.append(
            connection, msp_id, events, recorded_at=NOW, recorded_by="poller", correlation_id="c-1", caused_by=None
        )


def test_events_are_read_back_as_they_were_appended_in_order_without_gaps(engine: Engine) -> None:
    # given
    msp_id = add_msp(engine)
    events = [count_changed(number, 1, name="a\tb\\n\n☃ \u202e '; DROP") for number in range(3)]

    # when
    last = append(engine, msp_id, *events)

    # then
    with engine.connect() as connection:
        read = event_log.read(connection, msp_id, 0, last)
    assert [e.position for e in read] == [1, 2, 3]
    assert [e.event for e in read] == [new.event for new in events]
    assert {(e.correlation_id, e.recorded_by, e.actor) for e in read} == {("c-1", "poller", "poller")}


def test_an_event_is_read_with_its_id_and_with_its_moments_to_the_microsecond_in_utc(engine: Engine) -> None:
    # given
    msp_id = add_msp(engine)
    said = datetime(2026, 8, 3, 10, 0, 0, 120_003, tzinfo=timezone(timedelta(hours=2)))

    # when
    append(engine, msp_id, replace(count_changed(1, 1), occurred_at=said))

    # then
    with engine.connect() as connection:
        (read,) = event_log.read(connection, msp_id, 0, 1)
        stored = connection.scalar(text("SELECT event_id FROM log.events"))
    assert (read.occurred_at, read.occurred_at.utcoffset()) == (said, timedelta(0))
    assert (read.recorded_at, read.recorded_at.utcoffset()) == (NOW, timedelta(0))
    assert read.event_id == str(stored)


def test_copied_events_equal_appended_ones(engine: Engine) -> None:
    # given
    one, other = add_msp(engine, "one"), add_msp(engine, "other")
    events = [count_changed(number, 1, name="tab\there \\ back\nslash") for number in range(5)]

    # when
    append(engine, one, *events)
    with engine.begin() as connection:
        event_log.append_copied(connection, other, events, recorded_at=NOW, recorded_by="poller", correlation_id="c-1")

    # then
    with engine.connect() as connection:
        left, right = (event_log.read(connection, msp_id, 0, 9) for msp_id in (one, other))
    assert [e._replace(msp_id=MspId(""), event_id=left[0].event_id) for e in left] == [
        e._replace(msp_id=MspId(""), event_id=left[0].event_id) for e in right
    ]


def test_an_event_appended_alone_equals_one_appended_among_others(engine: Engine) -> None:
    # given
    alone, among = add_msp(engine, "alone"), add_msp(engine, "among")
    events = [count_changed(number, 1, name="tab\there % '; \\ back\nslash") for number in range(2)]

    # when
    for event in events:
        append(engine, alone, event)
    append(engine, among, *events)

    # then
    with engine.connect() as connection:
        left, right = (event_log.read(connection, msp_id, 0, 9) for msp_id in (alone, among))
    assert [e._replace(msp_id=MspId(""), event_id=left[0].event_id) for e in left] == [
        e._replace(msp_id=MspId(""), event_id=left[0].event_id) for e in right
    ]


def test_an_event_alone_is_refused_too_when_its_stream_has_moved(engine: Engine) -> None:
    # given
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))

    # when
    with pytest.raises(event_log.StreamMoved):
        append(engine, msp_id, count_changed(1, 1))

    # then
    assert append(engine, msp_id, count_changed(1, 2)) == 2


def test_two_who_write_the_same_version_of_a_stream_the_second_is_refused_and_leaves_no_gap(engine: Engine) -> None:
    # given
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))

    # when
    with pytest.raises(event_log.StreamMoved):
        append(engine, msp_id, count_changed(2, 1), count_changed(1, 1))

    # then
    assert append(engine, msp_id, count_changed(1, 2)) == 2


def test_an_append_is_one_log_line_with_the_correlation_of_its_events(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    msp_id = add_msp(engine)
    with caplog.at_level("INFO", logger="plumbing.event_log"):
        append(engine, msp_id, count_changed(1, 1), count_changed(2, 1))

    (record,) = caplog.records
    said = json.loads(JsonLines("poller").format(record))
    assert (said["action"], said["correlation_id"], said["position"]) == ("events appended", "c-1", 2)
    assert said["types"] == {"ResourceCountChanged": 2}


def test_an_unknown_msp_is_refused(engine: Engine) -> None:
    with pytest.raises(event_log.UnknownMsp):
        append(engine, MspId("nobody"), count_changed(1, 1))


def test_e1_eight_writers_that_roll_back_now_and_then_leave_no_gap_and_no_reader_misses_one(engine: Engine) -> None:
    # given
    msp_id = add_msp(engine)
    done = threading.Event()
    seen: list[int] = []

    def write(writer: int) -> None:
        for version in range(1, 41):
            with engine.connect() as connection, connection.begin() as transaction:
                event_log.append(
                    connection,
                    msp_id,
                    [count_changed(writer, version)],
                    recorded_at=NOW,
                    recorded_by="w",
                    correlation_id="",
                )
                if version % 7 == 0:
                    transaction.rollback()
            if version % 7 == 0:
                append(engine, msp_id, count_changed(writer, version))

    def follow() -> None:
        while not done.is_set() or len(seen) < 320:
            with engine.connect() as connection:
                seen.extend(e.position for e in event_log.read(connection, msp_id, seen[-1] if seen else 0, 10_000))

    # when
    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    reader = threading.Thread(target=follow)
    for thread in [*writers, reader]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join(30)

    # then
    assert seen == list(range(1, 321))


@pytest.mark.parametrize(
    "statement", ["UPDATE log.events SET actor = 'x'", "DELETE FROM log.events", "TRUNCATE log.events"]
)
@pytest.mark.parametrize("role", ["trueup_poller", "trueup_gateway", ""])
def test_e9_events_are_never_updated_or_deleted_not_even_by_the_owner(
    engine: Engine, database: str, statement: str, role: str
) -> None:
    # given
    append(engine, add_msp(engine), count_changed(1, 1))
    as_role = make_engine(role_url(database, role), "test") if role else engine

    # when
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|never updated or deleted"),
        as_role.begin() as connection,
    ):
        connection.execute(text(statement))

    # then
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM log.events WHERE actor = 'poller'")) == 1
    as_role.dispose()


def test_a_service_may_write_only_its_own_schema(database: str) -> None:
    poller = make_engine(role_url(database, "trueup_poller"), "test")
    for statement in (
        "INSERT INTO mapping.positions VALUES ('x', 'y', 1)",
        "SELECT * FROM reconciler.positions",
        "UPDATE setup.msps SET name = 'x'",
        "DELETE FROM queue.outbox",
        "CREATE TABLE public.own (a int)",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"), poller.begin() as connection:
            connection.execute(text(statement))
    poller.dispose()


def test_a_company_may_be_observed_without_a_name_before(engine: Engine) -> None:
    # given
    event = CompanyObserved(
        connection_id=ConnectionId("odin"),
        company_id=CompanyId("1"),
        company_name="",
        previous_company_name=None,
        status="active",
        previous_status=None,
    )

    # when
    msp_id = add_msp(engine)
    append(engine, msp_id, NewEvent(stream="company/1", stream_version=1, event=event, occurred_at=NOW))

    # then
    with engine.connect() as connection:
        assert event_log.read(connection, msp_id, 0, 1, ["CompanyObserved"])[0].event == event
        assert event_log.read(connection, msp_id, 0, 1, ["PollCompleted"]) == []
