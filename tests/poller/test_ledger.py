"""Random histories with faults against the sandbox's ledger: each true change is exactly one event, in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from deploy.sandbox.books import Resource
from deploy.sandbox.odin import OdinAccount, TrueChange, odin_sandbox
from domain.events import PollCompleted
from domain.money import Money
from tests.poller.desk import Desk, desk_for, hurried
from tests.servers import Postgres

Line = tuple[str, str, str, str, str]
PICKS = st.integers(0, 50)
CHANGES = st.one_of(
    st.tuples(st.just("count"), PICKS, st.integers(0, 40)),
    st.tuples(st.just("cost"), PICKS, st.integers(1, 9)),
    st.tuples(st.just("name"), PICKS, st.sampled_from(["Plan A", "Plan B", "=cmd|x"])),
    st.tuples(st.just("gone"), PICKS, st.just(0)),
    st.tuples(st.just("ended"), PICKS, st.just(0)),
    st.tuples(st.just("appeared"), PICKS, st.integers(1, 9)),
    st.tuples(st.just("renewed"), PICKS, st.just(0)),
)
FAULTS = st.sampled_from(
    [
        None,
        None,
        "error_500",
        "html_200",
        "truncated_json",
        "reset",
        "reset_mid_body",
        "lying_total",
        "empty_list",
        "stale",
    ]
)
PLACES = st.sampled_from(["/subscriptions?", "/subscriptions/", "/orders?", "/orders/", "/token"])
STEPS = st.lists(st.tuples(st.lists(CHANGES, max_size=3), FAULTS, PLACES), min_size=1, max_size=5)


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)


@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(STEPS)
def test_each_true_change_is_exactly_one_event_in_order(
    postgres: Postgres, migrated_template: str, no_patience: None, steps: list[Any]
) -> None:
    with (
        fresh_database(postgres, migrated_template) as database,
        odin_sandbox(companies=2) as odin,
        desk_for(database, odin) as desk,
    ):
        # given
        desk.completed()
        desk.news()
        told: list[Line] = []
        born: dict[str, tuple[Resource, ...]] = {}
        began = len(odin.ledger)

        # when
        for changes, fault, place in steps:
            act_on_different_subscriptions(odin, changes, born)
            if fault:
                odin.faults.script(fault, place, calls=3)
                desk.poll()
                odin.faults.clear()
            until_quiet(desk, odin)
            told += [line for event in desk.news() for line in told_by(event)]

        # then
        true = [line for change in odin.ledger[began:] for line in true_of(odin, change, born)]
        assert by_resource(told) == by_resource(true)
        assert desk.counts() == {
            (s.subscription_id, r.product_id): r.count
            for s in odin.subscriptions
            if s.status in ("active", "hold")
            for r in s.resources
        }


def until_quiet(desk: Desk, odin: OdinAccount) -> None:
    """A day goes by: the rolling re-read has come round, and what was missing has been confirmed."""
    desk.later(hours=25)
    odin.sandbox.clock.advance(timedelta(hours=25))
    for _ in range(3):
        ended = desk.poll()
        assert isinstance(ended, PollCompleted)
        assert ended.complete


def act_on_different_subscriptions(odin: OdinAccount, wanted: list[Any], born: dict[str, tuple[Resource, ...]]) -> None:
    """At most one change a subscription: what happens twice between two polls is seen once. born: the resources with which
    a renewal began."""
    living = [s for s in odin.subscriptions if s.status == "active" and s.resources]
    acted: set[str] = set()
    for kind, pick, value in wanted:
        if not living or living[pick % len(living)].subscription_id in acted:
            continue
        subscription = living[pick % len(living)]
        key, product = (
            subscription.subscription_id,
            subscription.resources[pick % len(subscription.resources)].product_id,
        )
        acted.add(key)
        if kind == "count":
            odin.set_count(key, product, value, silent=value % 2 == 0)
        elif kind == "cost":
            odin.set_cost(key, product, value)
        elif kind == "name":
            odin.rename(key, product, value)
        elif kind == "gone":
            odin.vanish(key)
        elif kind == "ended":
            odin.remove(key)
        elif kind == "appeared":
            odin.add_resource(key, f"new-{len(odin.ledger)}", "New", value)
        else:
            new = odin.renew(key)
            born[new] = odin.subscription(new).resources
            acted.add(new)


def true_of(odin: OdinAccount, change: TrueChange, born: dict[str, tuple[Resource, ...]]) -> list[Line]:
    """A line of the ledger as (subscription, resource, what, old, new), one for each resource concerned."""
    key = (change.subscription_id, change.product_id)
    if change.field == "name":
        return [(*key, "name", change.old, change.new)]
    if change.field in ("count", "cost"):
        return [(*key, change.field, plain(change.old), plain(change.new))]
    if change.field == "appeared":
        return [(*key, "appeared", "", plain(change.new))]
    if change.field == "renewed":
        renewed = [(change.new, "", "renewed", change.old, change.new)]
        return [(change.new, r.product_id, "appeared", "", plain(str(r.count))) for r in born[change.new]] + renewed
    if change.field == "gone":
        vanished = odin._state.gone[change.subscription_id]
        return [(change.subscription_id, r.product_id, "ended", "", "") for r in vanished.resources]
    if change.field == "status" and change.new == "removed" and change.subscription_id not in renewed_in(odin):
        resources = odin.subscription(change.subscription_id).resources
        return [(change.subscription_id, r.product_id, "ended", "", "") for r in resources]
    return []


def renewed_in(odin: OdinAccount) -> set[str]:
    return {change.old for change in odin.ledger if change.field == "renewed"}


def told_by(event: Any) -> list[Line]:
    """An event in the same words."""
    key = (getattr(event, "subscription_id", ""), getattr(event, "resource_id", ""))
    match event.type:
        case "ResourceCountChanged":
            return [(*key, "count", plain(str(event.previous_count)), plain(str(event.count)))]
        case "ResourceCostChanged":
            return [(*key, "cost", money(event.previous_unit_cost), money(event.unit_cost))]
        case "ResourceRenamed":
            return [(*key, "name", event.previous_resource_name, event.resource_name)]
        case "ResourceDiscovered":
            return [(*key, "appeared", "", plain(str(event.count)))]
        case "SubscriptionRenewed":
            return [(event.subscription_id, "", "renewed", event.previous_subscription_id, event.subscription_id)]
        case "ResourceDisappeared":
            return [(*key, "ended", "", "")]
    return []


def by_resource(lines: list[Line]) -> dict[tuple[str, str], list[Line]]:
    sorted_out: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        sorted_out.setdefault(line[:2], []).append(line)
    return sorted_out


def plain(text: str) -> str:
    """ "3.40 USD" and "3.4 USD" are one amount."""
    number, *currency = text.split(" ")
    return " ".join((format(Decimal(number).normalize(), "f"), *currency)) if number else ""


def money(amount: Money | None) -> str:
    return "" if amount is None else plain(f"{amount.amount} {amount.currency}")


@contextmanager
def fresh_database(postgres: Postgres, template: str) -> Iterator[str]:
    """A database of this example's own."""
    name = f"ledger_{uuid4().hex}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, template)
    yield postgres.database_url(name)
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)
