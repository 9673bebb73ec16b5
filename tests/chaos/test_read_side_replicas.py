"""Two gateways and two reporting replicas under traffic, one of each killed and started again: all is shown and told once."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, text
from websockets.exceptions import ConnectionClosed, InvalidMessage

from domain.keys import MspId
from domain.notifications import Rule
from gateway.rules import Rules
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.secrets import new_key_pair
from services.reporting.replay import replay
from tests.chaos.test_reporting_killed import caught_up
from tests.gateway.listening import listening
from tests.gateway.serving import Answering, gateway
from tests.house import House, Part, running_house
from tests.msps import add_msp
from tests.reporting import history as h
from tests.reporting.receiving import Receiver, receiver
from tests.reporting.test_deliveries import SECRET
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.rabbitmq, pytest.mark.timeout(600)]
MSPS = ("acme", "other")
PAUSE_SECONDS = 0.1
A, P = h.odin("a"), h.psa("p")
CHANGED = 'subscription { reportChanged(mspId: "acme", report: ADJUSTMENTS) { position } }'
NEW = """query($from: Position!, $after: String) {
    adjustments(mspId: "acme", filter: {position: {gte: $from}}, orderBy: [{field: POSITION}], first: 100, after: $after) {
        asOf { position } edges { node { position requestId } } pageInfo { hasNextPage endCursor } } }"""


class Follower(threading.Thread):
    """A page that listens at one gateway, at the other when that is gone, and reads what is new whenever it is told.

    rows: the requests whose adjustments it has read; told: for each connection, the positions that it was told."""

    def __init__(self, reached: Callable[[], Answering]) -> None:
        super().__init__(daemon=True)
        self._reached = reached
        self.over = threading.Event()
        self.rows, self.told, self.wrong = list[str](), list[list[int]](), list[str]()
        self.seen = 0

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self._follow(self._reached())
            except (OSError, ConnectionClosed, InvalidMessage, EOFError, requests.RequestException):
                time.sleep(0.1)

    def _follow(self, answering: Answering) -> None:
        self.told.append([])
        with listening(answering) as listener, requests.Session() as session:
            listener.subscribe(CHANGED)
            while not self.over.is_set():
                try:
                    message = listener.next(0.5)
                except TimeoutError:
                    continue
                position = int(message["payload"]["data"]["reportChanged"]["position"])
                self.told[-1].append(position)
                self._read(Answering(answering.url, answering.process, answering.log, session=session), position)

    def _read(self, answering: Answering, position: int) -> None:
        after, start = None, self.seen + 1
        while True:
            page = answering.data(NEW, **{"from": str(start), "after": after})["adjustments"]
            if int(page["asOf"]["position"]) < position:
                self.wrong.append(f"told of {position}, shown {page['asOf']}")
            for edge in page["edges"]:
                self.rows.append(edge["node"]["requestId"])
                self.seen = int(edge["node"]["position"])
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]


class Traffic(threading.Thread):
    """Round after round for each MSP: an adjustment is posted, and in every fifth one waits for a person."""

    def __init__(self, database: str) -> None:
        super().__init__(daemon=True)
        self._engine, self.over, self.rounds = make_engine(database, "traffic"), threading.Event(), 0

    def run(self) -> None:
        while not self.over.wait(PAUSE_SECONDS):
            number = self.rounds
            new: list[Any] = [h.requested(A, P, f"q{number}"), h.posted(A, P, f"q{number}", 1)]
            if number % 5 == 0:
                new.append(h.parked(A, P, f"held{number}"))
            for msp_id in MSPS:
                h.append(self._engine, MspId(msp_id), new)
            self.rounds += 1
        self._engine.dispose()

    def go_on(self, rounds: int) -> None:
        """Waits for so many more."""
        enough = self.rounds + rounds
        wait_for(lambda: self.rounds >= enough, 120, what="traffic")


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as received:
        yield received


@pytest.fixture
def house(database: str, vhost: str, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Relay and two reporting replicas, with MSPs that are told by webhook of what waits for a person."""
    monkeypatch.setenv("TRUEUP_PRIVATE_ADDRESSES", "true")
    with running_house(database, vhost, ("relay",)) as house:
        house.keys["reporting"] = new_key_pair()
        for msp_id in MSPS:
            add_msp(house.engine, msp_id)
            rules = Rules(house.engine, Clock(), "mara", house.keys["reporting"][1], private_addresses=True)
            rules.save(MspId(msp_id), None, Rule(kinds=("held",), channel="webhook", target=hook.url), SECRET, "o1")
        for replica in (1, 2):
            house.start("reporting", replica)
        for part in house.parts.values():
            part.wait_until_ready()
        yield house


def passed_positions(part: Part) -> float:
    """How many positions the replica has folded."""
    lines = requests.get(f"http://127.0.0.1:{part.port}/metrics", timeout=10).text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("trueup_positions_passed_total"))


def deliveries(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(
            connection.execute(text("SELECT delivery_id, occasion, msp_id, state, attempts FROM reporting.deliveries"))
        )


def all_sent(engine: Engine) -> bool:
    """Whether nothing waits. What the killed replica had in hand is passed by for minutes: those pass at once here."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE reporting.deliveries SET next_try_at = now() WHERE state = 'waiting'"))
    return {row.state for row in deliveries(engine)} == {"sent"}


def test_killed_and_started_again_nothing_is_doubled_and_nothing_missing(
    house: House, database: str, vhost: str, hook: Receiver
) -> None:
    engine, traffic = house.engine, Traffic(database)
    with ExitStack() as stack:
        # given
        gateways = [stack.enter_context(gateway(role_url(database, "trueup_gateway"), vhost)) for _ in range(2)]
        followers = [Follower(lambda: gateways[0]), Follower(lambda: gateways[1])]
        for thread in (*followers, traffic):
            thread.start()

        # when
        traffic.go_on(30)
        house.parts["reporting-1"].process.kill()
        traffic.go_on(10)
        gateways[0].process.kill()
        traffic.go_on(10)
        house.start("reporting", 1).wait_until_ready()
        gateways[0] = stack.enter_context(gateway(role_url(database, "trueup_gateway"), vhost))
        traffic.go_on(30)
        replicas = [house.parts[f"reporting-{number}"] for number in (1, 2)]
        wait_for(lambda: all(passed_positions(each) > 0 for each in replicas), 60, what="both replicas to fold some")
        traffic.over.set()
        traffic.join(60)
        wait_for(lambda: all(caught_up(engine, MspId(msp_id)) for msp_id in MSPS), 60, what="the read models")
        try:
            wait_for(lambda: all(len(each.rows) >= traffic.rounds for each in followers), 60, what="those who listen")
        finally:
            for follower in followers:
                follower.over.set()
                follower.join(30)
        wait_for(lambda: all_sent(engine), 60, 0.5, what="the deliveries")

    # then: what was told and what was shown
    wanted = [f"q{number}" for number in range(traffic.rounds)]
    for follower in followers:
        assert follower.wrong == []
        assert follower.rows == wanted
        assert all(before < after for told in follower.told for before, after in pairwise(told))
    assert len([told for told in followers[0].told if told]) == 2, "its gateway was killed, so it listened twice"
    # then: rows, notifications and webhooks
    for msp_id in map(MspId, MSPS):
        assert [row["request_id"] for row in h.rows(engine, "adjustments", msp_id)] == wanted
        held = [row["link_key"] for row in h.rows(engine, "notifications", msp_id) if row["kind"] == "held"]
        assert sorted(held) == sorted(f"held{number}" for number in range(0, traffic.rounds, 5))
        assert all(outcome.equal for outcome in replay(engine, ["all"], msp_id, swap=False))
    sent, taken = deliveries(engine), Counter(hook.ids())
    assert len(sent) == len({(row.msp_id, row.occasion) for row in sent}) == len(MSPS) * -(-traffic.rounds // 5)
    assert taken.keys() == {row.delivery_id for row in sent}
    # Only what the killed replica had in hand was tried again, under the id by which its receiver knows it.
    assert {row.delivery_id: row.attempts for row in sent if taken[row.delivery_id] > row.attempts} == {}
    assert sum(taken.values()) - len(sent) <= 1
