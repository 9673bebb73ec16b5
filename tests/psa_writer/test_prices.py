"""Prices go the way of costs: with the units or alone, read back and compared; and nothing leaves for what is frozen."""

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.events import AdjustmentParked, AdjustmentPosted, PsaProductObserved
from domain.money import Money
from services.psa_writer.writer import Writer
from tests.psa_writer.meddling import meddling, once
from tests.psa_writer.writing import TODAY, Writing, save_connection


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def test_a_price_alone_is_posted_and_read_back(writing: Writing) -> None:
    line = writing.add_product(5)
    writing.request(line, 5, price="11.1250")

    writing.work()

    [posted] = writing.told()
    assert isinstance(posted, AdjustmentPosted)
    assert (posted.unit_change, posted.unit_price_before, posted.unit_price_after) == (0, usd("10.00"), usd("11.1250"))
    assert (posted.unit_cost_before, posted.unit_cost_after) == (usd("3.40"), usd("3.40"))
    [applied] = writing.desk.ledger(line)
    assert posted.prorated_price == usd(str(applied.proration_price))
    assert writing.desk.unit_price(line) == Decimal("11.1250")
    assert [event.unit_price for event in writing.told(PsaProductObserved)][-1:] == [usd("11.1250")]


def test_a_price_and_a_cost_go_with_the_units_in_one_adjustment(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12, cost="4.00", price="12.50")

    writing.work()

    [applied] = writing.desk.ledger(line)
    assert (applied.unit_change, applied.unit_cost, applied.unit_price) == (8, Decimal("4.00"), Decimal("12.50"))
    [posted] = writing.told()
    assert (posted.unit_cost_after, posted.unit_price_after) == (usd("4.00"), usd("12.50"))
    assert (posted.prorated_cost, posted.prorated_price) == (
        usd(str(applied.proration_cost)),
        usd(str(applied.proration_price)),
    )


@pytest.mark.parametrize("price", ["10.00", "10.00004", None], ids=["same", "same at four places", "left alone"])
def test_a_price_that_is_there_already_is_not_posted(writing: Writing, price: str | None) -> None:
    line = writing.add_product(5)
    writing.request(line, 5, price=price)

    writing.work()

    assert [event.type for event in writing.told()] == ["UnitsFoundEqual"]
    assert writing.desk.ledger(line) == []


def test_a_price_that_the_psa_silently_kept_is_told_and_not_sent_for_ever(writing: Writing, monkeypatch) -> None:
    engine = writing.desk.database.engine
    adjust = engine.adjust
    monkeypatch.setattr(engine, "adjust", lambda wish, origin: adjust(replace(wish, unit_price=None), origin))
    line = writing.add_product(5)
    writing.request(line, 8, price="12.00")

    writing.settle(900)

    [posted] = writing.told()
    assert (posted.unit_change, posted.unit_price_after) == (3, usd("10.00"))
    assert "kept its unit price of 10" in posted.proof


def test_a_price_in_another_currency_waits_for_a_person_before_the_post(writing: Writing) -> None:
    save_connection(writing.engine, writing.msp_id, writing.desk, currency="EUR")
    line = writing.add_product(5)
    writing.request(line, 8, price="12.00")

    writing.work()

    [parked] = writing.told()
    assert isinstance(parked, AdjustmentParked)
    assert "price is in USD" in parked.message
    assert writing.desk.ledger(line) == []


def test_a_price_whose_outcome_is_unknown_is_decided_by_reading_it_back(writing: Writing) -> None:
    writing.desk.faults.script("reset", "create", when="after")
    line = writing.add_product(5)
    writing.request(line, 5, price="12.00")

    writing.settle(900)

    assert [event.unit_price_after for event in writing.told(AdjustmentPosted)] == [usd("12.00")]
    assert len(writing.desk.ledger(line)) == 1


def test_nothing_leaves_for_a_frozen_relation_and_it_goes_out_when_unfrozen(writing: Writing) -> None:
    # given
    line = writing.add_product(4)
    request = writing.request(line, 12)
    writing.freeze(line)

    # when
    writing.settle(200)

    # then: the reconciler would take it back; until then it stays open
    assert (writing.told(), writing.states(), writing.units(line)) == ([], {request: "planned"}, 4)

    # and when
    writing.unfreeze(line)
    writing.work()

    # then
    assert writing.units(line) == 12


def test_what_is_frozen_while_the_writer_reads_does_not_leave_any_more(writing: Writing) -> None:
    line = writing.add_product(4)
    request = writing.request(line, 12)

    writer = writing.writer()
    frozen_meanwhile = meddling(writer.open_psa, after_units=once(lambda: writing.freeze(line)))

    writing.work(Writer(**{**vars(writer), "open_psa": frozen_meanwhile}))

    assert (writing.told(), writing.states(), writing.units(line, TODAY)) == ([], {request: "planned"}, 4)
