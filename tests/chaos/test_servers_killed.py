"""RabbitMQ or PostgreSQL dies under load, or loses all it had: afterwards everything goes on, and every change is posted once."""

import time
from random import Random
from typing import Any

import pytest

from deploy.migrate import migrate
from deploy.servers.postgres import EmbeddedPostgres
from tests.chaos.checker import breaches
from tests.chaos.linked import Linked, add_linked
from tests.house import House, running_house
from tests.servers import ROLE_PASSWORD, Postgres, Rabbitmq, with_path
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.rabbitmq]
PRODUCTS = 12


def wait_until_ready(house: House) -> None:
    """Gives every part 30 seconds from now."""
    deadline = time.monotonic() + 30
    for part in house.parts.values():
        part.wait_until_ready(max(deadline - time.monotonic(), 1))


def in_motion(linked: Linked) -> bool:
    """Whether some of the changes have been posted and others have not."""
    return linked.msp.count_of("AdjustmentPosted") > 0 and not linked.msp.settled()


@pytest.fixture
def own_database(own_postgres: EmbeddedPostgres) -> str:
    """A migrated database on a server of the test's own."""
    Postgres(own_postgres.url).execute("CREATE DATABASE house")
    url = with_path(own_postgres.url, "house")
    migrate(url, ROLE_PASSWORD)
    return url


def test_m5_rabbitmq_killed_under_load_every_consumer_is_back_and_every_change_is_posted_once(
    database: str, own_rabbitmq: Any
) -> None:
    # given
    chance = Random(5)
    with running_house(database, own_rabbitmq.url) as house:
        linked = add_linked(house, PRODUCTS, poll_seconds=2)
        own_rabbitmq.flush()
        linked.change_all(chance)
        wait_for(lambda: linked.msp.events("AdjustmentRequested"), what="the changes on their way")

        # when
        own_rabbitmq.kill()
        linked.change_all(chance)
        own_rabbitmq.start()

        # then
        wait_until_ready(house)
        linked.settle(90)
        assert breaches(linked.msp) == []


def test_e13_postgresql_killed_under_load_every_process_is_back_and_every_change_is_posted_once(
    own_database: str, own_postgres: EmbeddedPostgres, vhost: str
) -> None:
    # given
    chance = Random(13)
    with running_house(own_database, vhost) as house:
        linked = add_linked(house, PRODUCTS, poll_seconds=2)
        linked.change_all(chance)
        wait_for(lambda: linked.msp.events("AdjustmentRequested"), what="the changes on their way")

        # when
        own_postgres.kill()
        linked.change_all(chance)
        own_postgres.start()

        # then
        wait_until_ready(house)
        linked.settle(90)
        assert breaches(linked.msp) == []


def test_i9_all_queues_and_exchanges_deleted_while_changes_are_under_way_lose_nothing(
    database: str, vhost: str, rabbitmq: Rabbitmq
) -> None:
    # given
    chance = Random(9)
    with running_house(database, vhost) as house:
        linked = add_linked(house, PRODUCTS, poll_seconds=2)
        linked.change_all(chance)
        wait_for(lambda: linked.msp.events("AdjustmentRequested"), what="the changes on their way")

        # when
        name = vhost.rpartition("/")[2]
        before = bindings(rabbitmq, name)
        delete_everything(rabbitmq, name)
        linked.change_all(chance)

        # then
        linked.settle(90)
        wait_for(lambda: bindings(rabbitmq, name) == before, 30, what="every binding to be back")
        wait_until_ready(house)
        assert breaches(linked.msp) == []


def bindings(rabbitmq: Rabbitmq, vhost: str) -> set[tuple[str, str, str]]:
    """(exchange, queue, routing key) of all that we declare."""
    found = rabbitmq.api("GET", f"bindings/{vhost}").json()
    return {
        (each["source"], each["destination"], each["routing_key"])
        for each in found
        if each["source"].startswith("trueup.")
    }


def delete_everything(rabbitmq: Rabbitmq, vhost: str) -> None:
    """Queues first, so that their readers bring all back at once, and then lose their bindings without a word."""
    for queue in rabbitmq.api("GET", f"queues/{vhost}").json():
        rabbitmq.api("DELETE", f"queues/{vhost}/{queue['name']}")
    for exchange in rabbitmq.api("GET", f"exchanges/{vhost}").json():
        if exchange["name"].startswith("trueup."):
            rabbitmq.api("DELETE", f"exchanges/{vhost}/{exchange['name']}")
