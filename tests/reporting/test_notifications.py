"""Events -> what people should know: told when it begins, once, and never again by a replay."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine

from domain.events import Event
from domain.keys import MspId
from plumbing.clock import Clock
from services.mapping.reactor import reactor as mapping
from services.psa_writer.reactor import reactor as psa_writer
from services.reconciler.reactor import reactor as reconciler
from services.reporting.notifying.reactor import reactor as deliveries
from services.reporting.projections import READ_MODELS
from services.reporting.queries import WATCHED, feeds
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
A, B = h.odin("a"), h.odin("b", subscription="2")
P = h.psa("p")


def told(engine: Engine, msp_id: MspId, *happened: Event) -> list[dict[str, Any]]:
    """The notifications after these events too."""
    h.append(engine, msp_id, happened)
    h.project(engine, msp_id)
    return h.rows(engine, "notifications", msp_id)


def kinds(rows: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(row["position"], row["fold_key"]) for row in rows]


def test_what_goes_well_is_no_news(engine: Engine, msp_id: MspId) -> None:
    fine = (h.linked(A, P), h.requested(A, P, "q1"), h.posted(A, P, "q1"), h.units(P, 12), h.poll_completed())

    assert told(engine, msp_id, h.discovered(A), *fine) == []


def test_a_parked_adjustment_is_told_with_names_why_what_to_do_and_where_to_look(engine: Engine, msp_id: MspId) -> None:
    (row,) = told(engine, msp_id, h.parked(A, P, "q1"))

    assert row == {
        "position": 1,
        "kind": "held",
        "happened_at": "2026-03-01T08:01:00+00:00",
        "severity": "action",
        "fold_key": "held/rejected",
        "about": "Resource a of Company 1200000501",
        "things": 1,
        "message": "The period is posted.",
        "fix": "Choose the next period.",
        "link_report": "failures",
        "link_column": "request_id",
        "link_key": "q1",
    }


def test_what_the_brake_holds_is_told_with_its_rule_and_where_it_is_approved(engine: Engine, msp_id: MspId) -> None:
    (row,) = told(engine, msp_id, h.held(A, P, "q1"), h.held(A, P, "q1", 303))

    assert (row["kind"], row["severity"], row["fold_key"]) == ("held", "action", "held/fall")
    assert row["message"] == "Falls from 304 to 12 units: by 96 %, limit 20 %."
    assert row["fix"] == "Approve it, or refuse it with a reason."
    assert (row["link_report"], row["link_column"], row["link_key"]) == ("held_adjustments", "request_id", "q1")


def test_the_first_of_two_people_ends_nothing_and_the_second_does(engine: Engine, msp_id: MspId) -> None:
    rows = told(engine, msp_id, h.held(A, P, "q1"), h.approved(A, P, "q1", 1, 2), h.held(A, P, "q1"))
    assert kinds(rows) == [(1, "held/fall")]
    rows = told(engine, msp_id, h.approved(A, P, "q1", 2, 2), h.held(A, P, "q1"))
    assert kinds(rows) == [(1, "held/fall"), (5, "held/fall")]


def test_a_failure_is_told_once_until_it_becomes_another_or_ended_and_began_anew(engine: Engine, msp_id: MspId) -> None:
    rows = told(engine, msp_id, h.failed(A, P, "q1"), h.failed(A, P, "q1"), h.failed(A, P, "q1", "rejected"))
    assert kinds(rows) == [(1, "failed/unreachable"), (3, "failed/rejected")]

    rows = told(engine, msp_id, h.failed(A, P, "q1", "rejected"), h.posted(A, P, "q1"), h.failed(A, P, "q1"))
    assert kinds(rows)[2:] == [(6, "failed/unreachable")]


def test_a_trouble_that_ended_long_ago_is_told_when_it_begins_anew(engine: Engine, msp_id: MspId) -> None:
    for happened in (h.failed(A, P, "q1"), h.failed(A, P, "q1"), h.posted(A, P, "q1"), h.failed(A, P, "q1")):
        rows = told(engine, msp_id, happened)

    assert [row["position"] for row in rows] == [1, 4]


def test_what_a_person_let_go_is_told_again_when_it_is_held_again(engine: Engine, msp_id: MspId) -> None:
    rows = told(engine, msp_id, h.parked(A, P, "q1"), h.let_go(A, P, "q1"), h.parked(A, P, "q1"))

    assert kinds(rows) == [(1, "held/rejected"), (3, "held/rejected")]


def test_polls_that_fail_are_told_once_until_one_completes(engine: Engine, msp_id: MspId) -> None:
    rows = told(engine, msp_id, h.poll_failed(), h.poll_failed(), h.poll_completed(), h.poll_failed("unreachable"))

    assert kinds(rows) == [(1, "poll_failed/unauthorised"), (4, "poll_failed/unreachable")]
    assert [row["severity"] for row in rows] == ["action", "warning"]
    assert (rows[0]["about"], rows[0]["link_key"]) == ("Marketplace connection odin", "poll/odin")


def test_a_budget_that_puts_reads_off_is_told_when_it_begins(engine: Engine, msp_id: MspId) -> None:
    rows = told(engine, msp_id, h.poll_completed(2), h.poll_completed(1), h.poll_completed(), h.poll_completed(3))

    assert kinds(rows) == [(1, "quota_low"), (4, "quota_low")]
    assert rows[0]["message"].startswith("2 of its subscriptions are read later")


def test_a_hand_in_the_psa_is_told_as_drift_and_our_own_post_is_not(engine: Engine, msp_id: MspId) -> None:
    ours = [h.units(P, 4), h.posted(A, P, "q1", 8), h.units(P, 12)]

    rows = told(engine, msp_id, *ours, h.units(P, 13))

    assert kinds(rows) == [(4, "drift")]
    assert rows[0]["message"] == "the PSA has 13 units, and we left 12"


def test_units_that_we_scheduled_for_a_later_day_are_no_drift_on_that_day(engine: Engine, msp_id: MspId) -> None:
    later = date(2026, 4, 1)
    fewer = h.posted(A, P, "q2", -4, effective_date=later, units_before=12, units_after=8)

    assert told(engine, msp_id, h.posted(A, P, "q1", 8), fewer, h.units(P, 12), h.units(P, 8, later)) == []
    assert kinds(told(engine, msp_id, h.units(P, 12, later))) == [(5, "drift")]


def test_resources_that_a_poll_found_are_told_together_when_it_ends(engine: Engine, msp_id: MspId) -> None:
    assert told(engine, msp_id, h.discovered(A)) == []

    (row,) = told(engine, msp_id, h.discovered(B), h.discovered(h.odin("use"), usage_based=True), h.poll_completed())
    assert (row["position"], row["kind"], row["things"]) == (4, "unlinked_found", 2)
    assert row["about"] == "Resource a of Company 1200000501"

    assert len(told(engine, msp_id, h.poll_completed())) == 1


@pytest.mark.parametrize(
    "meanwhile",
    [h.linked(A, P), h.disappeared(A), h.renewed(h.odin("a", subscription="0"), "1000823")],
    ids=["linked", "gone", "a renewal, which its relation follows"],
)
def test_a_resource_that_needs_no_link_any_more_when_the_poll_ends_is_not_told(
    engine: Engine, msp_id: MspId, meanwhile: Event
) -> None:
    assert told(engine, msp_id, h.discovered(A)) == []
    assert told(engine, msp_id, meanwhile, h.poll_completed()) == []


def test_a_renewal_that_is_unclear_and_a_plan_that_is_refused_wait_for_a_person(engine: Engine, msp_id: MspId) -> None:
    rows = told(engine, msp_id, h.renewal_unclear(A, "8", "9"), h.refused(A, P), h.refused(A, P), h.catalogue_failed())

    assert kinds(rows) == [(1, "renewal_unclear"), (2, "plan_refused"), (4, "catalogue_failed/unreachable")]
    assert rows[0]["message"] == "it ended, and 2 subscriptions could be its renewal"
    assert [row["severity"] for row in rows] == ["action", "action", "warning"]


def test_a_consumer_that_stands_still_waits_for_a_person_who_is_told_what_and_why_and_what_to_do(
    engine: Engine, msp_id: MspId
) -> None:
    stopped, resumed = told(engine, msp_id, h.consumer_stopped(), h.consumer_resumed())

    assert stopped == {
        "position": 1,
        "kind": "consumer_stopped",
        "happened_at": "2026-03-01T08:01:00+00:00",
        "severity": "action",
        "fold_key": "consumer_stopped",
        "about": "The reports Subscriptions, Linked and Unlinked",
        "things": 1,
        "message": "standing still since 2026-03-01 08:01 UTC, for reporting.resources cannot take the event at position 3, "
        "ResourceCountChanged version 9 (UnknownEvent). Nothing is lost",
        "fix": "Upgrade Trueup: it then goes on by itself. If that does not help, try `trueup replay resources`, "
        "or call support with this text.",
        "link_report": "subscriptions",
        "link_column": None,
        "link_key": None,
    }
    assert (resumed["severity"], resumed["fix"], resumed["about"]) == ("info", None, stopped["about"])
    assert resumed["message"] == "reporting.resources goes on, and left nothing out"


def test_every_consumer_of_the_house_has_words_for_what_stands_still_with_it(engine: Engine, msp_id: MspId) -> None:
    reactors = [make(Clock()).name for make in (mapping, reconciler, psa_writer, deliveries)]
    models = [model.consumer for model in READ_MODELS.values()]
    rows = told(engine, msp_id, *map(h.consumer_stopped, [*models, *reactors]))

    assert [row["about"] for row in rows if row["about"] in (*models, *reactors)] == []
    assert {row["link_report"] for row in rows} <= set(WATCHED)
    for model, row in zip(READ_MODELS, rows, strict=False):
        assert f"`trueup replay {model}`" in row["fix"]
        assert model in feeds(row["link_report"])
    assert [row["fix"] for row in rows[len(models) :] if "replay" in row["fix"]] == []


def test_a_consumer_of_another_release_is_told_by_its_name(engine: Engine, msp_id: MspId) -> None:
    (row,) = told(engine, msp_id, h.consumer_stopped("of.tomorrow"))

    assert (row["about"], row["link_report"]) == ("of.tomorrow", "notifications")


def test_a_late_poll_is_told_with_when_it_was_due(engine: Engine, msp_id: MspId) -> None:
    (row,) = told(engine, msp_id, h.poll_late(), h.poll_completed())

    assert (row["kind"], row["severity"], row["about"]) == ("poll_late", "warning", "Marketplace connection odin")
    assert row["message"].startswith("its poll was due at 2026-03-01 08:00 UTC and has not come")
    assert (row["link_report"], row["link_column"], row["link_key"]) == ("api_calls", "connection_id", "odin")


def test_a_close_is_told_when_it_is_red_and_not_when_it_is_red_no_more(engine: Engine, msp_id: MspId) -> None:
    red = h.close_due("Unlinked resources", "Adjustments that wait for a person")
    rows = told(engine, msp_id, red, h.close_due(), red)

    assert kinds(rows) == [(1, "close_red"), (3, "close_red")]
    assert (rows[0]["severity"], rows[0]["about"]) == ("action", "Close of 2026-03 for PSA connection autotask")
    assert rows[0]["message"] == (
        "its invoice is due on 2026-04-01, and red are: Unlinked resources, Adjustments that wait for a person"
    )
    assert (rows[0]["link_report"], rows[0]["link_column"], rows[0]["link_key"]) == ("close", "period", "2026-03")
