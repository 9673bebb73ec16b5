"""Which month's close is at hand: the one that ended, until it is signed off or the next should stand still."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine, text

from domain.envelope import NewEvent
from domain.keys import ConnectionId, MspId
from domain.months import Month
from plumbing import event_log
from services.reporting.queries import close_stream, dashboard
from tests.reporting import history as h
from tests.reporting.closing import connect

pytestmark = pytest.mark.postgres
AUTOTASK = ConnectionId("autotask")


@pytest.fixture
def closing(engine: Engine, msp_id: MspId) -> MspId:
    connect(engine, msp_id)
    joined(engine, datetime(2026, 1, 15, tzinfo=UTC))
    return msp_id


def joined(engine: Engine, at: datetime) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE setup.msps SET added_at = :at"), {"at": at})


def at_hand(engine: Engine, msp_id: MspId, *moment: int) -> str:
    now = datetime(*moment, tzinfo=UTC)
    with engine.connect() as connection:
        found = dashboard.close_now(connection, msp_id, AUTOTASK, now.date(), now)
    return "none" if found is None else str(found.month)


def sign_off(engine: Engine, msp_id: MspId, month: str) -> None:
    stream = close_stream(AUTOTASK, Month(date.fromisoformat(f"{month}-01")))
    new = NewEvent(stream=stream, stream_version=1, event=h.signed_off(month), occurred_at=h.BEGAN)
    with engine.begin() as connection:
        event_log.append(
            connection, msp_id, [new], recorded_at=h.BEGAN, recorded_by="test", correlation_id="c", actor="mara"
        )


def test_the_month_that_ended_is_at_hand_until_it_is_signed_off(engine: Engine, closing: MspId) -> None:
    assert at_hand(engine, closing, 2026, 3, 5, 12) == "2026-02"

    sign_off(engine, closing, "2026-02")
    assert at_hand(engine, closing, 2026, 3, 5, 12) == "2026-03"


def test_when_the_running_month_should_stand_still_it_is_at_hand(engine: Engine, closing: MspId) -> None:
    assert at_hand(engine, closing, 2026, 3, 31, 17, 59) == "2026-02"
    assert at_hand(engine, closing, 2026, 3, 31, 18) == "2026-03"


def test_a_month_before_the_msp_joined_is_never_at_hand(engine: Engine, closing: MspId) -> None:
    joined(engine, datetime(2026, 3, 1, tzinfo=UTC))
    assert at_hand(engine, closing, 2026, 3, 5, 12) == "2026-03"


def test_without_a_psa_connection_there_is_no_close(engine: Engine, msp_id: MspId) -> None:
    assert at_hand(engine, msp_id, 2026, 3, 5, 12) == "none"
