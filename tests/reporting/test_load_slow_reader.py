"""Scenario 4: one projection of one MSP stands still while events arrive: nobody waits for it, and it catches up by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from plumbing import event_log
from services.reporting.projections import READ_MODELS
from services.reporting.queries import REPORTS, Question, read_page
from services.reporting.replay import replay
from tests.bench.life import life
from tests.house import running_house
from tests.msps import add_msp
from tests.reporting import history as h
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]
EVENTS, AT_ONCE = 3_000, 50
SLOW = "reporting.adjustments"


def positions(engine: Engine, msp_id: MspId) -> dict[str, int]:
    """{read model's consumer: how far it is}."""
    with engine.connect() as connection:
        found = text("SELECT consumer, position FROM reporting.positions WHERE msp_id = :m AND consumer = ANY(:models)")
        models = [model.consumer for model in READ_MODELS.values()]
        return {row.consumer: row.position for row in connection.execute(found, {"m": msp_id, "models": models})}


def shown(engine: Engine, msp_id: MspId) -> tuple[int | None, int | None]:
    """The position that the adjustment log says it stands at, and how many rows it has."""
    with engine.connect() as connection:
        page = read_page(connection, REPORTS["adjustments"], msp_id, Question(first=1))
    return page.position, page.total_count


@contextmanager
def standing_still(engine: Engine, consumer: str, msp_id: MspId) -> Iterator[None]:
    """The projection of the MSP is held, as by a replica that hangs."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        held = text("SELECT FROM reporting.positions WHERE consumer = :c AND msp_id = :m FOR UPDATE")
        assert connection.execute(held, {"c": consumer, "m": msp_id}).rowcount == 1
        yield


def test_nobody_waits_for_a_projection_that_stands_still_and_it_catches_up(
    engine: Engine, msp_id: MspId, database: str, vhost: str
) -> None:
    # given two MSPs whose read models have read something
    other = add_msp(engine, "other")
    lives = {each: iter(list(life(number, 60, EVENTS))) for number, each in enumerate((msp_id, other))}
    told = {"recorded_at": h.BEGAN, "recorded_by": "test", "correlation_id": "c"}

    def arrive() -> None:
        for each, lived in lives.items():
            with engine.begin() as connection:
                event_log.append(connection, each, list(islice(lived, AT_ONCE)), **told)

    for _ in range(20):
        arrive()
    with running_house(database, vhost, ("relay", "reporting")):
        whole = {model.consumer: 20 * AT_ONCE for model in READ_MODELS.values()}
        wait_for(lambda: positions(engine, msp_id) == whole, 60, what="the beginning")
        before = shown(engine, msp_id)

        # when
        with standing_still(engine, SLOW, msp_id):
            for _ in range(EVENTS // AT_ONCE - 20):
                arrive()
            rest = dict.fromkeys(whole, EVENTS)
            wait_for(lambda: positions(engine, other) == rest, 60, what="the other MSP")
            wait_for(lambda: positions(engine, msp_id) == rest | {SLOW: 20 * AT_ONCE}, 60, what="the other projections")
            meanwhile = shown(engine, msp_id)

        # then
        wait_for(lambda: positions(engine, msp_id) == rest, 60, what="the slow one")
    assert meanwhile == before == (20 * AT_ONCE, before[1])
    assert shown(engine, msp_id)[0] == EVENTS
    for each in lives:
        assert all(outcome.equal for outcome in replay(engine, ["all"], each, swap=False))
