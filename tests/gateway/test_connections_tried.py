"""Trying connections through the whole house: gateway, poller, writer and both sandboxes, over HTTP, RabbitMQ and SOAP."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.gateway.connecting import ASK, TEST, pairs
from tests.gateway.serving import Answering, gateway
from tests.house import House, MspHouse, running_house
from tests.servers import Postgres, Rabbitmq, fresh_database, fresh_vhost, role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]


@pytest.fixture(scope="module")
def house(postgres: Postgres, rabbitmq: Rabbitmq, migrated_template: str) -> Iterator[House]:
    with (
        fresh_database(postgres, migrated_template) as url,
        fresh_vhost(rabbitmq) as vhost,
        running_house(url, vhost, ("relay", "poller", "psa_writer")) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def msp(house: House) -> MspHouse:
    """Its catalogue was read and its marketplace polled."""
    msp = house.add_msp("acme")
    line = msp.add_line("Contoso", "Hosted mail", 4)
    msp.read_catalogue(line)
    wait_for(lambda: msp.events("PollCompleted"), 60, what="the first poll")
    return msp


@pytest.fixture(scope="module")
def door(house: House, msp: MspHouse) -> Iterator[Answering]:
    keys = {f"{service.upper()}_PUBLIC_KEY": pair[1] for service, pair in house.keys.items()}
    url = role_url(house.url, "trueup_gateway")
    with gateway(url, house.rabbitmq_url, PRIVATE_ADDRESSES="true", **keys) as answering:
        yield answering


def tried(door: Answering, kind: str, settings: Any = None, secrets: Any = None, **given: Any) -> dict[str, Any]:
    values = {"id": kind, "kind": kind.upper(), "operation": uuid4().hex} | given
    return door.data(TEST, settings=pairs(settings or {}), secrets=pairs(secrets or {}), **values)["testConnection"]


def outcome(answer: dict[str, Any]) -> list[tuple[str, bool]]:
    assert answer["results"][0]["ok"] == all(step["ok"] for step in answer["steps"])
    assert all(step["ok"] == (step["fix"] is None) for step in answer["steps"])
    return [(step["step"], step["ok"]) for step in answer["steps"]]


def test_a_wrong_psa_password_that_is_not_saved_is_tried_exactly_once_and_harms_nothing(
    house: House, msp: MspHouse, door: Answering
) -> None:
    refused = lambda: msp.psa.calls.count(outcome="unauthorised")  # noqa: E731
    wrong, right = {"password": "canary-wrong"}, {"password": msp.psa.password}

    # when tried, and the request sent again
    answers = [tried(door, "autotask", secrets=wrong, operation="once") for _ in range(2)]

    # then
    assert outcome(answers[0]) == [("zone", True), ("sign-in", False)]
    assert answers[1] == answers[0]
    assert refused() == 1

    # and what was opened for one try serves no other
    assert all(ok for _, ok in outcome(tried(door, "autotask", secrets=right)))
    assert outcome(tried(door, "autotask", secrets=wrong))[-1] == ("sign-in", False)
    assert refused() == 2

    # and the house goes on with what is saved
    assert all(ok for _, ok in outcome(tried(door, "autotask")))
    assert msp.events("CatalogueReadFailed") == []
    said = "".join(part.process.output for part in house.all_parts)
    with house.engine.connect() as connection:
        tables = connection.scalars(text("SELECT schemaname || '.' || relname FROM pg_stat_user_tables")).all()
        kept = "".join(
            str(row) for table in tables for row in connection.execute(text(f"SELECT t::text FROM {table} t"))
        )
    for secret in ("canary-wrong", msp.psa.password, msp.psa.tracking_identifier):
        assert secret not in said + kept


def test_a_marketplace_is_tried_before_it_is_made_and_what_saved_values_showed_is_kept(
    msp: MspHouse, door: Answering
) -> None:
    # given
    account = {"gateway_url": msp.odin.url, "user": msp.odin.user, "marketplace": msp.odin.marketplace}
    secrets = {"password": msp.odin.password, "secret": msp.odin.secret}

    # when
    good = tried(door, "odin", account, secrets, id="not-made-yet")
    bad = tried(door, "odin", secrets={"password": "canary-wrong"})
    saved = tried(door, "odin")

    # then
    assert outcome(good) == outcome(saved) == [("set-up", True), ("sign-in", True), ("read", True)]
    assert outcome(bad) == [("set-up", True), ("sign-in", False)]
    assert (good["version"], bad["version"], saved["version"]) == (None, None, 1)
    connections = {each["id"]: each for each in door.data(ASK)["connections"]["saved"]}
    assert connections.keys() == {"odin", "autotask"}
    assert connections["odin"]["lastTest"]["steps"] == saved["steps"]
