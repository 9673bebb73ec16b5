"""Tries of passwords, by the clock: pauses grow, windows pass, and a thousand addresses get no further than one."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from gateway.people.tries import OF_ADDRESS, OF_STRANGERS, WINDOW, buckets, forget, pause

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
NONE = timedelta(0)


def attempt(engine: Engine, email: str, address: str, now: datetime, device: str = "") -> timedelta:
    """How long the try has to wait; none: it is made, and fails."""
    with engine.begin() as connection:
        return pause(connection, buckets(email, address, device), now)


def test_pauses_grow_with_each_failure_and_are_forgotten_after_a_quarter_of_an_hour(engine: Engine) -> None:
    now, waits = NOW, []
    for _ in range(8):
        while wait := attempt(engine, "mara@a", "10.0.0.1", now):
            waits.append(wait)
            now += wait

    assert waits == [timedelta(seconds=s) for s in (60, 120, 240)]
    assert attempt(engine, "mara@a", "10.0.0.1", NOW + WINDOW) == NONE


def test_a_thousand_addresses_make_ten_tries_in_a_quarter_of_an_hour(engine: Engine) -> None:
    made = [
        attempt(engine, "mara@a", f"10.0.{n // 250}.{n % 250}", NOW + timedelta(seconds=n / 2)) for n in range(1000)
    ]

    assert made.count(NONE) == OF_STRANGERS
    assert attempt(engine, "mara@a", "10.9.9.9", NOW + WINDOW) == NONE


def test_one_address_makes_thirty_tries_whatever_the_accounts(engine: Engine) -> None:
    made = [attempt(engine, f"user{n}@a", "10.0.0.1", NOW) for n in range(100)]

    assert made.count(NONE) == OF_ADDRESS


def test_a_device_of_the_account_has_tries_of_its_own(engine: Engine) -> None:
    for n in range(100):
        attempt(engine, "mara@a", f"10.0.0.{n}", NOW)

    assert attempt(engine, "mara@a", "10.0.0.1", NOW, device="hers") == NONE


def test_who_comes_in_is_not_held_up_by_what_failed_before(engine: Engine) -> None:
    for _ in range(4):
        attempt(engine, "mara@a", "10.0.0.1", NOW)
    assert attempt(engine, "mara@a", "10.0.0.1", NOW) == NONE
    with engine.begin() as connection:
        forget(connection, buckets("mara@a", "10.0.0.1", ""), NOW)

    assert [attempt(engine, "mara@a", "10.0.0.1", NOW) for _ in range(5)] == [NONE] * 5


def test_what_is_kept_says_nothing_of_who_tried(engine: Engine) -> None:
    attempt(engine, "mara@a", "10.0.0.1", NOW)

    with engine.connect() as connection:
        kept = str(connection.exec_driver_sql("SELECT t::text FROM people.tries t").all())
    assert "mara" not in kept
    assert "10.0.0.1" not in kept
