"""Drift: ODIN's count, the units that we left and those that the PSA shows, each case by example; then the whole over chance."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from sqlalchemy import Engine

from domain.events import Event
from domain.keys import MspId
from services.reporting.queries import REPORTS, Question, read_page
from tests.reporting import history as h
from tests.reporting.test_projections import HISTORIES, fresh_msp, many

pytestmark = pytest.mark.postgres
A, B = h.odin("a"), h.odin("b", subscription="2")
P, Q = h.psa("p"), h.psa("q")
TODAY, NEXT_PERIOD = date(2026, 3, 1), date(2026, 4, 1)


def told(engine: Engine, msp_id: MspId, *happened: Event) -> dict[str, Any]:
    """The row of the only product after the events."""
    h.append(engine, msp_id, happened)
    h.project(engine, msp_id)
    (row,) = rows(engine, "drift", msp_id)
    return row


def rows(engine: Engine, report: str, msp_id: MspId, **question: Any) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return read_page(connection, REPORTS[report], msp_id, Question(**question)).rows


def linked_at_12() -> list[Event]:
    """12 counted, 8 posted on top of 4, read back."""
    return [
        h.discovered(A, "12"),
        h.product(P),
        h.units(P, 4),
        h.linked(A, P),
        h.requested(A, P, "q1"),
        h.posted(A, P, "q1", 8),
        h.units(P, 12),
    ]


def three(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["count"], row["ledger_units"], row["psa_units"], row["difference"], row["kind"]


def test_three_that_agree_are_equal_and_are_shown_to_who_asks_for_them(engine: Engine, msp_id: MspId) -> None:
    row = told(engine, msp_id, *linked_at_12())

    assert three(row) == (12, 12, 12, 0, "equal")
    assert (row["since"], row["request_id"]) == (None, None)
    drifted = ["count_ahead", "scheduled", "edited_by_hand", "both", "probable_double_post", "not_read"]
    assert rows(engine, "drift", msp_id, filter={"kind": {"in": drifted}}) == []


def test_a_product_that_nobody_feeds_is_not_compared(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [*linked_at_12(), h.cleared(A, P)])
    h.project(engine, msp_id)

    assert rows(engine, "drift", msp_id) == []


def test_units_that_someone_edited_are_told_with_since_when_and_how_much(engine: Engine, msp_id: MspId) -> None:
    row = told(engine, msp_id, *linked_at_12(), h.units(P, 13))

    assert three(row) == (12, 12, 13, 1, "edited_by_hand")
    assert row["since"] == row["psa_read_at"] == h.BEGAN + timedelta(minutes=8)
    assert row["money_per_month"] == {"amount": Decimal("5.00"), "currency": "USD"}


def test_units_that_a_person_adopted_are_our_own_until_the_count_moves_or_someone_edits_again(
    engine: Engine, msp_id: MspId
) -> None:
    done = h.requested(A, P, "q2", 13)
    row = told(engine, msp_id, *linked_at_12(), h.units(P, 13), h.adopted(P, 13))
    assert three(row) == (12, 13, 13, 1, "adopted")
    assert row["since"] == h.BEGAN + timedelta(minutes=9)

    assert three(told(engine, msp_id, h.units(P, 15))) == (12, 13, 15, 3, "both")
    assert three(told(engine, msp_id, h.units(P, 13), h.counted(A, "12", "14"), done)) == (
        14,
        13,
        13,
        -1,
        "count_ahead",
    )


def test_an_edit_before_the_day_of_our_only_post_is_an_edit(engine: Engine, msp_id: MspId) -> None:
    # given a fall that counts from the next period on, posted on top of what was read
    scheduled = h.posted(A, P, "q1", -4, units_before=12, units_after=8, effective_date=NEXT_PERIOD)
    given = [h.discovered(A, "8"), h.product(P), h.units(P, 12), h.linked(A, P), h.requested(A, P, "q1", 8), scheduled]
    assert three(told(engine, msp_id, *given)) == (8, 12, 12, 4, "scheduled")

    # when, then
    assert three(told(engine, msp_id, h.units(P, 10))) == (8, 12, 10, 2, "edited_by_hand")
    assert three(told(engine, msp_id, h.units(P, 12))) == (8, 12, 12, 4, "scheduled")


def test_an_edit_back_to_what_was_read_long_ago_is_an_edit_as_well(engine: Engine, msp_id: MspId) -> None:
    assert three(told(engine, msp_id, *linked_at_12(), h.units(P, 11))) == (12, 12, 11, -1, "edited_by_hand")


def test_a_post_is_a_reading_until_the_next_one(engine: Engine, msp_id: MspId) -> None:
    row = told(engine, msp_id, *linked_at_12()[:-1])

    assert three(row) == (12, 12, 12, 0, "equal")


@pytest.mark.parametrize(
    ("happened", "state", "kind"),
    [
        ([], "open", None),
        ([h.failed(A, P, "q2")], "open", "unreachable"),
        ([h.parked(A, P, "q2")], "parked", "rejected"),
        ([h.held(A, P, "q2")], "held", None),
        ([h.held(A, P, "q2"), h.declined(A, P, "q2")], "refused", None),
        ([h.failed(A, P, "q2"), h.dropped(A, P, "q2")], "dropped", None),
    ],
    ids=["open", "failed", "parked", "held", "refused", "dropped"],
)
def test_a_count_that_is_ahead_names_the_request_that_will_level_it(
    engine: Engine, msp_id: MspId, happened: list[Event], state: str, kind: str | None
) -> None:
    row = told(engine, msp_id, *linked_at_12(), h.counted(A, "12", "20"), h.requested(A, P, "q2", 20), *happened)

    assert three(row) == (20, 12, 12, -8, "count_ahead")
    assert (row["request_id"], row["request_state"], row["failure_kind"]) == ("q2", state, kind)
    assert row["since"] == h.BEGAN + timedelta(minutes=9)
    assert row["money_per_month"] == {"amount": Decimal("-40.00"), "currency": "USD"}


def test_both_at_once_are_told_as_both_since_the_first_of_them(engine: Engine, msp_id: MspId) -> None:
    ahead = (h.counted(A, "12", "20"), h.requested(A, P, "q2", 20))

    row = told(engine, msp_id, *linked_at_12(), h.units(P, 13), *ahead)

    assert three(row) == (20, 12, 13, -7, "both")
    assert row["since"] == h.BEGAN + timedelta(minutes=8)


def test_off_by_exactly_one_of_our_changes_is_probably_a_double_post(engine: Engine, msp_id: MspId) -> None:
    assert three(told(engine, msp_id, *linked_at_12(), h.units(P, 20))) == (12, 12, 20, 8, "probable_double_post")


def test_a_change_for_a_later_day_is_scheduled_and_no_edit(engine: Engine, msp_id: MspId) -> None:
    fewer = h.posted(A, P, "q2", -4, effective_date=NEXT_PERIOD, units_before=12, units_after=8)

    row = told(engine, msp_id, *linked_at_12(), h.counted(A, "12", "8"), h.requested(A, P, "q2", 8), fewer)
    assert three(row) == (8, 12, 12, 4, "scheduled")
    assert (row["settled_units"], row["since"]) == (8, h.BEGAN + timedelta(minutes=10))

    # on the day the PSA shows it, and all agree
    assert three(told(engine, msp_id, h.units(P, 8, NEXT_PERIOD))) == (8, 8, 8, 0, "equal")


def test_a_rise_while_a_fall_is_scheduled_comes_on_top_of_both(engine: Engine, msp_id: MspId) -> None:
    fewer = h.posted(A, P, "q2", -4, effective_date=NEXT_PERIOD, units_before=12, units_after=8)
    level = h.posted(A, P, "q3", 6, effective_date=NEXT_PERIOD, units_before=8, units_after=14, completes=False)
    more = h.posted(A, P, "q3", 2, effective_date=TODAY, units_before=12, units_after=14)
    counted = (h.counted(A, "12", "8"), fewer, h.counted(A, "8", "16"), level, more)

    row = told(engine, msp_id, *linked_at_12(), *counted, h.units(P, 14))

    # 14 today; from the next period 8, and 6 and 2 on top
    assert (row["ledger_units"], row["settled_units"], row["kind"]) == (14, 16, "scheduled")
    assert three(told(engine, msp_id, h.units(P, 16, NEXT_PERIOD))) == (16, 16, 16, 0, "equal")


def test_a_post_after_an_edit_takes_the_units_as_they_were_found(engine: Engine, msp_id: MspId) -> None:
    edited = (h.units(P, 13), h.counted(A, "12", "20"), h.requested(A, P, "q2", 20))

    row = told(engine, msp_id, *linked_at_12(), *edited, h.posted(A, P, "q2", 7, units_before=13, units_after=20))

    assert three(row) == (20, 20, 20, 0, "equal")


@pytest.mark.parametrize(
    "happened",
    [[h.counted(A, "12", None)], [h.gone("product", "p")], [h.catalogue_failed()]],
    ids=["no count", "gone", "the PSA cannot be read"],
)
def test_what_is_not_known_now_is_never_shown_as_equal(engine: Engine, msp_id: MspId, happened: list[Event]) -> None:
    assert told(engine, msp_id, *linked_at_12(), *happened)["kind"] == "not_read"


def test_the_psa_read_again_makes_the_sides_known_again(engine: Engine, msp_id: MspId) -> None:
    failing = told(engine, msp_id, *linked_at_12(), h.catalogue_failed())

    assert failing["since"] == h.BEGAN + timedelta(minutes=8)
    assert told(engine, msp_id, h.catalogue_read())["kind"] == "equal"


def test_units_that_were_never_read_are_null_and_not_0(engine: Engine, msp_id: MspId) -> None:
    row = told(engine, msp_id, h.discovered(A, "0"), h.linked(A, P))

    assert three(row) == (0, None, None, None, "not_read")
    assert row["money_per_month"] is None


def test_the_counts_of_all_that_feed_a_product_are_summed(engine: Engine, msp_id: MspId) -> None:
    row = told(engine, msp_id, *linked_at_12(), h.discovered(B, "3"), h.linked(B, P, "r2"))

    assert (row["count"], row["resources"], row["difference"]) == (15, 2, -3)
    assert (row["company_name"], row["resource_name"]) == ("Company 1200000501", None)


def test_money_for_a_longer_period_is_brought_to_a_month(engine: Engine, msp_id: MspId) -> None:
    import dataclasses

    yearly = dataclasses.replace(h.product(P, "60.00"), period_type="yearly")

    row = told(engine, msp_id, *linked_at_12(), yearly, h.units(P, 13))

    assert row["money_per_month"] == {"amount": Decimal("5.00"), "currency": "USD"}


def test_a_change_that_is_parked_is_open_again_when_it_is_let_go(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, *linked_at_12(), h.requested(A, P, "q2", 20), h.parked(A, P, "q2"))
    told(engine, msp_id, h.let_go(A, P, "q2"))

    (failure,) = rows(engine, "failures", msp_id)
    assert (failure["state"], failure["attempts"], failure["next_try_at"]) == (
        "open",
        1,
        h.BEGAN + timedelta(minutes=10),
    )


def test_what_is_parked_again_after_it_was_let_go_waits_again(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, *linked_at_12(), h.parked(A, P, "q2"), h.let_go(A, P, "q2", released=False))
    told(engine, msp_id, h.parked(A, P, "q2"))

    assert [(row["state"], row["attempts"]) for row in rows(engine, "failures", msp_id)] == [("parked", 2)]


def test_a_release_told_of_what_never_failed_is_no_failure(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, *linked_at_12(), h.requested(A, P, "q2"), h.let_go(A, P, "q2"))

    assert rows(engine, "failures", msp_id) == []


def test_the_ledger_tells_each_word_on_the_units_of_a_product(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, *linked_at_12(), h.equal(A, P, "q2"))

    found = [(r["kind"], r["units"], r["unit_change"], r["request_id"]) for r in rows(engine, "ledger", msp_id)]
    assert found == [
        ("found_equal", 12, None, "q2"),
        ("read", 12, None, None),
        ("posted", 12, 8, "q1"),
        ("read", 4, None, None),
    ]


@many
@given(happened=HISTORIES)
def test_whatever_happened_no_row_says_equal_that_is_not_and_each_product_has_one(
    engine: Engine, happened: list[Event]
) -> None:
    msp_id = fresh_msp(engine)
    h.append(engine, msp_id, happened)
    h.project(engine, msp_id)

    found = rows(engine, "drift", msp_id)
    products = {row["psa_product_id"] for row in h.rows(engine, "resources", msp_id) if row["relation_id"]}
    assert sorted(row["psa_product_id"] for row in found) == sorted(products)
    for row in found:
        assert (row["kind"] == "equal") <= (row["count"] == row["psa_units"] is not None)
        assert (row["difference"] is None) <= (row["kind"] == "not_read")
        assert (
            row["kind"] in ("equal", "not_read")
            or row["difference"] != 0
            or row["ledger_units"] != row["psa_units"]
            or (row["settled_units"] != row["count"])
        )
