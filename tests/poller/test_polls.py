"""A whole poll against the sandbox marketplace: what is found, once, and what is not taken for found."""

from decimal import Decimal

from sqlalchemy import text

from deploy.sandbox.odin import OdinAccount
from domain.events import (
    CallsCounted,
    CompanyObserved,
    PollCompleted,
    ResourceCountChanged,
    ResourceDiscovered,
    SubscriptionObserved,
)
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


def test_what_the_budget_leaves_over_is_put_off_told_and_read_next_time(
    desk: Desk, odin: OdinAccount, database: str
) -> None:
    # given room for the lists and two whole reads in a minute
    desk.set_up(calls_per_minute=8)
    living = [s for s in odin.subscriptions if s.status not in ("removed", "terminated")]

    # when
    first = desk.poll(seconds=5)
    read = {event.subscription_id for event in desk.news("SubscriptionObserved")}

    # then
    assert isinstance(first, PollCompleted)
    assert (first.subscriptions_read, first.subscriptions_put_off) == (2, len(living) - 2)
    assert len(odin.calls) == 8

    # when more minutes have gone by
    for _ in range(4):
        desk.later(minutes=3)
        desk.poll(seconds=5)

    # then each was read, once
    told = [event.subscription_id for event in desk.news("SubscriptionObserved")]
    assert sorted([*told, *read]) == sorted(s.subscription_id for s in living)


def test_no_read_is_older_than_the_set_age_although_nothing_hints_at_it(desk: Desk, odin: OdinAccount) -> None:
    # given a change without an order and without a new lastModifiedDate
    odin.switch(changes_move_last_modified=False)
    desk.completed()
    desk.news()
    odin.set_count(*EXAMPLE, 12, silent=True)

    # when
    desk.later(hours=23)
    early = desk.completed()
    desk.later(hours=1)
    desk.completed()

    # then
    assert early.subscriptions_read == 0
    assert [event.count for event in desk.news("ResourceCountChanged")] == [12]


def test_only_the_subscription_that_the_connection_names_is_polled(desk: Desk, odin: OdinAccount) -> None:
    # given
    desk.completed()
    desk.news()
    desk.set_up(subscription=EXAMPLE[0])
    odin.set_count(*EXAMPLE, 12)
    other = next(s for s in odin.subscriptions if s.subscription_id != EXAMPLE[0] and s.resources)
    odin.set_count(other.subscription_id, other.resources[0].product_id, 77)

    # when
    for _ in range(3):
        desk.completed()

    # then
    assert [event.count for event in desk.news()] == [12]


def test_every_call_is_a_get_but_the_one_for_a_token_and_is_counted_by_endpoint(desk: Desk, odin: OdinAccount) -> None:
    # when
    ended = desk.completed()

    # then
    assert {call.path for call in odin.calls if call.method != "GET"} == {"/token"}
    [counted] = desk.news(CallsCounted.type)
    noted = {each.endpoint: each.calls for each in counted.endpoints}
    assert ended.calls == len(odin.calls) == sum(noted.values())
    assert set(noted) == {"/token", "/customers", "/subscriptions", "/orders", "/subscriptions/{id}"}


def test_whoever_watches_sees_how_many_reads_a_poll_chose_and_has_done(desk: Desk, odin: OdinAccount) -> None:
    def progress() -> tuple[int, int]:
        with desk.engine.connect() as connection:
            return tuple(connection.execute(text("SELECT reads_chosen, reads_done FROM poller.connections")).one())

    first = desk.completed()
    assert progress() == (first.subscriptions_read, first.subscriptions_read)

    desk.completed()
    assert progress() == (0, 0)
