"""Events in the log -> requests in the log, on a real database."""

from decimal import Decimal

from sqlalchemy import text

from domain.events import AdjustmentRequested, AdjustmentSuperseded, Cause, PlanRefused
from domain.money import Money
from tests.reconciler.conftest import TEAMS, Reconciler
from tests.world import (
    ODIN,
    PSA,
    cost_changed,
    count_changed,
    disappeared,
    discovered,
    found_equal,
    odin,
    posted,
    psa_product,
    relation_cleared,
    relation_set,
    renewed,
    subscription,
)


def test_nothing_is_asked_for_what_is_not_linked(reconciler: Reconciler) -> None:
    reconciler.happens(count_changed(ODIN, "12"))
    assert reconciler.decided() == []


def test_a_relation_asks_once_for_the_units_that_odin_counts(reconciler: Reconciler) -> None:
    # when
    reconciler.happens(relation_set(), correlation_id="click-1")

    # then
    [envelope] = reconciler.log(AdjustmentRequested)
    request = envelope.event
    assert isinstance(request, AdjustmentRequested)
    assert (request.target_units, request.target_unit_cost) == (8, Money.parse("3.4000", "USD"))
    assert (request.resource_name, request.psa_product_name) == (ODIN.resource_name, PSA.psa_product_name)
    assert request.causes == (
        Cause(
            connection_id=ODIN.connection_id,
            company_id=ODIN.company_id,
            subscription_id=ODIN.subscription_id,
            resource_id=ODIN.resource_id,
            resource_name=ODIN.resource_name,
            count=Decimal(8),
        ),
    )
    assert request.reason == "relation set"
    assert envelope.stream == "request/autotask/1401"
    assert (envelope.correlation_id, envelope.caused_by) == ("click-1", 5)


def test_a_count_that_rises_from_4_to_12_asks_for_twelve_units(reconciler: Reconciler) -> None:
    # given
    reconciler.happens(relation_set())
    reconciler.happens(count_changed(ODIN, "4"))
    reconciler.happens(posted(reconciler.requests()[-1]))

    # when
    reconciler.happens(count_changed(ODIN, "12"))

    # then
    assert [request.target_units for request in reconciler.requests()] == [8, 4, 12]
    assert reconciler.requests()[-1].reason == "count changed"


def test_a_request_that_is_still_open_gives_way_to_the_next(reconciler: Reconciler) -> None:
    # given
    reconciler.happens(relation_set())

    # when
    reconciler.happens(count_changed(ODIN, "9"))

    # then
    first, second = reconciler.requests()
    [superseded] = reconciler.happened(AdjustmentSuperseded)
    assert (superseded.request_id, superseded.superseded_by) == (first.request_id, second.request_id)


def test_half_a_post_leaves_the_request_open_and_the_last_one_closes_it(reconciler: Reconciler) -> None:
    # given
    reconciler.happens(relation_set())
    reconciler.happens(posted(reconciler.requests()[0], completes=False))
    reconciler.happens(count_changed(ODIN, "9"))
    assert len(reconciler.happened(AdjustmentSuperseded)) == 1

    # when
    reconciler.happens(posted(reconciler.requests()[1]))
    reconciler.happens(count_changed(ODIN, "10"))

    # then
    assert len(reconciler.happened(AdjustmentSuperseded)) == 1


def test_a_late_post_of_a_superseded_request_does_not_close_the_open_one(reconciler: Reconciler) -> None:
    # given
    reconciler.happens(relation_set())
    reconciler.happens(count_changed(ODIN, "9"))

    # when
    reconciler.happens(posted(reconciler.requests()[0]))
    reconciler.happens(count_changed(ODIN, "10"))

    # then
    assert len(reconciler.happened(AdjustmentSuperseded)) == 2


def test_a_count_that_flaps_within_a_slice_asks_for_nothing(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    reconciler.happens(posted(reconciler.requests()[0]))
    reconciler.happens(count_changed(ODIN, "9"), count_changed(ODIN, "8"))
    assert len(reconciler.decided()) == 1


def test_two_resources_that_feed_one_product_add_up(reconciler: Reconciler) -> None:
    # when
    reconciler.happens(relation_set(), relation_set(TEAMS, relation_id="r2"))

    # then
    [request] = reconciler.requests()
    assert request.target_units == 11
    assert [cause.count for cause in request.causes] == [Decimal(8), Decimal(3)]


def test_clearing_one_of_two_relations_plans_from_the_other(reconciler: Reconciler) -> None:
    # given
    reconciler.happens(relation_set(), relation_set(TEAMS, relation_id="r2"))

    # when
    reconciler.happens(relation_cleared())

    # then
    last = reconciler.requests()[-1]
    assert (last.target_units, last.reason) == (3, "relation cleared")
    assert last.resource_id == TEAMS.resource_id, "a request never carries a resource that is not linked"


def test_clearing_the_last_relation_ends_the_open_request_and_asks_for_nothing(reconciler: Reconciler) -> None:
    # given
    reconciler.happens(relation_set())

    # when
    reconciler.happens(relation_cleared())
    reconciler.happens(count_changed(ODIN, "20"))

    # then
    [superseded] = reconciler.happened(AdjustmentSuperseded)
    assert superseded.superseded_by is None
    assert len(reconciler.requests()) == 1


def test_setting_the_relation_again_levels_again_even_at_the_same_count(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    reconciler.happens(found_equal(reconciler.requests()[0]))
    reconciler.happens(relation_cleared())
    reconciler.happens(relation_set(relation_id="r2"))
    assert [request.target_units for request in reconciler.requests()] == [8, 8]


def test_a_relation_that_adds_nothing_to_the_sum_still_levels_once(reconciler: Reconciler) -> None:
    # given: level as far as we know, and a resource without licences
    idle = odin(resource_id="100400")
    reconciler.happens(discovered(idle, "0"), relation_set())
    reconciler.happens(posted(reconciler.requests()[0]))

    # when
    reconciler.happens(relation_set(idle, relation_id="r2"))

    # then
    assert [request.target_units for request in reconciler.requests()] == [8, 8]


def test_link_clear_link_within_one_slice_asks_once(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set(), relation_cleared(), relation_set(relation_id="r2"))
    assert [request.target_units for request in reconciler.requests()] == [8]


def test_a_count_that_odin_stops_giving_keeps_its_last_figure(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    reconciler.happens(count_changed(ODIN, None))
    assert len(reconciler.decided()) == 1


def test_a_resource_that_disappeared_counts_nothing_and_counts_again_when_it_returns(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    reconciler.happens(disappeared())
    reconciler.happens(discovered(ODIN, "5"))
    assert [request.target_units for request in reconciler.requests()] == [8, 0, 5]


def test_a_cost_change_alone_asks_for_the_same_units_at_the_new_cost(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    reconciler.happens(posted(reconciler.requests()[0]))
    reconciler.happens(cost_changed(ODIN, "3.60"))
    last = reconciler.requests()[-1]
    assert (last.target_units, last.target_unit_cost, last.reason) == (8, Money.parse("3.6000", "USD"), "cost changed")


def test_a_yearly_cost_is_brought_to_the_months_of_the_product(reconciler: Reconciler) -> None:
    reconciler.happens(subscription(billing_period="1 year"), cost_changed(ODIN, "34.00"), relation_set())
    assert reconciler.requests()[-1].target_unit_cost == Money.parse("2.8333", "USD")


def test_another_billing_period_of_subscription_or_product_asks_for_another_cost(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    reconciler.happens(subscription(billing_period="1 year"))
    reconciler.happens(psa_product(period_type="yearly"))
    costs = [request.target_unit_cost for request in reconciler.requests()]
    assert costs == [Money.parse(amount, "USD") for amount in ("3.4000", "0.2833", "3.4000")]


def test_a_billing_period_that_was_read_after_the_resource_is_found(reconciler: Reconciler) -> None:
    late = odin(subscription_id="1000999")
    reconciler.happens(discovered(late, "1", "12.00"), relation_set(late))
    reconciler.happens(subscription(late, "1 year"))
    assert [request.target_unit_cost for request in reconciler.requests()] == [None, Money.parse("1.0000", "USD")]


def test_policy_report_leaves_the_cost_alone(reconciler: Reconciler) -> None:
    with reconciler.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO setup.policies VALUES (:m, 'unit_cost', 'report', 1, now())"), {"m": reconciler.msp_id}
        )
    reconciler.happens(relation_set())
    reconciler.happens(cost_changed(ODIN, "9.99"))
    assert [request.target_unit_cost for request in reconciler.requests()] == [None]


def test_a_count_that_is_not_whole_is_told_once_and_asked_for_when_it_is_whole_again(reconciler: Reconciler) -> None:
    # given
    reconciler.happens(relation_set())

    # when
    reconciler.happens(count_changed(ODIN, "8.5"))
    reconciler.happens(cost_changed(ODIN, "3.50"))
    reconciler.happens(count_changed(ODIN, "8"))

    # then
    request, superseded, refused, again = reconciler.decided()
    assert isinstance(refused, PlanRefused)
    assert "8.5" in refused.reason
    assert refused.fix
    assert (superseded.request_id, superseded.superseded_by) == (request.request_id, None)
    assert again.target_units == 8


def test_a_renewal_moves_the_count_without_a_fall_in_between(reconciler: Reconciler) -> None:
    # given
    reconciler.happens(relation_set(), relation_set(TEAMS, relation_id="r2"))
    reconciler.happens(posted(reconciler.requests()[-1]))
    new = odin(subscription_id="1000824")

    # when: slices end at the worst places, and the other resource changes in between
    reconciler.happens(discovered(new, "9"), renewed(ODIN, "1000824"))
    reconciler.happens(relation_cleared(followed_to="1000824"))
    reconciler.happens(count_changed(TEAMS, "4"))
    reconciler.happens(relation_set(new, relation_id="r3", followed_from="1000823"))

    # then
    assert [request.target_units for request in reconciler.requests()] == [11, 12, 13]
    assert [cause.subscription_id for cause in reconciler.requests()[-1].causes] == ["1000823", "1000824"]


def test_a_renewed_resource_without_a_count_yet_keeps_the_old_one(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    new = odin(subscription_id="1000824")
    reconciler.happens(
        subscription(new),
        discovered(new, None),
        renewed(ODIN, "1000824"),
        relation_cleared(followed_to="1000824"),
        relation_set(new, relation_id="r3", followed_from="1000823"),
    )
    reconciler.happens(count_changed(new, "9"))
    assert [request.target_units for request in reconciler.requests()] == [8, 9]


def test_a_resource_whose_count_was_never_known_changes_nothing(reconciler: Reconciler) -> None:
    silent = odin(resource_id="100400")
    reconciler.happens(discovered(silent, None))
    reconciler.happens(relation_set(), relation_set(silent, relation_id="r2"))
    assert reconciler.decided() == []


def test_usage_that_a_resource_reports_is_not_a_count(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())
    reconciler.happens(discovered(ODIN, "731", usage_based=True))
    reconciler.happens(count_changed(ODIN, "732"))
    assert [request.target_units for request in reconciler.requests()] == [8]
