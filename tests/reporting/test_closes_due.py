"""A close with red checks is told once when its invoice is due within three days, and again when it was green in between."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, event, text

from domain.keys import MspId
from domain.months import Month
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from services.reporting.watching.closes_due import month_in_hand, tell_closes_due
from tests.msps import add_msp
from tests.reporting import history as h
from tests.reporting.closing import ALL_GREEN, B, connect, decide, tell
from tests.servers import role_url
from tests.waiting import wait_for

HOUR = timedelta(hours=1)
LATE_MARCH = datetime(2026, 3, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("today", "month"),
    [
        (date(2026, 3, 28), "2026-02"),
        (date(2026, 3, 29), "2026-03"),
        (date(2026, 4, 1), "2026-03"),
        (date(2026, 4, 27), "2026-03"),
        (date(2026, 4, 28), "2026-04"),
        (date(2026, 12, 29), "2026-12"),
        (date(2027, 1, 1), "2026-12"),
        (date(2028, 2, 27), "2028-02"),
    ],
)
def test_the_month_in_hand_is_the_one_due_within_three_days_or_due_last(today: date, month: str) -> None:
    assert month_in_hand(today) == Month.parse(month)


def fresh(engine: Engine, msp_id: MspId, now: datetime) -> None:
    """Both sides were read at that moment."""
    h.append(engine, msp_id, [h.poll_completed(), h.customer(h.psa("p"))], occurred_at=now)
    h.project(engine, msp_id)


class Desk:
    """An MSP whose March has nothing against it, seen at the end of March."""

    def __init__(self, engine: Engine, msp_id: MspId, now: datetime = LATE_MARCH) -> None:
        self.engine, self.msp_id, self.clock = engine, msp_id, FrozenClock(now)
        with engine.begin() as connection:
            connection.execute(text("UPDATE setup.msps SET added_at = '2026-01-01'"))
        connect(engine, msp_id)
        tell(engine, msp_id, *ALL_GREEN)
        fresh(engine, msp_id, now)

    def look(self, after: timedelta = timedelta()) -> int:
        self.clock.moment += after
        return tell_closes_due(self.engine, self.clock)

    @property
    def claim(self) -> dict[str, object]:
        return {"m": self.msp_id, "now": self.clock.now()}

    def told(self) -> list[tuple[str, list[str]]]:
        query = "SELECT payload FROM log.events WHERE msp_id = :m AND type = 'CloseDue' ORDER BY position"
        with self.engine.connect() as connection:
            return [(due["period"], due["red"]) for due in connection.scalars(text(query), {"m": self.msp_id})]


pytestmark = pytest.mark.postgres
RED = ("2026-03", ["Unlinked resources"])


@pytest.fixture
def desk(engine: Engine, msp_id: MspId) -> Desk:
    return Desk(engine, msp_id)


def test_a_close_that_is_green_is_no_news(desk: Desk) -> None:
    assert [desk.look(HOUR) for _ in range(3)] == [0, 0, 0]
    assert desk.told() == []


def test_a_close_is_told_when_it_turns_red_once_and_again_after_it_was_green(desk: Desk) -> None:
    tell(desk.engine, desk.msp_id, h.discovered(B, "2"))
    assert [desk.look(HOUR) for _ in range(3)] == [1, 0, 0]

    tell(desk.engine, desk.msp_id, h.linked(B, h.psa("q"), "r2"))
    assert [desk.look(HOUR) for _ in range(2)] == [1, 0]
    tell(desk.engine, desk.msp_id, h.cleared(B, h.psa("q"), "r2"))
    assert [desk.look(HOUR) for _ in range(2)] == [1, 0]

    assert desk.told() == [RED, ("2026-03", []), RED]


def test_a_close_is_looked_at_once_an_hour_by_one_of_the_replicas(desk: Desk) -> None:
    desk.look()
    tell(desk.engine, desk.msp_id, h.discovered(B, "2"))
    assert desk.look(HOUR - timedelta(seconds=1)) == 0

    desk.clock.moment += timedelta(seconds=1)
    with ThreadPoolExecutor(8) as replicas:
        by_each = list(replicas.map(lambda _: desk.look(), range(8)))

    assert (sum(by_each), desk.told()) == (1, [RED])


def test_a_close_that_another_replica_claims_at_this_moment_is_left_to_it(desk: Desk) -> None:
    tell(desk.engine, desk.msp_id, h.discovered(B, "2"))
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with ThreadPoolExecutor(1) as other, desk.engine.connect() as claiming:
        claiming.execute(text("INSERT INTO reporting.close_looks VALUES (:m, 'autotask', :now)"), desk.claim)
        late = other.submit(desk.look)
        with desk.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watching:
            wait_for(lambda: watching.scalar(waiting), what="the other to meet the claim")
        claiming.commit()

        assert late.result() == 0
    assert desk.told() == []


def test_a_close_that_is_not_due_soon_is_left_alone(engine: Engine, msp_id: MspId) -> None:
    desk = Desk(engine, msp_id, datetime(2026, 3, 28, 23, 59, tzinfo=UTC))
    with engine.begin() as connection:
        connection.execute(text("UPDATE setup.msps SET added_at = '2026-03-01'"))
    tell(engine, msp_id, h.discovered(B, "2"))

    assert desk.look() == 0  # February was over before the MSP came
    assert desk.look(HOUR) == 1
    assert desk.told() == [RED]


def test_days_are_days_where_the_msp_is(engine: Engine) -> None:
    desk = Desk(engine, add_msp(engine, "kiritimati", "Pacific/Kiritimati"), datetime(2026, 3, 28, 9, 59, tzinfo=UTC))
    with engine.begin() as connection:
        connection.execute(text("UPDATE setup.msps SET added_at = '2026-03-01'"))
    tell(engine, desk.msp_id, h.discovered(B, "2"))

    assert desk.look() == 0
    assert desk.look(HOUR) == 1  # 29 March, 00:59 in UTC+14


def test_an_accepted_check_and_a_month_that_is_signed_off_are_red_no_more(desk: Desk) -> None:
    tell(desk.engine, desk.msp_id, h.discovered(B, "2"))
    desk.look()
    decide(desk.engine, desk.msp_id, [h.check_accepted(rows=1)])
    desk.look(HOUR)
    assert desk.told() == [RED, ("2026-03", [])]

    decide(desk.engine, desk.msp_id, [h.signed_off("2026-03", h.close_check())])
    tell(desk.engine, desk.msp_id, h.discovered(h.odin("d", subscription="2"), "2"))
    assert desk.look(HOUR) == 0

    decide(desk.engine, desk.msp_id, [h.reopened()])
    assert (desk.look(HOUR), desk.told()[2:]) == (1, [RED])


def test_a_new_month_is_told_anew(engine: Engine, msp_id: MspId) -> None:
    desk = Desk(engine, msp_id)
    tell(engine, msp_id, h.discovered(B, "2"))
    desk.look()

    desk.clock.moment = datetime(2026, 4, 28, tzinfo=UTC)
    fresh(engine, msp_id, desk.clock.moment)
    assert (desk.look(), desk.told()[1:]) == (1, [("2026-04", RED[1])])


def test_a_look_that_was_overtaken_tells_nothing(desk: Desk, database: str) -> None:
    tell(desk.engine, desk.msp_id, h.discovered(B, "2"))
    slow, overtaken = make_engine(database, "slow"), []

    def overtake(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "INSERT INTO log.events" in statement and not overtaken:
            with desk.engine.begin() as connection:
                connection.execute(text("DELETE FROM reporting.close_looks"))
            overtaken.append(desk.look())

    event.listen(slow, "before_cursor_execute", overtake)
    told = tell_closes_due(slow, desk.clock)
    slow.dispose()

    assert (told, overtaken, desk.told()) == (0, [1], [RED])


def test_the_role_of_the_service_may_look_and_tell(desk: Desk, database: str) -> None:
    tell(desk.engine, desk.msp_id, h.discovered(B, "2"))
    reporting = make_engine(role_url(database, "trueup_reporting"), "test")
    desk.engine = reporting

    assert desk.look() == 1
    reporting.dispose()
