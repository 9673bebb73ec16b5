"""Rows L3, L5 and L8: relations, agreements and counts that change under a post -> none leaves that should not."""

from datetime import date
from typing import Any

import pytest

from domain.events import AdjustmentHeld, AdjustmentParked, AdjustmentPosted
from services.psa_writer import deciding
from services.psa_writer.writer import Writer
from tests.psa_writer.conftest import braked, sandbox, writing
from tests.psa_writer.meddling import meddling, once
from tests.psa_writer.writing import TODAY, Writing

__all__ = ["braked", "sandbox", "writing"]


def meddled(writing: Writing, **happenings: Any) -> Writer:
    writer = writing.writer()
    return Writer(**{**vars(writer), "open_psa": meddling(writer.open_psa, **happenings)})


def test_l3_a_relation_cleared_while_its_post_is_in_flight_posts_nothing_after_it(writing: Writing) -> None:
    # given a post that the PSA is working on when the relation is cleared
    line = writing.add_product(4)
    writing.request(line, 12)

    # when
    writing.work(meddled(writing, before_create=once(lambda: writing.clear(line))))
    writing.request(line, 20)
    writing.settle(400)

    # then the post in flight ended and was told, and the wish that came after it stays unposted
    assert [each.unit_change for each in writing.desk.ledger(line)] == [8]
    assert len(writing.told(AdjustmentPosted)) == 1
    assert sorted(writing.states().values()) == ["done", "superseded"]


def test_l3_a_relation_cleared_between_the_read_and_the_post_stops_the_post(writing: Writing) -> None:
    cleared, kept = writing.add_product(4), writing.add_product(4)
    writing.request_many([(cleared, 12), (kept, 12)])

    writing.work(meddled(writing, after_units=once(lambda: writing.clear(cleared))))
    writing.settle(400)

    assert [each.line_id for each in writing.desk.ledger()] == [kept]


def test_l3_a_request_superseded_between_the_read_and_the_post_is_not_posted(writing: Writing) -> None:
    line = writing.add_product(4)
    first = writing.request(line, 12)

    writing.work(meddled(writing, after_units=once(lambda: writing.request(line, 6))))
    writing.settle(40)

    assert [each.unit_change for each in writing.desk.ledger(line)] == [2]
    assert writing.states()[first] == "superseded"
    assert [event.units_after for event in writing.told(AdjustmentPosted)] == [6]


def test_l3_an_unknown_post_whose_relation_was_cleared_is_decided_and_not_sent_again(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.desk.faults.script("reset", "create", when="before")
    writing.work()
    writing.clear(line)

    writing.settle(400)

    assert writing.desk.ledger(line) == []
    assert writing.intents() == ["not_applied"]
    assert writing.desk.calls.count("create") == 1


def test_l3_a_post_of_a_superseded_request_that_landed_is_told_and_completes_nothing(writing: Writing) -> None:
    line = writing.add_product(4)
    first = writing.request(line, 12)
    writing.desk.faults.script("reset", "create", when="after")
    writing.work()
    second = writing.request(line, 12)

    writing.settle(400)

    [posted] = writing.told(AdjustmentPosted)
    assert (posted.request_id, posted.completes_request) == (first, False)
    assert writing.states() == {first: "superseded", second: "done"}
    assert len(writing.desk.ledger(line)) == 1


def l5(writing: Writing) -> str:
    """What the one request is refused for, after it was tried for an hour; nothing was sent."""
    writing.settle(3600, step=60)
    assert writing.desk.calls.count("create") == 0
    parked = writing.told(AdjustmentParked)
    assert {event.kind for event in parked} == {"preflight"}
    assert len({event.message for event in parked}) == 1
    assert all(event.fix for event in parked)
    return parked[0].message


def test_l5_an_agreement_that_has_ended_is_refused_with_its_day(writing: Writing) -> None:
    line = writing.add_product(4, writing.add_agreement(end=date(2026, 7, 10)))
    writing.request(line, 12)

    assert "ended on 2026-07-10" in l5(writing)


def test_l5_an_agreement_that_has_not_begun_is_refused_and_posts_when_it_begins(writing: Writing) -> None:
    line = writing.add_product(4, writing.add_agreement(start=date(2026, 7, 12)))
    writing.request(line, 12)

    assert "begins on 2026-07-12" in l5(writing)

    writing.wait(86_400)
    writing.settle(300)
    assert [day for _, _, day, _ in writing.posted()] == [date(2026, 7, 12)]


def test_l5_a_product_that_was_taken_off_the_agreement_is_refused(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.desk.remove_line(line)
    writing.request(line, 12)

    assert "no longer in the PSA" in l5(writing)


def test_l5_an_agreement_of_another_kind_is_refused(writing: Writing) -> None:
    agreement = writing.desk.add_contract(
        writing.desk.add_account("Contoso"), date(2026, 1, 1), date(2026, 12, 31), contract_type=1
    )
    line = writing.add_product(4, agreement)
    writing.request(line, 12)

    assert "recurring" in l5(writing)


def test_l5_an_agreement_that_is_switched_off_is_refused_and_posts_when_it_is_on(writing: Writing) -> None:
    agreement = writing.desk.add_contract(
        writing.desk.add_account("Contoso"), date(2026, 1, 1), date(2026, 12, 31), status=0
    )
    line = writing.add_product(4, agreement)
    writing.request(line, 12)
    assert "not active" in l5(writing)

    with writing.desk.installation.lock, writing.desk.database.books.transaction():
        contract = writing.desk.database.engine.contract(agreement)
        writing.desk.database.books.put(type(contract)(**{**_fields(contract), "status": 1}))
    writing.settle(300)
    assert writing.units(line) == 12


def test_l5_a_decrease_that_the_agreement_does_not_live_to_see_is_refused(writing: Writing) -> None:
    line = writing.add_product(9, writing.add_agreement(end=date(2026, 7, 31)))
    writing.request(line, 7)

    assert "2026-07-31" in l5(writing)
    assert writing.units(line, TODAY) == 9


def test_l5_a_user_without_rights_sees_no_units_and_nothing_is_taken_for_zero(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.desk.cut_rights()
    writing.settle(900)
    assert writing.desk.ledger() == []

    writing.desk.give_rights()
    writing.settle(300)
    assert [each.unit_change for each in writing.desk.ledger()] == [8]


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


@pytest.fixture(autouse=True)
def _no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR")


def test_l8_a_target_that_falls_to_0_waits_for_approval_whatever_its_size(braked: Writing) -> None:
    # given
    line = braked.add_product(2)
    request = braked.request(line, 0)

    # when
    braked.settle(86_400, step=3600)

    # then
    [held] = braked.told(AdjustmentHeld)
    assert (held.rule, held.message, braked.desk.ledger()) == ("to_zero", "Falls from 2 units to 0.", [])
    item = {"request_id": request, "target_units": 0, "units_before": 2}
    deciding.approve(braked.writer(), braked.msp_id, [item], "as_planned", "", "o1", "anna")
    braked.work()
    assert [each.unit_change for each in braked.desk.ledger(line)] == [-2]
