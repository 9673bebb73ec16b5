"""One gateway for the tests of a module, in which nobody can sign in when a test begins."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway.people.permissions import Role
from plumbing.database import make_engine
from tests.gateway.browser import Browser, add_user
from tests.gateway.conftest import tell
from tests.gateway.serving import Answering, gateway
from tests.servers import Postgres, role_url

ADA = "ada@acme.example"


@dataclass(frozen=True)
class Shared:
    """What the tests of a module share. database: its URL, for the gateway."""

    engine: Engine
    answering: Answering
    database: str
    msp_id: MspId


@pytest.fixture(scope="module")
def shared(postgres: Postgres, migrated_template: str) -> Iterator[Shared]:
    """A gateway without a broker, under its own role, with one MSP."""
    name = f"people_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    url = postgres.database_url(name)
    msp_id = tell(url)
    engine = make_engine(url, "test", pool_size=10)
    of_gateway = role_url(url, "trueup_gateway")
    with gateway(of_gateway) as answering:
        yield Shared(engine, answering, of_gateway, msp_id)
    engine.dispose()
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def engine(shared: Shared) -> Engine:
    """Nobody is known yet, and no try counted."""
    with shared.engine.begin() as connection:
        connection.execute(text("TRUNCATE people.users, people.api_keys, people.tries CASCADE"))
    return shared.engine


@pytest.fixture
def told(shared: Shared) -> MspId:
    return shared.msp_id


@pytest.fixture
def own(shared: Shared, engine: Engine) -> Answering:
    return shared.answering


@pytest.fixture
def ada(engine: Engine, told: MspId, own: Answering) -> Browser:
    """The MSP's admin, signed in."""
    add_user(engine, told, ADA, Role.ADMIN)
    browser = Browser(own.url)
    browser.sign_in(ADA)
    return browser
