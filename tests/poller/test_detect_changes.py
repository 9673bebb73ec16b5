"""What one whole read says: nothing when nothing changed, each change once, and never less for want of an answer."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.events import (
    CompanyObserved,
    ResourceCostChanged,
    ResourceCountChanged,
    ResourceDiscovered,
    ResourceRenamed,
    SubscriptionObserved,
)
from domain.money import Money
from services.poller.confirm_missing import disappear
from services.poller.detect_changes import (
    detect_changes,
    detect_company_change,
    detect_gone,
    renamed_with_company,
)
from services.poller.known_model import KnownSubscription, State, known_after
from services.poller.sources.port import Company, Snapshot
from tests.poller.seen import NAMES, NOW, known, resource, row


def test_an_unchanged_read_says_nothing() -> None:
    # when
    detected = detect_changes(known(resource()), Snapshot(row(), (resource(),)), NAMES)

    # then
    assert (detected.events, detected.missing) == ((), ())


def test_an_equal_amount_written_otherwise_is_no_change() -> None:
    # given
    same = resource(count="8.0", unit_cost=Money(Decimal("3.4000"), "USD"))

    # when
    detected = detect_changes(known(resource()), Snapshot(row(), (same,)), NAMES)

    # then
    assert detected.events == ()


def test_the_first_read_discovers_everything() -> None:
    # when
    detected = detect_changes(None, Snapshot(row(usage_based=True), (resource(), resource("r2", None))), NAMES)

    # then
    observed, first, second = detected.events
    assert isinstance(observed, SubscriptionObserved)
    assert observed.previous_status is None
    assert isinstance(first, ResourceDiscovered)
    assert isinstance(second, ResourceDiscovered)
    assert (first.count, second.count, first.usage_based) == (8, None, True)


def test_name_count_and_cost_change_in_this_order_under_the_new_name() -> None:
    # given
    changed = resource(count=12, name="Plan One", unit_cost=Money(Decimal("3.5"), "USD"))

    # when
    detected = detect_changes(known(resource()), Snapshot(row(), (changed,)), NAMES)

    # then
    assert [type(event) for event in detected.events] == [ResourceRenamed, ResourceCountChanged, ResourceCostChanged]
    assert {event.resource_name for event in detected.events} == {"Plan One"}
    assert detected.events[0].previous_resource_name == "Exchange Online (Plan 1)"


def test_a_renamed_subscription_renames_its_resources() -> None:
    # when
    detected = detect_changes(known(resource()), Snapshot(row(name="Microsoft 365"), (resource(),)), NAMES)

    # then
    observed, renamed = detected.events
    assert observed.previous_subscription_name == renamed.previous_subscription_name == "Office 365"


def test_a_resource_that_turns_usage_based_is_told_whole_again() -> None:
    # when
    detected = detect_changes(known(resource()), Snapshot(row(usage_based=True), (resource(count=9),)), NAMES)

    # then
    (event,) = detected.events
    assert isinstance(event, ResourceDiscovered)
    assert (event.usage_based, event.count) == (True, 9)


def test_what_counts_an_ended_subscription_still_shows_are_not_believed() -> None:
    # when
    detected = detect_changes(known(resource()), Snapshot(row(status="removed"), (resource(count=0),)), NAMES)

    # then
    assert [type(event) for event in detected.events] == [SubscriptionObserved]
    assert detected.missing == (("c1", "r1"),)


def test_a_direct_read_that_finds_nothing_only_names_what_is_missing() -> None:
    # when
    detected = detect_gone(known(resource(), resource("r2")))

    # then
    assert detected.events == ()
    assert len(detected.missing) == 2


def test_a_resource_disappears_with_the_poll_that_fills_the_number() -> None:
    # given
    keys = (("c1", "r1"),)

    # when
    first = disappear(known(resource(), missing=0), keys, NAMES, "gone", 2)
    second = disappear(known(resource(), missing=1), keys, NAMES, "gone", 2)

    # then
    assert first == ()
    assert [event.confirmed_by_polls for event in second] == [2]


def test_a_known_company_is_told_only_when_it_differs() -> None:
    # given
    company = Company("c1", "Repair and Wear", "active")

    # when
    events = [
        detect_company_change(None, company, "odin"),
        detect_company_change(company, company, "odin"),
        detect_company_change(company, replace(company, status="creditHold"), "odin"),
    ]

    # then
    assert [type(event) for event in events] == [CompanyObserved, type(None), CompanyObserved]


def test_a_renamed_company_renames_its_living_resources() -> None:
    # when
    (event,) = renamed_with_company(known(resource()), "Old name", NAMES)

    # then
    assert (event.previous_company_name, event.company_name) == ("Old name", "Repair and Wear")


COUNTS = st.none() | st.integers(0, 50) | st.sampled_from(["0.5", "10.25"])
MONEY = st.none() | st.integers(0, 9).map(lambda amount: Money(Decimal(amount), "USD"))
RESOURCES = st.lists(
    st.builds(resource, st.sampled_from(["r1", "r2", "r3"]), COUNTS, unit_cost=MONEY, name=st.sampled_from("ab")),
    max_size=3,
    unique_by=lambda each: each.resource_id,
).map(tuple)
SNAPSHOTS = st.builds(
    Snapshot,
    st.builds(
        row,
        status=st.sampled_from(["active", "hold", "removed", "odd"]),
        name=st.sampled_from("ab"),
        company_id=st.sampled_from(["c1", "c2"]),
        usage_based=st.booleans(),
    ),
    st.none() | RESOURCES,
)


def history(snapshots: list[Snapshot]) -> KnownSubscription | None:
    seen = None
    for snapshot in snapshots:
        seen = known_after(seen, snapshot, NOW)
    return seen


@given(st.lists(SNAPSHOTS, max_size=5), SNAPSHOTS)
def test_looking_twice_finds_nothing_the_second_time(past: list[Snapshot], snapshot: Snapshot) -> None:
    # given
    after = known_after(history(past), snapshot, NOW)

    # when
    again = detect_changes(after, snapshot, NAMES)

    # then
    assert again.events == ()
    assert known_after(after, snapshot, NOW) == after


@given(st.lists(SNAPSHOTS, max_size=5), SNAPSHOTS)
def test_the_events_of_a_read_carry_the_known_counts_to_the_shown_ones(
    past: list[Snapshot], snapshot: Snapshot
) -> None:
    # given
    seen = history(past)
    counts = living(seen)

    # when
    detected = detect_changes(seen, snapshot, NAMES)
    for event in detected.events:
        key = (event.company_id, getattr(event, "resource_id", ""))
        if isinstance(event, ResourceCountChanged):
            assert counts[key] == event.previous_count != event.count
        if isinstance(event, ResourceCountChanged | ResourceDiscovered):
            counts[key] = event.count

    # then nothing is lowered but by a count that was shown
    assert counts == living(known_after(seen, snapshot, NOW))
    if snapshot.resources is not None and not snapshot.row.ended:
        shown = {(snapshot.row.company_id, each.resource_id): each.count for each in snapshot.resources}
        assert {key: counts[key] for key in shown} == shown
        assert set(detected.missing) == counts.keys() - shown.keys()


@given(st.lists(SNAPSHOTS, max_size=5), st.lists(SNAPSHOTS, min_size=1, max_size=1))
def test_a_subscription_with_something_missing_stays_to_be_confirmed(
    past: list[Snapshot], last: list[Snapshot]
) -> None:
    # given
    seen = history(past)

    # when
    after = known_after(seen, last[0], NOW)
    missing = detect_changes(seen, last[0], NAMES).missing

    # then
    if missing:
        assert after.state is State.CONFIRMING


def living(seen: KnownSubscription | None) -> dict[tuple[str, str], Decimal | None]:
    parts: tuple = seen.live_resources if seen else ()
    return {each.key: each.resource.count for each in parts}
