"""What the brake holds and what shadow mode would post: one row a request, as it stands by what was told last."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from domain.events import Event
from domain.keys import MspId
from tests.reporting import history as h
from tests.reporting.test_drift import A, P, rows

pytestmark = pytest.mark.postgres
ASKED = h.requested(A, P, "q1")


def told(engine: Engine, msp_id: MspId, *happened: Event) -> dict[str, Any]:
    """The row of the request in the table, after each event was folded by itself."""
    for event in happened:
        h.append(engine, msp_id, [event])
        h.project(engine, msp_id)
    (row,) = h.rows(engine, "held_requests", msp_id)
    return row


def test_a_hold_is_shown_with_its_rule_units_money_and_evidence(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, ASKED, h.held(A, P, "q1", needed=2), h.approved(A, P, "q1", 1, 2))

    (held,) = rows(engine, "held_adjustments", msp_id)
    assert (held["rule"], held["units_before"], held["target_units"], held["unit_change"]) == ("fall", 304, 12, -292)
    assert held["effective_date"] == date(2026, 4, 1)
    assert held["money_now"] == {"amount": Decimal("-10.0000"), "currency": "USD"}
    assert held["price_per_month"] == {"amount": Decimal("-2044.0000"), "currency": "USD"}
    assert held["evidence_for"] == "ODIN was read whole: 214 subscriptions."
    assert held["evidence_against"] == "In the last 90 days 304 units were asked for."
    assert (held["approvals"], held["people_needed"]) == (1, 2)
    assert held["approved_by"]
    assert held["held_since"] == h.BEGAN + timedelta(minutes=2)


@pytest.mark.parametrize(
    ("happened", "state"),
    [
        ([h.approved(A, P, "q1")], "approved"),
        ([h.approved(A, P, "q1", 1, 2)], "held"),
        ([h.approved(A, P, "q1"), h.posted(A, P, "q1")], "posted"),
        ([h.approved(A, P, "q1"), h.failed(A, P, "q1")], "under_way"),
        ([h.declined(A, P, "q1")], "refused"),
        ([h.declined(A, P, "q1"), h.superseded(P, "q1", "q2")], "refused"),
        ([h.superseded(P, "q1", "q2")], "superseded"),
        ([h.moved(A, P, "q1")], "moved"),
        ([h.moved(A, P, "q1"), h.held(A, P, "q1")], "held"),
    ],
    ids=["approved", "first of two", "posted", "failed", "refused", "refused for good", "superseded", "moved", "again"],
)
def test_what_became_of_a_hold(engine: Engine, msp_id: MspId, happened: list[Event], state: str) -> None:
    assert told(engine, msp_id, ASKED, h.held(A, P, "q1"), *happened)["state"] == state


def test_a_hold_that_is_told_anew_has_lost_its_approvals_and_not_its_age(engine: Engine, msp_id: MspId) -> None:
    row = told(engine, msp_id, ASKED, h.held(A, P, "q1", needed=2), h.approved(A, P, "q1", 1, 2))
    assert row["approvals"] == 1
    row = told(engine, msp_id, h.held(A, P, "q1", before=300, needed=2))
    assert (row["approvals"], row["approved_by"], row["units_before"]) == (0, None, 300)
    assert row["held_since"] == (h.BEGAN + timedelta(minutes=2)).isoformat()


def test_the_adjustment_log_says_who_approved(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, ASKED, h.held(A, P, "q1"), h.approved(A, P, "q1"), h.posted(A, P, "q1"), h.posted(A, P, "q9"))

    found = {row["request_id"]: row["approved_by"] for row in rows(engine, "adjustments", msp_id)}
    assert found["q9"] is None
    assert found["q1"]


def test_what_is_held_is_no_failure_meanwhile(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, ASKED, h.failed(A, P, "q1"), h.held(A, P, "q1"))
    assert [row["state"] for row in rows(engine, "failures", msp_id)] == ["held"]
    told(engine, msp_id, h.approved(A, P, "q1"), h.failed(A, P, "q1"))
    assert [row["state"] for row in rows(engine, "failures", msp_id)] == ["open"]


def test_what_would_have_been_posted_is_shown_beside_what_the_psa_has(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.product(P), h.units(P, 4), ASKED, h.shadowed(A, P, "q1")])
    h.project(engine, msp_id)
    (row,) = rows(engine, "shadow", msp_id)
    assert (row["state"], row["unit_change"], row["psa_units"], row["difference"]) == ("would_post", 8, 4, -8)

    h.append(engine, msp_id, [h.units(P, 12)])
    h.project(engine, msp_id)
    (row,) = rows(engine, "shadow", msp_id)
    assert (row["psa_units"], row["difference"]) == (12, 0)

    h.append(engine, msp_id, [h.superseded(P, "q1", "q2")])
    h.project(engine, msp_id)
    assert [row["state"] for row in rows(engine, "shadow", msp_id)] == ["superseded"]
