"""The reporting service as a process: it folds what a bell tells, finds what no bell told, and bears being killed and doubled."""

import json

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from plumbing import topology
from plumbing.publisher import Message, Publisher
from services.reporting.projections import READ_MODELS, TYPES
from tests.processes import Process
from tests.reporting import history as h
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]
A = h.odin("a")


def service(database: str, vhost: str, sweep_seconds: str = "3600") -> Process:
    return Process(
        "deploy.run_service",
        "reporting",
        environment={
            "TRUEUP_DATABASE_URL": role_url(database, "trueup_reporting"),
            "TRUEUP_RABBITMQ_URL": vhost,
            "TRUEUP_SWEEP_SECONDS": sweep_seconds,
        },
    )


def ring(vhost: str, msp_id: MspId, upto: int) -> bool:
    body = json.dumps({"msp_id": msp_id, "upto": upto}).encode()
    publisher = Publisher(vhost)
    try:
        return not publisher.publish([Message(topology.BELLS.name, "ResourceDiscovered", body, message_id="1")])
    finally:
        publisher.close()


def all_stand_at(engine: Engine, position: int) -> bool:
    """Whether every read model and the teller of notifications stand there: one that has not begun has no position yet."""
    with engine.connect() as connection:
        found = list(connection.scalars(text("SELECT position FROM reporting.positions")))
    return found == [position] * (len(READ_MODELS) + 1)


def test_a_bell_brings_every_read_model_to_the_head(engine: Engine, msp_id: MspId, database: str, vhost: str) -> None:
    h.append(engine, msp_id, [h.discovered(A), h.linked(A, h.psa())])

    topology.declare(vhost, [topology.bell_queue("reporting", TYPES)], [])
    assert ring(vhost, msp_id, 2)

    with service(database, vhost):
        wait_for(lambda: all_stand_at(engine, 2), what="the read models")

    assert h.rows(engine, "resources", msp_id)[0]["psa_product_id"] == "77"


def test_the_sweep_finds_what_no_bell_told_and_a_killed_service_goes_on(
    engine: Engine, msp_id: MspId, database: str, vhost: str
) -> None:
    with service(database, vhost, "0.2") as first:
        h.append(engine, msp_id, [h.discovered(A, "4")])
        wait_for(lambda: all_stand_at(engine, 1), what="the sweep")
        first.kill()
    h.append(engine, msp_id, [h.counted(A, "4", "12")])
    with service(database, vhost, "0.2"), service(database, vhost, "0.2"):
        wait_for(lambda: all_stand_at(engine, 2), what="the sweep of those that came after")

    assert h.rows(engine, "resources", msp_id)[0]["count"] == 12
