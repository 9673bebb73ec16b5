"""Which subscriptions are read whole: hints first, new ones, then the oldest; within the budget, fairly, none for ever."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.poller.choose_reads import Choice, LastRead, Reason, Room, choose_reads, row_print
from services.poller.known_model import State
from tests.poller.seen import NOW, row

ROOMY = Room(calls=600, day_left=5000, day_limit=5000, oldest=timedelta(hours=24), cycle=timedelta(minutes=5))


def last(subscription_id: str, **changes: object) -> LastRead:
    shown = row(subscription_id)
    return replace(LastRead(shown.subscription_id, "c1", State.LIVE, NOW, row_print(shown), touched=False), **changes)


def by_id(*lasts: LastRead) -> dict[str, LastRead]:
    return {each.subscription_id: each for each in lasts}


def reasons(choice: Choice) -> dict[str, Reason]:
    return {read.subscription_id: read.reason for read in choice.reads}


def test_nothing_is_read_when_nothing_hints_at_a_change() -> None:
    # given
    known = by_id(last("s1"), last("s2"))

    # when
    choice = choose_reads(known, [row("s1"), row("s2")], ROOMY, NOW)

    # then
    assert choice == Choice((), ())


def test_each_hint_has_its_reason() -> None:
    # given
    known = by_id(
        last("vanished"),
        last("confirming", state=State.CONFIRMING),
        last("touched", touched=True),
        last("changed", row_print="another"),
        last("returned", state=State.ENDED),
        last("held and back", state=State.HELD),
        last("aged", read_at=NOW - timedelta(hours=25)),
        last("ended listed still", row_print=row_print(row("ended listed still", status="removed"))),
    )
    listing = [row(each) for each in known if each not in ("vanished", "ended listed still")]
    listing += [row("new"), row("ended listed still", status="removed")]

    # when
    choice = choose_reads(known, listing, ROOMY, NOW)

    # then
    assert reasons(choice) == {
        "vanished": Reason.VANISHED,
        "confirming": Reason.CONFIRMING,
        "touched": Reason.TOUCHED,
        "changed": Reason.CHANGED,
        "returned": Reason.RETURNED,
        "held and back": Reason.RETURNED,
        "aged": Reason.AGED,
        "new": Reason.NEW,
        "ended listed still": Reason.CHANGED,
    }


def test_what_ended_is_left_alone_whether_the_list_shows_it_or_not() -> None:
    # given
    known = by_id(last("s1", state=State.ENDED), last("s2", state=State.ENDED), last("s3", state=State.HELD))

    # when
    choice = choose_reads(known, [row("s2", status="removed"), row("s4", status="removed")], ROOMY, NOW)

    # then
    assert choice == Choice((), ())


def test_at_four_fifths_of_the_day_only_hints_and_new_ones_are_read() -> None:
    # given
    known = by_id(last("aged", read_at=NOW - timedelta(hours=30)), last("touched", touched=True))
    spent = replace(ROOMY, day_left=1000)

    # when
    choice = choose_reads(known, [row("aged"), row("touched"), row("new")], spent, NOW)

    # then
    assert set(reasons(choice)) == {"touched", "new"}
    assert [read.subscription_id for read in choice.put_off] == ["aged"]


def test_the_rolling_re_read_spreads_over_the_cycles_of_the_set_age() -> None:
    # given 2,880 subscriptions, read at even times; 288 cycles in 24 hours
    known = by_id(*(last(f"s{n}", read_at=NOW - timedelta(seconds=29 * n)) for n in range(2880)))

    # when
    choice = choose_reads(known, [row(each) for each in known], ROOMY, NOW)

    # then
    assert 10 <= len(choice.reads) <= 11
    assert choice.reads[0].subscription_id == "s2879"


STATES = st.sampled_from(list(State))
KNOWN = st.builds(
    last,
    st.integers(0, 60).map("s{}".format),
    state=STATES,
    touched=st.booleans(),
    row_print=st.sampled_from(["", "another"]),
    read_at=st.integers(0, 40).map(lambda hours: NOW - timedelta(hours=hours)),
)
ROWS = st.builds(row, st.integers(0, 80).map("s{}".format), status=st.sampled_from(["active", "hold", "removed"]))
ROOMS = st.builds(
    Room,
    calls=st.integers(0, 80),
    day_left=st.integers(0, 200),
    day_limit=st.just(200),
    oldest=st.just(timedelta(hours=24)),
    cycle=st.just(timedelta(minutes=5)),
)


@given(st.lists(KNOWN, max_size=60), st.lists(ROWS, max_size=80, unique_by=lambda each: each.subscription_id), ROOMS)
def test_the_room_is_kept_nothing_is_read_twice_and_what_waits_is_counted(
    lasts: list[LastRead], listing: list, room: Room
) -> None:
    # when
    choice = choose_reads(by_id(*lasts), listing, room, NOW)

    # then
    assert len(choice.reads) <= min(room.calls, room.day_left)
    both = [read.subscription_id for read in (*choice.reads, *choice.put_off)]
    assert len(both) == len(set(both))
    boundless = choose_reads(by_id(*lasts), listing, replace(room, calls=10**6, day_left=10**6), NOW)
    assert set(both) == {read.subscription_id for read in boundless.reads}
    if room.day_left <= room.day_limit // 5:
        assert all(read.reason is not Reason.AGED for read in choice.reads)


@settings(deadline=None, max_examples=25)
@given(st.integers(3, 40), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_every_subscription_has_its_turn_however_many_always_look_changed(
    calls: int, changing: int, new: int, quiet: int
) -> None:
    # given subscriptions whose list row differs in every cycle, new ones, and quiet ones that are too old
    lasts = by_id(
        *(last(f"changing{n}") for n in range(changing)),
        *(last(f"quiet{n}", read_at=NOW - timedelta(hours=30)) for n in range(quiet)),
    )
    listing = [row(each) for each in lasts] + [row(f"new{n}") for n in range(new)]
    room = replace(ROOMY, calls=calls)
    waiting = {each.subscription_id for each in listing}

    # when cycles go by
    for cycle in range(1, 200):
        now = NOW + cycle * room.cycle
        seen = {key: replace(each, row_print="x") if "changing" in key else each for key, each in lasts.items()}
        for read in choose_reads(seen, listing, room, now).reads:
            lasts[read.subscription_id] = last(read.subscription_id, read_at=now)
            waiting.discard(read.subscription_id)

    # then
    assert waiting == set()


@pytest.mark.parametrize("field", ["name", "status", "renewal_date", "modified_date", "renews", "company_id"])
def test_the_print_of_a_list_row_tells_every_field(field: str) -> None:
    assert row_print(row()) != row_print(replace(row(), **{field: "other"}))
