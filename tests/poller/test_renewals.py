"""Renewals that swap the subscription id, polled from the sandbox: followed in one append, never through zero."""

import pytest

from deploy.sandbox.odin import OdinAccount
from domain.events import (
    ResourceDisappeared,
    ResourceDiscovered,
    SubscriptionObserved,
    SubscriptionRenewalSettled,
    SubscriptionRenewalUnclear,
    SubscriptionRenewed,
)
from domain.keys import SubscriptionId
from plumbing import event_log
from services.poller.answer_renewal import Answer, NoAnswer
from services.poller.answering import take_answer
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
    assert {each.subscription_id for each in unclear.candidates} == {new, other}
    assert all("same company" in each.evidence for each in unclear.candidates)
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


def held(desk: Desk, odin: OdinAccount, without: str = "") -> tuple[str, str]:
    """An ended subscription with two possible successors, both read; the ids of the two. without: what the first of them
    does not go on with."""
    polled(desk)
    new = odin.renew(OLD, keeps_vendor_id=False)
    if without:
        odin.remove(new, without)
    other = odin.add_subscription(odin.subscription(OLD).company_id, "Bought beside", monthly=True)
    odin.add_resource(other, PRODUCT, "Exchange Online (Plan 1)", 2)
    polled(desk)
    return new, other


def answer(desk: Desk, continued_by: str | None) -> None:
    given = Answer(SubscriptionId(OLD), SubscriptionId(continued_by) if continued_by else None, "mara", "I rang them")
    take_answer(desk.engine, desk.house.clock, desk.place, given)


def test_a_person_says_which_subscription_continues_the_ended_one(desk: Desk, odin: OdinAccount) -> None:
    # given
    new, other = held(desk, odin)

    # when
    answer(desk, new)
    answer(desk, new)

    # then
    renewed, settled = desk.news()
    assert isinstance(renewed, SubscriptionRenewed)
    assert (renewed.previous_subscription_id, renewed.subscription_id) == (OLD, new)
    assert renewed.evidence == ("mara: I rang them",)
    assert isinstance(settled, SubscriptionRenewalSettled)
    assert settled.continued_by == new
    for _ in range(3):
        desk.completed()
    assert desk.news() == []
    assert desk.counts() == desk.counts() | {(new, PRODUCT): 8, (other, PRODUCT): 2}
    assert (OLD, PRODUCT) not in desk.counts()


def test_a_person_says_that_it_was_not_renewed_and_nothing_continues_it_later(desk: Desk, odin: OdinAccount) -> None:
    # given
    new, other = held(desk, odin)

    # when
    answer(desk, None)
    answer(desk, None)

    # then
    gone, settled = desk.news()
    assert isinstance(gone, ResourceDisappeared)
    assert gone.reason == "mara says that it was not renewed: I rang them"
    assert isinstance(settled, SubscriptionRenewalSettled)
    assert settled.continued_by is None
    odin.remove(other, PRODUCT)
    for _ in range(4):
        desk.completed()
    assert desk.news("SubscriptionRenewed", "SubscriptionRenewalUnclear") == []
    assert (new, PRODUCT) in desk.counts()


def test_what_a_renewal_that_a_person_named_does_not_continue_disappears_when_confirmed(
    desk: Desk, odin: OdinAccount
) -> None:
    # given
    odin.add_resource(OLD, "777", "Add-on", 3)
    new, _ = held(desk, odin, without="777")

    # when
    answer(desk, new)
    for _ in range(4):
        desk.completed()

    # then
    gone = desk.news("ResourceDisappeared")
    assert [(event.subscription_id, event.resource_id) for event in gone] == [(OLD, "777")]


@pytest.mark.parametrize("wrong", [OLD, "1", "of another company"])
def test_only_a_living_subscription_of_the_company_can_continue_it(desk: Desk, odin: OdinAccount, wrong: str) -> None:
    # given
    held(desk, odin)
    if wrong == "of another company":
        mine = odin.subscription(OLD).company_id
        wrong = next(each for each, _ in desk.counts() if odin.subscription(each).company_id != mine)

    # when
    with pytest.raises(NoAnswer) as refused:
        answer(desk, wrong)

    # then
    assert refused.value.code == "no_successor"
    assert desk.news() == []


def test_a_second_answer_that_differs_is_refused(desk: Desk, odin: OdinAccount) -> None:
    # given
    new, other = held(desk, odin)
    answer(desk, new)

    # when
    with pytest.raises(NoAnswer) as refused:
        answer(desk, other)

    # then
    assert refused.value.code == "answered"


def test_a_held_subscription_that_the_marketplace_shows_again_is_no_question_any_more(
    desk: Desk, odin: OdinAccount
) -> None:
    # given
    held(desk, odin)
    odin.set_auto_renew(OLD, auto_renew=True)
    odin.set_status(OLD, "active")

    # when
    for _ in range(2):
        desk.completed()

    # then
    (settled,) = desk.news("SubscriptionRenewalSettled")
    assert isinstance(settled, SubscriptionRenewalSettled)
    assert (settled.subscription_id, settled.continued_by) == (OLD, None)
