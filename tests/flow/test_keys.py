"""A key is replaced while polls and posts go on: none of them is lost, and the old key can go."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plumbing.secrets import key_id, new_key_pair
from tests.deploy.test_cli import command, said
from tests.house import House, MspHouse
from tests.waiting import wait_for

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]
OPENERS = {"poller": 2, "psa_writer": 1}


@contextmanager
def polled_all_the_time(msp: MspHouse) -> Iterator[list[str]]:
    """One poll after the other; the ids of those that were asked for and have completed. A poll that never completes fails
    the test when the block ends."""
    done: list[str] = []
    faults: list[BaseException] = []
    stopping = threading.Event()

    def poll() -> None:
        try:
            while not stopping.is_set():
                poll_id = msp.ask_for_poll()
                wait_for(
                    lambda asked=poll_id: msp.events("PollCompleted", poll_id=asked), 60, every=0.2, what="the poll"
                )
                done.append(poll_id)
        except BaseException as fault:  # noqa: BLE001 told below
            faults.append(fault)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield done
    finally:
        stopping.set()
        thread.join(90)
    assert not faults, faults


def start_again(house: House, service: str) -> None:
    """Each replica after the other, with the keys that the house has now."""
    for replica in range(1, OPENERS[service] + 1):
        if part := house.parts.get(f"{service}-{replica}"):
            part.process.stop(60)
        house.start(service, replica).wait_until_ready()


@pytest.mark.timeout(400)
def test_keys_are_replaced_under_load_and_no_poll_and_no_post_is_lost(house: House, msp: MspHouse) -> None:
    # given lines that follow a resource each
    lines = {}
    for number in range(6):
        resource = msp.add_resource(f"Company {number}", "Exchange Online (Plan 1)", 4)
        lines[resource] = msp.add_line(f"Company {number}", "Exchange Online (Plan 1)", 4)
    msp.poll()
    for resource, line in lines.items():
        msp.read_catalogue(line)
        msp.link(resource, line)
    msp.quiet()
    waiting = list(lines)

    def change_one() -> None:
        resource = waiting.pop()
        msp.odin.set_count(resource.subscription_id, resource.resource_id, 12)

    # when each key is replaced while counts change
    with polled_all_the_time(msp) as polls:
        for service, replicas in OPENERS.items():
            old_private = house.keys[service][0]
            new_private, new_public = new_key_pair()
            change_one()
            house.keys[service] = (f"{new_private},{old_private}", new_public)
            start_again(house, service)
            change_one()
            environment = {f"TRUEUP_{name.upper()}_PUBLIC_KEY": house.keys[name][1] for name in OPENERS}
            urls = {"TRUEUP_DATABASE_URL": house.url, "TRUEUP_RABBITMQ_URL": house.rabbitmq_url}
            outcome = command(urls | environment)("key", "rotate", service)
            assert outcome.returncode == 0, said(outcome)
            assert f"{replicas} of {replicas} replicas of {service} hold the key {key_id(new_public)}" in said(outcome)
            assert f"Nothing needs an older key of {service}" in said(outcome)
            house.keys[service] = (new_private, new_public)
            change_one()
            start_again(house, service)
        before = len(polls)
        wait_for(lambda: len(polls) > before + 1, 60, what="polls with the new keys alone")
    msp.quiet()

    # then
    assert waiting == []
    assert [msp.units(line) for line in lines.values()] == [12] * 6
    assert [[each.unit_change for each in msp.ledger(line)] for line in lines.values()] == [[8]] * 6
    for failed in ("PollFailed", "CatalogueReadFailed", "AdjustmentFailed", "AdjustmentParked"):
        assert msp.events(failed) == []
    assert {(event["kind"], event["key_id"]) for event in msp.events("SecretsResealed")} == {
        ("odin", key_id(house.keys["poller"][1])),
        ("autotask", key_id(house.keys["psa_writer"][1])),
    }
    assert msp.psa.oracle() == []
