"""Orders as hints: looked up when they appear and when they end, kept while they are open."""

from hypothesis import given
from hypothesis import strategies as st

from services.poller.follow_orders import KeptOrder, OrderPlan, follow_orders
from services.poller.sources.port import OrderRow


def order(order_id: str, status: str = "completed", company_id: str = "c1") -> OrderRow:
    return OrderRow(order_id, company_id, status)


def kept(order_id: str, *, looked_up: bool = True) -> KeptOrder:
    return KeptOrder(order_id, "c1", looked_up)


def test_orders_that_were_seen_ask_for_nothing() -> None:
    assert follow_orders([order("1")], ["1"], [], set(), {"c1": 9}) == OrderPlan((), frozenset(), ())


def test_a_fresh_order_is_looked_up() -> None:
    # when
    plan = follow_orders([order("2"), order("1")], ["1"], [], set(), {"c1": 9})

    # then
    assert plan == OrderPlan((kept("2", looked_up=False),), frozenset(), ())


def test_a_company_with_no_more_subscriptions_than_orders_is_read_instead() -> None:
    # when
    plan = follow_orders([order("3"), order("2", "processing"), order("1")], ["1"], [], set(), {"c1": 2})

    # then its open order is kept all the same
    assert plan == OrderPlan((), frozenset({"c1"}), (kept("2"),))


def test_an_open_order_is_kept_without_a_call_until_it_leaves_processing() -> None:
    # when
    still = follow_orders([], [], [kept("1")], {"1"}, {"c1": 9})
    ended = follow_orders([], [], [kept("1")], {"2"}, {"c1": 9})

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


@given(ORDERS, st.sets(st.integers(0, 20).map(str)), st.sets(st.integers(0, 20).map(str)), st.integers(0, 5))
def test_no_order_is_forgotten_before_it_was_followed_up(
    newest: list[OrderRow], seen: set[str], processing: set[str], subscriptions: int
) -> None:
    # given
    open_before = [kept("5"), kept("6", looked_up=False)]

    # when
    plan = follow_orders(newest, seen, open_before, processing, {"c1": subscriptions})

    # then
    asked = {each.order_id for each in plan.look_up}
    keeps = {each.order_id for each in plan.keep}
    assert not asked & keeps
    assert {"5", "6"} <= asked | keeps
    fresh = {each.order_id for each in newest} - seen - {"5", "6"}
    assert fresh <= asked or "c1" in plan.touch
    assert {each.order_id for each in newest if each.open} & fresh <= asked | keeps
