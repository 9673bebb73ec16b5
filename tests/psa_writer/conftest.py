"""What the writer's tests ask for: a sandbox Autotask for the module, and a writer on a database of the test's own."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from deploy.sandbox.autotask import Desk, autotask_sandbox
from plumbing.database import make_engine
from tests.msps import add_msp, loosen_brake
from tests.psa_writer.writing import Writing, save_connection


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Desk]:
    """A server with any number of databases."""
    with autotask_sandbox() as desk:
        yield desk


@pytest.fixture
def writing(braked: Writing) -> Writing:
    """A writer at work for one MSP whose brake holds nothing, on an empty Autotask of its own."""
    loosen_brake(braked.engine, braked.msp_id)
    return braked


@pytest.fixture
def braked(database: str, sandbox: Desk) -> Iterator[Writing]:
    """The same with the brake as every MSP has it."""
    engine = make_engine(database, "test")
    msp_id = add_msp(engine, "acme")
    desk = sandbox.add_tenant(uuid4().hex)
    save_connection(engine, msp_id, desk)
    yield Writing(engine, msp_id, desk)
    engine.dispose()
