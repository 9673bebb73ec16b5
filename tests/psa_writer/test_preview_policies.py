"""Policies that are not saved yet: what they would do to the open requests, and that the posts then do just that."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from domain.events import AdjustmentHeld
from domain.keys import CompanyId, ResourceId
from domain.money import Money
from domain.policies import WHOLE_MSP, Policies, Scope
from gateway.deciding import Deciding
from gateway.draft_policies import PolicyChange
from services.psa_writer import preview_policies
from services.psa_writer.check_brake import limits_of
from services.psa_writer.policies_for import post_policies
from services.psa_writer.preview_policies import Verdict, sum_up
from tests.psa_writer.writing import Writing

COMPANY = CompanyId("1200000501")
AUGUST = date(2026, 8, 1)


@pytest.fixture
def writing(braked: Writing) -> Writing:
    """With the limits that hold when nothing was decided."""
    return braked


@pytest.fixture
def some(writing: Writing) -> dict[str, int]:
    """Lines by what was asked of them and has not been tried: small and large rises, a fall, nothing to do, no product."""
    lines = {name: writing.add_product(5, name=name) for name in ("small", "large", "fall", "equal")}
    for name, units in {"small": 12, "large": 90, "fall": 3, "equal": 5}.items():
        writing.request(lines[name], units)
    writing.agreements[999_999] = writing.agreements[lines["small"]]
    writing.request(999_999, 4)
    writing.pause()
    writing.work()
    return lines


def preview(writing: Writing, *decided: tuple[str, str, Scope]) -> dict[str, Any]:
    values: dict[Scope, dict[str, str]] = {}
    for name, value, scope in decided:
        values.setdefault(scope, {})[name] = value
    rows = Policies(0, values).rows()
    return preview_policies.preview_policies(writing.writer(), writing.msp_id, rows)


def counts(found: dict[str, Any]) -> dict[str, int]:
    return {name: found[name] for name in ("posted", "held", "shadowed", "equal", "hindered") if found[name]}


def test_what_would_be_posted_and_held_is_told_with_units_and_money_and_nothing_is_done(
    writing: Writing, some: dict[str, int]
) -> None:
    found = preview(writing)

    assert (found["adjustments"], counts(found)) == (5, {"posted": 2, "held": 1, "equal": 1, "hindered": 1})
    # +7 and -2 at 10.00 a month each
    assert (found["unit_change"], found["price_per_month"]) == (5, [{"amount": "50.00", "currency": "USD"}])
    [hold] = found["holds"]
    assert (hold["reason"], hold["adjustments"]) == ("rise", 1)
    assert hold["message"].startswith("Rises from 5 to 90 units: by 85 units, limit 50")
    assert [(each["reason"], each["adjustments"]) for each in found["hindrances"]] == [("product_gone", 1)]
    assert (found["held_now"], found["left_out"]) == (0, 0)
    assert (writing.desk.ledger(), writing.told(), set(writing.states().values())) == ([], [], {"planned"})


@pytest.mark.parametrize(
    ("scope", "posted"),
    [(WHOLE_MSP, 3), (Scope(COMPANY), 3), ("large", 3), ("small", 2), (Scope(CompanyId("another")), 2)],
    ids=["msp", "company", "its-resource", "another-resource", "another-company"],
)
def test_an_exception_lets_out_what_it_is_for(writing: Writing, some: dict[str, int], scope: Any, posted: int) -> None:
    if isinstance(scope, str):
        scope = Scope(None, ResourceId(f"r{some[scope]}"))

    assert preview(writing, ("brake_rise_units", "500", scope))["posted"] == posted


def test_what_a_preview_shows_is_what_is_posted_once_it_is_saved_and_what_was_held_goes_out(
    writing: Writing, some: dict[str, int]
) -> None:
    # given a large change that waits for a person
    writing.resume()
    writing.settle(600, step=60)
    assert [event.rule for event in writing.told(AdjustmentHeld)].count("rise") == 1
    shown = preview(writing, ("brake_rise_units", "500", WHOLE_MSP))
    assert (shown["held_now"], counts(shown), shown["unit_change"]) == (1, {"posted": 1, "hindered": 1}, 85)

    # when the bound is raised, and nobody releases anything
    before = len(writing.posted())
    deciding = Deciding(writing.engine, writing.clock, "mara")
    deciding.save(writing.msp_id, [PolicyChange("brake_rise_units", "500")])
    writing.settle(60)

    # then
    assert [(line, change) for line, change, _, _ in writing.posted()[before:]] == [(str(some["large"]), 85)]
    assert writing.units(some["large"]) == 90


def test_an_exception_holds_the_posts_of_its_resource_and_no_others(writing: Writing) -> None:
    line, other = writing.add_product(5), writing.add_product(5)
    with writing.engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.policies (msp_id, policy, value, version, saved_at, resource_id)
                   VALUES (:m, 'brake_rise_units', '2', 1, now(), :r),
                          (:m, 'increase_effective', 'next_period', 1, now(), :o)"""
            ),
            {"m": writing.msp_id, "r": f"r{line}", "o": f"r{other}"},
        )

    writing.request_many([(line, 12), (other, 12)])
    writing.work()

    assert [(product, change, day) for product, change, day, _ in writing.posted()] == [(str(other), 7, AUGUST)]
    assert sorted(writing.states().values()) == ["done", "held"]


def test_what_contradicts_our_own_posts_waits_for_a_person_whatever_is_decided(writing: Writing) -> None:
    # given
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.desk.faults.script("duplicated", "create")
    writing.settle(900)
    assert [event.kind for event in writing.told()] == ["contradiction"]

    # when
    Deciding(writing.engine, writing.clock, "mara").save(
        writing.msp_id, [PolicyChange("brake_rise_units", "500"), PolicyChange("brake_rise_percent", "500")]
    )
    writing.settle(900)

    # then
    assert (list(writing.states().values()), writing.desk.calls.count("create")) == (["parked"], 1)


def test_a_psa_that_cannot_be_read_hinders_all_its_requests(writing: Writing, some: dict[str, int]) -> None:
    writing.desk.faults.script("unavailable", times=10)

    found = preview(writing)

    assert counts(found) == {"hindered": 5}
    assert [(each["reason"], each["adjustments"]) for each in found["hindrances"]] == [("unreachable", 5)]


def test_of_very_many_requests_the_first_are_looked_at(
    writing: Writing, some: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview_policies, "MOST_REQUESTS", 2)

    found = preview(writing)

    assert (found["adjustments"], found["left_out"]) == (2, 3)


def test_of_several_resources_that_feed_a_product_the_most_careful_value_holds() -> None:
    mail, office = ResourceId("mail"), ResourceId("office")
    decided = Policies(
        1,
        {
            Scope(None, mail): {"increase_effective": "next_period", "brake_rise_units": "9"},
            Scope(None, office): {"decrease_effective": "today", "posted_period": "refuse"},
            WHOLE_MSP: {"decrease_effective": "today", "brake_rise_units": "70"},
        },
    )

    both = [(COMPANY, mail), (COMPANY, office)]

    assert vars(post_policies(decided, both)) == {
        "increase_effective": "next_period",
        "decrease_effective": "today",
        "posted_period": "refuse",
        "unit_cost": "post",
    }
    assert limits_of(decided, both).brake_rise_units == 9
    assert limits_of(decided, both[1:]).brake_rise_units == limits_of(decided, ()).brake_rise_units == 70


VERDICTS = st.builds(
    Verdict,
    what=st.sampled_from(["posted", "held", "shadowed", "equal", "hindered"]),
    reason=st.sampled_from(["a", "b"]),
    message=st.just("why"),
    unit_change=st.integers(-50, 50),
    price_per_month=st.none()
    | st.builds(Money, st.decimals(-99, 99, places=4, allow_nan=False), st.sampled_from(["USD", "EUR"])),
)


@given(st.lists(VERDICTS))
def test_a_sum_has_every_verdict_once(verdicts: list[Verdict]) -> None:
    found = sum_up(verdicts)

    assert found["adjustments"] == len(verdicts) == sum(counts(found).values())
    assert sum(each["adjustments"] for each in found["holds"]) == found["held"]
    assert sum(each["adjustments"] for each in found["hindrances"]) == found["hindered"]
    assert sum_up([*verdicts[1:], *verdicts[:1]])["price_per_month"] == found["price_per_month"]
    by_currency = {each["currency"]: Decimal(each["amount"]) for each in found["price_per_month"]}
    for currency, amount in by_currency.items():
        own = [
            v.price_per_month.amount for v in verdicts if v.price_per_month and v.price_per_month.currency == currency
        ]
        assert amount == Money(sum(own, Decimal(0)), currency).rounded().amount
