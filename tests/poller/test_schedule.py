"""Polls that fall due: one a connection and slot, spread over the period, none for a stopped connection, lost ones again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import text

from deploy.sandbox.odin import OdinAccount
from domain.events import PollCompleted
from domain.keys import ConnectionId, MspId
from services.poller.place import Place
from services.poller.schedule import next_slot, put_due_polls
from services.poller.work import PollWork, do_poll
from tests.poller.desk import Desk, save
from tests.poller.seen import NOW


def queued(desk: Desk) -> list[dict[str, str]]:
    with desk.engine.connect() as connection:
        return list(connection.scalars(text("SELECT body FROM queue.outbox ORDER BY number")))


def put(desk: Desk) -> int:
    return put_due_polls(desk.engine, desk.house.clock)


def test_a_new_connection_is_polled_at_once_and_then_once_a_period(desk: Desk) -> None:
    # when
    first = put(desk)
    second = put(desk)

    # then
    assert (first, second) == (1, 0)
    (body,) = queued(desk)
    assert body["connection_id"] == "odin"
    assert isinstance(do_poll(desk.house, PollWork.parse(body)), PollCompleted)
    assert put(desk) == 0
    desk.later(minutes=5)
    assert put(desk) == 1


def test_twenty_replicas_that_look_at_once_put_each_due_poll_once(desk: Desk, odin: OdinAccount) -> None:
    # given
    for number in range(10):
        save(desk.engine, odin, desk.msp_id, ConnectionId(f"odin-{number}"), {})

    # when
    with ThreadPoolExecutor(8) as replicas:
        put_by_each = list(replicas.map(lambda _: put(desk), range(20)))

    # then
    assert sum(put_by_each) == 11
    assert len({body["poll_id"] for body in queued(desk)}) == 11


def test_a_poll_that_is_not_over_is_not_put_again_until_it_is_taken_for_lost(desk: Desk) -> None:
    # given
    put(desk)

    # when
    desk.later(minutes=6)
    still_open = put(desk)
    desk.later(minutes=6)
    lost = put(desk)

    # then
    assert (still_open, lost) == (0, 1)


def test_a_stopped_connection_is_not_due_until_its_set_up_changes(desk: Desk, odin: OdinAccount) -> None:
    # given
    odin.revoke()
    assert desk.failed().kind == "unauthorised"

    # when
    desk.later(hours=3)
    stopped = put(desk)
    odin.activate()
    desk.set_up()
    changed = put(desk)

    # then
    assert (stopped, changed) == (0, 1)
    assert isinstance(do_poll(desk.house, PollWork.parse(queued(desk)[0])), PollCompleted)


def test_while_the_calls_are_used_up_no_poll_is_due(desk: Desk, odin: OdinAccount) -> None:
    # given
    put(desk)
    odin.faults.script("day_spent", "/subscriptions?")
    assert desk.poll(queued(desk)[0]["poll_id"]).kind == "quota"
    assert desk.failed().kind == "quota"

    # when
    desk.later(hours=4)
    before = put(desk)
    desk.later(hours=1, minutes=6)
    after = put(desk)

    # then
    assert (before, after) == (0, 1)


def test_a_hundred_connections_are_spread_over_the_period() -> None:
    # when
    places = [Place(MspId(f"msp-{number}"), ConnectionId("odin")) for number in range(100)]
    slots = sorted(next_slot(place, timedelta(minutes=5), NOW) for place in places)

    # then no tenth of the period holds more than a third of them
    assert all(NOW < slot <= NOW + timedelta(minutes=5) for slot in slots)
    tenths = [int((slot - NOW) / timedelta(seconds=30.001)) for slot in slots]
    assert max(tenths.count(tenth) for tenth in range(10)) < 34


def test_slots_of_a_connection_lie_one_period_apart() -> None:
    # given
    place = Place(MspId("acme"), ConnectionId("odin"))

    # when
    first = next_slot(place, timedelta(minutes=5), NOW)

    # then
    assert next_slot(place, timedelta(minutes=5), first) == first + timedelta(minutes=5)
    assert next_slot(place, timedelta(minutes=5), first - timedelta(seconds=1)) == first
