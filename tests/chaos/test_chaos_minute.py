"""Row Z2, small: for a minute processes die and links break at random under load; then it is quiet, and all invariants hold.

TRUEUP_CHAOS_SECONDS lengthens it, TRUEUP_CHAOS_SEED repeats the choices of an earlier run (not its timing)."""

import os
import time
from random import Random, randrange
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text

from tests.chaos.checker import breaches
from tests.chaos.linked import Linked, add_linked
from tests.fault_proxy import FaultProxy, Faults
from tests.house import House, running_house
from tests.waiting import wait_for

SECONDS = float(os.environ.get("TRUEUP_CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("TRUEUP_CHAOS_SEED") or randrange(10**6))
pytestmark = [
    pytest.mark.chaos,
    pytest.mark.postgres,
    pytest.mark.rabbitmq,
    pytest.mark.timeout(SECONDS + 600),
]
MSPS, PRODUCTS = 2, 8


class Chaos:
    """What befalls a house, drawn by a seeded chance, one thing at a time."""

    def __init__(self, house: House, link: FaultProxy, msps: list[Linked], chance: Random) -> None:
        self._house, self._link, self._msps, self._chance = house, link, msps, chance
        self.history: list[str] = []

    def go_on(self, until: float) -> None:
        """Lets things happen until time.monotonic() says so; afterwards every process runs and the link is whole."""
        kinds = [self._kill, self._kill, self._reset_link, self._freeze_link, self._slow_link, self._slice_link]
        while time.monotonic() < until:
            self._load()
            self._chance.choice(kinds)()
            self._load()
        self._link.faults = Faults()

    def _load(self) -> None:
        for linked in self._msps:
            for resource in self._chance.sample(list(linked.lines), 3):
                linked.change(resource, self._chance)

    def _kill(self) -> None:
        key = self._chance.choice(sorted(self._house.parts))
        name, _, replica = key.rpartition("-")
        self._told(f"kill {key}")
        self._house.parts[key].process.kill()
        self._pass(self._chance.uniform(0, 2))
        self._house.start(name, int(replica))
        self._pass(self._chance.uniform(0, 4))

    def _reset_link(self) -> None:
        self._told("reset every connection to RabbitMQ")
        self._link.reset_all()
        self._pass(self._chance.uniform(0, 2))

    def _freeze_link(self) -> None:
        self._misbehave(Faults(frozen=True), "nothing passes")
        self._link.reset_all()

    def _slow_link(self) -> None:
        self._misbehave(Faults(latency=0.05), "everything is slow")

    def _slice_link(self) -> None:
        self._misbehave(Faults(slice_bytes=7), "seven bytes at a time")

    def _misbehave(self, faults: Faults, told: str) -> None:
        self._told(told)
        self._link.faults = faults
        self._pass(self._chance.uniform(1, 4))
        self._link.faults = Faults()

    def _pass(self, seconds: float) -> None:
        """Lets time pass, with changes now and then."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._load()
            time.sleep(min(0.5, seconds))

    def _told(self, what: str) -> None:
        self.history.append(what)


def test_z2_after_a_minute_of_kills_and_broken_links_every_invariant_holds(database: str, vhost: str) -> None:
    # given
    print(f"TRUEUP_CHAOS_SEED={SEED}")
    chance = Random(SEED)
    broker = urlsplit(vhost)
    with (
        FaultProxy(broker.hostname or "", broker.port or 5672) as link,
        running_house(database, through(link, vhost)) as house,
    ):
        for service in ("poller", "psa_writer"):
            house.start(service, 2).wait_until_ready()
        msps = [add_linked(house, PRODUCTS, poll_seconds=2) for _ in range(MSPS)]
        chaos = Chaos(house, link, msps, chance)

        # when
        chaos.go_on(time.monotonic() + SECONDS)

        # then
        print(chaos.history)
        for key, part in list(house.parts.items()):
            if not part.process.running:
                print(f"{key} ended by itself:\n{part.process.output[-2000:]}")
                name, _, replica = key.rpartition("-")
                house.start(name, int(replica))
        wait_for(lambda: all(part.health()["ready"] for part in house.parts.values()), 60, what="every process")
        for linked in msps:
            linked.settle(120)
        assert [breaches(linked.msp) for linked in msps] == [[]] * MSPS
        with house.engine.connect() as connection:
            print("dead letters:", connection.execute(text("SELECT queue, cause FROM queue.dead_letters")).all())


def through(link: FaultProxy, url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{link.port}"))
