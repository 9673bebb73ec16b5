"""E7 with the running service: an event of tomorrow's version stops one read model of one MSP, which is told, mailed to those
whose rule names it, and over when a release can read the event."""

import base64
import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from domain.notifications import Rule
from gateway.rules import Rules
from plumbing import topology
from plumbing.catch_up import stopped
from plumbing.clock import Clock
from plumbing.publisher import Message, Publisher
from plumbing.secrets import new_key_pair
from services.reporting.projections import READ_MODELS, TYPES
from tests.msps import add_msp
from tests.processes import Process
from tests.reporting import history as h
from tests.reporting.receiving import Receiver, receiver
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]
SECRET = "whsec_" + base64.b64encode(b"canary-canary-canary-canary").decode()
PRIVATE_KEY, PUBLIC_KEY = new_key_pair()
A, B = h.odin("a"), h.odin("b", subscription="2")


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as received:
        yield received


@pytest.fixture
def sick(engine: Engine, msp_id: MspId, hook: Receiver) -> MspId:
    """An MSP with a rule for what stops, one event of today and one of tomorrow."""
    rule = Rule(kinds=("consumer_stopped", "consumer_resumed"), channel="webhook", target=hook.url)
    Rules(engine, Clock(), "mara", PUBLIC_KEY, private_addresses=True).save(msp_id, None, rule, SECRET, "o1")
    h.append(engine, msp_id, [h.discovered(A, "4"), h.counted(A, "4", "4711"), h.discovered(B, "1"), h.poll_failed()])
    of_version(engine, msp_id, 9)
    return msp_id


def of_version(engine: Engine, msp_id: MspId, version: int) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE log.events DISABLE TRIGGER append_only"))
        connection.execute(
            text("UPDATE log.events SET version = :v WHERE msp_id = :m AND type = 'ResourceCountChanged'"),
            {"v": version, "m": msp_id},
        )
        connection.execute(text("ALTER TABLE log.events ENABLE TRIGGER append_only"))


def service(database: str, vhost: str, sweep_seconds: str = "0.3") -> Process:
    environment = {
        "TRUEUP_DATABASE_URL": role_url(database, "trueup_reporting"),
        "TRUEUP_RABBITMQ_URL": vhost,
        "TRUEUP_SWEEP_SECONDS": sweep_seconds,
        "TRUEUP_DELIVERY_SECONDS": "0.3",
        "TRUEUP_PRIVATE_KEY": PRIVATE_KEY,
        "TRUEUP_PRIVATE_ADDRESSES": "true",
    }
    return Process("deploy.run_service", "reporting", environment=environment)


def news(engine: Engine, msp_id: MspId) -> list[tuple[str, str]]:
    """Kind and what it is about, in order, of consumers that stopped or went on."""
    rows = h.rows(engine, "notifications", msp_id)
    return [(row["kind"], row["about"]) for row in rows if row["kind"].startswith("consumer")]


def test_e7_an_event_of_tomorrow_is_told_and_the_release_that_reads_it_goes_on(
    engine: Engine, sick: MspId, hook: Receiver, database: str, vhost: str
) -> None:
    sound = add_msp(engine, "sound")
    h.append(engine, sound, [h.discovered(A, "4"), h.counted(A, "4", "5")])
    # resources, counts and days are folded from the event that nobody can read.
    halted = ["The history of counts", "The report of days", "The reports Subscriptions, Linked and Unlinked"]

    with service(database, vhost), service(database, vhost):
        wait_for(lambda: len(hook.calls) >= 3, what="all to be told")
        assert sorted(news(engine, sick)) == [("consumer_stopped", about) for about in halted]
        assert next(row["kind"] for row in h.rows(engine, "notifications", sick)) == "poll_failed"
        assert len(stopped(engine, "reporting")) == 3
        assert h.rows(engine, "resources", sound)[0]["count"] == 5

        of_version(engine, sick, 1)
        wait_for(lambda: len(hook.calls) >= 6, what="all to go on")
        wait_for(lambda: all_at_head(engine), what="every read model")

    assert sorted(news(engine, sick))[:3] == [("consumer_resumed", about) for about in halted]
    assert news(engine, sound) == []
    assert {row["resource_id"]: row["count"] for row in h.rows(engine, "resources", sick)} == {"a": 4711, "b": 1}
    assert stopped(engine, "reporting") == []
    assert len(set(hook.ids())) == len(hook.calls) == 6
    assert all(call.is_signed_with(SECRET) for call in hook.calls)
    assert {call.told["data"]["severity"] for call in hook.calls} == {"action", "info"}
    # What the event says stands in nothing that is told of it.
    with engine.connect() as connection:
        said = list(connection.scalars(text("SELECT payload::text FROM log.events WHERE type LIKE 'Consumer%'")))
    assert len(said) == 6
    assert "4711" not in json.dumps([*said, *(call.told for call in hook.calls)])


def all_at_head(engine: Engine) -> bool:
    query = (
        """SELECT count(*) FROM reporting.positions p JOIN log.heads h USING (msp_id) WHERE p.position = h.position"""
    )
    with engine.connect() as connection:
        return connection.scalar(text(query)) == 2 * (len(READ_MODELS) + 1)


def test_a_service_killed_between_the_stop_and_telling_of_it_leaves_that_to_the_others(
    engine: Engine, sick: MspId, hook: Receiver, database: str, vhost: str
) -> None:
    topology.declare(vhost, [topology.bell_queue("reporting", TYPES)], [])
    publisher = Publisher(vhost)
    bell = json.dumps({"msp_id": sick, "upto": 5}).encode()
    assert not publisher.publish([Message(topology.BELLS.name, "ResourceDiscovered", bell, message_id="1")])
    publisher.close()
    with service(database, vhost, sweep_seconds="3600") as first:
        wait_for(lambda: len(stopped(engine, "reporting")) == 3, what="the stop")
        first.kill()
    assert news(engine, sick) == []

    with service(database, vhost), service(database, vhost):
        wait_for(lambda: len(hook.calls) >= 3, what="all to be told")
        wait_for(lambda: len(news(engine, sick)) >= 3, what="the notifications")

    assert [kind for kind, _ in news(engine, sick)] == ["consumer_stopped"] * 3
    assert len(hook.calls) == 3
