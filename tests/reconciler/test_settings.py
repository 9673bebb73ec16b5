"""Unit rules, prices and freezes of relations -> what is asked for, on a real database."""

from decimal import Decimal

from domain.events import AdjustmentRequested, AdjustmentSuperseded
from domain.money import Money
from domain.price_source import PriceSource
from domain.relation_settings import AS_NEW, RelationSettings
from domain.unit_rule import UnitRule
from tests.reconciler.conftest import TEAMS, Reconciler
from tests.world import (
    ODIN,
    count_changed,
    discovered,
    frozen,
    odin,
    posted,
    relation_cleared,
    relation_set,
    renewed,
    settings_saved,
    subscription,
    unfrozen,
)

PACKS = RelationSettings(rule=UnitRule(pack_size=10, rounding="up"))
CUSTOM = RelationSettings(price=PriceSource("custom", Money.parse("7.50", "USD")))
NEW = odin(subscription_id="1000824")


def last(reconciler: Reconciler) -> AdjustmentRequested:
    """The newest request."""
    return reconciler.requests()[-1]


def test_packs_of_ten_make_two_units_of_twelve_licences_at_the_cost_of_ten(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set(), count_changed(ODIN, "12"))
    reconciler.happens(settings_saved(PACKS))
    assert last(reconciler).target_units == 2
    assert last(reconciler).target_unit_cost == Money.parse("34.0000", "USD")
    assert last(reconciler).reason == "relation settings saved"
    assert [cause.count for cause in last(reconciler).causes] == [Decimal(12)]


def test_each_relation_adds_what_its_own_rule_makes_of_its_count(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set(), settings_saved(PACKS), relation_set(TEAMS, relation_id="r2"))
    assert last(reconciler).target_units == 1 + 3


def test_settings_that_change_nothing_ask_for_nothing(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    reconciler.happens(posted(last(reconciler)))
    reconciler.happens(settings_saved(RelationSettings(note="for the auditor")))
    assert len(reconciler.requests()) == 1


def test_a_price_of_ones_own_is_asked_for_and_given_up_again(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    reconciler.happens(settings_saved(CUSTOM))
    assert last(reconciler).target_unit_price == Money.parse("7.5000", "USD")
    reconciler.happens(settings_saved(AS_NEW))
    assert last(reconciler).target_unit_price is None
    assert len(reconciler.requests()) == 3


def test_a_price_that_was_posted_is_not_asked_for_again(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set(), settings_saved(CUSTOM))
    reconciler.happens(posted(last(reconciler)))
    reconciler.happens(count_changed(ODIN, "8"), settings_saved(CUSTOM))
    assert len(reconciler.requests()) == 1


def test_cost_and_markup_follow_the_cost_that_odin_bills(reconciler: Reconciler) -> None:
    plus = RelationSettings(price=PriceSource("cost_plus", None, Decimal(25)))
    reconciler.happens(relation_set(), settings_saved(plus))
    assert last(reconciler).target_unit_price == Money.parse("4.2500", "USD")


def test_the_catalogue_price_is_the_one_that_odin_gives_for_the_customer(reconciler: Reconciler) -> None:
    stream, event = discovered(ODIN, "8")
    priced = type(event)(**vars(event) | {"unit_price": Money.parse("4.00", "USD")})
    reconciler.happens((stream, priced))
    reconciler.happens(relation_set(), settings_saved(RelationSettings(price=PriceSource("catalogue"))))
    assert last(reconciler).target_unit_price == Money.parse("4.0000", "USD")


def test_relations_that_come_to_different_prices_leave_the_price_alone(reconciler: Reconciler) -> None:
    other = RelationSettings(price=PriceSource("custom", Money.parse("8", "USD")))
    reconciler.happens(
        relation_set(),
        settings_saved(CUSTOM),
        relation_set(TEAMS, relation_id="r2"),
        settings_saved(other, TEAMS, relation_id="r2"),
    )
    assert last(reconciler).target_unit_price is None


def test_a_frozen_relation_takes_the_open_request_back_and_asks_for_nothing(reconciler: Reconciler) -> None:
    # given
    reconciler.happens(relation_set())

    # when
    reconciler.happens(frozen())
    reconciler.happens(count_changed(ODIN, "12"))
    reconciler.happens(relation_set(TEAMS, relation_id="r2"))

    # then: one frozen relation holds the whole product
    [superseded] = reconciler.happened(AdjustmentSuperseded)
    assert (superseded.superseded_by, superseded.reason) == (None, "a relation of the product is frozen")
    assert reconciler.open_request() is None
    assert len(reconciler.requests()) == 1

    # and when
    reconciler.happens(unfrozen())

    # then
    request = reconciler.open_request()
    assert request is not None
    assert (request.target_units, request.reason) == (15, "relation unfrozen")


def test_an_unfrozen_product_is_levelled_although_no_count_has_changed(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    reconciler.happens(posted(last(reconciler)))
    reconciler.happens(frozen(), unfrozen())
    assert len(reconciler.requests()) == 2


def test_settings_and_freeze_follow_a_renewal_at_once(reconciler: Reconciler) -> None:
    # given
    reconciler.happens(relation_set(), settings_saved(PACKS), frozen())
    asked = len(reconciler.requests())

    # when: nothing else is told of the new relation
    reconciler.happens(subscription(NEW), discovered(NEW, "25"), renewed(ODIN, "1000824"))
    reconciler.happens(
        relation_cleared(ODIN, followed_to="1000824"), relation_set(NEW, relation_id="r2", followed_from="1000823")
    )

    # then
    assert len(reconciler.requests()) == asked
    reconciler.happens(unfrozen(NEW, relation_id="r2"))
    assert last(reconciler).target_units == 3


def test_a_relation_that_is_set_anew_begins_without_settings(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set(), settings_saved(PACKS), frozen())
    reconciler.happens(relation_cleared(), relation_set(relation_id="r2"))
    assert last(reconciler).target_units == 8


def test_what_is_told_of_a_relation_that_is_gone_changes_nothing(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set(), relation_cleared(), relation_set(relation_id="r2"))
    reconciler.happens(settings_saved(PACKS, relation_id="r1"), frozen(relation_id="r1"))
    assert last(reconciler).target_units == 8
    assert reconciler.open_request() is not None
