"""Rows M5-M7: the broker dies, runs short of memory, or the way to it breaks; every effect still comes once."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
from sqlalchemy import Engine, text

from deploy.servers.ports import free_port
from plumbing import outbox, topology
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.link import HEARTBEAT_SECONDS
from plumbing.relay import DeadLetters
from tests.fault_proxy import FaultProxy
from tests.msps import add_msp
from tests.plumbing.test_event_log import append, count_changed
from tests.processes import Process
from tests.reliability import QUEUE
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq, pytest.mark.chaos]
CLOCK = Clock()


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE effects (message_id text, n bigint)"))
        connection.execute(text("CREATE TABLE tries (message_id text)"))
    yield engine
    engine.dispose()


def worker(database: str, rabbitmq_url: str, heartbeat: int = 5) -> Process:
    return Process("tests.reliability.worker", database, rabbitmq_url, "0,1,1,1,1", str(heartbeat))


class RelayProcess:
    """The real relay, with its health address."""

    def __init__(self, database: str, rabbitmq_url: str) -> None:
        self.port = free_port()
        environment = {
            "TRUEUP_DATABASE_URL": role_url(database, "trueup_relay"),
            "TRUEUP_RABBITMQ_URL": rabbitmq_url,
            "TRUEUP_PORT": str(self.port),
            "TRUEUP_RETRY_SECONDS": "0,1,1,1,1",
        }
        self.process = Process("deploy.run_relay", environment=environment)

    def health(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).json()
        except requests.RequestException:
            return {"ready": False, "checks": {}}
        return answer


@pytest.fixture
def start_relay(database: str) -> Iterator[Callable[[str], RelayProcess]]:
    started: list[RelayProcess] = []

    def start(rabbitmq_url: str) -> RelayProcess:
        one = RelayProcess(database, rabbitmq_url)
        one.process.start()
        started.append(one)
        wait_for(lambda: one.health()["ready"], what="the relay")
        return one

    yield start
    for one in started:
        one.process.__exit__(None, None, None)


def put(engine: Engine, how_many: int) -> list[str]:
    with engine.begin() as connection:
        bodies = [{"do": "effect", "n": n} for n in range(how_many)]
        return [str(i) for i in outbox.put(connection, QUEUE, bodies, correlation_id="c", put_at=CLOCK.now())]


def effects(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT message_id FROM effects ORDER BY 1")))


def unsent(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM queue.outbox WHERE sent_at IS NULL")) or 0)


def test_m5_a_broker_killed_under_load_and_started_again_loses_no_confirmed_work(
    engine: Engine, database: str, own_rabbitmq: Any, start_relay: Callable[[str], RelayProcess]
) -> None:
    # given
    ids: list[str] = []
    with worker(database, own_rabbitmq.url):
        start_relay(own_rabbitmq.url)
        ids += put(engine, 300)
        wait_for(lambda: len(effects(engine)) > 20)
        own_rabbitmq.flush()

        # when
        own_rabbitmq.kill()
        ids += put(engine, 300)
        own_rabbitmq.start()

        # then
        wait_for(lambda: len(effects(engine)) >= 600, seconds=90, what="all effects")
    assert effects(engine) == sorted(ids)


def test_m5_when_all_queues_are_deleted_they_come_back_and_new_work_flows(
    engine: Engine, database: str, vhost: str, rabbitmq: Any, start_relay: Callable[[str], RelayProcess]
) -> None:
    # given
    with worker(database, vhost):
        start_relay(vhost)
        ids = put(engine, 1)
        wait_for(lambda: effects(engine) == ids)

        # when
        name = vhost.rpartition("/")[2]
        for queue in rabbitmq.api("GET", f"queues/{name}").json():
            rabbitmq.api("DELETE", f"queues/{name}/{queue['name']}")
        for exchange in ("trueup.work", "trueup.bells", "trueup.dead"):
            rabbitmq.api("DELETE", f"exchanges/{name}/{exchange}")
        ids += put(engine, 5)

        # then
        wait_for(lambda: effects(engine) == sorted(ids), seconds=60, what="work after the deletion")


def test_m6_in_a_memory_alarm_appends_go_on_the_outbox_grows_and_drains_afterwards_without_doubles(
    engine: Engine, database: str, own_rabbitmq: Any, start_relay: Callable[[str], RelayProcess]
) -> None:
    # given
    msp_id = add_msp(engine)
    relay_process = start_relay(own_rabbitmq.url)
    with worker(database, own_rabbitmq.url):
        ids = put(engine, 10)
        wait_for(lambda: len(effects(engine)) == 10)

        # when
        own_rabbitmq.ctl("set_vm_memory_high_watermark", "0.00001")
        ids += put(engine, 1)
        wait_for(lambda: "takes no messages" in str(relay_process.health()), what="the relay to say so")
        ids += put(engine, 200)
        assert append(engine, msp_id, *(count_changed(n, 1) for n in range(50))) == 50
        assert unsent(engine) >= 200

        # then
        own_rabbitmq.ctl("set_vm_memory_high_watermark", "0.6")
        wait_for(lambda: unsent(engine) == 0, seconds=60, what="the outbox to drain")
        wait_for(lambda: len(effects(engine)) >= 211, seconds=60)
        wait_for(lambda: relay_process.health()["ready"])
    assert effects(engine) == sorted(ids)


def through(proxy: FaultProxy, url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))


@pytest.mark.parametrize("fault", ["reset", "half-open", "latency", "slices"])
def test_m7_a_bad_link_to_the_broker_is_survived_and_no_consumer_stays_silent(
    engine: Engine, database: str, vhost: str, start_relay: Callable[[str], RelayProcess], fault: str
) -> None:
    # given
    parts = urlsplit(vhost)
    with FaultProxy(parts.hostname or "", parts.port or 5672) as proxy:
        start_relay(through(proxy, vhost))
        with worker(database, through(proxy, vhost), heartbeat=4):
            ids = put(engine, 50)
            wait_for(lambda: len(effects(engine)) > 5)

            # when
            if fault == "reset":
                proxy.reset_all()
            elif fault == "half-open":
                proxy.faults.frozen = True
                ids += put(engine, 10)
                wait_for(lambda: unsent(engine) > 0)
                proxy.faults.frozen = False
                proxy.reset_all()
            elif fault == "latency":
                proxy.faults.latency = 5
            else:
                proxy.faults.slice_bytes = 1
            ids += put(engine, 20)

            # then
            wait_for(lambda: len(effects(engine)) >= len(ids), seconds=90, what="all effects")
    assert effects(engine) == sorted(ids)


# Bytes that the broker sends: none, about half of what it says until messages flow, all.
@pytest.mark.parametrize("passes", [1, 700, 0], ids=["at once", "while it is made", "later"])
def test_m7_a_link_that_freezes_for_ever_is_made_anew_within_half_a_minute(
    engine: Engine, database: str, vhost: str, start_relay: Callable[[str], RelayProcess], passes: int
) -> None:
    # given
    parts = urlsplit(vhost)
    start_relay(vhost)
    with FaultProxy(parts.hostname or "", parts.port or 5672) as proxy:
        proxy.faults.freezes_after = passes
        with worker(database, through(proxy, vhost), heartbeat=HEARTBEAT_SECONDS):
            ids = put(engine, 5)
            if passes:
                wait_for(lambda: proxy.frozen_connections, what="a frozen link")
            else:
                wait_for(lambda: effects(engine) == sorted(ids))

            # when what there is stays frozen and new connections pass
            proxy.freeze_all()
            proxy.faults.freezes_after = 0
            ids += put(engine, 5)

            # then
            wait_for(lambda: effects(engine) == sorted(ids), seconds=30, what="work after the link was made anew")


def test_a_relay_takes_over_when_the_leading_one_is_killed(
    engine: Engine, database: str, vhost: str, start_relay: Callable[[str], RelayProcess]
) -> None:
    # given
    with worker(database, vhost):
        first = start_relay(vhost)
        second = start_relay(vhost)
        ids = put(engine, 5)
        wait_for(lambda: effects(engine) == sorted(ids))

        # when
        first.process.kill()
        ids += put(engine, 5)

        # then
        wait_for(lambda: effects(engine) == sorted(ids))
        assert second.health()["ready"]


def test_m7_a_link_that_freezes_for_ever_is_given_up_by_the_keeper_of_dead_letters(engine: Engine, vhost: str) -> None:
    # given
    parts = urlsplit(vhost)
    with FaultProxy(parts.hostname or "", parts.port or 5672) as proxy:
        topology.declare(vhost, [], [0])
        keeper = DeadLetters(engine, through(proxy, vhost), CLOCK)
        assert keeper.keep() == 0

        # when
        proxy.faults.frozen = True

        # then
        with pytest.raises(OSError, match=r"timed out|^$"):
            keeper.keep()
        keeper.close()
