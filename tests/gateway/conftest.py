"""A gateway of the test's own, with one MSP that has something in every report."""

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from plumbing import topology
from plumbing.database import make_engine
from tests.gateway.serving import Answering, gateway
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import Postgres, role_url

A, B, C = h.odin("a"), h.odin("b", subscription="2"), h.odin("c", subscription="3", company="9")
P, Q = h.psa("p"), h.psa("q")


def tell(database: str) -> MspId:
    """An MSP with something in every report."""
    engine = make_engine(database, "test")
    msp_id = add_msp(engine)
    h.append(
        engine,
        msp_id,
        [
            h.subscription(A),
            h.discovered(A, "4"),
            h.discovered(B, None),
            h.discovered(C, "12.50"),
            h.product(P),
            h.linked(A, P),
            h.requested(A, P, "q1"),
            h.posted(A, P, "q1", -2),
            h.failed(C, Q, "q2"),
        ],
    )
    h.project(engine, msp_id)
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO queue.dead_letters (queue, cause, body, attempts, died_at)
                   VALUES ('poller.polls', 'not JSON', '\\xff41', 6, now())"""
            )
        )
    engine.dispose()
    return msp_id


@pytest.fixture(scope="module")
def standing(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The URL of a told database that the tests of a module share: they only read."""
    name = f"gateway_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    tell(postgres.database_url(name))
    yield postgres.database_url(name)
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="module")
def served(standing: str) -> Iterator[Answering]:
    """A gateway that the tests of a module share, under its own role and without a broker."""
    with gateway(role_url(standing, "trueup_gateway")) as answering:
        yield answering


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test", pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def told(database: str) -> MspId:
    """An MSP with something in every report, in the test's own database."""
    return tell(database)


@pytest.fixture
def own(told: MspId, database: str) -> Iterator[Answering]:
    """A gateway of the test's own, under its own role and without a broker."""
    with gateway(role_url(database, "trueup_gateway")) as answering:
        yield answering


@pytest.fixture
def ringing(told: MspId, database: str, vhost: str) -> Iterator[Answering]:
    """A gateway with a broker."""
    topology.declare(vhost, [], [])
    with gateway(role_url(database, "trueup_gateway"), vhost) as answering:
        yield answering
