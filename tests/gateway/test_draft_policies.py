"""Changes of policies, before anything is saved: what they come to, what is refused, and what lets adjustments loose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.keys import CompanyId, MspId, ResourceId
from domain.policies import WHOLE_MSP, BadPolicy, Policies, Scope
from gateway import draft_policies
from gateway.draft_policies import PolicyChange, PolicyStep, drafted, fingerprint, lets_loose, steps

HALL, REPAIR = CompanyId("501"), CompanyId("502")
MAIL, OFFICE = ResourceId("100234"), ResourceId("100240")
SCOPES = st.sampled_from(
    [WHOLE_MSP, Scope(HALL), Scope(REPAIR), Scope(None, MAIL), Scope(HALL, MAIL), Scope(REPAIR, OFFICE)]
)
DATES = ("increase_effective", "decrease_effective")
VALUES = st.dictionaries(
    SCOPES, st.dictionaries(st.sampled_from(DATES), st.sampled_from(["today", "next_period"]), min_size=1)
)


def test_no_change_changes_nothing() -> None:
    before = {WHOLE_MSP: {"unit_cost": "report"}}

    assert drafted(before, []) == before
    assert steps(before, before) == []


def test_values_are_given_and_taken_away_where_the_change_says() -> None:
    before = {WHOLE_MSP: {"unit_cost": "report"}, Scope(HALL): {"decrease_effective": "today"}}

    after = drafted(
        before,
        [
            PolicyChange("decrease_effective", None, Scope(HALL)),
            PolicyChange("decrease_effective", "today"),
            PolicyChange("brake_rise_units", "5", Scope(HALL, MAIL)),
        ],
    )

    assert after == {
        WHOLE_MSP: {"unit_cost": "report", "decrease_effective": "today"},
        Scope(HALL, MAIL): {"brake_rise_units": "5"},
    }
    assert steps(before, after) == [
        PolicyStep("decrease_effective", WHOLE_MSP, None, "today"),
        PolicyStep("decrease_effective", Scope(HALL), "today", None),
        PolicyStep("brake_rise_units", Scope(HALL, MAIL), None, "5"),
    ]


@given(VALUES, VALUES)
def test_the_steps_between_two_sets_are_the_changes_that_lead_from_one_to_the_other(before, after) -> None:
    way = [PolicyChange(step.name, step.after, step.scope) for step in steps(before, after)]

    assert drafted(before, way) == after
    assert Policies.of_rows(1, Policies(1, after).rows()).values == after


@given(VALUES, VALUES)
def test_a_fingerprint_stands_for_one_set_upon_one_version(before, after) -> None:
    acme = MspId("acme")
    same = fingerprint(acme, 1, before) == fingerprint(acme, 1, after)

    assert same == (Policies(0, before).rows() == Policies(0, after).rows())
    assert len({fingerprint(MspId(m), v, after) for m in ("acme", "other") for v in (1, 2)}) == 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            PolicyChange("decrease_immediately", "yes"),
            "there is no policy 'decrease_immediately'; there are increase_eff",
        ),
        (PolicyChange("decrease_immediately", None), "there is no policy"),
        (PolicyChange("unit_cost", "maybe"), "unit_cost is one of post, report"),
        (PolicyChange("freeze_hours", "9", Scope(HALL)), "freeze_hours is the same for the whole MSP"),
        (PolicyChange("decrease_effective", "today", Scope(CompanyId(""))), "has 1 to 200 characters"),
    ],
    ids=["no-policy", "no-policy-to-take", "no-value", "no-exception", "no-id"],
)
def test_what_cannot_be_decided_is_refused_with_what_can(change: PolicyChange, says: str) -> None:
    with pytest.raises(BadPolicy, match=says):
        drafted({}, [change])


def test_a_policy_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    change = PolicyChange("decrease_effective", "today", Scope(HALL))

    with pytest.raises(BadPolicy, match="twice"):
        drafted({}, [change, change])
    monkeypatch.setattr(draft_policies, "MOST_EXCEPTIONS", 1)
    assert drafted({}, [change])
    with pytest.raises(BadPolicy, match="at most 1 exceptions"):
        drafted({Scope(REPAIR): {"decrease_effective": "today"}}, [change])
    monkeypatch.setattr(draft_policies, "MOST_CHANGES", 1)
    with pytest.raises(BadPolicy, match="at most 1 policies"):
        drafted({}, [change, PolicyChange("unit_cost", "post")])


SHADOW, LOOSE = {"mode": "shadow"}, {"mode": "unattended"}


@pytest.mark.parametrize(
    ("before", "after", "loose"),
    [
        ({}, {}, False),
        ({}, {WHOLE_MSP: LOOSE}, False),
        ({WHOLE_MSP: SHADOW}, {WHOLE_MSP: LOOSE}, True),
        ({WHOLE_MSP: SHADOW}, {}, True),
        ({}, {WHOLE_MSP: SHADOW}, False),
        ({WHOLE_MSP: SHADOW}, {WHOLE_MSP: {"mode": "approve"}}, False),
        ({WHOLE_MSP: SHADOW}, {WHOLE_MSP: SHADOW, Scope(HALL, MAIL): LOOSE}, True),
        ({Scope(HALL): SHADOW}, {}, True),
        ({WHOLE_MSP: SHADOW, Scope(HALL): LOOSE}, {WHOLE_MSP: SHADOW}, False),
        # Taken away, the company's exception uncovers that of the resource.
        (
            {WHOLE_MSP: SHADOW, Scope(HALL): SHADOW, Scope(None, MAIL): LOOSE},
            {WHOLE_MSP: SHADOW, Scope(None, MAIL): LOOSE},
            True,
        ),
    ],
    ids=["none", "default", "given", "taken", "shadow", "approve", "one", "company", "stricter", "uncovered"],
)
def test_who_lets_adjustments_loose_is_known(before, after, loose) -> None:
    assert lets_loose(before, after) is loose


def test_another_policy_lets_nothing_loose() -> None:
    assert not lets_loose({}, {WHOLE_MSP: {"unit_cost": "report"}, Scope(HALL): {"decrease_effective": "today"}})
