"""An engine on the test's own database, with one MSP in it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from domain.keys import MspId
from plumbing.database import make_engine
from tests.msps import add_msp


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test", pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def msp_id(engine: Engine) -> MspId:
    return add_msp(engine)
