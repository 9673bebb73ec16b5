"""What may go wrong around the live updates: the broker, the database, storms, clients that vanish or take nothing."""

import signal
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway.live import LOOK_SECONDS
from tests.fault_proxy import FaultProxy
from tests.gateway.listening import deaf, listening, ring
from tests.gateway.serving import Answering, gateway
from tests.reporting import history as h
from tests.servers import Postgres, Rabbitmq, role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres]
PULSE = 'subscription { pulseChanged(mspId: "acme") { position } }'
LOOKS = "trueup_live_looks_total"


def queues(rabbitmq: Rabbitmq, vhost: str) -> list[str]:
    """The gateways' own queues of bells."""
    found = rabbitmq.api("GET", f"queues/{vhost.rsplit('/', 1)[1]}").json()
    return [queue["name"] for queue in found if queue["name"].startswith("amq.gen")]


def ring_and_look(answering: Answering, vhost: str) -> None:
    """Rings, and waits for the look that comes of it."""
    before = answering.metric(LOOKS)
    ring(vhost, 9)
    wait_for(lambda: answering.metric(LOOKS) > before, seconds=2.5, what="a look")


@pytest.mark.rabbitmq
def test_the_queue_of_bells_goes_with_its_gateway(told: MspId, database: str, vhost: str, rabbitmq: Rabbitmq) -> None:
    with gateway(role_url(database, "trueup_gateway"), vhost):
        wait_for(lambda: len(queues(rabbitmq, vhost)) == 1, what="the queue")
    wait_for(lambda: queues(rabbitmq, vhost) == [], what="its end")


@pytest.mark.rabbitmq
def test_bells_are_heard_once_the_broker_is_there(told: MspId, database: str, vhost: str, rabbitmq: Rabbitmq) -> None:
    address = urlsplit(vhost)
    with FaultProxy(address.hostname or "", address.port or 0) as proxy:
        proxy.faults.refused = True
        through = vhost.replace(f":{address.port}/", f":{proxy.port}/")
        with gateway(role_url(database, "trueup_gateway"), through) as answering, listening(answering) as listener:
            listener.subscribe(PULSE)
            listener.data()
            for _ in range(2):  # away at the start, and lost later
                proxy.faults.refused = False
                wait_for(lambda: queues(rabbitmq, vhost), what="the queue")
                for _ in range(3):  # more often than the sweep looks
                    ring_and_look(answering, vhost)
                proxy.faults.refused = True
                proxy.reset_all()
                wait_for(lambda: not queues(rabbitmq, vhost), what="the queue's end")


@pytest.mark.rabbitmq
def test_a_storm_of_bells_costs_a_look_every_tenth_of_a_second(ringing: Answering, told: MspId, vhost: str) -> None:
    with listening(ringing) as listener:
        listener.subscribe(PULSE)
        listener.data()
        before, begun = ringing.metric(LOOKS), time.monotonic()
        while time.monotonic() < begun + 2:
            ring(vhost, 9, times=500)
        looks = ringing.metric(LOOKS) - before
        seconds = time.monotonic() - begun

    assert 3 <= looks <= seconds / LOOK_SECONDS + 1


@pytest.mark.rabbitmq
def test_the_updates_go_on_when_the_database_is_back(
    ringing: Answering, told: MspId, engine: Engine, database: str, vhost: str, postgres: Postgres
) -> None:
    name = database.rsplit("/", 1)[1]
    with engine.connect() as kept, listening(ringing) as listener:
        listener.subscribe(PULSE)
        listener.data()
        postgres.execute("ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
        try:
            kept.execute(
                text(
                    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE usename = 'trueup_gateway' AND datname = current_database()"""
                )
            )
            for _ in range(2):  # the second begins when the first has failed
                ring_and_look(ringing, vhost)
        finally:
            postgres.execute("ALTER DATABASE {} ALLOW_CONNECTIONS true", name)
        ring(vhost, h.append(engine, told, [h.poll_failed()]))
        assert listener.data() == {"position": "10"}


def test_listeners_that_vanish_leave_nothing_behind(own: Answering) -> None:
    def come_and_vanish() -> None:
        with ExitStack() as opened:
            for _ in range(50):
                listener = opened.enter_context(listening(own))
                for name in ("1", "2"):
                    listener.subscribe(PULSE, name)
                    listener.data(name)
                opened.callback(listener.vanish)
        for left in ("trueup_listeners", "trueup_watched_msps"):
            wait_for(lambda: own.metric(left) == 0, what=left)  # noqa: B023 asked at once

    for _ in range(20):  # threads are made and the allocator grows until it has what so many need
        come_and_vanish()
    files, memory = own.metric("process_open_fds"), own.metric("process_resident_memory_bytes")
    for _ in range(5):
        come_and_vanish()

    # Waited for: the line of the question before may not be closed yet when the next is answered.
    wait_for(lambda: own.metric("process_open_fds") <= files, what="as few open files as before")
    assert own.metric("process_resident_memory_bytes") - memory < 2e6


@pytest.mark.rabbitmq
def test_it_ends_at_once_whoever_listens_and_whoever_is_silent(told: MspId, database: str, vhost: str) -> None:
    address = urlsplit(vhost)
    with FaultProxy(address.hostname or "", address.port or 0) as proxy, ExitStack() as opened:
        proxy.faults.frozen = True
        through = vhost.replace(f":{address.port}/", f":{proxy.port}/")
        answering = opened.enter_context(gateway(role_url(database, "trueup_gateway"), through))
        listeners = [opened.enter_context(listening(answering)) for _ in range(20)]
        for listener in listeners:
            listener.subscribe(PULSE)
            listener.data()
        opened.enter_context(deaf(answering))
        answering.process.send_signal(signal.SIGTERM)

        assert {listener.closed()[0] for listener in listeners} == {1012}
        answering.process.wait(5)
