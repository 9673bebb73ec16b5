"""A marketplace connection whose poll does not come is told once, by whoever looks, until a poll of it ends."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from domain.envelope import NewEvent
from domain.events import Event
from domain.keys import ConnectionId, MspId
from plumbing import event_log
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from plumbing.setup import OutsideConnection
from services.poller.place import Place
from services.reporting.watching.late_polls import due_at, tell_late_polls
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import role_url

SAVED = h.BEGAN
MINUTE = timedelta(minutes=1)
TARGET = OutsideConnection(MspId("acme"), ConnectionId("odin"), "odin", {}, {}, 1, SAVED)
SLOW = replace(TARGET, settings={"poll_seconds": "86400"})
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("target", "ended", "kind", "after", "due"),
    [
        (TARGET, None, None, 20 * MINUTE, None),
        (TARGET, None, None, 21 * MINUTE, 5 * MINUTE),
        (TARGET, 60 * MINUTE, None, 80 * MINUTE, None),
        (TARGET, 60 * MINUTE, None, 81 * MINUTE, 65 * MINUTE),
        (TARGET, 60 * MINUTE, "unreachable", 81 * MINUTE, 65 * MINUTE),
        (TARGET, 60 * MINUTE, "quota", 9 * DAY, None),
        (TARGET, 60 * MINUTE, "rate_limited", 9 * DAY, None),
        (TARGET, 60 * MINUTE, "unauthorised", 9 * DAY, None),
        (TARGET, -60 * MINUTE, "unauthorised", 21 * MINUTE, 5 * MINUTE),
        (SLOW, DAY, None, 3 * DAY, None),
        (SLOW, DAY, None, 3 * DAY + MINUTE, 2 * DAY),
    ],
    ids=[
        "a new one may be polled slowly",
        "a new one was never polled",
        "a poll may take ten minutes",
        "late",
        "one that failed goes on",
        "put off until tomorrow",
        "put off for a while",
        "stopped on purpose",
        "stopped, then saved anew",
        "due once a day",
        "late by a day",
    ],
)
def test_a_poll_is_late_by_more_than_a_period_and_a_quarter_of_an_hour(
    target: OutsideConnection, ended: timedelta | None, kind: str | None, after: timedelta, due: timedelta | None
) -> None:
    found = due_at(target, None if ended is None else SAVED + ended, kind, SAVED + after)

    assert found == (None if due is None else SAVED + due)


class Desk:
    """An MSP with one marketplace connection, and replicas of the reporting service that look."""

    def __init__(self, engine: Engine, msp_id: MspId, connection_id: str = "odin") -> None:
        self.engine, self.msp_id, self.connection_id = engine, msp_id, connection_id
        self.clock = FrozenClock(SAVED)
        with engine.begin() as connection:
            values = {"msp": msp_id, "id": connection_id, "now": SAVED}
            connection.execute(
                text("INSERT INTO setup.connections VALUES (:msp, :id, 'odin', '{}', '{}', 1, :now)"), values
            )

    def polled(self, ended: Event) -> None:
        """A poll ends now."""
        stream = Place(self.msp_id, ConnectionId(self.connection_id)).poll_stream
        with self.engine.begin() as connection:
            newest = text("SELECT count(*) FROM log.events WHERE msp_id = :m AND stream = :s")
            version = connection.scalar(newest, {"m": self.msp_id, "s": stream})
            new = NewEvent(stream=stream, stream_version=version + 1, event=ended, occurred_at=self.clock.now())
            given: dict[str, Any] = {"recorded_at": self.clock.now(), "recorded_by": "poller", "correlation_id": "c"}
            event_log.append(connection, self.msp_id, [new], **given)

    def look(self, after: timedelta = timedelta(), engine: Engine | None = None) -> int:
        self.clock.moment += after
        return tell_late_polls(engine or self.engine, self.clock)

    def told(self) -> list[datetime]:
        query = "SELECT payload ->> 'due_at' FROM log.events WHERE msp_id = :m AND type = 'PollLate' ORDER BY position"
        with self.engine.connect() as connection:
            return [datetime.fromisoformat(due) for due in connection.scalars(text(query), {"m": self.msp_id})]


pytestmark = pytest.mark.postgres


@pytest.fixture
def desk(engine: Engine, msp_id: MspId) -> Desk:
    return Desk(engine, msp_id)


def test_polls_that_come_are_no_news(desk: Desk) -> None:
    for _ in range(12):
        desk.polled(h.poll_completed())
        assert desk.look(5 * MINUTE) == 0

    assert desk.told() == []


def test_a_poller_that_is_down_is_told_once_and_once_more_when_it_is_down_anew(desk: Desk) -> None:
    desk.polled(h.poll_completed())
    assert [desk.look(10 * MINUTE) for _ in range(12)] == [0, 0, 1, *[0] * 9]

    desk.polled(h.poll_completed())
    again = SAVED + 120 * MINUTE
    assert [desk.look(10 * MINUTE) for _ in range(4)] == [0, 0, 1, 0]
    assert desk.told() == [SAVED + 5 * MINUTE, again + 5 * MINUTE]


def test_a_trouble_that_was_told_costs_the_log_nothing_while_it_lasts(desk: Desk) -> None:
    desk.look(30 * MINUTE)
    held: list[str] = []

    def keep(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        held.extend([statement] if "log.heads" in statement else [])

    event.listen(desk.engine, "before_cursor_execute", keep)
    assert desk.look(30 * MINUTE) == 0
    assert held == []


def test_a_poll_that_fails_ends_it_too_and_is_told_as_what_it_is(desk: Desk) -> None:
    assert desk.look(30 * MINUTE) == 1

    desk.polled(h.poll_failed())
    assert [desk.look(30 * MINUTE) for _ in range(3)] == [0, 0, 0]


def test_one_connection_and_one_msp_are_not_another(desk: Desk, engine: Engine) -> None:
    odd, other = Desk(engine, desk.msp_id, "a/b%"), Desk(engine, add_msp(engine, "other"))
    for each in (desk, odd, other):
        each.clock.moment = SAVED + 30 * MINUTE
    odd.polled(h.poll_completed())

    assert desk.look() == 2
    assert (len(desk.told()), len(other.told())) == (1, 1)
    odd.clock.moment += 30 * MINUTE
    assert (odd.look(), odd.look(), len(odd.told())) == (1, 0, 2)


def test_of_many_replicas_that_look_at_once_one_tells(desk: Desk) -> None:
    desk.clock.moment = SAVED + 30 * MINUTE
    with ThreadPoolExecutor(8) as replicas:
        by_each = list(replicas.map(lambda _: desk.look(), range(16)))

    assert (sum(by_each), len(desk.told())) == (1, 1)


def test_a_poll_that_ends_at_this_moment_is_not_late(desk: Desk, database: str) -> None:
    desk.clock.moment = SAVED + 30 * MINUTE
    looking = make_engine(database, "looking")

    def end(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "FOR UPDATE" in statement:
            desk.polled(h.poll_completed())

    event.listen(looking, "before_cursor_execute", end)
    told = desk.look(engine=looking)
    looking.dispose()

    assert (told, desk.told()) == (0, [])


def test_the_role_of_the_service_may_tell_of_it(desk: Desk, database: str) -> None:
    reporting = make_engine(role_url(database, "trueup_reporting"), "test")

    assert desk.look(30 * MINUTE, reporting) == 1
    reporting.dispose()
