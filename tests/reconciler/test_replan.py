"""Planning everything anew finds what differs, and only that, by one join."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from domain.events import AdjustmentRequested
from domain.money import Money
from domain.relation_settings import RelationSettings
from domain.unit_rule import UnitRule
from plumbing import event_log
from services.reconciler import facts, plans
from services.reconciler.plan_units import Touch
from services.reconciler.reactor import REPLANS
from services.reconciler.replan import differing, replan
from services.reconciler.touches import Cause
from tests.reconciler.conftest import TEAMS, Reconciler
from tests.reconciler.test_histories import PRODUCTS, a_world, histories, on
from tests.world import PSA, posted, relation_set, settings_saved


def set_policy(world: Reconciler, value: str) -> None:
    """Sets the MSP's policy unit_cost, as the command does, without its event."""
    with world.engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.policies VALUES (:m, 'unit_cost', :value, 1, now())
                   ON CONFLICT ON CONSTRAINT policies_once DO UPDATE SET value = :value"""
            ),
            {"m": world.msp_id, "value": value},
        )


def test_nothing_is_asked_for_when_all_is_as_it_should_be(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set(), relation_set(TEAMS, relation_id="r2"))
    assert replan(reconciler.engine, reconciler.msp_id, reconciler.clock) == 0


def test_a_policy_that_lets_costs_through_asks_for_them_when_everything_is_planned_anew(reconciler: Reconciler) -> None:
    # given
    set_policy(reconciler, "report")
    reconciler.happens(relation_set())
    reconciler.happens(posted(reconciler.requests()[0]))
    set_policy(reconciler, "post")

    # when
    events = replan(reconciler.engine, reconciler.msp_id, reconciler.clock)

    # then
    assert events == 1
    [first, second] = reconciler.requests()
    assert (first.target_unit_cost, second.target_unit_cost) == (None, Money.parse("3.4000", "USD"))
    assert second.reason == "planned anew"


def test_a_changed_policy_is_work_for_one_replica_not_for_the_slice(reconciler: Reconciler) -> None:
    from domain.events import PolicyChanged

    whole = {"company_id": None, "resource_id": None, "policies_version": 1}
    reconciler.happens(("policies", PolicyChanged(policy="unit_cost", previous_value="post", value="report", **whole)))
    reconciler.happens(
        ("policies", PolicyChanged(policy="posted_period", previous_value=None, value="refuse", **whole))
    )
    with reconciler.engine.connect() as connection:
        [row] = connection.execute(text("SELECT queue, body FROM queue.outbox"))
    assert tuple(row) == (REPLANS, {"msp_id": reconciler.msp_id})


def test_what_was_settled_and_not_planned_yet_is_found(reconciler: Reconciler) -> None:
    # given: two counts that add up to what was asked, and settings that nobody has planned by
    reconciler.happens(relation_set(), relation_set(TEAMS, relation_id="r2"))
    packs = settings_saved(RelationSettings(UnitRule(pack_size=10, rounding="up")))
    at = reconciler.append(packs)
    with reconciler.engine.begin() as connection:
        facts.keep(connection, reconciler.msp_id, event_log.read(connection, reconciler.msp_id, at - 1, at))

        # then
        assert differing(connection, reconciler.msp_id) == [(PSA.psa_connection_id, PSA.psa_product_id)]


def planned(connection: Connection, world: Reconciler, ids: Any) -> set[str]:
    """The products for which planning these asks for something; nothing stays of it."""
    cause = Cause(0, 0, "of-a-test", Touch("", "planned anew"))
    with connection.begin_nested() as undone:
        before = event_log.head(connection, world.msp_id)
        plans.plan(connection, world.msp_id, dict.fromkeys(ids, cause), world.clock.now())
        new = event_log.read(connection, world.msp_id, before, event_log.head(connection, world.msp_id))
        undone.rollback()
    return {envelope.event.psa_product_id for envelope in new if isinstance(envelope.event, AdjustmentRequested)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(planned_before=histories, kept_only=histories, policy=st.sampled_from(["post", "report"]))
def test_the_join_finds_every_product_for_which_a_plan_would_ask(
    database: str, planned_before: list[Any], kept_only: list[Any], policy: str
) -> None:
    def example(engine: Engine) -> None:
        # given: rows that went on without a plan, and perhaps another policy
        world, told = a_world(engine)
        world.happens(*(event for step in planned_before for event in told.events(step)))
        after = world.append(*(event for step in kept_only for event in told.events(step)))
        set_policy(world, policy)
        with engine.connect() as connection:
            done = connection.scalar(
                text("SELECT max(position) FROM reconciler.positions WHERE msp_id = :m"), {"m": world.msp_id}
            )
            facts.keep(connection, world.msp_id, event_log.read(connection, world.msp_id, done, after))

            # when
            found = differing(connection, world.msp_id)

            # then
            every = [(PSA.psa_connection_id, product.psa_product_id) for product in PRODUCTS]
            assert planned(connection, world, found) == planned(connection, world, every)

    on(database, example)
