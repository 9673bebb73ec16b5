"""Three pollers and three writers at once: the work is shared, nothing is doubled, nothing is missed."""

from random import Random

import pytest

from tests.chaos.checker import breaches
from tests.chaos.linked import add_linked
from tests.house import House, running_house
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.rabbitmq]
MSPS, PRODUCTS = 3, 24


def did_work(house: House, service: str, sign: str) -> list[str]:
    """The replicas of the service whose log shows the sign."""
    return [name for name, part in house.parts.items() if part.name == service and sign in part.process.output]


def test_three_pollers_and_three_writers_share_the_work_and_double_nothing(database: str, vhost: str) -> None:
    # given
    chance = Random(3)
    with running_house(database, vhost) as house:
        for replica in (2, 3):
            for service in ("poller", "psa_writer"):
                house.start(service, replica)
        for part in house.parts.values():
            part.wait_until_ready()
        msps = [add_linked(house, PRODUCTS) for _ in range(MSPS)]

        # when
        for linked in msps:
            linked.change_all(chance)
        polls = [linked.msp.ask_for_poll() for linked in msps]
        for linked, poll_id in zip(msps, polls, strict=True):
            wait_for(
                lambda one=linked, poll=poll_id: one.msp.events("PollCompleted", poll_id=poll), 60, what="the poll"
            )
        for linked in msps:
            linked.settle(90)

        # then
        for linked in msps:
            assert breaches(linked.msp) == []
            assert linked.msp.count_of("ResourceCountChanged") == PRODUCTS
        assert len(did_work(house, "poller", "poll ended")) > 1
        assert len(did_work(house, "psa_writer", "posts recorded")) > 1
