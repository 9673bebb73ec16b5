"""One house for all flow tests of a run; each test brings an MSP of its own."""

from collections.abc import Iterator

import pytest

from tests.house import House, MspHouse, running_house
from tests.servers import Postgres, Rabbitmq, fresh_database, fresh_vhost


@pytest.fixture(scope="package")
def house(postgres: Postgres, rabbitmq: Rabbitmq, migrated_template: str) -> Iterator[House]:
    """A running installation."""
    with (
        fresh_database(postgres, migrated_template) as url,
        fresh_vhost(rabbitmq) as vhost,
        running_house(url, vhost) as house,
    ):
        yield house


@pytest.fixture
def msp(house: House) -> MspHouse:
    """An MSP of the test's own."""
    return house.add_msp()
