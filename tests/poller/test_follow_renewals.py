"""Which new subscription id continues which old one: clear, unclear, or none."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.poller.follow_renewals import follow_renewals
from services.poller.known_model import KnownSubscription, State
from tests.poller.seen import known, resource

END = date(2026, 8, 3)


def ended(*resources: Any, subscription_id: str = "old", **changes: Any) -> KnownSubscription:
    given = {"state": State.CONFIRMING, "ended_on": END, "status": "removed"} | changes
    return known(*(resources or (resource(),)), subscription_id=subscription_id, **given)


def begun(*resources: Any, subscription_id: str = "new", **changes: Any) -> KnownSubscription:
    given = {"created_date": END, "renewal_date": END + timedelta(days=31)} | changes
    return known(*(resources or (resource(),)), subscription_id=subscription_id, **given)


def pairs(*company: KnownSubscription) -> list[tuple[str, str]]:
    renewals, unclear = follow_renewals(company)
    assert unclear == []
    return [(each.ended.row.subscription_id, each.successor.row.subscription_id) for each in renewals]


def unclear(*company: KnownSubscription) -> dict[str, tuple[str, ...]]:
    renewals, held = follow_renewals(company)
    assert renewals == []
    return {each.ended.row.subscription_id: tuple(one.subscription_id for one in each.candidates) for each in held}


def test_nothing_is_followed_where_nothing_ended() -> None:
    assert pairs(begun(), begun(subscription_id="other")) == []


def test_a_subscription_that_ended_for_good_is_followed_by_none() -> None:
    assert pairs(ended()) == []


def test_the_same_product_from_the_day_the_other_ended_is_its_renewal() -> None:
    # when
    renewals, _ = follow_renewals([ended(), begun(resource(count=12))])

    # then
    (renewal,) = renewals
    assert renewal.evidence == ("same company", "same product r1", "begun 0 days from the end of the other")


@pytest.mark.parametrize(("days", "follows"), [(-4, False), (-3, True), (3, True), (4, False)])
def test_the_days_must_be_adjacent(days: int, *, follows: bool) -> None:
    assert bool(pairs(ended(), begun(created_date=END + timedelta(days=days)))) is follows


def test_the_same_vendor_subscription_id_needs_no_adjacent_days() -> None:
    # given
    old = ended(resource(vendor_subscription_id="v"))
    new = begun(resource(vendor_subscription_id="v"), created_date=END + timedelta(days=20))

    # then
    assert pairs(old, new) == [("old", "new")]


def test_the_same_vendor_subscription_id_decides_between_two() -> None:
    # given
    old = ended(resource(vendor_subscription_id="v"))
    new = begun(resource(vendor_subscription_id="v"))
    other = begun(resource(vendor_subscription_id="w"), subscription_id="bought beside")

    # then
    assert pairs(old, new, other) == [("old", "new")]


def test_a_sister_that_lived_beside_the_old_one_is_no_renewal() -> None:
    # given
    sister = begun(resource(vendor_subscription_id="v"), created_date=date(2026, 1, 1), subscription_id="sister")

    # then
    assert pairs(ended(resource(vendor_subscription_id="v"), created_date=date(2025, 1, 1)), sister) == []


def test_an_older_subscription_is_no_renewal_even_when_its_days_fit() -> None:
    assert pairs(ended(created_date=END), begun(created_date=END)) == []


def test_another_product_is_no_renewal() -> None:
    assert pairs(ended(), begun(resource("r9"))) == []


def test_two_possible_successors_are_for_a_person() -> None:
    assert unclear(ended(), begun(), begun(subscription_id="new2")) == {"old": ("new", "new2")}


def test_one_successor_for_two_ended_is_for_a_person() -> None:
    # when
    held = unclear(ended(), ended(subscription_id="old2"), begun())

    # then
    assert held == {"old": ("new",), "old2": ("new",)}


def test_only_a_part_number_in_common_is_for_a_person() -> None:
    assert unclear(ended(resource("r1", mpn="m")), begun(resource("r2", mpn="m"))) == {"old": ("new",)}


def test_a_successor_continues_only_one() -> None:
    # given
    taken = begun()
    taken = type(taken)(taken.row, taken.state, taken.read_at, taken.resources, continues="earlier")

    # then
    assert pairs(ended(), taken) == []


def test_a_renewal_that_comes_after_the_disappearance_is_still_followed() -> None:
    assert pairs(ended(state=State.ENDED), begun(created_date=END + timedelta(days=1))) == [("old", "new")]


def test_a_late_unclear_renewal_holds_nothing_any_more() -> None:
    assert follow_renewals([ended(state=State.ENDED), begun(), begun(subscription_id="new2")]) == ([], [])
