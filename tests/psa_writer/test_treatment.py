"""What the protocol does about bounds, contradictions, costs, calibration, and people who let adjustments go."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from domain.events import (
    AdjustmentFailed,
    AdjustmentParked,
    AdjustmentPosted,
    AdjustmentReleased,
    AdjustmentRetried,
    DriftAdopted,
    DriftOverwritten,
    PsaUnitsObserved,
    UnitsFoundEqual,
)
from domain.money import Money
from services.psa_writer import by_hand
from services.psa_writer.writer import Writer
from tests.psa_writer.meddling import meddling, once
from tests.psa_writer.writing import AUTOTASK, TODAY, Writing, save_connection

AUGUST = date(2026, 8, 1)


def meddled(writing: Writing, **happenings: Any) -> Writer:
    writer = writing.writer()
    return Writer(**{**vars(writer), "open_psa": meddling(writer.open_psa, **happenings)})


def set_policy(writing: Writing, name: str, value: str) -> None:
    with writing.engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.policies (msp_id, policy, value, version, saved_at) VALUES (:m, :p, :v, 1, now())
                   ON CONFLICT ON CONSTRAINT policies_once DO UPDATE SET value = excluded.value"""
            ),
            {"m": writing.msp_id, "p": name, "v": value},
        )


# People


def test_who_released_or_retried_what_and_what_parked_it_stands_in_the_log(writing: Writing) -> None:
    # given two that wait for their agreements
    lines = [writing.add_product(4, writing.add_agreement(end=date(2026, 7, 10))) for _ in range(2)]
    parked, waiting = writing.request_many([(line, 12) for line in lines])
    writing.work()
    told = {event.request_id: event for event in writing.told(AdjustmentParked)}

    # when
    by_hand.release(writing.writer(), writing.msp_id, [parked, parked, "none"], "maria")
    by_hand.retry(writing.writer(), writing.msp_id, [waiting], "john")

    # then
    [released] = writing.told(AdjustmentReleased)
    assert (released.request_id, released.kind, released.target_units) == (parked, "preflight", 12)
    assert released.message == told[parked].message
    assert {event.request_id for event in writing.told(AdjustmentRetried)} == {waiting}
    with writing.engine.connect() as connection:
        query = text(
            "SELECT type, actor, recorded_by FROM log.events WHERE type ~ 'Released|Retried' ORDER BY position"
        )
        who = {tuple(row) for row in connection.execute(query)}
    assert who == {("AdjustmentReleased", "maria", "psa_writer"), ("AdjustmentRetried", "john", "psa_writer")}


# Contradictions


@pytest.mark.parametrize("resolved", [DriftAdopted, DriftOverwritten])
def test_what_a_person_has_resolved_is_no_contradiction_any_more(writing: Writing, resolved: type) -> None:
    # given a post of ours that the PSA holds twice, so that the next one waits
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.work()
    writing.wait(3600)
    writing.desk.edit_units(line, 20, TODAY)
    writing.request(line, 30)
    writing.work()
    assert [event.kind for event in writing.told(AdjustmentParked)] == ["contradiction"]

    # when somebody has looked at it, and the units are asked for again
    more = {"on_date": TODAY} if resolved is DriftAdopted else {}
    writing.wait(60)
    event = resolved(**vars(writing.names(line)), units=20, target_units=30, reason="Seen.", **more)
    writing.world.append((f"request/autotask/{line}", event), at=writing.clock.now())
    writing.request(line, 30)
    writing.settle(200)

    # then
    assert max(writing.units(line, TODAY + timedelta(n)) for n in range(5)) == 30
    assert writing.desk.oracle() == []


def test_an_edit_at_the_same_moment_is_planned_anew_from_what_is_there(writing: Writing) -> None:
    # given a PSA that is known to keep totals
    save_connection(writing.engine, writing.msp_id, writing.desk, mid_period_rows="total")
    line = writing.add_product(4)
    writing.request(line, 12)

    # when someone edits between our post and our reading
    writing.work(meddled(writing, after_create=once(lambda: writing.desk.edit_units(line, 9, TODAY + timedelta(2)))))
    writing.settle(200)

    # then the units come to the target, and the first post is not told as proven
    assert writing.units(line, AUGUST) == 12
    assert len(writing.told(AdjustmentPosted)) == 1
    assert writing.told(AdjustmentParked) == []


def test_edits_at_the_same_moment_twice_stop_for_a_person(writing: Writing) -> None:
    save_connection(writing.engine, writing.msp_id, writing.desk, mid_period_rows="total")
    line = writing.add_product(4)
    request = writing.request(line, 12)
    days = iter(range(2, 30))

    def edit() -> None:
        day = TODAY + timedelta(next(days))
        writing.desk.edit_units(line, writing.units(line, day) - 1, day)

    writing.settle(400, writer=meddled(writing, after_create=edit))

    [parked] = writing.told(AdjustmentParked)
    assert (parked.kind, parked.request_id) == ("contradiction", request)
    assert writing.desk.calls.count("create") == 2


def test_a_post_that_was_delivered_twice_stops_for_a_person_and_is_not_corrected(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.desk.faults.script("duplicated", "create")

    writing.settle(900)

    [parked] = writing.told()
    assert parked.kind == "contradiction"
    assert "twice" in parked.message
    assert (writing.units(line), writing.desk.calls.count("create")) == (20, 1)


def test_a_psa_that_shifts_dates_by_a_day_stops_for_a_person(writing: Writing) -> None:
    writing.desk.switches.set(soap_dates="day_early")
    line = writing.add_product(4)
    writing.request(line, 12)

    writing.settle(900)

    [parked] = writing.told()
    assert (parked.kind, "another day" in parked.message) == ("contradiction", True)
    assert writing.desk.calls.count("create") == 1


def test_after_a_contradiction_an_adjustment_goes_out_alone(writing: Writing) -> None:
    # given a batch with an unknown outcome, an edit meanwhile, and another wish that waits behind it
    save_connection(writing.engine, writing.msp_id, writing.desk, mid_period_rows="total")
    lines = [writing.add_product(4) for _ in range(3)]
    writing.request_many([(line, 12) for line in lines])
    writing.desk.faults.script("reset", "create", when="after")
    writing.work()
    writing.desk.edit_units(lines[0], 7, TODAY + timedelta(3))
    behind = writing.add_product(4, writing.agreements[lines[0]], "another")
    writing.request(behind, 12)

    # when
    writing.settle(300)

    # then
    creates = [call.entities for call in writing.desk.calls if call.operation == "create"]
    assert creates == [3, 1, 1]
    assert [writing.units(line, AUGUST) for line in (*lines, behind)] == [12, 12, 12, 12]


def test_before_the_connection_is_calibrated_a_contradiction_stops_for_a_person_at_once(writing: Writing) -> None:
    # Rows that fit no reading may as well mean that we read them wrongly: planning on them could bill twice.
    line = writing.add_product(4)
    writing.request(line, 12)

    writing.work(meddled(writing, after_create=once(lambda: writing.desk.edit_units(line, 9, TODAY + timedelta(2)))))
    writing.settle(200)

    assert [event.kind for event in writing.told()] == ["contradiction"]
    assert writing.desk.calls.count("create") == 1


# Policies


@pytest.mark.parametrize(("policy", "value"), [("posted_period", "refuse"), ("posted_period", "next_unposted")])
def test_a_period_that_is_invoiced_is_refused_or_passed_over_by_policy(writing: Writing, policy, value) -> None:
    set_policy(writing, policy, value)
    line = writing.add_product(4)
    writing.desk.approve_and_post(date(2026, 8, 31))
    writing.request(line, 12)

    writing.settle(100)

    expected = [] if value == "refuse" else [(str(line), 8, date(2026, 9, 1), 1)]
    assert writing.posted() == expected
    assert [event.kind for event in writing.told(AdjustmentParked)] == (["preflight"] if value == "refuse" else [])


def test_decreases_may_count_from_today_by_policy(writing: Writing) -> None:
    set_policy(writing, "decrease_effective", "today")
    line = writing.add_product(9)
    writing.request(line, 7)

    writing.work()

    assert writing.posted() == [(str(line), -2, TODAY, 1)]
    [posted] = writing.told()
    assert posted.prorated_price.amount == writing.desk.ledger(line)[0].proration_price < 0


def test_a_rise_over_a_scheduled_decrease_is_two_adjustments_and_the_last_completes(writing: Writing) -> None:
    line = writing.add_product(10)
    writing.desk.edit_units(line, 8, AUGUST)
    writing.request(line, 12)

    writing.work()

    told = sorted(writing.told(), key=lambda event: event.effective_date)
    assert [(e.effective_date, e.unit_change, e.completes_request) for e in told] == [
        (TODAY, 2, False),
        (AUGUST, 2, True),
    ]
    assert writing.desk.calls.count("create") == 1
    assert (writing.units(line), writing.units(line, AUGUST)) == (12, 12)


# Costs


def test_a_cost_alone_is_posted_and_read_back(writing: Writing) -> None:
    line = writing.add_product(5)
    writing.request(line, 5, cost="4.1250")

    writing.work()

    [posted] = writing.told()
    assert isinstance(posted, AdjustmentPosted)
    assert posted.unit_change == 0
    assert (posted.unit_cost_before, posted.unit_cost_after) == (
        Money(Decimal("3.4"), "USD"),
        Money(Decimal("4.125"), "USD"),
    )
    [applied] = writing.desk.ledger(line)
    assert posted.prorated_cost == Money(applied.proration_cost, "USD")
    assert writing.desk.unit_cost(line) == Decimal("4.1250")


def test_a_cost_goes_with_the_units_in_one_adjustment(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12, cost="4.00")

    writing.work()

    [applied] = writing.desk.ledger(line)
    assert (applied.unit_change, applied.unit_cost) == (8, Decimal("4.00"))
    assert [event.unit_cost_after for event in writing.told()] == [Money(Decimal("4.00"), "USD")]


def test_a_cost_that_the_psa_silently_kept_is_told_and_not_sent_for_ever(writing: Writing, monkeypatch) -> None:
    engine = writing.desk.database.engine
    adjust = engine.adjust
    monkeypatch.setattr(engine, "adjust", lambda wish, origin: adjust(_without_cost(wish), origin))
    line = writing.add_product(5)
    writing.request(line, 5, cost="4.00")

    writing.settle(900)

    [posted] = writing.told()
    assert isinstance(posted, AdjustmentPosted)
    assert posted.unit_cost_after == Money(Decimal("3.40"), "USD")
    assert "kept its unit cost" in posted.proof


def test_a_cost_in_another_currency_is_refused_before_the_post(writing: Writing) -> None:
    save_connection(writing.engine, writing.msp_id, writing.desk, currency="EUR")
    line = writing.add_product(5)
    writing.request(line, 5, cost="4.00")

    writing.settle(300)

    assert {event.kind for event in writing.told()} == {"preflight"}
    assert writing.desk.ledger() == []


def test_an_unknown_cost_post_is_decided_by_the_cost_that_shows(writing: Writing) -> None:
    line = writing.add_product(5)
    writing.request(line, 5, cost="4.00")
    writing.desk.faults.script("reset", "create", when="before")

    writing.settle(300)

    assert [attempt for *_, attempt in writing.posted()] == [2]
    assert len(writing.desk.ledger(line)) == 1


# Calibration


@pytest.mark.parametrize("rows", ["total", "change"])
@pytest.mark.parametrize("row_end", ["day_before", "effective_date"])
@pytest.mark.parametrize("future_rows", ["made_ahead", "made_late"])
def test_every_way_of_keeping_rows_ends_at_the_target_and_is_learned(
    writing: Writing, rows, row_end, future_rows
) -> None:
    # given
    writing.desk.switches.set(mid_period_row=rows, row_end=row_end, future_rows=future_rows)
    line = writing.add_product(4)

    # when the count goes up and down over two periods
    for target, days in [(12, 3), (9, 10), (10, 9), (15, 3), (11, 20)]:
        writing.request(line, target)
        writing.settle(60)
        writing.wait(days * 86_400)

    # then
    assert writing.told(AdjustmentParked, AdjustmentFailed) == []
    assert writing.units(line, date(2026, 10, 1)) == 11
    assert writing.desk.oracle() == []
    with writing.engine.connect() as connection:
        assert connection.scalar(text("SELECT calibration FROM psa_writer.connections")) == rows


# Other outcomes


def test_refusals_that_name_nobody_are_sent_one_by_one(writing: Writing) -> None:
    from services.psa_writer.psa.port import Refused

    lines = [writing.add_product(4) for _ in range(3)]
    writing.request_many([(line, 12) for line in lines])
    writer = writing.writer()

    class Mute:
        def __init__(self, opened: Any) -> None:
            self._opened, self.psa = opened, self
            self._psa = opened.psa

        def __getattr__(self, name: str) -> Any:
            return getattr(self._opened if name in {"send_by", "usage", "close"} else self._psa, name)

        def create_adjustments(self, orders: Any) -> Any:
            if len(orders) > 1:
                return Refused({}, "The batch was refused.")
            return self._psa.create_adjustments(orders)

    writing.work(Writer(**{**vars(writer), "open_psa": lambda outside: Mute(writer.open_psa(outside))}))

    assert [each.line_id for each in writing.desk.ledger()] == lines
    assert len(writing.told(AdjustmentPosted)) == 3


def test_a_fault_in_our_own_client_leaves_the_outcome_unknown_and_is_read_back(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)

    def fault() -> None:
        raise ZeroDivisionError("a fault of ours")

    writing.work(meddled(writing, after_create=once(fault)))
    assert [event.kind for event in writing.told()] == ["outcome_unknown"]
    writing.settle(300)

    assert len(writing.desk.ledger(line)) == len(writing.told(AdjustmentPosted)) == 1


def test_an_edit_between_the_two_looks_puts_the_decision_off(writing: Writing) -> None:
    # given an unknown outcome, and someone who edits between the two readings that shall decide it
    save_connection(writing.engine, writing.msp_id, writing.desk, mid_period_rows="total")
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.desk.faults.script("reset", "create", when="after")
    writing.work()
    writing.wait(100)
    writer = writing.writer()
    edits = once(lambda: writing.desk.edit_units(line, 9, TODAY + timedelta(2)))

    # when
    writing.work(Writer(**{**vars(writer), "rest": lambda _seconds: edits()}))

    # then neither reading is believed alone; the next two agree, and the units come to the target
    assert (writing.intents(), writing.told(AdjustmentPosted)) == (["sent"], [])
    writing.settle(200)
    assert writing.units(line, AUGUST) == 12


def test_a_create_that_comes_too_late_to_be_sent_is_not_sent(writing: Writing) -> None:
    # given a machine that sleeps between the mark and the send
    line = writing.add_product(4)
    writing.request(line, 12)

    writing.work(meddled(writing, before_create=once(lambda: writing.wait(120))))

    assert writing.desk.calls.count("create") == 0
    assert writing.intents() == ["not_sent"]
    writing.settle(100)
    assert len(writing.desk.ledger(line)) == 1


def test_two_rises_on_one_day_are_two_posts_on_two_days(writing: Writing) -> None:
    line = writing.add_product(4)
    for target in (12, 15):
        writing.request(line, target)
        writing.work()

    assert [(change, day) for _, change, day, _ in writing.posted()] == [(8, TODAY), (3, TODAY + timedelta(1))]
    assert writing.desk.oracle() == []


def test_the_units_after_a_post_are_known_to_the_catalogue(writing: Writing) -> None:
    from services.psa_writer.catalogue import read_catalogue

    line = writing.add_product(4)
    writing.work()
    read_catalogue(writing.writer(), writing.msp_id, AUTOTASK)
    writing.request(line, 12)

    writing.work()

    observed = writing.told(PsaUnitsObserved)
    assert [(event.previous_units, event.units) for event in observed] == [(None, 4), (4, 12)]


def test_a_retry_of_what_waits_goes_out_at_once(writing: Writing) -> None:
    line = writing.add_product(4, writing.add_agreement(end=date(2026, 7, 10)))
    request = writing.request(line, 12)
    writing.work()
    writing.desk.set_contract_end(writing.agreements[line], date(2026, 12, 31))

    answer = by_hand.retry(writing.writer(), writing.msp_id, [request], "maria")
    writing.work()

    assert answer["results"][0]["ok"] is True
    assert writing.units(line) == 12
    assert (
        by_hand.retry(writing.writer(), writing.msp_id, [request], "maria")["results"][0]["refusal"]["code"] == "done"
    )


def test_a_target_that_was_reached_by_hand_is_found_equal(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.desk.edit_units(line, 12, TODAY)

    writing.work()

    assert [type(event) for event in writing.told()] == [UnitsFoundEqual]


def test_a_connection_whose_secrets_are_not_meant_for_us_is_stopped_and_told(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    with writing.engine.begin() as connection:
        connection.execute(text("UPDATE setup.connections SET sealed = '{}', version = version + 1"))

    writing.settle(900)

    [failed] = writing.told()
    assert (failed.kind, failed.next_try_at) == ("unauthorised", None)
    assert writing.desk.calls.count() == 0


def _without_cost(wish: Any) -> Any:
    from dataclasses import replace

    return replace(wish, unit_cost=None)
