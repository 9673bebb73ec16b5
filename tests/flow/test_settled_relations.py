"""What a person settles for a relation reaches Autotask, a freeze stops it, and an exclusion ends by itself: on the whole house."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from domain.keys import ResourceKey
from services.reporting.queries import REPORTS, Question, read_page
from tests.flow.test_the_way_of_a_change import changes, linked
from tests.house import MspHouse
from tests.waiting import wait_for

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]


def asked(msp: MspHouse, method: str, **given: Any) -> None:
    """mapping does it, row for row."""
    answer = msp.house.ask("mapping", method, msp_id=msp.msp_id, operation_id=uuid4().hex, actor="mara", **given)
    assert [result["ok"] for result in answer["results"]] == [True], answer


def settle(msp: MspHouse, relation: str, **settings: Any) -> None:
    """Saves settings and waits until all is quiet."""
    asked(msp, "save_relation_settings", relation_ids=[relation], settings=settings)
    msp.quiet()


def is_unlinked(msp: MspHouse, resource: ResourceKey) -> bool:
    """Whether the report shows the resource."""
    with msp.house.engine.connect() as connection:
        rows = read_page(connection, REPORTS["unlinked"], msp.msp_id, Question()).rows
    return str(resource) in {row["resource_key"] for row in rows}


def test_twelve_licences_in_packs_of_ten_are_two_units(msp: MspHouse) -> None:
    # given
    resource, line, relation = linked(msp, count=12, units=12)

    # when
    settle(msp, relation, rule={"pack_size": 10, "rounding": "up"})

    # then: fewer units from the next period on, each at the cost of ten licences
    start = msp.next_period_start()
    assert (msp.units(line), msp.units(line, start)) == (12, 2)
    assert msp.psa.unit_cost(line) == Decimal("34.00")

    # when: within the second pack nothing changes, with the 21st licence a third begins
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 20)
    msp.poll()
    msp.quiet()
    assert len(msp.ledger(line)) == 1
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 21)
    msp.poll()
    msp.quiet()

    # then
    last_day = max(day for day, _ in changes(msp, line))
    assert msp.units(line, last_day) == 3
    assert msp.psa.oracle() == []


def test_a_price_of_ones_own_is_posted_and_read_back(msp: MspHouse) -> None:
    _, line, relation = linked(msp, count=5, units=5)

    settle(msp, relation, price={"source": "custom", "amount": "12.75", "currency": "USD"})

    assert msp.psa.unit_price(line) == Decimal("12.75")
    (posted,) = msp.events("AdjustmentPosted")
    prices = [Decimal(posted[f"unit_price_{when}"]["amount"]) for when in ("before", "after")]
    assert (posted["unit_change"], prices) == (0, [Decimal("10.00"), Decimal("12.75")])
    assert msp.units(line) == 5


def test_the_catalogue_price_and_a_markup_go_out_and_follow_odin(msp: MspHouse) -> None:
    # given
    resource, line, relation = linked(msp, count=5, units=5)

    # when
    settle(msp, relation, price={"source": "catalogue"})

    # then: the price that ODIN gives for the customer
    assert msp.psa.unit_price(line) == Decimal("4.00")

    # when
    settle(msp, relation, price={"source": "cost_plus", "markup_percent": "50"})
    msp.odin.set_cost(resource.subscription_id, resource.resource_id, "4.00")
    msp.poll()
    msp.quiet()

    # then
    assert (msp.psa.unit_cost(line), msp.psa.unit_price(line)) == (Decimal("4.00"), Decimal("6.00"))


def test_a_freeze_stops_a_change_and_the_difference_goes_out_when_it_ends(msp: MspHouse) -> None:
    # given
    resource, line, relation = linked(msp, count=4, units=4)
    asked(msp, "freeze_relations", relation_ids=[relation], reason="in dispute")
    msp.quiet()

    # when
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 12)
    msp.poll()
    msp.quiet()

    # then
    assert (changes(msp, line), msp.units(line)) == ([], 4)

    # when
    asked(msp, "unfreeze_relations", relation_ids=[relation], reason="agreed")
    msp.quiet()

    # then
    assert changes(msp, line) == [(msp.psa.clock.today(), 8)]
    assert msp.events("AdjustmentRequested")[-1]["reason"] == "relation unfrozen"


def test_what_is_excluded_leaves_the_unlinked_and_comes_back_after_its_last_day(msp: MspHouse) -> None:
    # given
    resource = msp.add_resource("Repair and Wear", "Exchange Online (Plan 1)", 8)
    msp.poll()
    wait_for(lambda: is_unlinked(msp, resource), 60, what="the unlinked resource")
    today = msp.psa.clock.today().isoformat()

    # when
    asked(msp, "exclude_resources", resource_keys=[str(resource)], reason="own use", until=today)

    # then
    wait_for(lambda: not is_unlinked(msp, resource), 60, what="the exclusion")

    # when: its last day was yesterday
    with msp.house.engine.begin() as connection:
        connection.execute(text("UPDATE mapping.exclusions SET until = until - 1 WHERE msp_id = :m"), {"m": msp.msp_id})

    # then
    wait_for(lambda: is_unlinked(msp, resource), 60, what="the end of the exclusion")
    (included,) = msp.events("ResourceIncluded")
    assert included["reason"] == "its last day has passed"
