"""The poller is killed, or told to end, while marketplaces hang: each change of a count is told once, in order."""

from collections.abc import Iterator

import pytest

from domain.keys import ResourceKey
from tests.chaos.checker import breaches, counts_told, true_counts
from tests.house import House, MspHouse, Part, running_house
from tests.servers import Postgres, Rabbitmq, fresh_database, fresh_vhost
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.rabbitmq]
# The poller stores fifty whole reads at a time: so some of the poll stands in the log when its poller dies, the rest does not.
RESOURCES, STORED = 60, 50


@pytest.fixture(scope="module")
def installation(postgres: Postgres, rabbitmq: Rabbitmq, migrated_template: str) -> Iterator[House]:
    with (
        fresh_database(postgres, migrated_template) as url,
        fresh_vhost(rabbitmq) as vhost,
        running_house(url, vhost, ("relay",)) as house,
    ):
        yield house


@pytest.fixture
def house(installation: House) -> Iterator[House]:
    """The installation with one poller."""
    installation.start("poller").wait_until_ready()
    yield installation
    for name, part in installation.parts.items():
        if name.startswith("poller"):
            part.process.kill()


def holder(house: House, poll_id: str) -> Part:
    """The poller that is at work on the poll."""
    return next(part for part in house.parts.values() if poll_id in part.process.output)


def change_all(msp: MspHouse, resources: list[ResourceKey], more: int) -> None:
    for place, resource in enumerate(resources):
        msp.odin.set_count(resource.subscription_id, resource.resource_id, more + place)


@pytest.mark.parametrize("heir", ["itself, started again", "a second replica"])
def test_a_poll_whose_poller_is_killed_in_the_middle_is_redelivered_and_each_change_is_told_once(
    house: House, heir: str
) -> None:
    # given
    msp = house.add_msp()
    resources = [msp.add_resource(f"Company {n}", "Exchange Online", n + 1) for n in range(RESOURCES)]
    msp.poll()
    # A new connection is also due by itself, once: that poll must not be the one that meets the changes.
    wait_for(lambda: msp.count_of("PollCompleted") == 2, 60, what="the poll that was due")
    if heir == "a second replica":
        house.start("poller", 2).wait_until_ready()
    change_all(msp, resources, 100)
    msp.odin.faults.script("hang", "/subscriptions/", skip=STORED + 5, seconds=300)

    # when
    poll_id = msp.ask_for_poll()
    wait_for(lambda: not msp.odin.faults.waiting, what="the marketplace to hang")
    wait_for(lambda: msp.count_of("ResourceCountChanged") == STORED, what="the first half of the poll")
    killed = holder(house, poll_id)
    killed.process.kill()
    if heir != "a second replica":
        house.start("poller")

    # then
    wait_for(lambda: msp.events("PollCompleted", poll_id=poll_id), 60, what="the poll to go on")
    change_all(msp, resources, 200)
    msp.poll()
    assert true_counts(msp).items() <= counts_told(msp).items()
    assert {len(counts_told(msp)[str(resource)]) for resource in resources} == {3}
    assert len(msp.events("PollCompleted", poll_id=poll_id)) == 1
    assert breaches(msp, consumers=()) == []


def test_m10_a_poller_told_to_end_finishes_what_it_can_and_gives_the_rest_back(house: House) -> None:
    # given six polls at once: five slow, one that would hang beyond the time a process has to end
    msps = [house.add_msp() for _ in range(6)]
    resources = [msp.add_resource("Contoso", "Exchange Online", 1) for msp in msps]
    for msp in msps:
        msp.poll()
        # A new connection is also due by itself, once: that poll must not be the one that is slow.
        wait_for(lambda msp=msp: msp.count_of("PollCompleted") == 2, 60, what="the poll that was due")
    for msp, resource in zip(msps, resources, strict=True):
        msp.odin.set_count(resource.subscription_id, resource.resource_id, 7)
        msp.odin.faults.script("slow", "/subscriptions/", seconds=2)
    msps[0].odin.faults.clear()
    msps[0].odin.faults.script("hang", "/subscriptions/", seconds=300)
    polls = [msp.ask_for_poll() for msp in msps]
    wait_for(lambda: not any(msp.odin.faults.waiting for msp in msps), what="six polls at once")

    # when
    ended = house.parts["poller-1"].process
    ended.stop(30)

    # then
    for msp, poll_id in list(zip(msps, polls, strict=True))[1:]:
        assert len(msp.events("PollCompleted", poll_id=poll_id)) == 1
    assert msps[0].events("PollCompleted", poll_id=polls[0]) == []
    house.start("poller")
    wait_for(lambda: msps[0].events("PollCompleted", poll_id=polls[0]), 60, what="the poll that was given back")
    for msp in msps:
        assert true_counts(msp).items() <= counts_told(msp).items()
