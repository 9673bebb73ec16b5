"""Rows O1-O13 of the marketplace: whatever it answers, nothing is lowered on half an answer, and nothing is lost."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from deploy.sandbox.odin import OdinAccount, odin_sandbox
from domain.events import (
    PollCompleted,
    PollFailed,
    ResourceCostChanged,
    ResourceCountChanged,
    ResourceDisappeared,
    ResourceDiscovered,
    ResourceRenamed,
    SubscriptionObserved,
)
from domain.money import Money
from plumbing.http import Limits
from services.poller import opening
from services.poller.sources import simple_api
from tests.poller.desk import Desk, desk_for, hurried

EXAMPLE = ("1000823", "100234")
LOWERING = ("ResourceCountChanged", "ResourceDisappeared")


@pytest.fixture
def odin() -> Iterator[OdinAccount]:
    with odin_sandbox(companies=12) as account:
        yield account


@pytest.fixture
def desk(database: str, odin: OdinAccount, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk that has polled once, with nothing left to tell."""
    hurried(monkeypatch)
    with desk_for(database, odin) as made:
        made.completed()
        made.news()
        yield made


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("error_500", {}),
    ("error_502", {}),
    ("error_503", {}),
    ("error_504", {}),
    ("throttled", {"retry_after": 1}),
    ("throttled", {"retry_after": None}),
    ("day_spent", {}),
    ("unauthorised", {}),
    ("forbidden", {}),
    ("html_200", {}),
    ("wrong_content_type", {}),
    ("truncated_json", {}),
    ("cut_off", {}),
    ("reset", {}),
    ("reset_mid_body", {}),
    ("hang", {"seconds": 5}),
    ("hang_mid_body", {"seconds": 5}),
    ("lying_total", {}),
    ("empty_list", {}),
]


LISTS_ONLY = ("lying_total", "empty_list")
PLACES = [
    *(("/subscriptions?", *fault) for fault in FAULTS),
    *(("/subscriptions/", *fault) for fault in FAULTS if fault[0] not in LISTS_ONLY),
    *(
        ("/orders?", *fault)
        for fault in FAULTS
        if fault[0] in ("error_500", "throttled", "truncated_json", "empty_list")
    ),
    *(("/customers?", *fault) for fault in FAULTS if fault[0] in ("error_502", *LISTS_ONLY)),
]


@pytest.mark.parametrize(("path", "kind", "measures"), PLACES)
def test_o1_a_fault_lowers_nothing_keeps_the_budget_and_the_next_cycle_completes(
    desk: Desk, odin: OdinAccount, kind: str, measures: dict[str, Any], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simple_api, "TRIES", 2)
    desk.later(hours=2)
    # given a fault that stays for a whole poll, while one count rises and another falls
    before = desk.counts()
    other = next((s, r) for s, r in before if (s, r) != EXAMPLE and (before[s, r] or 0) > 2)
    odin.set_count(*EXAMPLE, 12)
    odin.set_count(*other, 1)
    odin.faults.script(kind, path, calls=None, **measures)
    odin.forget_calls()
    taken = _calls_taken(desk)

    # when
    ended = desk.poll()

    # then nothing of it is believed, and each call that reached the marketplace was counted
    assert isinstance(ended, PollFailed) or not ended.complete
    assert desk.counts() == before
    assert desk.news(*LOWERING) == []
    assert _calls_taken(desk) - taken >= len(odin.calls)

    # when the fault has passed
    odin.faults.clear()
    desk.later(hours=6)
    desk.set_up()
    desk.completed()

    # then both changes are told, once
    changed = {(e.subscription_id, e.resource_id): e.count for e in desk.news("ResourceCountChanged")}
    assert changed == {EXAMPLE: 12, other: 1}


def test_o1_a_token_that_dies_early_is_renewed_once(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.set_count(*EXAMPLE, 12)
    odin.after("/subscriptions", odin.kill_tokens)

    # when
    ended = desk.completed()

    # then
    assert ended.complete
    assert len(desk.news("ResourceCountChanged")) == 1


def test_o1_a_spent_quota_says_so_and_sleeps_to_the_reset(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.faults.script("day_spent", "/subscriptions?")

    # when
    ended = desk.failed()

    # then
    assert ended.kind == "quota"
    odin.forget_calls()
    assert desk.failed().kind == "quota"
    assert odin.calls == ()
    desk.later(hours=5, minutes=1)
    assert desk.completed().complete


def test_o1_a_429_holds_back_every_replica_as_long_as_it_says(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.faults.script("throttled", "/subscriptions?", retry_after=1)

    # when
    ended = desk.completed()

    # then
    first, second = [call.at for call in odin.calls if call.path == "/subscriptions"][-2:]
    assert ended.complete
    assert (second - first).total_seconds() >= 1


def test_o2_page_3_of_7_fails_lowers_nothing(desk: Desk, odin: OdinAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    # given lists of seven pages, one of which never comes
    monkeypatch.setattr(simple_api, "PAGE", -(-len(odin.subscriptions) // 7))
    before = desk.counts()
    odin.faults.script("error_502", "/subscriptions?", query=f"offset={2 * simple_api.PAGE}&", calls=None)

    # when it is polled more often than a disappearance takes
    ends = [desk.poll() for _ in range(4)]

    # then
    assert all(isinstance(ended, PollFailed) for ended in ends)
    assert desk.counts() == before
    assert desk.news() == []


def test_o2_a_walk_of_seven_pages_is_whole(desk: Desk, odin: OdinAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(simple_api, "PAGE", -(-len(odin.subscriptions) // 7))
    odin.forget_calls()

    # when
    ended = desk.completed()

    # then
    assert ended.subscriptions == len(odin.subscriptions)
    assert len([call for call in odin.calls if call.path == "/subscriptions"]) == 7


def test_o3_an_empty_list_that_tells_a_total_is_incomplete(desk: Desk, odin: OdinAccount) -> None:
    # given
    before = desk.counts()
    odin.faults.script("empty_list", "/subscriptions?", calls=None)

    # when
    ends = [desk.failed() for _ in range(3)]

    # then
    assert {ended.kind for ended in ends} == {"malformed"}
    assert desk.counts() == before
    assert desk.news() == []


@pytest.mark.parametrize("shift", ["added", "vanished"])
def test_o4_rows_that_shift_between_pages_are_found_and_the_list_is_walked_again(
    desk: Desk, odin: OdinAccount, monkeypatch: pytest.MonkeyPatch, shift: str
) -> None:
    # given a row that comes or goes after the second page: all later rows move by one place
    monkeypatch.setattr(simple_api, "PAGE", 5)
    newest = odin.subscriptions[0]
    if shift == "added":
        odin.after(
            "/subscriptions?", lambda: odin.add_subscription(newest.company_id, "Brought by a new order"), calls=2
        )
    else:
        odin.after("/subscriptions?", lambda: odin.vanish(newest.subscription_id), calls=2)
    odin.forget_calls()

    # when
    ended = desk.completed()

    # then every row was seen: the list was begun again, and no other subscription was taken for vanished
    pages = [call.query for call in odin.calls if call.path == "/subscriptions"]
    assert len([query for query in pages if "offset=0&" in query]) == 2
    assert ended.subscriptions == len(odin.subscriptions)
    read = {call.path for call in odin.calls if call.path.startswith("/subscriptions/")}
    assert len(read) <= 1 + (shift == "added")


@pytest.mark.parametrize(
    ("shown", "count"),
    [
        ("10", Decimal(10)),
        ('"10"', Decimal(10)),
        ("10.0", Decimal(10)),
        ("10.5", Decimal("10.5")),
        ('"10.50"', Decimal("10.5")),
        ("1e3", Decimal(1000)),
        ("0", Decimal(0)),
        ("0.1", Decimal("0.1")),
        ("null", None),
        (None, None),
    ],
)
def test_o5_a_count_is_taken_exactly_and_a_missing_one_is_not_0(
    desk: Desk, odin: OdinAccount, shown: str | None, count: Decimal | None
) -> None:
    # given
    odin.show(*EXAMPLE, "quantity", shown)
    odin.set_price(*EXAMPLE, "4.40")

    # when
    ended = desk.completed()

    # then
    assert ended.complete
    (event,) = desk.news("ResourceCountChanged")
    assert isinstance(event, ResourceCountChanged)
    assert (event.previous_count, event.count) == (Decimal(8), count)
    assert desk.counts()[EXAMPLE] == count


@pytest.mark.parametrize(
    "shown",
    [
        "-1",
        '"-1"',
        "9223372036854775808",
        '"ten"',
        '"1,5"',
        '"1_0"',
        '"１０"',
        '" 10"',
        '""',
        "true",
        "[10]",
        "{}",
        "1e400",
        '"NaN"',
        '"Infinity"',
    ],
)
def test_o5_what_is_no_count_is_refused_and_the_whole_read_with_it(desk: Desk, odin: OdinAccount, shown: str) -> None:
    # given
    before = desk.counts()
    odin.set_price(*EXAMPLE, "4.40")
    odin.show(*EXAMPLE, "quantity", shown)

    # when
    ended = desk.completed()

    # then
    assert not ended.complete
    assert desk.news() == []
    assert desk.counts() == before

    # when it makes sense again
    odin.show_truth()
    assert desk.completed().complete
    assert [type(event) for event in desk.news()] == [ResourceCostChanged]


@pytest.mark.parametrize(
    ("shown", "cost"),
    [
        ('{"currency": "USD", "amount": "2.7183"}', Money(Decimal("2.7183"), "USD")),
        ('{"currency": "USD", "amount": 2.7183}', Money(Decimal("2.7183"), "USD")),
        ('{"currency": "eur", "amount": "0.1000"}', Money(Decimal("0.1000"), "EUR")),
        ('{"currency": "USD", "amount": "0"}', Money(Decimal(0), "USD")),
        ("null", None),
        (None, None),
    ],
)
def test_o6_a_cost_is_taken_exactly_with_its_currency(
    desk: Desk, odin: OdinAccount, shown: str | None, cost: Money | None
) -> None:
    # given
    odin.show(*EXAMPLE, "unitCost", shown)
    odin.switch(changes_move_last_modified=True)
    odin.set_price(*EXAMPLE, "4.40")

    # when
    desk.completed()

    # then
    (event,) = desk.news()
    assert isinstance(event, ResourceCostChanged)
    assert event.unit_cost == cost


@pytest.mark.parametrize(
    "amount", ['"2,71"', '"1.234,50"', '"USD 4.00"', '"4.00 USD"', '"٤"', '""', "true", '"NaN"', '"1e30"', '"1e-30"']
)
def test_o6_what_a_person_would_have_to_interpret_is_no_cost(desk: Desk, odin: OdinAccount, amount: str) -> None:
    # given
    before = desk.counts()
    odin.set_count(*EXAMPLE, 12)
    odin.show(*EXAMPLE, "unitCost", f'{{"currency": "USD", "amount": {amount}}}')

    # when
    ended = desk.completed()

    # then
    assert not ended.complete
    assert desk.news() == []
    assert desk.counts() == before


def test_o6_an_unheard_of_currency_is_refused(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.set_count(*EXAMPLE, 12)
    odin.show(*EXAMPLE, "unitCost", '{"currency": "$", "amount": "4"}')

    # when
    ended = desk.completed()

    # then
    assert not ended.complete
    assert desk.news() == []


def test_o7_a_resource_that_vanishes_disappears_after_two_whole_polls_and_returns_as_discovered(
    desk: Desk, odin: OdinAccount
) -> None:
    # given
    resource = odin.resource(*EXAMPLE)
    odin.remove(*EXAMPLE)

    # when
    desk.completed()
    first = desk.news("ResourceDisappeared", "ResourceCountChanged")
    desk.completed()
    (gone,) = desk.news()

    # then
    assert first == []
    assert isinstance(gone, ResourceDisappeared)
    assert (gone.previous_count, gone.confirmed_by_polls) == (Decimal(8), 2)

    # when it returns without any hint: neither an order nor a list row tells of it, only the rolling re-read
    odin.add_resource(*EXAMPLE, resource.name, 9)
    desk.later(hours=25)
    desk.completed()

    # then
    (back,) = desk.news()
    assert isinstance(back, ResourceDiscovered)
    assert back.count == 9


@pytest.mark.parametrize("end", ["cancel", "remove", "vanish", "vanish-400"])
def test_o7_a_subscription_that_ends_is_confirmed_by_direct_reads_in_two_whole_polls(
    desk: Desk, odin: OdinAccount, end: str
) -> None:
    # given
    if end == "vanish-400":
        odin.switch(not_found_status=400)
    getattr(odin, end.partition("-")[0])(EXAMPLE[0])

    # when
    desk.completed()
    first = desk.news("ResourceDisappeared")
    odin.forget_calls()
    desk.completed()
    second = desk.news("ResourceDisappeared")
    confirming = [call.path for call in odin.calls if call.path.startswith("/subscriptions/")]
    odin.forget_calls()
    desk.completed()

    # then
    assert first == []
    assert [event.resource_id for event in second] == [EXAMPLE[1]]
    assert confirming == [f"/subscriptions/{EXAMPLE[0]}"]
    assert desk.news() == []
    assert [call.path for call in odin.calls if call.path.startswith("/subscriptions/")] == []


def test_o7_a_poll_that_was_not_whole_confirms_no_disappearance(desk: Desk, odin: OdinAccount) -> None:
    # given a subscription that is missing from now on, and lists that break off after the direct read
    odin.vanish(EXAMPLE[0])
    desk.completed()
    desk.news()

    # when
    odin.faults.script("error_500", f"/subscriptions/{EXAMPLE[0]}", calls=None)
    broken_read = desk.completed()
    odin.faults.clear()
    odin.faults.script("truncated_json", "/orders?", calls=None)
    broken_list = desk.failed()
    odin.faults.clear()

    # then
    assert not broken_read.complete
    assert broken_list.kind == "malformed"
    assert desk.news() == []
    desk.completed()
    assert [type(event) for event in desk.news()] == [ResourceDisappeared, SubscriptionObserved]


def test_o7_a_subscription_missing_from_the_list_but_there_when_asked_is_alive(desk: Desk, odin: OdinAccount) -> None:
    # given a marketplace whose list forgets a row, total included, and remembers when asked
    before = desk.counts()

    # when
    for _ in range(3):
        odin.vanish(EXAMPLE[0])
        odin.after("/subscriptions?", lambda: odin.restore(EXAMPLE[0]))
        desk.completed()

    # then
    assert desk.counts() == before
    assert desk.news() == []


def test_o7_hold_and_credit_hold_are_not_gone(desk: Desk, odin: OdinAccount) -> None:
    # given
    before = desk.counts()
    odin.set_status(EXAMPLE[0], "hold")

    # when
    for _ in range(3):
        desk.completed()

    # then
    (event,) = desk.news()
    assert isinstance(event, SubscriptionObserved)
    assert event.status == "hold"
    assert desk.counts() == before


def test_o7_a_renamed_resource_is_renamed_and_nothing_else(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.rename(*EXAMPLE, "Exchange Online Plan One")

    # when
    desk.completed()

    # then
    (event,) = desk.news()
    assert isinstance(event, ResourceRenamed)
    assert event.resource_name == "Exchange Online Plan One"


def test_o7_a_subscription_moved_to_another_company_is_there_at_once_and_gone_here_when_confirmed(
    desk: Desk, odin: OdinAccount
) -> None:
    # given
    old, new = odin.subscription(EXAMPLE[0]).company_id, odin.companies[0].company_id
    odin.move(EXAMPLE[0], new)

    # when
    desk.completed()
    first = desk.news()
    desk.completed()
    second = desk.news()

    # then
    assert [(type(e), e.company_id) for e in first] == [(SubscriptionObserved, new), (ResourceDiscovered, new)]
    (gone,) = second
    assert isinstance(gone, ResourceDisappeared)
    assert gone.company_id == old


def test_o7_an_answer_without_products_says_nothing_about_them(desk: Desk, odin: OdinAccount) -> None:
    # given
    before = desk.counts()
    odin.set_status(EXAMPLE[0], "pending")
    odin.show(EXAMPLE[0], "", "products", None)

    # when
    for _ in range(3):
        desk.completed()

    # then
    assert [type(event) for event in desk.news()] == [SubscriptionObserved]
    assert desk.counts() == before


@pytest.mark.parametrize(
    "name",
    [
        "مرحبا بالعالم",
        "\u202eevil\u202c",
        '=cmd|" /C calc"!A0',
        "x" * 10_000,
        "Zoë's 北京 🚀",
        "a\\tb\\n\t\n'\"--;DROP",
        "Robert'); --%s {0}",
    ],
)
def test_o8_any_name_is_stored_exactly(desk: Desk, odin: OdinAccount, name: str) -> None:
    # given
    odin.rename(*EXAMPLE, name)
    odin.rename_company(odin.subscription(EXAMPLE[0]).company_id, name)
    desk.later(hours=2)

    # when
    desk.completed()

    # then
    news = desk.news("ResourceRenamed")
    assert news[-1].resource_name == name
    assert news[-1].company_name == name
    assert desk.completed().changes == 0


def test_o8_a_nul_in_a_name_is_left_out(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.rename(*EXAMPLE, "before\x00after")

    # when
    desk.completed()

    # then
    assert [event.resource_name for event in desk.news("ResourceRenamed")] == ["beforeafter"]


def test_o9_a_count_that_flaps_within_a_cycle_is_no_change(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.set_count(*EXAMPLE, 9)
    odin.set_count(*EXAMPLE, 8)

    # when
    ended = desk.completed()

    # then
    assert ended.subscriptions_read == 1
    assert desk.news() == []


def test_o10_dates_of_the_marketplace_neither_loop_nor_hide_anything(desk: Desk, odin: OdinAccount) -> None:
    # given days and order times that lie far ahead
    for field in ("lastModifiedDate", "renewalDate", "creationDate"):
        odin.show(EXAMPLE[0], "", field, '"2099-01-01"')
    odin.sandbox.clock.advance(__import__("datetime").timedelta(hours=2))
    odin.set_count(*EXAMPLE, 12)

    # when
    desk.completed()
    first = desk.news()
    ended = desk.completed()

    # then each change is told once, at our own time, and nothing is read again and again
    assert [e.count for e in first if isinstance(e, ResourceCountChanged)] == [12]
    assert (ended.subscriptions_read, ended.changes) == (0, 0)
    with desk.engine.connect() as connection:
        ahead = connection.scalar(text("SELECT count(*) FROM log.events WHERE occurred_at > now() + interval '1 min'"))
    assert ahead == 0


def test_o11_equal_ids_of_two_msps_stay_apart(database: str, desk: Desk, odin: OdinAccount) -> None:
    # given another MSP whose marketplace knows the same ids
    twin = odin.add_account("twin", seed=1, companies=12)
    with desk_for(database, twin, msp_id="globex") as other:
        other.completed()
        other.news()
        twin.set_count(*EXAMPLE, 30)

        # when
        desk.completed()
        other.completed()

        # then
        assert desk.news() == []
        assert [event.count for event in other.news()] == [30]
        assert desk.counts()[EXAMPLE] == 8


@pytest.mark.parametrize("kind", ["gzip_bomb", "endless", "trickle"])
def test_o12_an_answer_without_end_is_cut_off(
    desk: Desk, odin: OdinAccount, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    before = desk.counts()
    monkeypatch.setattr(opening, "Limits", lambda *seconds: Limits(*seconds, largest=2**20))
    odin.faults.script(kind, "/subscriptions?", calls=None, seconds=0.01)

    # when
    ended = desk.failed()

    # then
    assert ended.kind in ("unreachable", "malformed")
    assert desk.counts() == before
    assert desk.news() == []


def test_o13_credentials_revoked_mid_cycle_stop_that_connection_and_others_go_on(
    database: str, desk: Desk, odin: OdinAccount
) -> None:
    # given another MSP, and a user that is revoked between the list and the reads
    twin = odin.add_account("twin", seed=2, companies=2)
    odin.set_count(*EXAMPLE, 12)
    odin.after("/orders?", odin.revoke)
    with desk_for(database, twin, msp_id="globex") as other:
        # when
        ended = desk.failed()
        tokens = [call for call in odin.calls if call.path == "/token" and call.status == 401]

        # then it is told, tried once, and not again
        assert ended.kind == "unauthorised"
        assert len(tokens) == 1
        odin.forget_calls()
        assert desk.failed().kind == "unauthorised"
        assert odin.calls == ()
        assert isinstance(other.poll(), PollCompleted)

        # when someone has corrected it
        odin.activate()
        desk.set_up()
        desk.completed()

        # then
        assert [event.count for event in desk.news("ResourceCountChanged")] == [12]


def _calls_taken(desk: Desk) -> int:
    """The calls that stand in the budget's own count."""
    with desk.engine.connect() as connection:
        day = text(
            "SELECT coalesce(sum(c), 0) FROM budget.windows CROSS JOIN unnest(counts) AS c WHERE seconds = 86400"
        )
        return connection.scalar(day) or 0
