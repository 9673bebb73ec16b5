"""Trying a connection: each step with its time, and for the one that fails what happened and what to do."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from deploy.sandbox.odin import OdinAccount
from services.poller.schedule import put_due_polls
from services.poller.try_connection import try_connection
from tests.poller.desk import Desk


def tried(desk: Desk, connection_id: str = "", unsaved: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    house, key = desk.house, (desk.msp_id, connection_id or desk.connection_id)
    answer = try_connection(house.engine, house.settings, house.clock, *key, unsaved=unsaved)
    assert set(answer) == {"steps"}
    assert all(set(step) == {"step", "ok", "milliseconds", "message", "fix"} for step in answer["steps"])
    return answer["steps"]


def test_a_good_connection_passes_every_step(desk: Desk, odin: OdinAccount) -> None:
    # when
    steps = tried(desk)

    # then
    assert [(step["step"], step["ok"]) for step in steps] == [("set-up", True), ("sign-in", True), ("read", True)]
    assert steps[-1]["message"] == f"there are {len(odin.subscriptions)} subscriptions"


@pytest.mark.parametrize("slash", ["/", ""])
def test_the_gateway_url_may_end_in_a_slash_or_not(desk: Desk, odin: OdinAccount, slash: str) -> None:
    # given
    desk.set_up(gateway_url=odin.url.rstrip("/") + slash)

    # then
    assert all(step["ok"] for step in tried(desk))


def test_a_wrong_password_is_tried_once_and_says_what_to_check(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.set_password("another")

    # when
    steps = tried(desk)

    # then
    assert [(step["step"], step["ok"]) for step in steps] == [("set-up", True), ("sign-in", False)]
    assert "unauthorised" in steps[-1]["message"]
    assert "password" in steps[-1]["fix"]
    assert len(odin.calls) == 1


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"gateway_url": "http://127.0.0.1:9/marketplace/na"}, "unreachable"),
        ({"marketplace": "xx"}, "rejected"),
    ],
)
def test_what_is_wrong_is_named_by_its_kind_with_a_fix(desk: Desk, given: dict[str, str], kind: str) -> None:
    # given
    desk.set_up(**given)

    # when
    last = tried(desk)[-1]

    # then
    assert not last["ok"]
    assert last["message"].startswith(kind)
    assert last["fix"]


def test_secrets_that_are_missing_or_sealed_for_another_are_a_set_up_to_be_made_anew(desk: Desk) -> None:
    for broken in ("sealed - 'password'", "jsonb_set(sealed, '{password}', sealed -> 'secret')"):
        # given
        with desk.engine.begin() as connection:
            connection.execute(text(f"UPDATE setup.connections SET sealed = {broken}"))

        # when
        (step,) = tried(desk)

        # then
        assert not step["ok"]
        assert "trueup connection set" in step["fix"]


def test_there_is_no_such_connection(desk: Desk) -> None:
    # when
    (step,) = tried(desk, "nowhere")

    # then
    assert "there is no connection nowhere" in step["message"]


def test_a_stopped_connection_that_opens_again_is_polled_again(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.revoke()
    desk.failed()
    assert put_due_polls(desk.engine, desk.house.clock) == 0

    # when
    odin.activate()
    steps = tried(desk)

    # then
    assert all(step["ok"] for step in steps)
    assert put_due_polls(desk.engine, desk.house.clock) == 1


def test_values_that_are_not_saved_are_tried_and_wake_no_connection_that_was_stopped(
    desk: Desk, odin: OdinAccount
) -> None:
    # given a connection that was stopped, and values by which it would open
    with desk.engine.connect() as connection:
        row = connection.execute(text("SELECT kind, settings, sealed FROM setup.connections")).one()
    odin.revoke()
    desk.failed()
    odin.activate()

    # when
    steps = tried(desk, unsaved=dict(row._mapping))
    nowhere = tried(desk, unsaved={**row._mapping, "settings": {**row.settings, "marketplace": "xx"}})

    # then
    assert [step["ok"] for step in steps] == [True, True, True]
    assert not nowhere[-1]["ok"]
    assert put_due_polls(desk.engine, desk.house.clock) == 0


def test_no_secret_and_no_contact_is_logged_or_stored(
    desk: Desk, odin: OdinAccount, caplog: pytest.LogCaptureFixture
) -> None:
    # given
    caplog.set_level("DEBUG")
    odin.faults.script("error_500", "/subscriptions?")
    odin.faults.script("truncated_json", "/subscriptions/", calls=2)

    # when
    desk.completed()
    tried(desk)

    # then
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    with desk.engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT schemaname || '.' || relname FROM pg_stat_user_tables WHERE schemaname <> 'setup'")
        ).all()
        kept = "\n".join(
            str(row) for table in tables for row in connection.execute(text(f"SELECT t::text FROM {table} t"))
        )
    for secret in (odin.password, odin.secret, "Bearer", "Personal", "@1200000501.example", "555 0100"):
        assert secret not in said
        assert secret not in kept
    assert "a8n-" in said


def test_a_gateway_url_that_leads_inside_is_not_called_and_says_what_to_change(desk: Desk, odin: OdinAccount) -> None:
    # given
    closed = replace(desk.house, settings=replace(desk.house.settings, private_addresses=False))

    # when
    steps = tried(replace(desk, house=closed))

    # then
    assert [(step["step"], step["ok"]) for step in steps] == [("set-up", True), ("sign-in", False)]
    assert steps[-1]["message"].startswith("address: only https addresses are called")
    assert "Correct the gateway URL" in steps[-1]["fix"]
    assert not odin.calls
