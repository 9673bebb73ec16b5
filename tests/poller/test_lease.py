"""A poll that runs twice, or beside another: one stores, the other finds itself out; its end is recorded once."""

from uuid import uuid4

import pytest
from sqlalchemy import text

from deploy.sandbox.odin import OdinAccount
from domain.events import PollCompleted
from domain.keys import SubscriptionId
from services.poller.lease import LeaseLost, PollBusy, take_lease
from services.poller.sources.port import Snapshot
from services.poller.sources.simple_api import SimpleApi
from services.poller.work import PollWork, do_poll
from tests.poller.desk import Desk

EXAMPLE = ("1000823", "100234")


def ends(desk: Desk) -> int:
    with desk.engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM log.events WHERE type IN ('PollCompleted', 'PollFailed')"))


def test_a_message_that_comes_again_after_its_poll_has_ended_does_nothing(desk: Desk, odin: OdinAccount) -> None:
    # given
    poll_id = uuid4().hex
    assert isinstance(desk.poll(poll_id), PollCompleted)
    odin.forget_calls()

    # when
    again = desk.poll(poll_id)

    # then
    assert again is None
    assert odin.calls == ()
    assert ends(desk) == 1


def test_a_redelivered_poll_takes_over_and_the_first_run_stores_nothing_more(
    desk: Desk, odin: OdinAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a poll whose message comes a second time while it reads, and is finished elsewhere
    desk.completed()
    desk.news()
    odin.set_count(*EXAMPLE, 12)
    poll_id, second = uuid4().hex, []
    read = SimpleApi.subscription

    def redelivered(api: SimpleApi, subscription_id: SubscriptionId) -> Snapshot | None:
        monkeypatch.setattr(SimpleApi, "subscription", read)
        second.append(do_poll(desk.house, PollWork(desk.place, poll_id)))
        return read(api, subscription_id)

    monkeypatch.setattr(SimpleApi, "subscription", redelivered)

    # when
    first = desk.poll(poll_id)

    # then the change is told once and the poll ended once
    assert first is None
    assert isinstance(second[0], PollCompleted)
    assert len(desk.news("ResourceCountChanged")) == 1
    assert ends(desk) == 2


def test_each_storing_transaction_of_the_first_run_checks_the_fence(desk: Desk) -> None:
    # given
    poll_id = uuid4().hex
    first = take_lease(desk.engine, desk.place, poll_id, desk.house.clock)
    second = take_lease(desk.engine, desk.place, poll_id, desk.house.clock)

    # then
    with desk.engine.begin() as connection, pytest.raises(LeaseLost):
        first.keep(connection, desk.house.clock)
    with desk.engine.begin() as connection:
        second.keep(connection, desk.house.clock)


def test_another_poll_of_the_same_connection_comes_again_later(desk: Desk) -> None:
    # given
    lease = take_lease(desk.engine, desk.place, uuid4().hex, desk.house.clock)

    # when
    with pytest.raises(PollBusy):
        desk.poll()

    # then
    with desk.engine.begin() as connection:
        lease.give_back(connection)
    assert isinstance(desk.poll(), PollCompleted)


def test_a_lease_whose_holder_died_runs_out(desk: Desk) -> None:
    # given
    take_lease(desk.engine, desk.place, uuid4().hex, desk.house.clock)

    # when
    desk.later(minutes=7)

    # then
    assert isinstance(desk.poll(), PollCompleted)
