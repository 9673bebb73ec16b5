"""The brake at the writer's door: what it holds, who lets it out, what only is shown, and that nothing else leaves."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from domain.events import (
    AdjustmentApproved,
    AdjustmentDropped,
    AdjustmentHeld,
    AdjustmentMoved,
    AdjustmentParked,
    AdjustmentPosted,
    AdjustmentRefused,
    AdjustmentShadowed,
    CloseReopened,
    CloseSignedOff,
    PolicyChanged,
    PollCompleted,
    UnitsFoundEqual,
)
from domain.money import Money
from services.psa_writer import by_hand, deciding
from tests.psa_writer.meddling import once
from tests.psa_writer.test_treatment import meddled, set_policy
from tests.psa_writer.writing import AUTOTASK, TODAY, Writing

AUGUST = date(2026, 8, 1)


def decide(writing: Writing, what: str, *request_ids: str, by: str = "anna", **given: Any) -> list[str]:
    """The codes of the refusals, "" where it was done."""
    given = {"operation_id": uuid4().hex, "actor": by} | given
    if what == "approve":
        given = {"effective": "as_planned", "comment": ""} | given
        held = {event.request_id: event for event in writing.told(AdjustmentHeld)}
        asked: Any = given.pop("items", None) or [
            {"request_id": i, "target_units": held[i].target_units, "units_before": held[i].units_before}
            for i in request_ids
        ]
    else:
        asked = list(request_ids)
    if what in ("refuse", "drop"):
        given = {"reason": "a test"} | given
    answer = getattr(deciding, what)(writing.writer(), writing.msp_id, asked, **given)
    return [(result["refusal"] or {"code": ""})["code"] for result in answer["results"]]


def rules(writing: Writing) -> list[str]:
    return [event.rule for event in writing.told(AdjustmentHeld)]


# Held, and let out


@pytest.mark.parametrize(("before", "wanted", "rule"), [(4, 60, "rise"), (3, 0, "to_zero"), (60, 40, "fall")])
def test_a_large_change_waits_for_a_person_who_lets_it_out(
    braked: Writing, before: int, wanted: int, rule: str
) -> None:
    # given
    line = braked.add_product(before)
    request = braked.request(line, wanted)
    braked.settle(3600, step=300)
    [held] = braked.told()
    assert (held.rule, held.units_before, held.target_units, braked.desk.ledger()) == (rule, before, wanted, [])

    # when
    assert decide(braked, "approve", request) == [""]
    braked.work()

    # then
    assert braked.units(line, AUGUST) == wanted
    assert braked.desk.oracle() == []


def changed(policy: str, before: str, after: str) -> tuple[str, PolicyChanged]:
    """What is told of a policy that the whole MSP has from now on."""
    whole = {"company_id": None, "resource_id": None, "policies_version": 1}
    return "policies", PolicyChanged(policy=policy, previous_value=before, value=after, **whole)


def test_a_hold_tells_dates_and_money_and_what_speaks_for_it(braked: Writing) -> None:
    # given a poll that read everything, and a product that had 300 units asked for before
    line = braked.add_product(300)
    braked.request(line, 300)
    braked.work()
    request = braked.request(line, 8)
    poll = PollCompleted(
        connection_id="odin",
        poll_id="p",
        complete=True,
        subscriptions=214,
        subscriptions_read=3,
        subscriptions_put_off=0,
        changes=1,
        calls=9,
    )
    braked.world.append(("poll/odin", poll), correlation_id=f"poll-{request}")

    # when
    braked.work()

    # then
    [held] = braked.told(AdjustmentHeld)
    assert [(c.effective_date, c.unit_change, str(c.prorated_price.amount)) for c in held.changes] == [
        (AUGUST, -292, "-2920.0000")
    ]
    assert (str(held.price_per_month.amount), held.people_needed, held.severity) == ("-2920.0000", 2, "high")
    assert [(each.speaks_for, each.text) for each in held.evidence] == [
        (True, "ODIN was read whole: 214 subscriptions."),
        (True, "No other customer of this resource changed in the last day."),
        (False, "In the last 90 days 300 units were asked for."),
    ]


def test_a_large_fall_needs_two_people_and_whoever_linked_it_is_never_the_second(braked: Writing) -> None:
    # given a product that "test" has linked
    line = braked.add_product(304)
    request = braked.request(line, 8)
    braked.work()

    # when, then
    assert decide(braked, "approve", request) == [""]
    assert decide(braked, "approve", request) == ["same_person"]
    assert decide(braked, "approve", request, by="test") == ["requester"]
    assert decide(braked, "approve", request, by="ben", effective="next_period") == ["differs"]
    braked.work()
    assert (braked.desk.ledger(), braked.states()[request]) == ([], "held")
    assert decide(braked, "approve", request, by="ben") == [""]
    braked.work()
    [posted] = braked.told(AdjustmentPosted)
    assert (posted.unit_change, posted.effective_date, braked.units(line, AUGUST)) == (-296, AUGUST, 8)
    told = [(e.event.nth, e.event.people_needed, e.actor) for e in braked.world.log(AdjustmentApproved)]
    assert told == [(1, 2, "anna"), (2, 2, "ben")]


def test_whoever_linked_it_may_be_the_first_of_two(braked: Writing) -> None:
    request = braked.request(braked.add_product(304), 8)
    braked.work()
    assert [decide(braked, "approve", request, by=who) for who in ("test", "anna")] == [[""], [""]]
    braked.work()
    assert len(braked.desk.ledger()) == 1


def test_an_operation_that_comes_twice_is_one_approval(braked: Writing) -> None:
    request = braked.request(braked.add_product(304), 8)
    braked.work()
    assert [decide(braked, "approve", request, operation_id="once") for _ in range(2)] == [[""], [""]]
    assert len(braked.told(AdjustmentApproved)) == 1


def test_who_looked_at_other_numbers_is_told_those_of_now(braked: Writing) -> None:
    # given
    line = braked.add_product(304)
    first = braked.request(line, 8)
    braked.work()
    item = {"request_id": first, "target_units": 8, "units_before": 304}

    # when: another count is held by now, or the person saw other units
    newer = braked.request(line, 12)
    braked.work()
    answer = deciding.approve(braked.writer(), braked.msp_id, [item], "as_planned", "", "o1", "anna")
    other = [{"request_id": newer, "target_units": 12, "units_before": 300}]

    # then
    [result] = answer["results"]
    assert result["refusal"]["message"] == "The count changed to 12 while you were looking: it is 304 → 12 now."
    assert decide(braked, "approve", items=other) == ["units_changed"]
    braked.work()
    assert braked.desk.ledger() == []


def test_a_newer_count_replaces_what_is_held_and_its_approvals(braked: Writing) -> None:
    line = braked.add_product(304)
    first = braked.request(line, 8)
    braked.work()
    decide(braked, "approve", first)

    newer = braked.request(line, 9)
    braked.work()

    assert braked.states() == {first: "superseded", newer: "held"}
    assert decide(braked, "approve", newer, by="ben") == [""]
    braked.work()
    assert braked.desk.ledger() == []


def test_a_newer_count_within_the_limits_goes_out_by_itself(braked: Writing) -> None:
    line = braked.add_product(304)
    braked.request(line, 8)
    braked.work()
    braked.request(line, 303)
    braked.work()
    assert [each.unit_change for each in braked.desk.ledger()] == [-1]


def test_what_was_approved_is_held_again_when_the_units_have_moved_since(braked: Writing) -> None:
    line = braked.add_product(60)
    request = braked.request(line, 40)
    braked.work()
    decide(braked, "approve", request)

    braked.desk.edit_units(line, 58, TODAY)
    braked.work()

    assert (rules(braked), braked.desk.ledger()) == (["fall", "changed"], [])
    assert decide(braked, "approve", request) == [""]
    braked.work()
    assert braked.units(line, AUGUST) == 40


def test_approved_for_the_next_period_counts_from_there(braked: Writing) -> None:
    line = braked.add_product(4)
    request = braked.request(line, 60)
    braked.work()

    decide(braked, "approve", request, effective="next_period")
    braked.work()

    assert [(each.effective_date, each.unit_change) for each in braked.desk.ledger()] == [(AUGUST, 56)]


def test_refused_stays_unposted_until_the_product_is_asked_for_anew(braked: Writing) -> None:
    line = braked.add_product(60)
    request = braked.request(line, 40)
    braked.work()

    assert decide(braked, "refuse", request, reason=" ") == ["reason_missing"]
    assert decide(braked, "refuse", request) == [""]
    assert decide(braked, "approve", request) == ["refused"]
    braked.settle(7200, step=600)
    assert (braked.desk.ledger(), braked.states()[request]) == ([], "refused")
    assert [event.reason for event in braked.told(AdjustmentRefused)] == ["a test"]
    braked.request(line, 59)
    braked.work()
    assert [each.unit_change for each in braked.desk.ledger()] == [-1]


def test_what_is_held_is_neither_retried_nor_released_nor_dropped(braked: Writing) -> None:
    request = braked.request(braked.add_product(60), 40)
    braked.work()
    for act in (by_hand.retry, by_hand.release):
        [result] = act(braked.writer(), braked.msp_id, [request], "anna")["results"]
        assert result["refusal"]["code"] == "held"
    assert decide(braked, "drop", request) == ["held"]


def test_moved_is_planned_from_the_next_period_and_not_approved_by_that(braked: Writing) -> None:
    line = braked.add_product(4)
    request = braked.request(line, 60)
    braked.work()

    assert decide(braked, "move", request) == [""]
    braked.work()

    assert [each.effective_date for event in braked.told(AdjustmentHeld) for each in event.changes] == [TODAY, AUGUST]
    assert (len(braked.told(AdjustmentMoved)), braked.desk.ledger()) == (1, [])
    decide(braked, "approve", request)
    braked.work()
    assert [each.effective_date for each in braked.desk.ledger()] == [AUGUST]


def test_moved_and_held_again_for_the_same_is_told_again(braked: Writing) -> None:
    # given a fall, which counts from the next period anyway
    request = braked.request(braked.add_product(60), 40)
    braked.work()

    # when
    decide(braked, "move", request)
    braked.work()

    # then nobody takes it for gone
    assert (rules(braked), braked.states()[request]) == (["fall", "fall"], "held")
    assert decide(braked, "approve", request) == [""]


@pytest.mark.parametrize("what", ["move", "retry"])
def test_what_a_person_let_go_and_waits_for_the_same_again_is_told_again(braked: Writing, what: str) -> None:
    request = braked.request(braked.add_product(4, braked.add_agreement(end=date(2026, 7, 10))), 5)
    braked.work()

    if what == "move":
        decide(braked, "move", request)
    else:
        by_hand.retry(braked.writer(), braked.msp_id, [request], "anna")
    braked.work()

    assert (len(braked.told(AdjustmentParked)), braked.states()[request]) == (2, "parked")


def test_dropped_is_not_tried_again(braked: Writing) -> None:
    request = braked.request(braked.add_product(4, braked.add_agreement(end=date(2026, 7, 10))), 5)
    braked.work()
    assert len(braked.told(AdjustmentParked)) == 1

    assert decide(braked, "drop", request, "none") == ["", "unknown"]
    braked.settle(7200, step=600)

    assert (braked.states()[request], len(braked.told(AdjustmentDropped))) == ("dropped", 1)
    assert len(braked.told(AdjustmentParked)) == 1


def test_what_a_first_look_was_asked_for_is_held_once(braked: Writing) -> None:
    request = braked.request(braked.add_product(4), 5, hold_first=True)
    braked.settle(600, step=100)
    assert rules(braked) == ["hold_first"]
    decide(braked, "approve", request)
    braked.work()
    assert len(braked.desk.ledger()) == 1


# What others move


def test_what_one_poll_moves_beyond_the_swing_waits_altogether(braked: Writing) -> None:
    set_policy(braked, "brake_swing_units", "30")
    lines = [braked.add_product(40) for _ in range(4)]
    first = braked.request_many([(line, 48) for line in lines])
    braked.work()
    assert (rules(braked), braked.desk.ledger()) == (["swing"] * 4, [])
    assert braked.told(AdjustmentHeld)[0].message.endswith("moves 32 units over all customers, limit 30.")

    # one more of the same poll is held for what the others would move
    late = braked.add_product(40)
    braked.request_many([(late, 41)])
    braked.work()
    assert rules(braked)[-1] == "swing"
    decide(braked, "approve", first[0])
    braked.work()
    assert [each.line_id for each in braked.desk.ledger()] == lines[:1]


def test_a_link_of_many_by_a_person_is_no_poll(braked: Writing) -> None:
    set_policy(braked, "brake_swing_units", "30")
    lines = [braked.add_product(40) for _ in range(4)]
    wishes = [replace(braked.wish(f"r{line}", line, 48), reason="relation set") for line in lines]
    asked = [(f"request/autotask/{wish.psa_product_id}", wish) for wish in wishes]
    braked.world.append(*asked, correlation_id="a-link")
    braked.work()
    assert len(braked.desk.ledger()) == 4


def test_what_exceeds_the_units_of_an_hour_goes_out_when_the_hour_has_passed(braked: Writing) -> None:
    # given
    set_policy(braked, "brake_hour_units", "20")
    lines = [braked.add_product(40) for _ in range(4)]
    braked.request_many([(line, 48) for line in lines])

    # when
    braked.settle(1200)

    # then two fit into the hour, and two are told that they wait
    assert [each.line_id for each in braked.desk.ledger()] == lines[:2]
    assert {event.psa_product_id for event in braked.told(AdjustmentHeld)} == {str(line) for line in lines[2:]}
    braked.settle(3600)
    assert [each.line_id for each in braked.desk.ledger()] == lines


def test_what_exceeds_the_hour_may_be_let_out_before(braked: Writing) -> None:
    set_policy(braked, "brake_hour_units", "7")
    request = braked.request(braked.add_product(40), 48)
    braked.work()
    assert rules(braked) == ["hour"]
    decide(braked, "approve", request)
    braked.work()
    assert len(braked.desk.ledger()) == 1


# Modes


def test_in_mode_approve_every_change_waits_and_a_new_cost_too(braked: Writing) -> None:
    set_policy(braked, "mode", "approve")
    up, cost = braked.add_product(4), braked.add_product(4)
    requests = [braked.request(up, 5), braked.request(cost, 4, "3.90")]
    equal = braked.request(braked.add_product(4), 4)
    braked.work()

    assert (rules(braked), braked.desk.ledger()) == (["mode", "mode"], [])
    assert [event.request_id for event in braked.told(UnitsFoundEqual)] == [equal]
    assert decide(braked, "approve", *requests) == ["", ""]
    braked.work()
    assert sorted(each.unit_change for each in braked.desk.ledger()) == [0, 1]


def test_shadow_mode_writes_nothing_and_tells_each_plan_once(braked: Writing) -> None:
    set_policy(braked, "mode", "shadow")
    lines = [braked.add_product(60) for _ in range(2)]
    braked.request_many([(lines[0], 8), (lines[1], 61)])

    braked.settle(86_400, step=3600)

    assert braked.desk.calls.count("create") == 0
    told = braked.told(AdjustmentShadowed)
    assert sorted((e.units_before, e.target_units, e.changes[0].effective_date) for e in told) == [
        (60, 8, AUGUST),
        (60, 61, TODAY),
    ]
    assert braked.intents() == []


def test_shadow_mode_that_is_switched_on_after_the_plan_was_made_stops_the_post(braked: Writing) -> None:
    # given a round that has read its policies and its units
    braked.request(braked.add_product(4), 5)

    # when
    braked.work(meddled(braked, after_units=once(lambda: set_policy(braked, "mode", "shadow"))))

    # then
    assert (braked.desk.calls.count("create"), braked.intents()) == (0, [])
    braked.work()
    assert len(braked.told(AdjustmentShadowed)) == 1


@pytest.mark.parametrize(("policy", "value"), [("mode", "approve"), ("mode", "shadow"), ("brake_rise_units", "3")])
def test_what_was_not_applied_is_not_sent_again_when_the_brake_would_stop_it_by_now(
    braked: Writing, policy: str, value: str
) -> None:
    # given a post of which nobody knows, and that came to nothing
    request = braked.request(braked.add_product(4), 12)
    braked.desk.faults.script("reset", "create", when="before")
    braked.work()

    # when
    set_policy(braked, policy, value)
    braked.settle(600)

    # then
    assert (braked.desk.ledger(), braked.states()[request]) == ([], "shadowed" if value == "shadow" else "held")


def test_what_was_not_applied_is_not_sent_again_into_a_month_that_stands_still(braked: Writing) -> None:
    request = braked.request(braked.add_product(4), 12)
    braked.desk.faults.script("reset", "create", when="before")
    braked.work()

    braked.wait((datetime(2026, 7, 31, 18, tzinfo=UTC) - braked.clock.moment).total_seconds())
    braked.settle(600)

    assert (braked.desk.ledger(), braked.states()[request], rules(braked)) == ([], "held", ["freeze"])


def test_another_mode_lets_out_what_was_only_shown(braked: Writing) -> None:
    set_policy(braked, "mode", "shadow")
    braked.request(braked.add_product(4), 5)
    held = braked.request(braked.add_product(60), 8)
    braked.work()

    set_policy(braked, "mode", "unattended")
    braked.world.append(changed("mode", "shadow", "unattended"))
    braked.work()

    assert [each.unit_change for each in braked.desk.ledger()] == [1]
    assert [(event.request_id, event.rule) for event in braked.told(AdjustmentHeld)] == [(held, "fall")]


def test_a_changed_policy_tells_nothing_again_and_keeps_the_first_approval(braked: Writing) -> None:
    request = braked.request(braked.add_product(304), 8)
    braked.work()
    decide(braked, "approve", request)

    braked.world.append(changed("brake_swing_units", "500", "400"))
    braked.work()

    assert (rules(braked), braked.states()[request]) == (["fall"], "held")
    assert decide(braked, "approve", request, by="ben") == [""]
    braked.work()
    assert len(braked.desk.ledger()) == 1


def test_what_is_held_anew_with_other_numbers_has_lost_its_first_approval(braked: Writing) -> None:
    # given
    line = braked.add_product(304)
    request = braked.request(line, 8)
    braked.work()
    decide(braked, "approve", request)

    # when somebody edits the units, and it is judged anew
    braked.desk.edit_units(line, 300, TODAY)
    braked.world.append(changed("brake_swing_units", "500", "400"))
    braked.work()

    # then
    assert [event.units_before for event in braked.told(AdjustmentHeld)] == [304, 300]
    assert decide(braked, "approve", request, by="ben") == [""]
    braked.work()
    assert (braked.states()[request], braked.desk.ledger()) == ("held", [])
    assert decide(braked, "approve", request) == [""]
    braked.work()
    assert len(braked.desk.ledger()) == 1


# A month that stands still


def test_near_the_end_of_a_month_changes_wait_for_the_next_one_by_themselves(braked: Writing) -> None:
    # given: an agreement whose periods begin inside months, the last evening of July
    line = braked.add_product(4, braked.add_agreement(start=date(2026, 1, 15)))
    braked.clock.moment = datetime(2026, 7, 31, 18, 0, tzinfo=UTC)
    braked.wait(0)
    request = braked.request(line, 5)

    # when
    braked.settle(3600, step=600)
    assert (rules(braked), braked.states()[request], braked.desk.ledger()) == (["freeze"], "held", [])
    braked.settle(6 * 3600, step=1800)

    # then
    assert [(each.effective_date, each.unit_change) for each in braked.desk.ledger()] == [(AUGUST, 1)]


def test_before_the_freeze_a_change_goes_out(braked: Writing) -> None:
    line = braked.add_product(4)
    braked.clock.moment = datetime(2026, 7, 31, 17, 59, tzinfo=UTC)
    braked.wait(0)
    braked.request(line, 5)
    braked.work()
    assert len(braked.desk.ledger()) == 1


def test_a_month_that_was_signed_off_holds_until_it_is_opened_again(braked: Writing) -> None:
    # given
    close = {"psa_connection_id": AUTOTASK, "period": "2026-07"}
    signed = CloseSignedOff(
        **close,
        operation_id="o1",
        due_on=AUGUST,
        freeze_from=datetime(2026, 7, 31, 18, tzinfo=UTC),
        position=1,
        checks=(),
        reason=None,
    )
    braked.world.append(("close/autotask/2026-07", signed))
    line, falling = braked.add_product(4), braked.add_product(4)
    braked.request(line, 5)
    braked.request(falling, 3)
    braked.work()
    # a decrease counts from August anyway
    assert (rules(braked), [each.line_id for each in braked.desk.ledger()]) == (["freeze"], [falling])

    # when
    braked.world.append(("close/autotask/2026-07", CloseReopened(**close, operation_id="o2", reason="a test")))
    braked.work()

    # then
    assert len(braked.desk.ledger()) == 2


def test_an_approval_from_before_the_sign_off_does_not_reach_into_the_month(braked: Writing) -> None:
    line = braked.add_product(4)
    request = braked.request(line, 60)
    braked.work()
    decide(braked, "approve", request)
    braked.clock.moment = datetime(2026, 7, 31, 18, 0, tzinfo=UTC)
    braked.wait(0)

    braked.work()

    assert (rules(braked), braked.desk.ledger()) == (["rise", "freeze"], [])


# Short answers


def test_a_fall_seen_by_a_poll_that_saw_half_of_what_there_was_waits(braked: Writing) -> None:
    line = braked.add_product(100)
    request = braked.request(line, 95)
    seen = {"connection_id": "odin", "subscriptions_read": 1, "subscriptions_put_off": 0, "changes": 1, "calls": 2}
    before = PollCompleted(poll_id="p1", complete=True, subscriptions=214, **seen)
    now = PollCompleted(poll_id="p2", complete=True, subscriptions=100, **seen)
    braked.world.append(("poll/odin", before), correlation_id="p1")
    braked.world.append(("poll/odin", now), correlation_id=f"poll-{request}")

    braked.work()

    [held] = braked.told(AdjustmentHeld)
    assert held.rule == "short_answer"
    assert held.message == "The poll behind this saw 100 subscriptions where the one before saw 214."


# What a person decides while a round is at it


def test_a_change_that_is_moved_while_it_is_planned_does_not_leave_with_its_old_date(braked: Writing) -> None:
    line = braked.add_product(4)
    request = braked.request(line, 5)

    braked.work(meddled(braked, after_units=once(lambda: decide(braked, "move", request))))
    braked.work()

    assert [each.effective_date for each in braked.desk.ledger()] == [AUGUST]


def test_a_change_that_is_refused_while_it_is_planned_stays_unposted(braked: Writing) -> None:
    # given one that waited for the hour to pass
    set_policy(braked, "brake_hour_units", "7")
    request = braked.request(braked.add_product(40), 48)
    braked.work()
    set_policy(braked, "brake_hour_units", "5000")
    braked.wait(3600)

    # when
    braked.work(meddled(braked, after_units=once(lambda: decide(braked, "refuse", request))))
    braked.settle(3600, step=600)

    # then
    assert (braked.desk.ledger(), braked.states()[request]) == ([], "refused")


def test_what_is_given_up_while_something_stands_against_it_is_not_parked_again(braked: Writing) -> None:
    request = braked.request(braked.add_product(4), 5, target_unit_cost=Money(Decimal(3), "EUR"))

    braked.work(meddled(braked, after_units=once(lambda: decide(braked, "drop", request))))

    assert braked.states()[request] == "dropped"
    assert braked.told(AdjustmentParked) == []
