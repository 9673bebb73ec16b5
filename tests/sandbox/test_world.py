"""The seeded world: repeatable, plausible, and full of the oddities that Trueup must bear."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from deploy.sandbox.world import (
    EXAMPLE_COMPANY_ID,
    EXAMPLE_PRODUCT_ID,
    EXAMPLE_SUBSCRIPTION_ID,
    add_months,
    make_world,
    next_renewal,
)

TODAY = date(2026, 8, 11)
WORLD = make_world(1, TODAY)


def resources(world=WORLD):
    return {(s.subscription_id, r.product_id): r for s in world.subscriptions for r in s.resources}


def test_the_same_seed_and_day_make_the_same_world_and_another_seed_another():
    assert make_world(1, TODAY) == WORLD
    assert make_world(2, TODAY).subscriptions != WORLD.subscriptions


def test_a_larger_world_begins_with_the_smaller_one():
    larger = make_world(1, TODAY, companies=60)

    assert larger.companies[:24] == WORLD.companies
    assert larger.subscriptions[: len(WORLD.subscriptions)] == WORLD.subscriptions


def test_a_world_without_companies_is_refused():
    with pytest.raises(ValueError, match="at least one company"):
        make_world(1, TODAY, companies=0)


@pytest.mark.parametrize("seed", range(8))
def test_the_example_of_the_documentation_is_in_every_world_and_unlinked(seed):
    world = make_world(seed, TODAY)

    [company] = [each for each in world.companies if each.company_id == EXAMPLE_COMPANY_ID]
    [subscription] = [each for each in world.subscriptions if each.subscription_id == EXAMPLE_SUBSCRIPTION_ID]
    [resource] = [each for each in subscription.resources if each.product_id == EXAMPLE_PRODUCT_ID]
    [account] = [each for each in world.accounts if each.name == company.name]
    [contract] = [each for each in world.contracts if each.account_id == account.account_id]
    [line] = [
        each
        for each in world.contract_services
        if each.contract_id == contract.contract_id and each.name == resource.name
    ]

    assert (EXAMPLE_COMPANY_ID, EXAMPLE_SUBSCRIPTION_ID, EXAMPLE_PRODUCT_ID) == ("1200000501", "1000823", "100234")
    assert company.name == "Repair and Wear"
    assert resource.name == "Exchange Online (Plan 1)"
    assert (resource.count, resource.price.amount, resource.cost.amount) == (8, Decimal("10.00"), Decimal("3.40"))
    assert (line.units, line.unit_price.amount, line.period_type) == (1, Decimal("10.00"), "monthly")
    assert EXAMPLE_SUBSCRIPTION_ID not in {link.subscription_id for link in world.links}


@pytest.mark.parametrize("seed", range(8))
def test_ids_are_unique_and_every_link_joins_records_of_the_same_firm(seed):
    world = make_world(seed, TODAY, companies=40)
    contracts = {each.contract_id: each for each in world.contracts}
    lines = {each.contract_service_id: each for each in world.contract_services}
    account_of = dict(zip((c.company_id for c in world.companies), (a.account_id for a in world.accounts), strict=True))

    assert len({each.subscription_id for each in world.subscriptions}) == len(world.subscriptions)
    assert (len(lines), len(contracts)) == (len(world.contract_services), len(world.contracts))
    assert {line.service_id for line in lines.values()} <= {service.service_id for service in world.services}
    for link in world.links:
        assert (link.subscription_id, link.product_id) in resources(world)
        assert lines[link.contract_service_id].contract_id == link.contract_id
        assert contracts[link.contract_id].account_id == link.account_id == account_of[link.company_id]


@pytest.mark.parametrize("seed", range(8))
def test_most_resources_are_linked_and_most_linked_units_agree(seed):
    world = make_world(seed, TODAY)
    units = {each.contract_service_id: each.units for each in world.contract_services}
    wanted = Counter()
    for link in world.links:
        wanted[link.contract_service_id] += resources(world)[link.subscription_id, link.product_id].count
    billable = sum(
        len(each.resources)
        for each in world.subscriptions
        if each.status in {"active", "hold"} and not each.usage_based
    )
    agreeing = [line for line in wanted if wanted[line] == units[line]]

    assert 0.7 < len(world.links) / billable < 0.95
    assert 0.6 < len(agreeing) / len(wanted) < 1


def test_two_subscriptions_of_one_product_feed_one_contract_service():
    fed_by = Counter(link.contract_service_id for link in WORLD.links)

    assert max(fed_by.values()) >= 2


@pytest.mark.parametrize("seed", range(8))
def test_the_history_of_each_resource_is_unbroken_and_ends_in_todays_count(seed):
    world = make_world(seed, TODAY)
    last = {}
    for change in world.history:
        key = (change.subscription_id, change.product_id)
        assert change.old == last.get(key, change.old) != change.new
        assert TODAY - timedelta(days=366) < change.date < TODAY
        assert change.old >= 0
        last[key] = change.new

    assert len(world.history) > 100
    assert [change.date for change in world.history] == sorted(change.date for change in world.history)
    assert all(resources(world)[key].count == count for key, count in last.items())


def test_the_world_has_the_oddities_that_real_books_have():
    names = [company.name for company in WORLD.companies]
    held = [resource for subscription in WORLD.subscriptions for resource in subscription.resources]

    assert any(name.startswith("=") for name in names)
    assert any("<img" in name for name in names)
    assert any("\u0600" < name[0] < "\u06ff" for name in names), "one name runs from right to left"
    assert any("ü" in name for name in names)
    assert max(map(len, names)) > 120
    assert any(account.name != name for account, name in zip(WORLD.accounts, names, strict=True))
    assert any(len(subscription.resources) > 1 for subscription in WORLD.subscriptions)
    assert any(not subscription.resources for subscription in WORLD.subscriptions)
    assert any(resource.count == 0 for resource in held)
    assert any(subscription.usage_based for subscription in WORLD.subscriptions)
    assert {"active", "hold", "removed"} <= {subscription.status for subscription in WORLD.subscriptions}
    assert any(contract.status == 0 for contract in WORLD.contracts), "an ended contract"
    assert any(contract.contract_type != 7 for contract in WORLD.contracts), "one that is not recurring"
    assert any(contract.start_date > TODAY for contract in WORLD.contracts), "one not yet begun"
    assert any(contract.start_date.day == 31 for contract in WORLD.contracts), "one whose periods clip"
    assert {line.period_type for line in WORLD.contract_services} == {"monthly", "quarterly", "semi-annual", "yearly"}
    offered = {resource.mpn: set() for resource in held}
    for resource in held:
        offered[resource.mpn].add(resource.product_id)
    assert any(len(products) > 1 for products in offered.values()), "an mpn that two products share"


def test_some_marketplace_does_not_tell_every_cost():
    assert any(resource.cost is None for resource in resources(make_world(1, TODAY, companies=60)).values())


def test_contracts_that_bill_span_about_a_year_to_either_side_of_today():
    linked = {link.contract_id for link in WORLD.links}

    for contract in (each for each in WORLD.contracts if each.contract_id in linked):
        assert contract.contract_type == 7
        assert contract.status == 1
        assert timedelta(days=300) < TODAY - contract.start_date < timedelta(days=470)
        assert timedelta(days=250) < contract.end_date - TODAY < timedelta(days=450)


def test_subscriptions_renew_after_today():
    assert all(subscription.renewal_date > TODAY for subscription in WORLD.subscriptions)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2026, 11, 30), 3, date(2027, 2, 28)),
        (date(2026, 3, 31), -1, date(2026, 2, 28)),
        (date(2026, 1, 15), -24, date(2024, 1, 15)),
        (date(2026, 12, 1), 12, date(2027, 12, 1)),
    ],
)
def test_months_are_added_by_the_calendar_and_clip_at_the_months_end(day, months, expected):
    assert add_months(day, months) == expected


def test_the_next_renewal_counts_from_the_start_so_that_a_clipped_month_does_not_stick():
    assert next_renewal(date(2026, 1, 31), 1, date(2026, 2, 28)) == date(2026, 3, 31)
    assert next_renewal(date(2024, 2, 29), 12, date(2026, 8, 11)) == date(2027, 2, 28)


def test_records_of_a_world_cannot_be_changed():
    with pytest.raises(AttributeError):
        WORLD.companies[0].name = "Other"
    assert replace(WORLD.companies[0], name="Other").name == "Other"
