"""What was not billed, and billed too much, is told as it stood at the end of each day in the MSP's time zone."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text

from domain.events import Event
from domain.keys import MspId
from domain.money import Money
from plumbing.row_security import of_msp
from services.reporting.queries import REPORTS, Question, leak_trend, read_page
from tests.msps import add_msp
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
A, B, P, Q = h.odin("a"), h.odin("b", subscription="2"), h.psa("p"), h.psa("q")
TODAY = date(2026, 3, 10)


def on(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def told(engine: Engine, msp_id: MspId, at: datetime, *happened: Event) -> None:
    h.append(engine, msp_id, list(happened), occurred_at=at)


def trend(
    engine: Engine, msp_id: MspId, side: str, zone: str = "UTC", psa: list[str] | None = None
) -> dict[int, list[str]]:
    """The days of March on which money leaked, each with the money in words."""
    h.project(engine, msp_id)
    with of_msp(engine, msp_id).begin() as connection:
        connection.execute(text("SET LOCAL ROLE trueup_gateway"))
        found = leak_trend(connection, msp_id, zone, TODAY, 10, psa)
    assert [each["date"].day for each in found] == list(range(1, 11))
    return {each["date"].day: [_words(money) for money in each[side]] for each in found if each[side]}


def _words(money: dict[str, Any]) -> str:
    return f"{money['amount']:.2f} {money['currency']}"


def test_an_msp_without_anything_leaks_nothing(engine: Engine, msp_id: MspId) -> None:
    assert trend(engine, msp_id, "not_billed") == {}
    assert trend(engine, msp_id, "over_billed") == {}


def test_what_is_bought_and_not_linked_leaks_from_its_day_until_the_day_it_is_linked(
    engine: Engine, msp_id: MspId
) -> None:
    told(engine, msp_id, on(2), h.subscription(A), h.discovered(A, "4"))
    told(engine, msp_id, on(5), h.counted(A, "4", "6"))
    told(engine, msp_id, on(8), h.linked(A, P))

    assert trend(engine, msp_id, "not_billed") == (
        {day: ["16.00 USD"] for day in (2, 3, 4)} | {day: ["24.00 USD"] for day in (5, 6, 7)}
    )


def test_what_was_found_before_the_first_day_counts_from_it_and_what_ended_counts_no_more(
    engine: Engine, msp_id: MspId
) -> None:
    told(engine, msp_id, datetime(2026, 1, 1, tzinfo=UTC), h.subscription(A), h.discovered(A, "1"))
    told(engine, msp_id, on(3), h.disappeared(A))

    assert trend(engine, msp_id, "not_billed") == {1: ["4.00 USD"], 2: ["4.00 USD"]}


def test_what_changes_and_changes_back_within_a_day_leaves_no_trace(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, on(9), h.subscription(A), h.discovered(A, "1"))
    told(engine, msp_id, on(9, 13), h.counted(A, "1", "100"))
    told(engine, msp_id, on(9, 14), h.counted(A, "100", "1"))

    assert trend(engine, msp_id, "not_billed") == {9: ["4.00 USD"], 10: ["4.00 USD"]}


def test_a_day_ends_at_midnight_of_the_msps_time_zone(engine: Engine) -> None:
    msp_id = add_msp(engine, "west", time_zone="America/Los_Angeles")
    told(engine, msp_id, on(9, 6), h.subscription(A), h.discovered(A, "1"))

    assert list(trend(engine, msp_id, "not_billed", "America/Los_Angeles")) == [8, 9, 10]


def test_currencies_stand_apart_and_a_yearly_price_is_brought_to_a_month(engine: Engine, msp_id: MspId) -> None:
    told(
        engine,
        msp_id,
        on(10),
        h.subscription(A, period="1 year"),
        h.subscription(B),
        h.discovered(A, "3"),
        h.discovered(B, "2", unit_price=Money(Decimal("1.50"), "EUR")),
    )

    assert trend(engine, msp_id, "not_billed") == {10: ["3.00 EUR", "1.00 USD"]}


def test_the_trend_ends_where_the_report_stands_now(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, on(4), h.subscription(A), h.subscription(B), h.discovered(A, "7"), h.discovered(B, None))
    told(engine, msp_id, on(6), h.costed(A, "3.4", "4.321"), h.discovered(B, "1"), h.linked(B, P))

    last = trend(engine, msp_id, "not_billed")[10]
    with engine.connect() as connection:
        totals = read_page(connection, REPORTS["unlinked"], msp_id, Question()).totals
    assert last == [f"{Decimal(each['amount']):.2f} {each['currency']}" for each in totals["price_per_month"]]


def test_units_above_those_we_left_are_billed_too_much_until_they_are_read_level_again(
    engine: Engine, msp_id: MspId
) -> None:
    told(engine, msp_id, on(1), h.product(P), h.linked(A, P), h.posted(A, P, "q1", 8), h.units(P, 12))
    told(engine, msp_id, on(3), h.units(P, 15))
    told(engine, msp_id, on(5), h.units(P, 13))
    told(engine, msp_id, on(8), h.units(P, 12))

    assert trend(engine, msp_id, "over_billed") == (
        {day: ["15.00 USD"] for day in (3, 4)} | {day: ["5.00 USD"] for day in (5, 6, 7)}
    )


def test_a_post_of_ours_ends_what_was_billed_too_much(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, on(1), h.product(P), h.linked(A, P), h.posted(A, P, "q1", 8), h.units(P, 15))
    told(engine, msp_id, on(4), h.posted(A, P, "q2", -3, units_before=15, effective_date=date(2026, 3, 4)))

    assert list(trend(engine, msp_id, "over_billed")) == [1, 2, 3]


def test_a_decrease_that_is_scheduled_is_no_excess_before_its_day(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, on(1), h.product(P), h.linked(A, P), h.posted(A, P, "q1", 8))
    later = date(2026, 3, 6)
    told(engine, msp_id, on(2), h.posted(A, P, "q2", -4, units_before=12, units_after=8, effective_date=later))
    told(engine, msp_id, on(3), h.units(P, 12, date(2026, 3, 3)))
    told(engine, msp_id, on(7), h.units(P, 12, date(2026, 3, 7)))

    assert trend(engine, msp_id, "over_billed") == {day: ["20.00 USD"] for day in (7, 8, 9, 10)}


def test_fewer_units_than_we_left_and_products_that_are_not_ours_are_not_billed_too_much(
    engine: Engine, msp_id: MspId
) -> None:
    told(engine, msp_id, on(1), h.product(P), h.product(Q), h.linked(A, P), h.posted(A, P, "q1", 8), h.units(P, 9))
    told(engine, msp_id, on(2), h.units(Q, 40))

    assert trend(engine, msp_id, "over_billed") == {}


def test_what_is_not_linked_any_more_is_not_billed_too_much_by_us(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, on(1), h.product(P), h.linked(A, P), h.posted(A, P, "q1", 8), h.units(P, 15))
    assert trend(engine, msp_id, "over_billed", psa=["autotask"])
    assert trend(engine, msp_id, "over_billed", psa=["another"]) == {}

    told(engine, msp_id, on(2), h.cleared(A, P))
    assert trend(engine, msp_id, "over_billed") == {}
