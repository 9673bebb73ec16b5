"""leases: one holder at a time, a fence that rises, and an overtaken holder that can tell."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from domain.keys import ConnectionId, MspId
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from services.psa_writer.leases import Lease, lease, renew
from tests.psa_writer.writing import NOON, timedelta

MSP, PSA = MspId("acme"), ConnectionId("autotask")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test")
    yield engine
    engine.dispose()


def still_ours(engine: Engine, held: Lease, clock: FrozenClock, *names: str) -> set[str]:
    with engine.begin() as connection:
        return renew(connection, held, names, 60, clock)


def test_what_is_held_is_not_given_to_another_and_the_rest_is(engine: Engine) -> None:
    clock = FrozenClock(NOON)
    with (
        lease(engine, clock, MSP, PSA, ["a", "b"], 60) as first,
        lease(engine, clock, MSP, PSA, ["b", "c"], 60) as other,
    ):
        assert (set(first.fences), set(other.fences)) == ({"a", "b"}, {"c"})


def test_a_lease_that_ended_is_free_again_with_a_higher_fence(engine: Engine) -> None:
    clock = FrozenClock(NOON)
    with lease(engine, clock, MSP, PSA, ["a"], 60) as first:
        pass
    with lease(engine, clock, MSP, PSA, ["a"], 60) as second:
        assert second.fences["a"] > first.fences["a"]


def test_a_holder_whose_lease_ran_out_and_was_taken_can_renew_nothing(engine: Engine) -> None:
    clock = FrozenClock(NOON)
    with lease(engine, clock, MSP, PSA, ["a", "b"], 60) as slow:
        clock.moment += timedelta(seconds=61)
        with lease(engine, clock, MSP, PSA, ["a"], 60) as other:
            assert still_ours(engine, slow, clock, "a", "b") == {"b"}
            assert still_ours(engine, other, clock, "a") == {"a"}
        # Its end must not free what the other holds.
    with lease(engine, clock, MSP, PSA, ["a", "b"], 60) as third:
        assert set(third.fences) == {"a", "b"}


def test_the_end_of_an_overtaken_holder_does_not_free_the_lease_of_the_new_one(engine: Engine) -> None:
    clock = FrozenClock(NOON)
    with lease(engine, clock, MSP, PSA, ["a"], 60):
        clock.moment += timedelta(seconds=61)
        taken = lease(engine, clock, MSP, PSA, ["a"], 60)
        taken.__enter__()
    with lease(engine, clock, MSP, PSA, ["a"], 60) as third:
        assert third.fences == {}
    taken.__exit__(None, None, None)


def test_renewing_keeps_a_lease_beyond_its_first_end(engine: Engine) -> None:
    clock = FrozenClock(NOON)
    with lease(engine, clock, MSP, PSA, ["a"], 60) as held:
        clock.moment += timedelta(seconds=50)
        assert still_ours(engine, held, clock, "a") == {"a"}
        clock.moment += timedelta(seconds=50)
        with lease(engine, clock, MSP, PSA, ["a"], 60) as other:
            assert other.fences == {}
