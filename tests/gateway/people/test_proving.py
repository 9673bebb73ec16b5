"""What opens doors asks a user for the password again after 15 minutes, and programs never."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway.people import tries
from gateway.people.callers import OPERATOR, PROVEN_LASTS, Caller
from gateway.people.permissions import OWN_PROVEN, PERMISSIONS, needs_password
from plumbing.clock import Clock
from tests.gateway.asking_all import least_request, root_fields, schema
from tests.gateway.browser import ME, PASSWORD, Browser
from tests.gateway.people.conftest import ADA
from tests.gateway.people.test_codes import with_codes
from tests.gateway.serving import Answering

pytestmark = pytest.mark.postgres
SCHEMA = schema()
ASKED_AGAIN = sorted(name for name in root_fields(SCHEMA) if needs_password(name))
CONFIRM = "mutation ($password: String!, $code: String) { confirmPassword(password: $password, code: $code) { ok } }"
NAME = "mutation ($name: String!) { saveProfile(name: $name) { ok } }"


def pass_by(engine: Engine, time: timedelta) -> None:
    """Whoever is signed in gave the password so long ago."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE people.sessions SET proven_at = now() - :time"), {"time": time})


def code(browser: Browser, query: str) -> str:
    answer = browser.post(query).json()
    return answer["errors"][0]["extensions"]["code"] if "errors" in answer else ""


def test_what_asks_again_is_what_opens_doors() -> None:
    assert {name.partition(".")[2] for name in ASKED_AGAIN} == {
        "saveConnection",
        "inviteUser",
        "setRole",
        "disableUser",
        "sendResetLink",
        "resetCodes",
        "createApiKey",
        "revokeApiKey",
        "beginCodes",
        "switchOnCodes",
    }


@pytest.mark.parametrize("wanted", ASKED_AGAIN)
def test_the_password_is_asked_again_after_a_quarter_of_an_hour(ada: Browser, engine: Engine, wanted: str) -> None:
    query = least_request(SCHEMA, wanted, "acme")
    pass_by(engine, PROVEN_LASTS - timedelta(minutes=1))
    assert code(ada, query) != "PASSWORD_NEEDED"

    pass_by(engine, PROVEN_LASTS)

    assert code(ada, query) == "PASSWORD_NEEDED"
    ada.data(CONFIRM, password=PASSWORD)
    assert code(ada, query) != "PASSWORD_NEEDED"


def test_nothing_else_asks_again(ada: Browser, engine: Engine) -> None:
    pass_by(engine, PROVEN_LASTS)

    asked = [name for name in PERMISSIONS if not needs_password(name) and not name.startswith("Subscription.")]
    assert {code(ada, least_request(SCHEMA, name, "acme")) for name in asked} & {"PASSWORD_NEEDED"} == set()
    assert ada.data(ME)["me"]["email"] == ADA


@pytest.mark.parametrize("wanted", sorted(set(ASKED_AGAIN) - OWN_PROVEN))
def test_the_installations_token_is_not_asked(own: Answering, wanted: str) -> None:
    answer = own.post(least_request(SCHEMA, wanted, "acme")).json()

    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def test_programs_have_no_password_to_be_asked_for() -> None:
    for caller in (OPERATOR, Caller("api key BI", key_msp="acme")):
        caller.refuse_unproven(Clock().now())


def test_the_proof_of_one_session_is_none_of_another(ada: Browser, engine: Engine) -> None:
    other = Browser(ada.url)
    other.sign_in(ADA)
    pass_by(engine, PROVEN_LASTS)
    ada.data(CONFIRM, password=PASSWORD)

    assert code(other, "mutation { beginCodes { secret } }") == "PASSWORD_NEEDED"


def test_a_wrong_password_proves_nothing_and_tries_are_counted_with_those_of_the_sign_in(
    ada: Browser, engine: Engine
) -> None:
    pass_by(engine, PROVEN_LASTS)
    codes = [ada.code(CONFIRM, password=f"guess {n}") for n in range(tries.FREE_FAILURES)]

    assert codes == ["PASSWORD_REFUSED"] * tries.FREE_FAILURES
    assert ada.code(CONFIRM, password=PASSWORD) == "TOO_MANY_TRIES"
    assert code(ada, "mutation { beginCodes { secret } }") == "PASSWORD_NEEDED"
    with pytest.raises(AssertionError, match="TOO_MANY_TRIES"):
        ada.sign_in(ADA)


def test_who_has_codes_gives_one_too(ada: Browser, engine: Engine, told: MspId) -> None:
    (user,) = [each["id"] for each in ada.data('{ users(mspId: "acme") { id } }')["users"]]
    app = with_codes(ada, engine, user)
    pass_by(engine, PROVEN_LASTS)

    assert ada.code(CONFIRM, password=PASSWORD) == "PASSWORD_REFUSED"
    assert ada.code(CONFIRM, password=PASSWORD, code=app.shows()) == "PASSWORD_REFUSED"
    assert code(ada, least_request(SCHEMA, "Mutation.setRole", "acme")) == "PASSWORD_NEEDED"
    ada.data(CONFIRM, password=PASSWORD, code=app.next())
    assert code(ada, least_request(SCHEMA, "Mutation.setRole", "acme")) != "PASSWORD_NEEDED"


def test_me_tells_until_when_the_proof_holds(ada: Browser, engine: Engine) -> None:
    with engine.connect() as connection:
        proven_at = connection.scalar(text("SELECT proven_at FROM people.sessions"))

    assert ada.data("{ me { provenUntil } }")["me"]["provenUntil"] == (
        (proven_at + PROVEN_LASTS).isoformat().replace("+00:00", "Z")
    )


def test_a_name_is_changed_by_who_bears_it_and_others_see_it(ada: Browser) -> None:
    ada.data(NAME, name="  Ada Lovelace ")

    assert ada.data("{ me { name } }")["me"]["name"] == "Ada Lovelace"
    assert ada.data('{ users(mspId: "acme") { name } }')["users"] == [{"name": "Ada Lovelace"}]


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "two\nlines", "\u202eback"])
def test_what_cannot_be_seen_is_no_name(ada: Browser, name: str) -> None:
    assert ada.code(NAME, name=name) == "BAD_USER"
