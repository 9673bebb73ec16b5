"""Scenario 3: everything is rebuilt while 200 events a second arrive and pages are read: no error, no older row, none missing."""

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import requests
from sqlalchemy import Engine

from domain.keys import MspId
from plumbing.database import make_engine
from services.reporting.projections import READ_MODELS
from services.reporting.replay import Rebuilt, replay
from tests.chaos.test_reporting_killed import caught_up
from tests.gateway.serving import Answering, gateway
from tests.house import running_house
from tests.reporting import history as h
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]
RATE, AT_ONCE, SECONDS, BEFORE, RESOURCES = 200, 5, 6, 4_000, 40
# The highest count and the position of these rows: each event counts one higher than the one before.
PAGE = """{ subscriptions(mspId: "acme", first: 1, orderBy: [{field: COUNT, direction: DESC}]) {
    asOf { position } totalCount edges { node { count } } } }"""


def count_on(engine: Engine, msp_id: MspId, counted: int, how_many: int) -> int:
    """So many changes, one resource after the other, each to a count that none had before: the number of its event."""
    changes = [h.counted(h.odin(str(n % RESOURCES)), "0", str(n)) for n in range(counted + 1, counted + how_many + 1)]
    h.append(engine, msp_id, changes)
    return counted + how_many


def fire(database: str, msp_id: MspId) -> int:
    """Events at their rate; answers the last count."""
    engine, counted, begun = make_engine(database, "fire"), BEFORE, time.monotonic()
    for number in range(RATE * SECONDS // AT_ONCE):
        time.sleep(max(0.0, begun + number * AT_ONCE / RATE - time.monotonic()))
        counted = count_on(engine, msp_id, counted, AT_ONCE)
    engine.dispose()
    return counted


class Reader(threading.Thread):
    """Turns to the same page over and over. wrong: what it was shown and should not have been."""

    def __init__(self, answering: Answering, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self._answering, self._over = replace(answering, session=requests.Session()), over
        self.read, self.wrong = 0, list[Any]()

    def run(self) -> None:
        seen = 0
        while not self._over.is_set():
            answer = self._answering.post(PAGE).json()
            self.read += 1
            if answer.get("errors"):
                self.wrong.append(answer)
                continue
            page = answer["data"]["subscriptions"]
            position = int(page["asOf"]["position"])
            counts = [int(edge["node"]["count"]) for edge in page["edges"]]
            if (page["totalCount"], counts) != (RESOURCES, [position - RESOURCES]) or position < seen:
                self.wrong.append((seen, page))
            seen = position


def test_rebuilt_under_fire_no_page_fails_or_falls_back_and_no_event_is_missing(
    engine: Engine, msp_id: MspId, database: str, vhost: str
) -> None:
    # given
    h.append(engine, msp_id, [h.discovered(h.odin(str(n)), "0") for n in range(RESOURCES)])
    for counted in range(0, BEFORE, 500):
        count_on(engine, msp_id, counted, 500)
    h.project(engine, msp_id)
    over, counted = threading.Event(), list[int]()
    outcomes: list[Rebuilt] = []
    with (
        running_house(database, vhost, ("relay", "reporting")),
        gateway(role_url(database, "trueup_gateway"), vhost) as answering,
    ):
        readers = [Reader(answering, over) for _ in range(2)]
        firing = threading.Thread(target=lambda: counted.append(fire(database, msp_id)))

        # when
        for thread in (*readers, firing):
            thread.start()
        while firing.is_alive():
            outcomes += replay(engine, ["all"], msp_id, workers=1)
        wait_for(lambda: caught_up(engine, msp_id), 60, what="the read models")
        over.set()
        for reader in readers:
            reader.join(60)
        last = answering.data(PAGE)["subscriptions"]

    # then
    assert [reader.wrong[:3] for reader in readers] == [[], []]
    assert all(reader.read > 5 for reader in readers)
    assert {outcome.model for outcome in outcomes if outcome.swapped} == set(READ_MODELS)
    assert [outcome for outcome in outcomes if outcome.equal is False] == []
    assert counted == [BEFORE + RATE * SECONDS]
    assert [edge["node"]["count"] for edge in last["edges"]] == [str(counted[0])]
    assert all(outcome.equal for outcome in replay(engine, ["all"], msp_id, swap=False))
