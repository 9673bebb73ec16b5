"""The pulse says what the house does: each phase when it is so, and of several the one that matters most."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from domain.events import Event
from domain.keys import MspId
from gateway.pausing import Pausing
from plumbing.row_security import of_msp
from services.reporting.queries import pulse
from tests.msps import add_msp
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
A, P = h.odin("a"), h.psa("p")
NOW = h.BEGAN + timedelta(hours=2)


def beat(engine: Engine, msp_id: MspId, *happened: Event) -> dict[str, Any]:
    h.append(engine, msp_id, list(happened))
    h.project(engine, msp_id)
    with of_msp(engine, msp_id).begin() as connection:
        connection.execute(text("SET LOCAL ROLE trueup_gateway"))
        found = pulse(connection, msp_id, NOW)
    assert found is not None
    return found


def connect(engine: Engine, msp_id: MspId, connection_id: str, kind: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO setup.connections VALUES (:m, :c, :kind, '{}', '{}', 1, now())"),
            {"m": msp_id, "c": connection_id, "kind": kind},
        )


def polls(engine: Engine, msp_id: MspId, connection_id: str = "odin", **more: Any) -> None:
    """How the poller has the connection in its books."""
    values = {
        "held_until": None,
        "stopped_version": None,
        "reads_chosen": None,
        "reads_done": None,
        "next_poll_at": NOW + timedelta(minutes=4),
    } | more
    columns = ", ".join(values)
    with engine.begin() as connection:
        connection.execute(
            text(
                f"""INSERT INTO poller.connections (msp_id, connection_id, {columns})
                    VALUES (:m, :c, {", ".join(f":{name}" for name in values)})"""
            ),
            {"m": msp_id, "c": connection_id, **values},
        )


def test_an_msp_for_which_nothing_happens_is_idle(engine: Engine, msp_id: MspId) -> None:
    found = beat(engine, msp_id)

    assert (found["phase"], found["done"], found["of"], found["open"]) == ("idle", None, None, 0)
    assert (found["next_poll_at"], found["last_poll"], found["psa_read_at"], found["paused"]) == (None,) * 4


def test_a_running_poll_is_told_with_what_it_has_read_of_what_it_chose(engine: Engine, msp_id: MspId) -> None:
    connect(engine, msp_id, "odin", "odin")
    polls(engine, msp_id, held_until=NOW + timedelta(minutes=6), reads_chosen=556, reads_done=212)

    found = beat(engine, msp_id)

    assert (found["phase"], found["done"], found["of"]) == ("syncing", 212, 556)
    assert found["next_poll_at"] == NOW + timedelta(minutes=4)


def test_a_poll_whose_lease_ran_out_is_not_running(engine: Engine, msp_id: MspId) -> None:
    connect(engine, msp_id, "odin", "odin")
    polls(engine, msp_id, held_until=NOW - timedelta(seconds=1), reads_chosen=556, reads_done=212)

    assert beat(engine, msp_id)["phase"] == "idle"


def test_a_stopped_connection_has_no_next_poll_until_it_is_saved(engine: Engine, msp_id: MspId) -> None:
    for name in ("odin", "other"):
        connect(engine, msp_id, name, "odin")
    polls(engine, msp_id, stopped_version=1, next_poll_at=NOW)
    polls(engine, msp_id, "other", stopped_version=0, next_poll_at=NOW + timedelta(minutes=1))

    assert beat(engine, msp_id)["next_poll_at"] == NOW + timedelta(minutes=1)


def test_what_is_neither_held_nor_failed_is_being_posted(engine: Engine, msp_id: MspId) -> None:
    found = beat(
        engine,
        msp_id,
        h.requested(A, P, "q1"),
        h.requested(A, P, "q2"),
        h.requested(A, P, "q3"),
        h.requested(A, P, "q4"),
        h.held(A, P, "q1"),
        h.shadowed(A, P, "q4"),
        h.failed(A, P, "q2", "rejected"),
    )

    assert (found["phase"], found["of"]) == ("posting", 1)
    assert (found["open"], found["held"], found["failed"]) == (4, 1, 1)

    found = beat(engine, msp_id, h.posted(A, P, "q3"))
    assert (found["phase"], found["open"], found["mode"]) == ("idle", 3, "unattended")
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.policies (msp_id, policy, value, version, saved_at, company_id)
                   VALUES (:m, 'mode', 'shadow', 1, now(), NULL), (:m, 'mode', 'approve', 1, now(), '501')"""
            ),
            {"m": msp_id},
        )
    assert beat(engine, msp_id)["phase"] == "shadow"


@pytest.mark.parametrize("wrong", [h.poll_failed(), h.catalogue_failed(), h.failed(A, P, "q1", "unreachable")])
def test_a_side_that_cannot_be_reached_is_failing_and_since_when(engine: Engine, msp_id: MspId, wrong: Event) -> None:
    found = beat(engine, msp_id, h.requested(A, P, "q1"), wrong)

    assert (found["phase"], found["failing_since"]) == ("failing", h.BEGAN + timedelta(minutes=2))


def test_who_paused_posting_stands_before_all_else(engine: Engine, msp_id: MspId) -> None:
    door = Pausing(engine, h.CLOCK, "mara")
    door.pause(msp_id, "o1", "Autotask is being upgraded.")

    found = beat(engine, msp_id, h.poll_failed())
    assert (found["phase"], found["paused"]["by"], found["paused"]["reason"]) == (
        "paused",
        "mara",
        "Autotask is being upgraded.",
    )

    door.resume(msp_id, "o2")
    found = beat(engine, msp_id)
    assert (found["phase"], found["paused"]) == ("failing", None)


def test_the_last_poll_and_the_last_reading_of_the_psa_are_told(engine: Engine, msp_id: MspId) -> None:
    connect(engine, msp_id, "autotask", "autotask")

    found = beat(engine, msp_id, h.poll_completed(), h.poll_completed(1), h.poll_failed(), h.units(P, 4))

    last = found["last_poll"]
    assert datetime.fromisoformat(last["completed_at"]) == h.BEGAN + timedelta(minutes=2)
    assert (last["complete"], last["subscriptions"] > 0) == (True, True)
    assert found["psa_read_at"] == h.BEGAN + timedelta(minutes=4)


def test_a_psa_that_was_never_read_leaves_the_reading_unknown(engine: Engine, msp_id: MspId) -> None:
    for name in ("autotask", "second"):
        connect(engine, msp_id, name, "autotask")

    assert beat(engine, msp_id, h.units(P, 4))["psa_read_at"] is None


def test_another_msp_changes_nothing(engine: Engine, msp_id: MspId) -> None:
    other = add_msp(engine, "other")
    connect(engine, other, "odin", "odin")
    polls(engine, other, held_until=NOW + timedelta(minutes=6))
    beat(engine, other, h.poll_failed(), h.requested(A, P, "q1"), h.poll_completed())

    found = beat(engine, msp_id)
    assert (found["phase"], found["open"], found["failed"], found["last_poll"]) == ("idle", 0, 0, None)
