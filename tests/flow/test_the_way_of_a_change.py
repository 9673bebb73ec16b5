"""A change in ODIN reaches Autotask exactly once: the examples of the design, on the whole house."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from domain.keys import ResourceKey
from tests.house import MspHouse
from tests.waiting import wait_for

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]


def linked(msp: MspHouse, count: int, units: int) -> tuple[ResourceKey, int, str]:
    """A resource and a line, linked, levelled and quiet: (resource, line, relation)."""
    resource = msp.add_resource("Repair and Wear", "Exchange Online (Plan 1)", count, begun_days_ago=31)
    line = msp.add_line("Repair and Wear", "Exchange Online (Plan 1)", units)
    msp.poll()
    msp.read_catalogue(line)
    relation = msp.link(resource, line)
    msp.quiet()
    return resource, line, relation


def changes(msp: MspHouse, line: int) -> list[tuple[date, int]]:
    return [(each.effective_date, each.unit_change) for each in msp.ledger(line)]


def test_4_licences_become_12(msp: MspHouse) -> None:
    # given
    resource, line, _ = linked(msp, count=4, units=4)
    assert changes(msp, line) == []

    # when
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 12)
    msp.poll()
    msp.quiet()

    # then
    today = msp.psa.clock.today()
    assert changes(msp, line) == [(today, 8)]
    assert msp.units(line) == 12
    (posted,) = msp.events("AdjustmentPosted")
    assert (posted["units_before"], posted["units_after"], posted["unit_change"]) == (4, 12, 8)
    assert posted["company_name"] == posted["psa_customer_name"] == "Repair and Wear"
    assert msp.psa.oracle() == []


def test_8_against_1_is_levelled_once_by_7_when_the_relation_is_set(msp: MspHouse) -> None:
    # given, when
    resource, line, _ = linked(msp, count=8, units=1)

    # then
    assert changes(msp, line) == [(msp.psa.clock.today(), 7)]

    # when: it is linked again and polled again
    msp.link(resource, line)
    msp.poll()
    msp.quiet()

    # then
    assert len(msp.ledger(line)) == 1


def test_a_decrease_takes_effect_at_the_next_billing_period(msp: MspHouse) -> None:
    # given
    resource, line, _ = linked(msp, count=10, units=10)

    # when
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 8)
    msp.poll()
    msp.quiet()

    # then
    start = msp.next_period_start()
    assert changes(msp, line) == [(start, -2)]
    assert (msp.units(line), msp.units(line, start - timedelta(days=1)), msp.units(line, start)) == (10, 10, 8)


def test_10_then_8_then_9_within_one_period_posts_only_what_is_missing(msp: MspHouse) -> None:
    # given: 8 are scheduled for the next period
    resource, line, _ = linked(msp, count=10, units=10)
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 8)
    msp.poll()
    msp.quiet()

    # when
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 9)
    msp.poll()
    msp.quiet()

    # then: nothing today; one more unit next period, from its second day, since its first is taken by the -2
    start = msp.next_period_start()
    assert changes(msp, line) == [(start, -2), (start + timedelta(days=1), 1)]
    assert (msp.units(line), msp.units(line, start + timedelta(days=1))) == (10, 9)
    assert msp.psa.oracle() == []


def test_a_changed_cost_alone_is_posted_without_units(msp: MspHouse) -> None:
    # given
    resource, line, _ = linked(msp, count=5, units=5)

    # when
    msp.odin.set_cost(resource.subscription_id, resource.resource_id, "3.75")
    msp.poll()
    msp.quiet()

    # then
    assert msp.psa.unit_cost(line) == Decimal("3.75")
    assert msp.units(line) == 5
    assert [each.unit_change for each in msp.ledger(line)] == [0]


def test_two_resources_feed_one_product_and_add_up(msp: MspHouse) -> None:
    # given
    first = msp.add_resource("Hall Bros.", "Exchange Online (Plan 1)", 3)
    second = msp.add_to(
        first.company_id, first.subscription_id, "100299", "Exchange Online (Plan 2)", 4, cost="3.40", price="4.00"
    )
    line = msp.add_line("Hall Bros.", "Mailboxes", 3)
    msp.poll()
    msp.read_catalogue(line)

    # when
    msp.link(first, line)
    msp.link(second, line)
    msp.quiet()

    # then
    assert msp.units(line) == 7

    # when
    msp.odin.set_count(second.subscription_id, second.resource_id, 6)
    msp.poll()
    msp.quiet()

    # then: today is taken by the +4, so the two more count from tomorrow
    tomorrow = msp.psa.clock.today() + timedelta(days=1)
    assert (msp.units(line), msp.units(line, tomorrow)) == (7, 9)
    assert msp.psa.oracle() == []


def test_a_renewal_that_swaps_the_subscription_id_keeps_the_units_and_takes_the_relation_along(msp: MspHouse) -> None:
    # given
    resource, line, _ = linked(msp, count=6, units=6)

    # when
    renewed = msp.odin.renew(resource.subscription_id)
    msp.poll()
    msp.quiet()

    # then
    wait_for(lambda: msp.events("RelationSet", subscription_id=renewed), what="the relation to follow")
    msp.quiet()
    assert changes(msp, line) == []

    # when: the new id's count changes
    msp.odin.set_count(renewed, resource.resource_id, 8)
    msp.poll()
    msp.quiet()

    # then
    assert [change for _, change in changes(msp, line)] == [2]


def test_a_cleared_relation_posts_nothing_more_and_leaves_the_units(msp: MspHouse) -> None:
    # given
    resource, line, relation = linked(msp, count=4, units=4)

    # when
    msp.clear(relation)
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 12)
    msp.poll()
    msp.quiet()

    # then
    assert changes(msp, line) == []
    assert msp.units(line) == 4
