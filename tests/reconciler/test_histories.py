"""Random histories of counts, costs, links, clears, renewals and closes, on a real database, in slices of any size."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from domain.events.names import OdinNames
from domain.money import Money
from domain.price_source import PriceSource
from domain.relation_settings import AS_NEW, RelationSettings
from domain.unit_rule import UnitRule
from domain.units import NotWholeUnits
from plumbing.database import make_engine
from services.reconciler.replan import differing, replan
from tests.msps import add_msp
from tests.reconciler.conftest import Reconciler
from tests.world import (
    cost_changed,
    count_changed,
    disappeared,
    discovered,
    frozen,
    odin,
    posted,
    psa,
    psa_product,
    relation_cleared,
    relation_set,
    renewed,
    settings_saved,
    subscription,
    unfrozen,
)

RESOURCES = ("100", "200", "300")
PRODUCTS = tuple(psa(psa_product_id=number, psa_product_name=f"Product {number}") for number in ("1", "2"))
RULES = (UnitRule(), UnitRule(Decimal(1), 3, "up", 2), UnitRule(minimum=4), UnitRule(rounding="nearest"))
PRICES = (PriceSource(), PriceSource("custom", Money.parse("9", "USD")), PriceSource("cost_plus", None, Decimal(10)))
resources = st.sampled_from(RESOURCES)
counts = st.one_of(st.none(), st.integers(0, 9).map(str), st.just("2.5"))
steps = st.one_of(
    st.tuples(st.just("count"), resources, counts),
    st.tuples(st.just("cost"), resources, st.sampled_from(["3.40", "4.10", "5.00"])),
    st.tuples(st.just("gone"), resources, st.none()),
    st.tuples(st.just("set"), resources, st.sampled_from(PRODUCTS)),
    st.tuples(st.just("clear"), resources, st.none()),
    st.tuples(st.just("renew"), resources, counts),
    st.tuples(st.just("period"), st.just(""), st.sampled_from(["monthly", "yearly"])),
    st.tuples(
        st.just("settle"), resources, st.builds(RelationSettings, st.sampled_from(RULES), st.sampled_from(PRICES))
    ),
    st.tuples(st.just("freeze"), resources, st.booleans()),
)
histories = st.lists(steps, min_size=1, max_size=25)
of_a_few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_numbers = count(1)


@dataclass
class Told:
    """What the events so far say, kept in the plainest way: the yardstick."""

    counts: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(RESOURCES, Decimal(1)))
    links: dict[str, Any] = field(default_factory=dict)
    subscriptions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RESOURCES, 1000))
    relation_ids: dict[str, str] = field(default_factory=dict)
    settings: dict[str, RelationSettings] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    relations: int = 0

    def names(self, resource: str) -> OdinNames:
        """The resource under its present subscription."""
        return odin(resource_id=resource, subscription_id=f"{resource}-{self.subscriptions[resource]}")

    def events(self, step: tuple[str, str, Any]) -> list[tuple[str, Any]]:
        """The events of a step, and what they say taken note of; none when the step makes no sense now."""
        kind, resource, value = step
        return getattr(self, f"_{kind}")(resource, value)

    def target(self, product: Any) -> int | None:
        """The units that what feeds the product comes to; None when nothing does, when it is frozen, or when they would not
        be whole."""
        fed = [resource for resource, linked in self.links.items() if linked == product]
        if not fed or self.frozen & {*fed}:
            return None
        try:
            return sum(self.settings.get(each, AS_NEW).rule.units(self.counts[each]) for each in fed)
        except NotWholeUnits:
            return None

    def is_settled(self, product_id: str) -> bool:
        """Whether anything was settled for a relation of the product."""
        fed = [resource for resource, linked in self.links.items() if linked.psa_product_id == product_id]
        return any(self.settings.get(each, AS_NEW) != AS_NEW for each in fed)

    def _count(self, resource: str, value: str | None) -> list[tuple[str, Any]]:
        if value is not None:
            self.counts[resource] = Decimal(value)
        return [count_changed(self.names(resource), value)]

    def _cost(self, resource: str, value: str) -> list[tuple[str, Any]]:
        return [cost_changed(self.names(resource), value)]

    def _gone(self, resource: str, _: None) -> list[tuple[str, Any]]:
        self.counts[resource] = Decimal(0)
        return [disappeared(self.names(resource))]

    def _set(self, resource: str, product: Any) -> list[tuple[str, Any]]:
        if resource in self.links:
            return []
        self.links[resource] = product
        self._begins_anew(resource)
        return [relation_set(self.names(resource), product, self._relation(resource))]

    def _clear(self, resource: str, _: None) -> list[tuple[str, Any]]:
        if resource not in self.links:
            return []
        self._begins_anew(resource)
        return [relation_cleared(self.names(resource), self.links.pop(resource))]

    def _begins_anew(self, resource: str) -> None:
        self.settings.pop(resource, None)
        self.frozen.discard(resource)

    def _settle(self, resource: str, value: RelationSettings) -> list[tuple[str, Any]]:
        if resource not in self.links:
            return []
        self.settings[resource] = value
        return [settings_saved(value, self.names(resource), self.links[resource], self.relation_ids[resource])]

    def _freeze(self, resource: str, value: bool) -> list[tuple[str, Any]]:  # noqa: FBT001 a step has one value
        if resource not in self.links or (resource in self.frozen) == value:
            return []
        (self.frozen.add if value else self.frozen.discard)(resource)
        event = frozen if value else unfrozen
        return [event(self.names(resource), self.links[resource], self.relation_ids[resource])]

    def _renew(self, resource: str, value: str | None) -> list[tuple[str, Any]]:
        old = self.names(resource)
        self.subscriptions[resource] += 1
        new = self.names(resource)
        if value is not None:
            self.counts[resource] = Decimal(value)
        events = [subscription(new), discovered(new, value), renewed(old, new.subscription_id)]
        if resource in self.links:
            product = self.links[resource]
            events += [
                relation_cleared(old, product, followed_to=new.subscription_id),
                relation_set(new, product, self._relation(resource), followed_from=old.subscription_id),
            ]
        return events

    def _period(self, _: str, value: str) -> list[tuple[str, Any]]:
        return [psa_product(product, value) for product in PRODUCTS]

    def _relation(self, resource: str) -> str:
        self.relations += 1
        self.relation_ids[resource] = f"r{self.relations}"
        return self.relation_ids[resource]


def a_world(engine: Engine) -> tuple[Reconciler, Told]:
    """A new MSP with one licence of each resource, all read."""
    world, told = Reconciler(engine, add_msp(engine, f"msp-{next(_numbers)}")), Told()
    names = [told.names(resource) for resource in RESOURCES]
    world.happens(*map(subscription, names), *(discovered(name, "1") for name in names), *map(psa_product, PRODUCTS))
    return world, told


def last_asked(world: Reconciler) -> dict[str, tuple[int, Decimal, bool]]:
    """Product -> what was last asked for it and whether that is open."""
    rows = (
        "SELECT psa_product_id, target_units, target_unit_cost, request_open FROM reconciler.products WHERE msp_id = :m"
    )
    with world.engine.connect() as connection:
        return {row[0]: tuple(row[1:]) for row in connection.execute(text(rows), {"m": world.msp_id})}


def has_price(world: Reconciler, product_id: str) -> bool:
    """Whether a price was last asked for with the product's units."""
    return bool([r for r in world.requests() if r.psa_product_id == product_id and r.target_unit_price is not None])


def open_in_the_log(world: Reconciler) -> dict[str, int]:
    """Product -> the target of its open request, as the events alone tell; never two open at any position."""
    still: dict[str, tuple[str, int]] = {}
    for event in world.happened():
        match event.type:
            case "AdjustmentRequested":
                assert event.psa_product_id not in still
                still[event.psa_product_id] = (event.request_id, event.target_units)
            case "AdjustmentSuperseded":
                assert still.pop(event.psa_product_id)[0] == event.request_id
            case "AdjustmentPosted":
                if still.get(event.psa_product_id, ("", 0))[0] == event.request_id:
                    del still[event.psa_product_id]
    return {product: target for product, (_, target) in still.items()}


def on(database: str, example: Callable[[Engine], None]) -> None:
    """Runs the example on the database and lets go of it."""
    engine = make_engine(database, "test")
    try:
        example(engine)
    finally:
        engine.dispose()


@of_a_few
@given(history=histories, batches=st.lists(st.integers(1, 8), min_size=1, max_size=3))
def test_m4_however_the_log_is_sliced_the_same_units_are_asked_for_in_the_end(
    database: str, history: list[Any], batches: list[int]
) -> None:
    def example(engine: Engine) -> None:
        # given: the same history in the logs of several MSPs
        asked = []
        for batch in (10_000, 1, *batches):
            world, told = a_world(engine)
            world.append(*(event for step in history for event in told.events(step)))

            # when
            world.catch_up(batch)
            asked.append(last_asked(world))

        # then
        assert all(each == asked[0] for each in asked[1:])

    on(database, example)


@of_a_few
@given(history=st.lists(st.tuples(steps, st.sampled_from(["", "read", "read", "post"])), min_size=1, max_size=20))
def test_the_open_request_is_one_and_asks_for_the_sum_and_planning_again_asks_nothing(
    database: str, history: list[Any]
) -> None:
    def example(engine: Engine) -> None:
        # given
        world, told = a_world(engine)

        # when: posts close what is open at any moment
        for step, then in history:
            world.append(*told.events(step))
            if then:
                world.catch_up()
            if then == "post":
                still = open_in_the_log(world)
                ended = {r.psa_product_id: posted(r) for r in world.requests() if r.psa_product_id in still}
                world.append(*ended.values())
        world.catch_up()

        # then
        still, asked = open_in_the_log(world), last_asked(world)
        for product in PRODUCTS:
            target, (units, _, is_open) = told.target(product), asked[product.psa_product_id]
            assert units == target
            assert is_open == (product.psa_product_id in still)
            if is_open:
                assert still[product.psa_product_id] == units
        assert replan(engine, world.msp_id, world.clock) == 0
        with engine.connect() as connection:
            found = [product_id for _, product_id in differing(connection, world.msp_id)]
            assert all(asked[each][0] is None or told.is_settled(each) or has_price(world, each) for each in found)

    on(database, example)
