"""Call budgets: replicas share one, pauses are kept, places of the dead come free."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from plumbing.budget import Budget, BudgetSpent, Window
from plumbing.clock import Clock, FrozenClock
from plumbing.database import make_engine

pytestmark = pytest.mark.postgres


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test", pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 7, 11, 14, 1, tzinfo=UTC))


def test_two_replicas_share_one_budget(engine: Engine, clock: FrozenClock) -> None:
    # given
    replicas = [Budget(engine, "acme/odin", [Window(60, 60), Window(100, 86400)], clock) for _ in range(2)]
    taken: list[int] = []

    def take(budget: Budget) -> None:
        try:
            for _ in range(60):
                budget.take()
                taken.append(1)
        except BudgetSpent:
            return

    # when
    threads = [threading.Thread(target=take, args=(budget,)) for budget in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    # then
    assert len(taken) == 60
    assert replicas[0].left() == {60: 0, 86400: 40}


def test_another_connection_has_a_budget_of_its_own(engine: Engine, clock: FrozenClock) -> None:
    Budget(engine, "acme/odin", [Window(1, 60)], clock).take()
    Budget(engine, "other/odin", [Window(1, 60)], clock).take()
    with pytest.raises(BudgetSpent, match="acme/odin: 1 calls in 60 s"):
        Budget(engine, "acme/odin", [Window(1, 60)], clock).take()


def test_a_pause_stops_all_replicas_until_it_is_over_and_is_never_shortened(engine: Engine, clock: FrozenClock) -> None:
    # given
    budget = Budget(engine, "acme/odin", [Window(60, 60)], clock)
    budget.pause(30, "429")
    budget.pause(5, "another 429")

    # then
    clock.moment += timedelta(seconds=29)
    with pytest.raises(BudgetSpent, match="429"):
        Budget(engine, "acme/odin", [Window(60, 60)], clock).take()
    clock.moment += timedelta(seconds=2)
    budget.take()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), min_size=5, max_size=60))
def test_no_window_ever_holds_more_calls_than_its_limit_and_the_promised_moment_is_kept(
    engine: Engine, steps: list[tuple[int, int]]
) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE budget.windows"))
    clock = FrozenClock(datetime(2026, 7, 11, tzinfo=UTC))
    budget = Budget(engine, "p/odin", [Window(10, 60)], clock)
    made: list[datetime] = []
    for pause, calls in steps:
        clock.moment += timedelta(seconds=pause)
        for _ in range(calls):
            try:
                budget.take()
            except BudgetSpent as spent:
                clock.moment = max(spent.until, clock.moment + timedelta(microseconds=1))
                budget.take()
            made.append(clock.moment)
    for start in made:
        assert sum(start <= moment < start + timedelta(seconds=60) for moment in made) <= 10


def test_who_waits_gets_leave_when_there_is_some(engine: Engine) -> None:
    budget = Budget(engine, "acme/odin", [Window(2, 1)], Clock())
    for _ in range(4):
        budget.wait_and_take(longest=10)


def test_at_most_so_many_calls_run_at_once_and_a_dead_holder_gives_its_place_back(
    engine: Engine, clock: FrozenClock
) -> None:
    # given
    budget = Budget(engine, "acme/autotask", [], clock, slots=3)
    with budget.slot("Contract", 0, 60), budget.slot("Contract", 0, 60):
        holder = budget.slot("Contract", 0, 60)
        holder.__enter__()

        # then
        with pytest.raises(BudgetSpent, match="3 calls run already"), budget.slot("Contract", 0, 60):
            pass
        with budget.slot("Account", 0, 60):
            pass

        # when: the holder died long ago
        clock.moment += timedelta(seconds=61)
        with budget.slot("Contract", 0, 60):
            pass
