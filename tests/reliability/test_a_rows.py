"""Rows A1-A14: the adjustment that cannot be undone, under every fault -> one adjustment in the PSA's ledger, one told.

Each row runs the real writer on PostgreSQL against the sandbox Autotask over HTTP; time is set. A4, which kills real
processes, stands in test_a4_row.py.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from deploy.sandbox.autotask.contracts import Refused
from domain.events import AdjustmentFailed, AdjustmentParked, AdjustmentPosted, UnitsFoundEqual
from services.psa_writer import by_hand
from tests.psa_writer.conftest import braked, sandbox, writing
from tests.psa_writer.meddling import meddling, once
from tests.psa_writer.writing import AUTOTASK, TODAY, Writing, save_connection

__all__ = ["braked", "sandbox", "writing"]

AUGUST = date(2026, 8, 1)
#: Until an unknown outcome is decided: 60 s to leave, 5 s of the PSA's longest execution (as set here), 30 s of margin.
UNDECIDED = 95


def four_become_twelve(writing: Writing) -> int:
    line = writing.add_product(4)
    writing.request(line, 12)
    return line


def posted_once(writing: Writing, line: int, attempt: int) -> bool:
    """Exactly one adjustment in the ledger, one AdjustmentPosted that says so, and books without a fault."""
    [applied] = [each for each in writing.desk.ledger(line) if not each.undone]
    assert applied.unit_change == 8
    assert [(product, change, of) for product, change, _, of in writing.posted()] == [(str(line), 8, attempt)]
    assert writing.units(line) == 12
    assert writing.desk.oracle() == []
    assert set(writing.states().values()) == {"done"}
    return True


def test_a1_a_time_out_after_the_commit_posts_once(writing: Writing) -> None:
    line = four_become_twelve(writing)
    writing.desk.faults.script("time_out", "create", when="after")

    writing.work()

    assert writing.intents() == ["sent"]
    assert [event.kind for event in writing.told(AdjustmentFailed)] == ["outcome_unknown"]
    writing.settle(UNDECIDED - 10)
    assert writing.told(AdjustmentPosted) == []

    writing.settle(40)

    assert posted_once(writing, line, attempt=1)
    assert writing.desk.calls.count("create") == 1


def test_a2_a_time_out_before_the_commit_posts_once_later_for_the_same_day(writing: Writing) -> None:
    line = four_become_twelve(writing)
    writing.desk.faults.script("time_out", "create", when="before")

    writing.settle(200)

    assert posted_once(writing, line, attempt=2)
    [applied] = writing.desk.ledger(line)
    assert applied.effective_date == TODAY
    assert writing.desk.calls.count("create") == 2


def test_a2_nothing_new_leaves_for_the_agreement_while_an_effect_may_still_come(writing: Writing) -> None:
    # given a post whose answer is lost, and two newer wishes on its agreement
    agreement = writing.add_agreement()
    line, other = writing.add_product(4, agreement, "mail"), writing.add_product(4, agreement, "backup")
    writing.request(line, 12)
    writing.desk.faults.script("reset", "create", when="before")
    writing.work()
    writing.request(line, 14)
    writing.request(other, 5)

    # when its effect comes late, but within the PSA's longest execution
    writing.settle(60)
    assert writing.desk.calls.count("create") == 1
    writing.desk.database.engine.adjust(_wish(line, 8), _api())
    writing.settle(200)

    # then the newer wishes were planned from what it left
    assert (writing.units(line, AUGUST), writing.units(other)) == (14, 5)
    assert [(change, day) for _, change, day, _ in writing.posted() if day == TODAY] == [(8, TODAY), (1, TODAY)]
    assert sum(each.unit_change for each in writing.desk.ledger(line)) == 10


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "fault", ["reset", "bad_gateway", "gateway_timeout", "empty", "truncated", "cut_off", "control_character"]
)
def test_a3_an_answer_that_cannot_be_believed_is_unknown_and_read_back(writing: Writing, fault, when) -> None:
    line = four_become_twelve(writing)
    writing.desk.faults.script(fault, "create", when=when)

    writing.work()
    assert [event.kind for event in writing.told()] == ["outcome_unknown"]
    writing.settle(200)

    assert posted_once(writing, line, attempt=1 if when == "after" else 2)


def test_a3_many_faults_in_a_row_still_end_in_one(writing: Writing) -> None:
    line = four_become_twelve(writing)
    for fault, when in [("reset", "before"), ("time_out", "before"), ("truncated", "after")]:
        writing.desk.faults.script(fault, "create", when=when)
    writing.desk.faults.script("reset", "query", times=4)

    writing.settle(1500)

    # four tries that could not read, and three that were sent
    assert posted_once(writing, line, attempt=7)


def test_a5_a_writer_that_is_overtaken_in_a_long_call_writes_nothing(writing: Writing) -> None:
    # given a call of six minutes, in which the lease runs out and another writer takes over
    line = four_become_twelve(writing)
    other = writing.writer()

    def six_minutes() -> None:
        writing.wait(360)
        writing.settle(200, writer=other)

    first = writing.writer()
    slow = writing.writer()
    slow = type(slow)(**{**vars(slow), "open_psa": meddling(first.open_psa, after_create=once(six_minutes))})

    # when
    writing.work(slow)
    writing.settle(400, writer=first)

    # then
    assert posted_once(writing, line, attempt=1)
    assert writing.desk.calls.count("create") == 1


@pytest.mark.parametrize("ends", ["too late to be sent", "unknown"])
def test_a5_a_writer_that_is_overtaken_before_it_sent_leaves_all_to_the_other(writing: Writing, ends: str) -> None:
    # given a writer that sleeps between its mark and its send, while another finds nothing applied and sends again
    line = four_become_twelve(writing)
    other = writing.writer()

    def sleep() -> None:
        writing.wait(360)
        writing.settle(200, writer=other)
        if ends == "unknown":
            raise OSError("the line broke")

    first = writing.writer()
    slow = type(first)(**{**vars(first), "open_psa": meddling(first.open_psa, before_create=once(sleep))})

    # when it wakes up
    writing.work(slow)

    # then what the other has proven stands
    assert writing.intents() == ["proved"]
    writing.settle(400, writer=first)
    assert posted_once(writing, line, attempt=2)
    assert writing.told(AdjustmentFailed) == []


def test_a5_two_writers_at_once_share_the_agreements_and_double_nothing(writing: Writing) -> None:
    lines = [writing.add_product(4) for _ in range(6)]
    writing.request_many([(line, 12) for line in lines])
    writers = [writing.writer(), writing.writer(), writing.writer()]

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(writing.work, writers))
    writing.settle(200)

    assert [each.line_id for each in writing.desk.ledger()] == lines
    assert len(writing.told(AdjustmentPosted)) == 6


def test_a6_a_duplicate_refusal_of_our_own_post_is_read_back_and_told_as_posted(writing: Writing) -> None:
    # given a PSA that refuses doubles, and a post that lands although its answer is lost, after it was judged not applied
    line = four_become_twelve(writing)
    writing.desk.switches.set(same_date="duplicate")
    writing.desk.faults.script("reset", "create", when="before")
    writing.work()
    writing.settle(80)

    def lands_late() -> None:
        writing.desk.database.engine.adjust(_wish(line, 8), _api())

    writer = writing.writer()
    late = type(writer)(**{**vars(writer), "open_psa": meddling(writer.open_psa, before_create=once(lands_late))})
    writing.settle(200, writer=late)

    assert posted_once(writing, line, attempt=2)


def test_a6_a_duplicate_of_someone_else_gives_way_to_the_next_day(writing: Writing) -> None:
    line = four_become_twelve(writing)
    writing.desk.switches.set(same_date="duplicate")
    writing.desk.edit_units(line, 5, TODAY)

    writing.settle(100)

    assert [(change, day) for _, change, day, _ in writing.posted()] == [(7, TODAY + timedelta(1))]
    assert writing.units(line, TODAY + timedelta(1)) == 12


def test_a7_a_neighbour_that_uses_up_the_hour_makes_us_wait_without_a_lock_out_and_in_order(writing: Writing) -> None:
    # given
    lines = [writing.add_product(4) for _ in range(3)]
    for line in lines:
        writing.request(line, 12)
    writing.desk.limits.latency_scale = 0.0
    writing.desk.limits.neighbour = 10_000

    # when
    writing.settle(600)

    # then we have asked a few times only, told it, and posted nothing
    assert writing.desk.ledger() == []
    assert {event.kind for event in writing.told()} == {"rate_limited"}
    assert len(writing.desk.calls.totals()) <= 3
    assert writing.desk.calls.count() < 20
    assert not writing.desk.limits.locked

    # and when there is room again, all go out within minutes, in the order in which they were asked for
    writing.desk.limits.neighbour = 0
    writing.settle(300)
    assert [each.line_id for each in writing.desk.ledger()] == lines


def test_a7_a_neighbour_at_nine_tenths_is_given_way(writing: Writing) -> None:
    four_become_twelve(writing)
    writing.desk.limits.latency_scale = 0.0
    writing.desk.limits.neighbour = 9_500

    writing.settle(200)

    assert writing.desk.calls.count() < 5
    assert [event.kind for event in writing.told()] == ["rate_limited"]


def test_a8_never_more_than_three_calls_run_at_once_over_all_writers(writing: Writing) -> None:
    # given six writers that read at once, and a server that takes its time and refuses a fourth thread
    writing.add_product(4)
    writing.desk.limits.server_seconds = 0.2
    with writing.engine.connect() as connection:
        from plumbing import setup

        outside = setup.connection_of(connection, writing.msp_id, AUTOTASK)
    opened = [writing.writer().open_psa(outside) for _ in range(6)]

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda each: list(each.psa.customers()), opened))

    assert writing.desk.calls.count("query", "Account", "refused") == 0
    assert writing.desk.calls.count("query", "Account", "answered") == 6


def test_a8_a_thread_that_is_refused_all_the_same_tries_again_by_itself(writing: Writing) -> None:
    line = four_become_twelve(writing)
    writing.desk.limits.threads = 0
    writing.work()
    assert [event.kind for event in writing.told()] == ["rate_limited"]

    writing.desk.limits.threads = 3
    writing.settle(100)

    assert posted_once(writing, line, attempt=2)


def test_a9_a_wrong_password_is_tried_once_until_the_connection_is_saved_again(writing: Writing) -> None:
    line = four_become_twelve(writing)
    save_connection(writing.engine, writing.msp_id, writing.desk, password="wrong")

    writing.settle(3600, step=60)

    assert writing.desk.calls.count(outcome="unauthorised") == 1
    [failed] = writing.told()
    assert (failed.kind, failed.next_try_at) == ("unauthorised", None)
    assert not writing.desk.limits.locked

    save_connection(writing.engine, writing.msp_id, writing.desk)
    writing.settle(60)
    assert posted_once(writing, line, attempt=2)


@pytest.fixture
def refusing(writing: Writing, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the sandbox refuse adjustments of these lines (None: of all) in these words, until it is cured."""
    engine = writing.desk.database.engine
    adjust = engine.adjust
    rule: dict[str, Any] = {"lines": set(), "words": "", "every": False}

    def refuse_or_adjust(wish: Any, origin: Any) -> Any:
        if rule["every"] or wish.line_id in rule["lines"]:
            raise Refused(rule["words"])
        return adjust(wish, origin)

    monkeypatch.setattr(engine, "adjust", refuse_or_adjust)
    return rule


NO_PRORATION = "Proration is not enabled for this Autotask database."


def test_a10_what_a_setting_refuses_is_told_and_posts_within_five_minutes_of_the_cure(writing, refusing) -> None:
    # given
    lines = [writing.add_product(4) for _ in range(12)]
    writing.request_many([(line, 12) for line in lines])
    refusing |= {"every": True, "words": NO_PRORATION}

    # when an hour goes by
    writing.settle(3600)

    # then it is told for each, and tried by one adjustment every few minutes only
    assert {event.request_id for event in writing.told()} == set(writing.states())
    assert any(NO_PRORATION in event.message for event in writing.told(AdjustmentParked))
    creates = [call for call in writing.desk.calls if call.operation == "create"]
    assert creates[0].entities == 12
    assert {call.entities for call in creates[1:]} == {1}
    assert len(creates) <= 2 + 3600 / 200

    # and after the cure all go out
    refusing["every"] = False
    writing.settle(300)
    assert sorted(each.line_id for each in writing.desk.ledger()) == lines
    assert len(writing.told(AdjustmentPosted)) == 12


def test_a10_a_few_that_one_cause_refuses_send_one_probe_in_a_while_and_the_others_are_posted(
    writing, refusing
) -> None:
    # given three that are refused, too few to rest the connection, among others
    lines = [writing.add_product(4) for _ in range(6)]
    refusing |= {"lines": set(lines[:3]), "words": "The service is being renewed."}
    writing.request_many([(line, 12) for line in lines])
    writing.work()
    assert [each.line_id for each in writing.desk.ledger()] == lines[3:]
    writing.desk.calls.clear()

    # when
    writing.settle(1000)

    # then
    creates = [call.entities for call in writing.desk.calls if call.operation == "create"]
    assert creates in ([1] * 3, [1] * 4)
    refusing["lines"] = set()
    writing.settle(300)
    assert sorted(each.line_id for each in writing.desk.ledger()) == lines


def test_a10_an_outage_over_many_adjustments_ends_with_one_probe_and_then_the_rest_at_once(writing: Writing) -> None:
    lines = [writing.add_product(4) for _ in range(20)]
    writing.request_many([(line, 12) for line in lines])
    writing.desk.faults.script("unavailable", times=100_000)
    writing.settle(1800)
    assert len({event.request_id for event in writing.told(AdjustmentFailed)}) == 20

    writing.desk.faults.clear()
    writing.desk.calls.clear()
    writing.settle(300)

    creates = [call.entities for call in writing.desk.calls if call.operation == "create"]
    assert creates == [1, 19]
    assert len(writing.told(AdjustmentPosted)) == 20


def test_a11_of_two_hundred_with_one_that_is_refused_the_others_are_posted(writing: Writing, refusing) -> None:
    # given
    agreement = writing.add_agreement()
    lines = [writing.add_product(4, agreement, f"Service {number}") for number in range(200)]
    bad = lines[77]
    refusing |= {"lines": {bad}, "words": "The service is being renewed."}
    writing.request_many([(line, 12) for line in lines])

    # when
    writing.work()

    # then
    assert len(writing.desk.ledger()) == 199
    assert len(writing.told(AdjustmentPosted)) == 199
    [parked] = writing.told(AdjustmentParked)
    assert (parked.psa_product_id, parked.kind) == (str(bad), "rejected")
    assert parked.message.startswith("The service is being renewed.")
    assert [call.entities for call in writing.desk.calls if call.operation == "create"] == [200, 199]
    assert {attempt for *_, attempt in writing.posted()} == {2}
    assert writing.desk.oracle() == []


@pytest.mark.parametrize("fault", ["unknown_field_middle", "unknown_field_end"])
def test_a12_a_new_field_in_the_reply_neither_loses_nor_doubles(writing: Writing, fault: str) -> None:
    line = four_become_twelve(writing)
    writing.desk.faults.script(fault, times=50)

    writing.work()

    assert posted_once(writing, line, attempt=1)


@pytest.mark.parametrize(
    ("now", "zone", "day", "next_period"),
    [
        # The last hour of July in UTC is August in Auckland and still July in Los Angeles.
        ("2026-07-31T23:30:00+00:00", "UTC", date(2026, 7, 31), date(2026, 8, 1)),
        ("2026-07-31T23:30:00+00:00", "Pacific/Auckland", date(2026, 8, 1), date(2026, 9, 1)),
        ("2026-08-01T05:00:00+00:00", "America/Los_Angeles", date(2026, 7, 31), date(2026, 8, 1)),
        ("2026-08-01T07:00:00+00:00", "America/Los_Angeles", date(2026, 8, 1), date(2026, 9, 1)),
        ("2028-02-29T12:00:00+00:00", "UTC", date(2028, 2, 29), date(2028, 3, 1)),
        ("2028-02-29T11:00:00+00:00", "Pacific/Kiritimati", date(2028, 3, 1), date(2028, 4, 1)),
    ],
)
def test_a13_the_effective_day_is_a_day_of_the_msp(writing: Writing, now, zone, day, next_period) -> None:
    # given
    with writing.engine.begin() as connection:
        connection.execute(text("UPDATE setup.msps SET time_zone = :zone"), {"zone": zone})
    writing.clock.moment = datetime.fromisoformat(now).astimezone(UTC)
    writing.desk.clock.set(writing.clock.moment)
    agreement = writing.add_agreement(end=date(2028, 12, 31))
    rising, falling = writing.add_product(4, agreement, "rises"), writing.add_product(9, agreement, "falls")

    # when
    writing.request_many([(rising, 12), (falling, 8)])
    writing.work()

    # then
    assert sorted(writing.posted()) == sorted([(str(rising), 8, day, 1), (str(falling), -1, next_period, 1)])
    assert (writing.units(rising, day), writing.units(rising, day - timedelta(1))) == (12, 4)
    assert writing.desk.oracle() == []


def test_a14_a_psa_that_says_yes_and_forgets_is_flagged_and_not_posted_again(writing: Writing) -> None:
    line = four_become_twelve(writing)
    writing.desk.faults.script("forget", "create")

    writing.settle(900)

    [parked] = writing.told()
    assert isinstance(parked, AdjustmentParked)
    assert parked.kind == "contradiction"
    assert writing.desk.calls.count("create") == 1
    assert writing.units(line) == 4


def test_a14_a_restored_backup_is_flagged_at_the_next_change_and_a_person_lets_it_out(writing: Writing) -> None:
    # given two posts, and a backup from before them
    line = writing.add_product(4)
    backup = writing.desk.database.backup()
    writing.request(line, 12)
    writing.work()
    writing.wait(86_400)
    writing.request(line, 15)
    writing.work()
    assert len(writing.told(AdjustmentPosted)) == 2
    writing.desk.database.restore(backup)

    # when the count changes again
    writing.wait(86_400)
    request = writing.request(line, 16)
    writing.settle(900)

    # then nothing is corrected blindly
    [parked] = writing.told(AdjustmentParked)
    assert (parked.kind, parked.request_id) == ("contradiction", request)
    assert "backup" in parked.message
    assert writing.desk.calls.count("create") == 2

    # and after a person has looked it is posted whole
    assert by_hand.retry(writing.writer(), writing.msp_id, [request], "maria")["results"][0]["ok"] is False
    assert by_hand.release(writing.writer(), writing.msp_id, [request], "maria")["results"][0]["ok"] is True
    writing.work()
    assert writing.units(line, TODAY + timedelta(2)) == 16


def test_a14_an_edit_by_hand_is_no_lost_post(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.work()
    writing.wait(86_400)
    writing.desk.edit_units(line, 9, TODAY + timedelta(1))
    writing.request(line, 12)
    writing.wait(86_400)

    writing.work()

    assert writing.units(line, TODAY + timedelta(2)) == 12
    assert writing.told(AdjustmentParked, UnitsFoundEqual) == []


def _wish(line: int, change: int) -> Any:
    from decimal import Decimal

    from deploy.sandbox.autotask.engine import Wish

    return Wish(TODAY, Decimal(change), line_id=line)


def _api() -> Any:
    from deploy.sandbox.autotask.engine import Origin

    return Origin("api@msp.example", 0)
