"""Orders as hints: looked up when they appear and when they end, kept while they are open."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.poller.choose_reads import LastRead, row_print
from services.poller.follow_orders import Hints, KeptOrder, OrderPlan, follow_orders, hints
from services.poller.known_model import State
from services.poller.sources.port import OrderRow, SubscriptionRow
from tests.poller.seen import NOW, row

DAY = date(2026, 8, 3)


def order(order_id: str, status: str = "completed", company_id: str = "c1", day: date | None = DAY) -> OrderRow:
    return OrderRow(order_id, company_id, status, day)


def company(living: int, moved: int = 0, newest_unmoved: date = DAY) -> dict[str, Hints]:
    return {"c1": Hints(moved, living, newest_unmoved)}


def last(shown: SubscriptionRow, state: State = State.LIVE) -> LastRead:
    return LastRead(shown.subscription_id, shown.company_id, state, NOW, row_print(shown), touched=False)


def kept(order_id: str, *, looked_up: bool = True) -> KeptOrder:
    return KeptOrder(order_id, "c1", looked_up)


def test_orders_that_were_seen_ask_for_nothing() -> None:
    assert follow_orders([order("1")], ["1"], [], set(), company(9)) == OrderPlan((), frozenset(), ())


def test_a_fresh_order_is_looked_up() -> None:
    # when
    plan = follow_orders([order("2"), order("1")], ["1"], [], set(), company(9))

    # then
    assert plan == OrderPlan((kept("2", looked_up=False),), frozenset(), ())


@pytest.mark.parametrize("living", [2, 3])
def test_a_company_is_read_instead_when_that_costs_no_more_than_asking(living: int) -> None:
    # when two fresh orders would cost two calls and one reading at the least
    plan = follow_orders([order("3"), order("2", "processing"), order("1")], ["1"], [], set(), company(living))

    # then its open order is kept all the same
    assert plan == OrderPlan((), frozenset({"c1"}), (kept("2"),))


def test_a_company_with_more_subscriptions_is_asked_for() -> None:
    plan = follow_orders([order("3"), order("2")], [], [], set(), company(4))

    assert plan == OrderPlan((kept("3", looked_up=False), kept("2", looked_up=False)), frozenset(), ())


LONG_AGO = DAY - timedelta(days=2)


def test_orders_that_moved_rows_account_for_need_no_call() -> None:
    # when
    plan = follow_orders([order("3"), order("2", "processing")], [], [], set(), company(9, 2, LONG_AGO))

    # then
    assert plan == OrderPlan((), frozenset(), (kept("2"),))


@pytest.mark.parametrize(
    ("moved", "newest_unmoved", "day"),
    [(1, LONG_AGO, DAY), (2, DAY, DAY), (2, DAY - timedelta(days=1), DAY), (2, date.max, DAY), (2, LONG_AGO, None)],
    ids=[
        "fewer rows moved",
        "modified that day",
        "perhaps that day",
        "a day is not told",
        "the order's day is not told",
    ],
)
def test_orders_are_asked_when_a_change_might_have_left_no_trace(
    moved: int, newest_unmoved: date, day: date | None
) -> None:
    # when
    plan = follow_orders([order("3", day=day), order("2", day=day)], [], [], set(), company(9, moved, newest_unmoved))

    # then
    assert {each.order_id for each in plan.look_up} == {"2", "3"}


def test_the_list_tells_what_moved_and_what_did_not() -> None:
    # given
    shown = [row("new"), row("moved"), row("same", modified_date=LONG_AGO)]
    shown += [row("over", status="removed"), row("untold", company_id="c2", modified_date=None)]
    known = {"moved": last(row("moved", name="before")), "same": last(shown[2]), "untold": last(shown[4])}

    # when
    found = hints(shown, known)

    # then
    assert found == {"c1": Hints(2, 3, LONG_AGO), "c2": Hints(0, 1, date.max)}


def test_an_open_order_is_kept_without_a_call_until_it_leaves_processing() -> None:
    # when
    still = follow_orders([], [], [kept("1")], {"1"}, company(9))
    ended = follow_orders([], [], [kept("1")], {"2"}, company(9))

    # then
    assert still == OrderPlan((), frozenset(), (kept("1"),))
    assert ended == OrderPlan((kept("1"),), frozenset(), ())


def test_an_order_that_could_not_be_looked_up_is_tried_again() -> None:
    assert follow_orders([], [], [kept("1", looked_up=False)], {"1"}, {}).look_up == (kept("1", looked_up=False),)


ORDERS = st.lists(
    st.builds(order, st.integers(0, 20).map(str), st.sampled_from(["completed", "processing", "submitted", "error"])),
    max_size=10,
    unique_by=lambda each: each.order_id,
)


@given(
    ORDERS,
    st.sets(st.integers(0, 20).map(str)),
    st.sets(st.integers(0, 20).map(str)),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_no_order_is_forgotten_before_it_was_followed_up(
    newest: list[OrderRow], seen: set[str], processing: set[str], subscriptions: int, moved: int
) -> None:
    # given
    open_before = [kept("5"), kept("6", looked_up=False)]

    # when
    plan = follow_orders(newest, seen, open_before, processing, company(subscriptions, moved))

    # then
    asked = {each.order_id for each in plan.look_up}
    keeps = {each.order_id for each in plan.keep}
    assert not asked & keeps
    assert {"5", "6"} <= asked | keeps
    fresh = {each.order_id for each in newest} - seen - {"5", "6"}
    assert fresh <= asked or "c1" in plan.touch or moved >= len(fresh)
    assert {each.order_id for each in newest if each.open} & fresh <= asked | keeps
