"""A person pauses posting: nothing new leaves, what had left is brought to its end, and on resuming all is brought level."""

import threading

from sqlalchemy import text

from domain.events import AdjustmentFailed, AdjustmentPosted
from plumbing.pausing import may_post, pause_of
from services.psa_writer.posting import post_due
from services.psa_writer.schedule import put_due_work
from services.psa_writer.writer import Writer
from tests.psa_writer.meddling import meddling, once
from tests.psa_writer.writing import AUTOTASK, Writing


def meddled(writing: Writing, **happenings) -> Writer:
    writer = writing.writer()
    return Writer(**{**vars(writer), "open_psa": meddling(writer.open_psa, **happenings)})


def posts_put(writing: Writing) -> int:
    with writing.engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM queue.outbox WHERE queue = 'psa_writer.posts'")) or 0


def test_posts_go_out_when_nobody_has_paused_them(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)

    writing.work()

    assert writing.units(line) == 12


def test_while_posting_is_paused_the_psa_is_not_even_asked(writing: Writing) -> None:
    # given
    line = writing.add_product(4)
    request = writing.request(line, 12)
    writing.pause()

    # when
    writing.settle(1000)

    # then
    assert (writing.units(line), writing.told(), writing.states()) == (4, [], {request: "planned"})
    assert writing.desk.calls.count() == 0


def test_on_resuming_each_product_is_brought_to_its_newest_wish_at_once(writing: Writing) -> None:
    # given
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.pause()
    writing.work()
    newest = writing.request(line, 9)
    writing.work()
    before = posts_put(writing)

    # when
    writing.resume()
    writing.work()

    # then
    assert [(e.request_id, e.unit_change) for e in writing.told(AdjustmentPosted)] == [(newest, 5)]
    assert (writing.units(line), posts_put(writing)) == (9, before + 1)


def test_the_timer_rings_nobody_for_what_is_paused(writing: Writing) -> None:
    writing.request(writing.add_product(4), 12)
    writing.pause()
    writing.work()
    before = posts_put(writing)

    put_due_work(writing.engine, writing.clock)
    assert posts_put(writing) == before

    writing.resume()
    put_due_work(writing.engine, writing.clock)
    assert posts_put(writing) == before + 1


def test_a_pause_in_the_middle_of_a_round_lets_what_was_sent_finish_and_nothing_follow(writing: Writing) -> None:
    # given more wishes than one create takes
    lines = [writing.add_product(4) for _ in range(2)]
    writing.request_many([(line, 12) for line in lines])
    writer = meddled(writing, before_create=once(writing.pause))
    writer = Writer(**{**vars(writer), "open_psa": one_at_a_time(writer)})

    # when
    writing.settle(200, writer=writer)

    # then
    assert sorted(writing.units(line) for line in lines) == [4, 12]
    assert len(writing.posted()) == 1
    assert sorted(writing.states().values()) == ["done", "planned"]

    writing.resume()
    writing.settle(100)
    assert [writing.units(line) for line in lines] == [12, 12]
    assert writing.desk.oracle() == []


def one_at_a_time(writer: Writer):
    def opened(outside):
        found = writer.open_psa(outside)
        found.psa.batch_size = 1
        return found

    return opened


def test_a_post_of_unknown_outcome_is_read_back_while_paused_and_told_as_posted(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.desk.faults.script("time_out", "create", when="after", seconds=3)
    writing.work()
    writing.pause()

    writing.settle(300)

    assert [type(event) for event in writing.told()] == [AdjustmentFailed, AdjustmentPosted]
    assert writing.intents() == ["proved"]


def test_what_proves_not_applied_while_paused_waits_and_goes_out_once_on_resuming(writing: Writing) -> None:
    # given a create that never took effect
    line = writing.add_product(4)
    request = writing.request(line, 12)
    writing.desk.faults.script("time_out", "create", when="before", seconds=3)
    writing.work()
    writing.pause()

    # when
    writing.settle(300)
    calls = writing.desk.calls.count()
    writing.settle(300)

    # then it was read back, once, and stays
    assert (writing.states(), writing.intents(), writing.units(line)) == ({request: "planned"}, ["not_applied"], 4)
    assert writing.desk.calls.count() == calls

    writing.resume()
    writing.settle(100)
    assert (writing.units(line), len(writing.desk.ledger())) == (12, 1)
    assert writing.desk.oracle() == []


def test_a_pause_survives_a_restart_and_is_of_one_msp_only(writing: Writing) -> None:
    writing.pause("The bookkeeper asked for it.")

    with writing.engine.connect() as connection:
        found = pause_of(connection, writing.msp_id)
        assert found is not None
        assert (found.by, found.reason) == ("mara", "The bookkeeper asked for it.")
        assert pause_of(connection, "other") is None
    post_due(writing.writer(), writing.msp_id, AUTOTASK)
    assert writing.desk.ledger() == []


def test_whoever_pauses_waits_until_what_is_being_marked_is_marked(writing: Writing) -> None:
    # given a writer in the middle of marking
    pausing = threading.Thread(target=writing.pause)
    with writing.engine.begin() as connection:
        assert may_post(connection, writing.msp_id)

        # when
        pausing.start()
        pausing.join(0.5)

        # then
        assert pausing.is_alive()
        with writing.engine.connect() as other:
            assert pause_of(other, writing.msp_id) is None
    pausing.join(10)
    with writing.engine.connect() as connection:
        assert pause_of(connection, writing.msp_id) is not None
