"""A whole poll against the sandbox marketplace: what is found, once, and what is not taken for found."""

from decimal import Decimal

from deploy.sandbox.odin import OdinAccount
from domain.events import CompanyObserved, ResourceCountChanged, ResourceDiscovered, SubscriptionObserved
from tests.poller.desk import Desk

EXAMPLE = ("1000823", "100234")


def test_the_first_poll_finds_every_company_and_every_living_subscription(desk: Desk, odin: OdinAccount) -> None:
    # when
    ended = desk.completed()

    # then
    news = desk.news()
    assert ended.complete
    assert {e.company_id for e in news if isinstance(e, CompanyObserved)} == {c.company_id for c in odin.companies}
    living = [s for s in odin.subscriptions if s.status not in ("removed", "terminated")]
    observed = [e.subscription_id for e in news if isinstance(e, SubscriptionObserved)]
    assert sorted(observed) == sorted(s.subscription_id for s in living)
    found = {(e.subscription_id, e.resource_id): e.count for e in news if isinstance(e, ResourceDiscovered)}
    assert found == {(s.subscription_id, r.product_id): r.count for s in living for r in s.resources}


def test_a_poll_of_an_unchanged_marketplace_finds_nothing_and_reads_only_lists(desk: Desk, odin: OdinAccount) -> None:
    # given
    desk.completed()
    desk.news()
    odin.forget_calls()

    # when
    ended = desk.completed()

    # then
    assert (ended.changes, ended.subscriptions_read) == (0, 0)
    assert desk.news() == []
    assert [call.path for call in odin.calls] == ["/token", "/subscriptions", "/orders"]


def test_a_count_that_rises_from_8_to_12_is_one_event_with_both_counts(desk: Desk, odin: OdinAccount) -> None:
    # given
    desk.completed()
    desk.news()

    # when
    odin.set_count(*EXAMPLE, 12)
    ended = desk.completed()

    # then
    (event,) = desk.news()
    assert isinstance(event, ResourceCountChanged)
    assert (event.previous_count, event.count) == (Decimal(8), Decimal(12))
    assert (ended.changes, ended.subscriptions_read) == (1, 1)
