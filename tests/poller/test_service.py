"""Poller processes on a real broker: due polls shared out over replicas, nothing doubled, connections tried by call."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from tests.house import House, running_house
from tests.waiting import wait_for

MSPS = 9


@pytest.fixture
def house(database: str, vhost: str) -> Iterator[House]:
    with running_house(database, vhost, ("relay", "poller")) as running:
        for replica in (2, 3):
            running.start("poller", replica).wait_until_ready()
        yield running


@pytest.mark.flow
def test_three_pollers_share_the_polls_and_double_nothing(house: House) -> None:
    # given marketplaces that are slow enough for the work to be shared
    msps = [house.add_msp() for _ in range(MSPS)]
    resources = [msp.add_resource("Contoso", "Exchange Online", number) for number, msp in enumerate(msps, 1)]
    for msp in msps:
        msp.odin.faults.script("slow", "/subscriptions/", calls=None, seconds=0.5)

    # when their first polls fall due, and each is asked for once more
    wait_for(lambda: all(msp.count_of("PollCompleted") == 1 for msp in msps), 90, what="the first polls")
    asked = [msp.ask_for_poll() for msp in msps]
    wait_for(lambda: all(msp.count_of("PollCompleted") == 2 for msp in msps), 90, what="the polls asked for")

    # then each resource was discovered once, each poll ended once, under the correlation id of its message
    for number, (msp, resource, poll_id) in enumerate(zip(msps, resources, asked, strict=True), 1):
        found = msp.events("ResourceDiscovered", subscription_id=resource.subscription_id)
        assert [event["count"] for event in found] == [str(number)]
        assert len(msp.events("PollCompleted", poll_id=poll_id)) == 1
    workers = [name for name, part in house.parts.items() if '"poll begins"' in part.process.output]
    assert len(workers) > 1
    with house.engine.connect() as connection:
        strangers = connection.scalar(
            text(
                """SELECT count(*) FROM log.events e WHERE type = 'PollCompleted'
                   AND NOT EXISTS (SELECT FROM queue.outbox o WHERE o.correlation_id = e.correlation_id)"""
            )
        )
    assert strangers == 0


@pytest.mark.flow
def test_a_connection_is_tried_by_call(house: House) -> None:
    # given
    msp = house.add_msp()

    # when
    answer = house.ask("poller", "test_connection", msp_id=msp.msp_id, connection_id="odin")

    # then
    assert [step["ok"] for step in answer["steps"]] == [True, True, True]
