"""Subscriptions of people: by the cookie of a sign-in, of their own MSPs, and only as long as they are signed in."""

import pytest
from sqlalchemy import Engine

from domain.keys import MspId
from gateway.people.permissions import Role
from gateway.people.users import Users
from plumbing.clock import Clock
from tests.gateway.browser import SESSION, Browser, add_user
from tests.gateway.listening import connected
from tests.gateway.serving import Answering
from tests.gateway.test_talking import PULSE, signed_in
from tests.msps import add_msp

pytestmark = pytest.mark.postgres
MARA = "mara@acme.example"


@pytest.fixture
def user(engine: Engine, told: MspId) -> str:
    return add_user(engine, told, MARA, Role.VIEWER)


@pytest.fixture
def cookie(user: str, own: Answering) -> dict[str, str]:
    browser = Browser(own.url)
    browser.sign_in(MARA)
    return {"cookie": f"{SESSION}={browser.cookies[SESSION]}"}


def test_a_browser_listens_by_its_cookie(own: Answering, cookie: dict[str, str]) -> None:
    with connected(own, token=None, headers=cookie) as listener:
        signed_in(listener)
        listener.subscribe(PULSE)

        assert listener.data()["position"]


def test_nothing_of_another_msp_is_told(own: Answering, engine: Engine, cookie: dict[str, str]) -> None:
    add_msp(engine, MspId("other"))
    with connected(own, token=None, headers=cookie) as listener:
        signed_in(listener)
        said = []
        for name, msp_id in (("1", "other"), ("2", "none")):
            listener.subscribe(PULSE.replace("acme", msp_id), name)
            message = listener.next()
            assert message["type"] == "error"
            said.append(message["payload"][0]["message"].replace(msp_id, "it"))

    assert said[0] == said[1] == "There is no MSP 'it'."


def test_who_is_signed_out_hears_nothing_more(
    own: Answering, engine: Engine, told: MspId, user: str, cookie: dict[str, str]
) -> None:
    with connected(own, token=None, headers=cookie) as listener:
        signed_in(listener)
        listener.subscribe(PULSE)
        listener.data()
        Users(engine, Clock(), "test").invite(told, "ada@acme.example", "Ada", Role.ADMIN)

        Users(engine, Clock(), "test").disable(told, user)

        assert listener.closed() == (4403, "Nobody is signed in, or not any more.")
