"""Renewals that swap the subscription id, polled from the sandbox: followed in one append, never through zero."""

from deploy.sandbox.odin import OdinAccount
from domain.events import (
    ResourceDisappeared,
    ResourceDiscovered,
    SubscriptionObserved,
    SubscriptionRenewalUnclear,
    SubscriptionRenewed,
)
from plumbing import event_log
from tests.poller.desk import Desk

OLD, PRODUCT = "1000823", "100234"


def polled(desk: Desk) -> Desk:
    desk.completed()
    desk.news()
    return desk


def test_a_renewal_that_swaps_the_id_is_one_append_of_discovery_and_renewal(desk: Desk, odin: OdinAccount) -> None:
    # given
    polled(desk)
    new = odin.renew(OLD)

    # when
    desk.completed()

    # then
    discovered, renewed = desk.news("ResourceDiscovered", "SubscriptionRenewed")
    assert isinstance(discovered, ResourceDiscovered)
    assert isinstance(renewed, SubscriptionRenewed)
    assert (renewed.previous_subscription_id, renewed.subscription_id) == (OLD, new)
    assert (discovered.subscription_id, discovered.count) == (new, 8)
    with desk.engine.connect() as connection:
        both = event_log.read(connection, desk.msp_id, 0, desk.passed, ["ResourceDiscovered", "SubscriptionRenewed"])
    assert both[-1].recorded_at == both[-2].recorded_at
    assert both[-1].position - both[-2].position == 1


def test_after_a_renewal_the_old_id_never_disappears(desk: Desk, odin: OdinAccount) -> None:
    # given
    polled(desk)
    odin.renew(OLD, keeps_vendor_id=False)

    # when
    for _ in range(4):
        desk.completed()

    # then
    kinds = [type(event) for event in desk.news()]
    assert ResourceDisappeared not in kinds
    assert kinds.count(SubscriptionRenewed) == 1
    assert (OLD, PRODUCT) not in desk.counts()


def test_a_resource_that_the_renewal_does_not_continue_disappears_when_confirmed(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.add_resource(OLD, "777", "Add-on", 3)
    polled(desk)
    new = odin.renew(OLD)
    odin.remove(new, "777")

    # when
    for _ in range(3):
        desk.completed()

    # then
    gone = desk.news("ResourceDisappeared")
    assert [(event.subscription_id, event.resource_id) for event in gone] == [(OLD, "777")]


def test_an_ambiguous_renewal_is_held_for_a_person_and_nothing_falls(desk: Desk, odin: OdinAccount) -> None:
    # given a second new subscription of the same product, begun the same day
    polled(desk)
    new = odin.renew(OLD, keeps_vendor_id=False)
    other = odin.add_subscription(odin.subscription(OLD).company_id, "Bought beside", monthly=True)
    odin.add_resource(other, PRODUCT, "Exchange Online (Plan 1)", 2)

    # when
    for _ in range(4):
        desk.completed()

    # then
    news = desk.news("SubscriptionRenewed", "SubscriptionRenewalUnclear", "ResourceDisappeared")
    (unclear,) = news
    assert isinstance(unclear, SubscriptionRenewalUnclear)
    assert set(unclear.candidates) == {new, other}
    assert desk.counts()[OLD, PRODUCT] == 8


def test_a_renewal_whose_new_id_cannot_be_read_yet_waits_and_nothing_falls(desk: Desk, odin: OdinAccount) -> None:
    # given
    polled(desk)
    desk.policy("ended_after_polls", "1")
    new = odin.renew(OLD)
    odin.faults.script("truncated_json", f"/subscriptions/{new}", calls=2)

    # when
    desk.completed()
    desk.completed()
    waiting = desk.news("ResourceDisappeared", "SubscriptionRenewed")
    desk.completed()

    # then
    assert waiting == []
    assert [type(event) for event in desk.news("ResourceDisappeared", "SubscriptionRenewed")] == [SubscriptionRenewed]


def test_a_renewal_with_a_candidate_unread_is_not_taken_for_clear(desk: Desk, odin: OdinAccount) -> None:
    # given two possible successors, one of which cannot be read at first
    polled(desk)
    odin.renew(OLD, keeps_vendor_id=False)
    other = odin.add_subscription(odin.subscription(OLD).company_id, "Bought beside", monthly=True)
    odin.add_resource(other, PRODUCT, "Exchange Online (Plan 1)", 2)
    odin.faults.script("truncated_json", f"/subscriptions/{other}", calls=1)

    # when
    desk.completed()
    half = desk.news("SubscriptionRenewed", "SubscriptionRenewalUnclear")
    desk.completed()

    # then
    assert half == []
    assert [type(event) for event in desk.news("SubscriptionRenewed", "SubscriptionRenewalUnclear")] == [
        SubscriptionRenewalUnclear
    ]


def test_a_renewal_in_place_is_a_new_term_and_nothing_else(desk: Desk, odin: OdinAccount) -> None:
    # given
    polled(desk)
    odin.show(OLD, "", "renewalDate", '"2031-01-01"')
    odin.show(OLD, "", "lastModifiedDate", '"2030-01-01"')

    # when
    desk.completed()

    # then
    assert [type(event) for event in desk.news()] == [SubscriptionObserved]
