"""The posting protocol on real PostgreSQL against the sandbox Autotask over HTTP: what is due is posted, once, and told."""

from datetime import date

from domain.events import AdjustmentPosted, UnitsFoundEqual
from domain.money import Money
from tests.psa_writer.writing import TODAY, Writing

AUGUST = date(2026, 8, 1)


def test_nothing_is_posted_when_the_units_are_there_already(writing: Writing) -> None:
    line = writing.add_product(12)
    request = writing.request(line, 12)

    writing.work()

    [found] = writing.told()
    assert isinstance(found, UnitsFoundEqual)
    assert (found.request_id, found.units, found.on_date) == (request, 12, TODAY)
    assert writing.desk.ledger() == []
    assert writing.states() == {request: "done"}


def test_four_become_twelve_today_and_the_event_tells_the_prorated_money(writing: Writing) -> None:
    line = writing.add_product(4)
    request = writing.request(line, 12)

    writing.work()

    [posted] = writing.told()
    assert isinstance(posted, AdjustmentPosted)
    assert (posted.unit_change, posted.units_before, posted.units_after) == (8, 4, 12)
    assert (posted.effective_date, posted.attempt, posted.completes_request) == (TODAY, 1, True)
    [applied] = writing.desk.ledger(line)
    assert posted.prorated_price == Money(applied.proration_price, "USD")
    assert posted.prorated_cost == Money(applied.proration_cost, "USD")
    assert "12" in posted.proof
    assert writing.units(line) == 12
    assert writing.states() == {request: "done"}
    assert writing.desk.oracle() == []


def test_working_again_posts_nothing_more(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.work()

    writing.settle(100)

    assert len(writing.desk.ledger()) == 1
    assert len(writing.told()) == 1


def test_a_decrease_is_posted_for_the_next_period(writing: Writing) -> None:
    line = writing.add_product(10)
    writing.request(line, 8)

    writing.work()

    assert writing.posted() == [(str(line), -2, AUGUST, 1)]
    assert (writing.units(line), writing.units(line, AUGUST)) == (10, 8)


def test_ten_eight_nine_within_one_period_ends_at_nine(writing: Writing) -> None:
    line = writing.add_product(10)
    writing.request(line, 8)
    writing.work()
    writing.request(line, 9)
    writing.work()

    assert writing.units(line) == 10
    assert writing.units(line, date(2026, 8, 2)) == 9
    assert [change for _, change, _, _ in writing.posted()] == [-2, 1]
    assert writing.desk.oracle() == []
