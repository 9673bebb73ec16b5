"""Who changed what, when, before and after, and why: one row for every such event, and none for what nobody did."""

import dataclasses
from typing import Any

import pytest
from sqlalchemy import Engine

from domain.events import ApiKeyMade, ApiKeyRevoked, Event, UserCodesReset, UserDisabled, UserRoleSet
from domain.keys import MspId
from domain.relation_settings import RelationSettings
from services.reporting.projections import READ_MODELS
from services.reporting.queries import REPORTS, Question, read_page
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
A, P = h.odin("a"), h.psa("p")


def done(engine: Engine, msp_id: MspId, happened: Event, actor: str = "mara") -> dict[str, Any]:
    """The row of the event."""
    h.append(engine, msp_id, [happened], actor=actor)
    h.project(engine, msp_id)
    (row,) = h.rows(engine, "activity", msp_id)
    return row


def changes(row: dict[str, Any]) -> dict[str, tuple[str | None, str | None]]:
    return {change["field"]: (change["before"], change["after"]) for change in row["changes"]}


def test_who_set_a_relation_is_told_with_the_product_that_it_feeds(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, h.linked(A, P))

    assert (row["actor"], row["actor_kind"], row["source"], row["action"]) == ("mara", "person", "test", "relation_set")
    assert (row["object_kind"], row["object_id"], row["object_label"]) == ("relation", h.key(A), "Resource a")
    assert changes(row) == {
        "psa_customer": (None, "Customer 1"),
        "psa_agreement": (None, "Agreement 7"),
        "psa_product": (None, "Product p"),
    }
    assert row["correlation_id"] == "c"


def test_a_cleared_relation_tells_what_was_there_and_why_it_went(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, h.cleared(A, P))

    assert changes(row)["psa_product"] == ("Product p", None)
    assert row["reason"] == "asked"


def test_a_notification_rule_tells_its_kinds_and_of_its_secret_only_that_it_was_replaced(
    engine: Engine, msp_id: MspId
) -> None:
    row = done(engine, msp_id, h.rule_saved(["held", "drift"]))

    assert (row["action"], row["object_id"], row["object_label"]) == (
        "notification_rule_saved",
        "r1",
        "webhook https://hooks.example.com",
    )
    assert changes(row) == {"kinds": (None, "held, drift"), "secret": (None, "replaced")}


def test_a_post_tells_units_and_cost_before_and_after(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, h.posted(A, P, "q1", 8, unit_cost_after=h.usd("3.60")), actor="test")

    assert (row["actor_kind"], row["action"], row["object_id"]) == ("service", "adjustment_posted", "q1")
    assert changes(row) == {
        "units": ("4", "12"),
        "unit_cost": ("3.40 USD", "3.60 USD"),
        "effective_date": (None, "2026-03-01"),
    }


def test_a_cost_that_stayed_is_no_change(engine: Engine, msp_id: MspId) -> None:
    assert "unit_cost" not in changes(done(engine, msp_id, h.posted(A, P, "q1", 8)))


@pytest.mark.parametrize(
    ("happened", "action", "kind"),
    [
        (h.parked(A, P, "q1"), "adjustment_parked", (None, "rejected")),
        (h.let_go(A, P, "q1"), "adjustment_released", ("large_change", None)),
        (h.let_go(A, P, "q1", released=False), "adjustment_retried", ("large_change", None)),
    ],
)
def test_what_was_held_and_who_let_it_go_is_told_with_the_rule(
    engine: Engine, msp_id: MspId, happened: Event, action: str, kind: tuple[str | None, str | None]
) -> None:
    row = done(engine, msp_id, happened)

    assert (row["action"], changes(row)["kind"], changes(row)["target_units"]) == (action, kind, (None, "12"))
    assert row["reason"]


def test_what_the_brake_held_is_told_with_its_units_and_rule(engine: Engine, msp_id: MspId) -> None:
    held = done(engine, msp_id, h.held(A, P, "q1"))
    assert (held["action"], changes(held)) == ("adjustment_held", {"units": ("304", "12"), "rule": (None, "fall")})


def test_an_approval_is_told_with_the_people_it_needs(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, h.approved(A, P, "q1", 1, 2))
    assert (row["action"], changes(row)["approvals"]) == ("adjustment_approved", (None, "1 of 2"))
    assert row["reason"] == "They sold the branch."


def test_of_secrets_it_says_only_that_they_were_replaced(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, h.connection_saved())

    assert (row["object_kind"], row["object_id"], row["object_label"]) == ("connection", "odin", "odin")
    assert changes(row) == {"gateway_url": (None, "changed"), "user": (None, "changed"), "password": (None, "replaced")}


def test_secrets_that_were_sealed_with_another_key_are_named(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, h.secrets_resealed(), actor="operator")

    assert (row["action"], row["object_kind"], row["object_id"], row["object_label"]) == (
        "secrets_resealed",
        "connection",
        "odin",
        "odin",
    )
    assert changes(row) == {"password": (None, "resealed"), "secret": (None, "resealed")}


def test_a_connection_saved_without_a_change_has_none(engine: Engine, msp_id: MspId) -> None:
    same = dataclasses.replace(h.connection_saved(2), changed_settings=(), replaced_secrets=())

    assert done(engine, msp_id, same)["changes"] == []


def test_a_policy_tells_its_value_before_and_after(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, h.policy_changed("report", "post"))

    assert (row["object_kind"], row["object_label"]) == ("policy", "unit_cost")
    assert changes(row) == {"unit_cost": ("post", "report")}


@pytest.mark.parametrize(
    ("scope", "label"),
    [
        ({"company": "12"}, "unit_cost, company 12"),
        ({"resource": "34"}, "unit_cost, resource 34"),
        ({"company": "12", "resource": "34"}, "unit_cost, company 12, resource 34"),
    ],
    ids=["company", "resource", "both"],
)
def test_an_exception_that_is_taken_away_tells_for_whom_and_what_it_was(
    engine: Engine, msp_id: MspId, scope: dict[str, str], label: str
) -> None:
    row = done(engine, msp_id, h.policy_changed(None, "report", **scope))

    assert (row["object_id"], row["object_label"]) == ("unit_cost", label)
    assert changes(row) == {"unit_cost": ("report", None)}


def test_a_new_msp_is_the_first_line(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, h.msp_added())

    assert (row["object_kind"], row["object_id"], changes(row)["name"]) == ("msp", "acme", (None, "Acme"))


@pytest.mark.parametrize(
    ("happened", "action", "state", "reason"),
    [
        (h.signed_off(), "close_signed_off", ("open", "signed_off"), None),
        (h.reopened(), "close_reopened", (None, "open"), "A contract was missing."),
        (h.invoiced(), "close_invoiced", ("signed_off", "invoiced"), None),
    ],
)
def test_what_becomes_of_a_month_at_its_close_is_told(
    engine: Engine, msp_id: MspId, happened: Event, action: str, state: tuple[str | None, str], reason: str | None
) -> None:
    row = done(engine, msp_id, happened)

    assert (row["action"], row["object_kind"], row["object_id"]) == (action, "close", "autotask/2026-03")
    assert (row["object_label"], row["reason"], changes(row)) == ("2026-03", reason, {"state": state})


def test_an_accepted_check_tells_its_state_before_and_how_many_rows_it_had(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, h.check_accepted())

    assert (row["action"], row["reason"]) == ("close_check_accepted", "Trial licences.")
    assert changes(row) == {"unlinked": ("red", "accepted"), "rows": (None, "14")}


def test_who_paused_the_posts_is_told_with_the_reason(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, h.posting_paused())

    assert (row["actor"], row["action"], row["object_kind"], row["object_id"]) == (
        "mara",
        "posting_paused",
        "posting",
        "acme",
    )
    assert (changes(row), row["reason"]) == ({"posting": ("running", "paused")}, "Autotask is being upgraded.")


def test_what_nobody_did_is_no_activity(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.poll_completed(), h.discovered(A), h.counted(A, "4", "5"), h.units(P, 4)])
    h.project(engine, msp_id)

    assert h.rows(engine, "activity", msp_id) == []


def test_the_report_writes_changes_in_words_and_takes_the_newest_first(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.msp_added(), h.policy_changed("report", "post")])
    h.project(engine, msp_id)

    with engine.connect() as connection:
        found = read_page(connection, REPORTS["activities"], msp_id, Question())
    assert [row["changes"] for row in found.rows] == ["unit_cost: post → report", "name: – → Acme; time_zone: – → UTC"]


def test_every_type_it_reads_has_a_row_with_an_action_of_its_own(engine: Engine, msp_id: MspId) -> None:
    each = [
        h.msp_added(),
        h.connection_saved(),
        h.secrets_resealed(),
        h.policy_changed("post"),
        h.rule_saved(),
        h.rule_removed(),
        h.linked(A, P),
        h.cleared(A, P),
        h.renewal_settled(A, "2"),
        h.move_settled(P, "8"),
        h.settled(A, P, RelationSettings(note="for the auditor")),
        h.frozen(A, P),
        h.unfrozen(A, P),
        h.excluded(A),
        h.included(A),
        h.posted(A, P, "q1"),
        h.parked(A, P, "q1"),
        h.let_go(A, P, "q1"),
        h.let_go(A, P, "q1", released=False),
        h.held(A, P, "q1"),
        h.approved(A, P, "q1"),
        h.declined(A, P, "q1"),
        h.moved(A, P, "q1"),
        h.dropped(A, P, "q1"),
        h.check_accepted(),
        h.signed_off(),
        h.reopened(),
        h.invoiced(),
        UserRoleSet(user_id="u1", user_version=1, email="m@a.example", previous_role=None, role="admin"),
        UserDisabled(user_id="u1", user_version=2, email="m@a.example", previous_role="admin"),
        UserCodesReset(user_id="u1", user_version=3, email="m@a.example"),
        ApiKeyMade(key_id="k1", name="BI", prefix="trueup_0", scopes=("read",), ends_at=h.BEGAN),
        ApiKeyRevoked(key_id="k1", name="BI"),
        h.posting_paused(),
        h.posting_resumed(),
        h.adopted(P, 13),
        h.overwritten(P, 13),
    ]
    h.append(engine, msp_id, each)
    h.project(engine, msp_id)

    assert {event.type for event in each} == set(READ_MODELS["activity"].types)
    assert len({row["action"] for row in h.rows(engine, "activity", msp_id)}) == len(each)


def test_a_role_tells_who_had_which_before_and_after(engine: Engine, msp_id: MspId) -> None:
    user = {"user_id": "u1", "user_version": 2, "email": "mara@acme.example"}

    row = done(engine, msp_id, UserRoleSet(**user, previous_role="operator", role="approver"), actor="ada@acme.example")

    assert (row["action"], row["object_kind"], row["object_id"]) == ("user_role_set", "user", "u1")
    assert row["object_label"] == "mara@acme.example"
    assert changes(row) == {"role": ("operator", "approver")}


def test_a_disabled_user_has_no_role_after(engine: Engine, msp_id: MspId) -> None:
    gone = UserDisabled(user_id="u1", user_version=2, email="mara@acme.example", previous_role="approver")

    assert changes(done(engine, msp_id, gone)) == {"role": ("approver", None)}


def test_codes_that_were_reset_are_on_before_and_off_after(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, UserCodesReset(user_id="u1", user_version=3, email="mara@acme.example"))

    assert (row["action"], row["object_kind"], row["object_label"]) == ("user_codes_reset", "user", "mara@acme.example")
    assert changes(row) == {"one_time_codes": ("on", "off")}


def test_an_api_key_tells_its_scopes_and_its_end(engine: Engine, msp_id: MspId) -> None:
    made = ApiKeyMade(key_id="k1", name="BI", prefix="trueup_0", scopes=("read", "views"), ends_at=h.BEGAN)

    row = done(engine, msp_id, made)

    assert (row["action"], row["object_kind"], row["object_label"]) == ("api_key_made", "api_key", "BI")
    assert changes(row)["scopes"] == (None, "read, views")


def test_what_a_program_did_with_its_key_is_told_as_such(engine: Engine, msp_id: MspId) -> None:
    row = done(engine, msp_id, ApiKeyRevoked(key_id="k1", name="BI"), actor="api key BI")

    assert (row["actor_kind"], row["actor"], changes(row)) == ("api_key", "api key BI", {})


@pytest.mark.parametrize(
    ("happened", "action", "units"),
    [(h.adopted(P, 13), "drift_adopted", ("12", "13")), (h.overwritten(P, 13), "drift_overwritten", ("13", "12"))],
    ids=["adopted", "overwritten"],
)
def test_who_resolved_drift_is_told_with_the_units_that_hold_from_then_on(
    engine: Engine, msp_id: MspId, happened: Event, action: str, units: tuple[str, str]
) -> None:
    row = done(engine, msp_id, happened)

    assert (row["action"], row["object_kind"], row["object_label"]) == (action, "drift", "Product p")
    assert row["object_id"] == f"{msp_id}/autotask/p"
    assert changes(row) == {"target_units": units}
    assert row["reason"]
