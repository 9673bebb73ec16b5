"""Orders as hints, polled from the sandbox: a change that no list row tells is found by its order, at its end too."""

from datetime import timedelta

import pytest

from deploy.sandbox.odin import OdinAccount
from tests.poller.desk import Desk

EXAMPLE = ("1000823", "100234")


@pytest.fixture
def quiet(desk: Desk, odin: OdinAccount) -> Desk:
    """A marketplace whose lastModifiedDate does not move when a count changes."""
    odin.switch(changes_move_last_modified=False)
    desk.completed()
    desk.news()
    return desk


def test_a_change_that_the_list_does_not_show_is_found_by_its_order(quiet: Desk, odin: OdinAccount) -> None:
    # given
    odin.set_count(*EXAMPLE, 12)

    # when
    ended = quiet.completed()

    # then
    assert [event.count for event in quiet.news()] == [12]
    assert ended.subscriptions_read <= 3


def test_an_order_that_completes_months_later_is_followed_to_its_end(quiet: Desk, odin: OdinAccount) -> None:
    # given a decrease that waits for its day, seen while it is processing
    odin.order_change(*EXAMPLE, -3, completes_in=90 * 86400)
    quiet.completed()
    assert quiet.news() == []
    odin.forget_calls()
    quiet.completed()
    calls_while_open = [f"{call.path}?{call.query}" for call in odin.calls if "orders" in call.path]

    # when
    odin.sandbox.clock.advance(timedelta(days=91))
    quiet.later(days=91)
    odin.switch(renewals_swap_ids=False)
    quiet.completed()

    # then one list call a cycle followed it, and its end was told
    assert len(calls_while_open) == 2
    assert "status=processing" in calls_while_open[1]
    assert [event.count for event in quiet.news("ResourceCountChanged")] == [5]
    odin.forget_calls()
    quiet.completed()
    assert [call.query for call in odin.calls if "processing" in call.query] == []


def test_an_order_open_before_the_first_poll_is_followed_too(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.switch(changes_move_last_modified=False)
    odin.order_change(*EXAMPLE, 4, completes_in=3600)
    desk.completed()
    desk.news()

    # when
    odin.sandbox.clock.advance(timedelta(hours=2))
    desk.completed()

    # then
    assert [event.count for event in desk.news()] == [12]


def test_an_order_that_cannot_be_looked_up_is_not_forgotten(quiet: Desk, odin: OdinAccount) -> None:
    # given more subscriptions than orders, so that the order itself must be asked
    for number in range(3):
        odin.add_subscription(odin.subscription(EXAMPLE[0]).company_id, f"Empty {number}")
    quiet.completed()
    quiet.news()
    odin.set_count(*EXAMPLE, 12)
    odin.faults.script("truncated_json", "/orders/", calls=1)

    # when
    first = quiet.completed()
    second = quiet.completed()

    # then
    assert (first.complete, second.complete) == (False, True)
    assert [event.count for event in quiet.news()] == [12]
