"""An admin lets people and programs come in, and takes that away again; all of it stands in the log."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway.people.permissions import Role
from plumbing import event_log
from plumbing.clock import Clock
from tests.gateway.browser import ME, PASSWORD, SIGN_IN, Browser, add_user
from tests.gateway.people.conftest import ADA
from tests.msps import add_msp
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
MARA = "mara@acme.example"
INVITE = """mutation ($email: String!, $role: Role!) {
    inviteUser(mspId: "acme", operationId: "o1", email: $email, name: "Mara", role: $role) {
        link results { id ok refusal { code } } } }"""
SET_ROLE = """mutation ($user: String!, $role: Role!) {
    setRole(mspId: "acme", operationId: "o2", userId: $user, role: $role) { results { ok refusal { code } } } }"""
DISABLE = """mutation ($user: String!) {
    disableUser(mspId: "acme", operationId: "o3", userId: $user) { results { ok refusal { code } } } }"""
SEND_LINK = """mutation ($user: String!) {
    sendResetLink(mspId: "acme", operationId: "o4", userId: $user) { link results { ok refusal { code } } } }"""
MAKE_KEY = """mutation ($endsOn: Date!, $operation: String!) {
    createApiKey(mspId: "acme", operationId: $operation, name: "BI", scopes: [READ], endsOn: $endsOn) {
        key results { id ok refusal { code } } } }"""
REVOKE = """mutation ($key: String!) {
    revokeApiKey(mspId: "acme", operationId: "o6", keyId: $key) { results { ok refusal { code } } } }"""
RESET = 'mutation ($token: String!) { resetPassword(token: $token, newPassword: "four tall unusual giraffes") { ok } }'
PULSE = '{ pulse(mspId: "acme") { position } }'


def row(outcome: dict[str, Any]) -> dict[str, Any]:
    """The one row of an answer to a change."""
    ((answer,),) = [each["results"] for each in outcome.values()]
    return answer


def refusal(outcome: dict[str, Any]) -> str | None:
    found = row(outcome)
    return None if found["ok"] else found["refusal"]["code"]


def next_month() -> str:
    return (Clock().now() + timedelta(days=30)).date().isoformat()


def test_who_is_invited_chooses_a_password_by_the_link_and_comes_in(ada: Browser) -> None:
    answer = ada.data(INVITE, email=MARA, role="OPERATOR")
    token = answer["inviteUser"]["link"].partition("#token=")[2]
    mara = Browser(ada.url)
    assert mara.code(SIGN_IN, email=MARA, password=PASSWORD) == "SIGN_IN_REFUSED"

    mara.data(RESET, token=token)
    mara.sign_in(MARA)

    assert mara.data(ME)["me"]["msps"] == [{"mspId": "acme", "role": "OPERATOR"}]
    users = ada.data('{ users(mspId: "acme") { email role state } }')["users"]
    assert {"email": MARA, "role": "OPERATOR", "state": "active"} in users


@pytest.mark.parametrize("email", ["", "no address", "two@at@signs", "a" * 251 + "@b.c", "sp ace@b.c"])
def test_what_is_no_address_is_not_invited(ada: Browser, email: str) -> None:
    assert refusal(ada.data(INVITE, email=email, role="VIEWER")) == "BAD_USER"


def test_nobody_is_invited_twice(ada: Browser) -> None:
    ada.data(INVITE, email=MARA, role="VIEWER")

    assert refusal(ada.data(INVITE, email=MARA.upper(), role="ADMIN")) == "KNOWN_ALREADY"


def test_another_role_holds_from_the_next_request_on(ada: Browser, engine: Engine, told: MspId) -> None:
    mara = Browser(ada.url)
    user = add_user(engine, told, MARA, Role.ADMIN)
    mara.sign_in(MARA)
    assert mara.data('{ users(mspId: "acme") { email } }')

    ada.data(SET_ROLE, user=user, role="VIEWER")

    assert mara.code('{ users(mspId: "acme") { email } }') == "FORBIDDEN"
    mara.data(PULSE)


def test_who_is_disabled_is_out_at_once_and_may_be_let_in_again(ada: Browser, engine: Engine, told: MspId) -> None:
    mara = Browser(ada.url)
    user = add_user(engine, told, MARA, Role.OPERATOR)
    mara.sign_in(MARA)

    assert refusal(ada.data(DISABLE, user=user)) is None

    assert mara.code(PULSE) == "UNAUTHENTICATED"
    mara.sign_in(MARA)
    assert mara.data(ME)["me"]["msps"] == []
    assert mara.code(PULSE) == "NO_SUCH_MSP"
    ada.data(SET_ROLE, user=user, role="VIEWER")
    mara.data(PULSE)


def test_the_last_admin_stays(ada: Browser, engine: Engine, told: MspId) -> None:
    users = ada.data('{ users(mspId: "acme") { id email } }')["users"]
    (own,) = [user["id"] for user in users if user["email"] == ADA]

    assert refusal(ada.data(SET_ROLE, user=own, role="APPROVER")) == "LAST_ADMIN"
    assert refusal(ada.data(DISABLE, user=own)) == "LAST_ADMIN"
    add_user(engine, told, MARA, Role.ADMIN)
    assert refusal(ada.data(SET_ROLE, user=own, role="APPROVER")) is None


def test_users_of_another_msp_are_not_there(ada: Browser, engine: Engine) -> None:
    other = add_msp(engine, MspId("other"))
    user = add_user(engine, other, "zoe@other.example", Role.OPERATOR)

    for query in (SET_ROLE, DISABLE, SEND_LINK):
        given = {"user": user, "role": "VIEWER"} if query is SET_ROLE else {"user": user}
        assert refusal(ada.data(query, **given)) == "NO_SUCH_USER"
    assert [each["email"] for each in ada.data('{ users(mspId: "acme") { email } }')["users"]] == [ADA]


def test_no_admin_gets_a_link_in_hand_that_opens_another_msp(ada: Browser, engine: Engine, told: MspId) -> None:
    other = add_msp(engine, MspId("third"))
    user = add_user(engine, told, MARA, Role.VIEWER)
    assert ada.data(SEND_LINK, user=user)["sendResetLink"]["link"]

    add_user(engine, other, MARA, Role.ADMIN)

    answer = ada.data(SEND_LINK, user=user)
    assert refusal(answer) == "NO_MAIL"
    assert answer["sendResetLink"]["link"] is None


def test_a_key_is_shown_once_reads_and_stops_at_once_when_it_is_revoked(ada: Browser, engine: Engine) -> None:
    operation = uuid4().hex
    made = ada.data(MAKE_KEY, endsOn=next_month(), operation=operation)
    key = made["createApiKey"]["key"]

    def asked(query: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {key}"}
        return requests.post(f"{ada.url}/graphql", json={"query": query}, headers=headers, timeout=60).json()

    assert "errors" not in asked(PULSE)
    assert asked('mutation { pollNow(mspId: "acme", operationId: "p") { operationId } }')["errors"]
    (listed,) = ada.data('{ apiKeys(mspId: "acme") { id prefix scopes state usedAt } }')["apiKeys"]
    assert key.startswith(listed["prefix"])
    assert listed["state"] == "active"
    assert listed["usedAt"] is not None
    again = ada.data(MAKE_KEY, endsOn=next_month(), operation=operation)
    assert (refusal(again), again["createApiKey"]["key"]) == ("DONE_ALREADY", None)

    ada.data(REVOKE, key=listed["id"])

    assert asked(PULSE)["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    with engine.connect() as connection:
        kept = " ".join(connection.execute(text("SELECT k::text FROM people.api_keys k")).scalars())
        logged = " ".join(connection.execute(text("SELECT e::text FROM log.events e")).scalars())
    assert key.rpartition("_")[2] not in kept + logged


def test_a_key_ends_with_its_day(ada: Browser, engine: Engine) -> None:
    key = ada.data(MAKE_KEY, endsOn=next_month(), operation=uuid4().hex)["createApiKey"]["key"]
    with engine.begin() as connection:
        connection.execute(text("UPDATE people.api_keys SET ends_at = now()"))

    headers = {"authorization": f"Bearer {key}"}
    assert requests.post(f"{ada.url}/graphql", json={"query": PULSE}, headers=headers, timeout=60).status_code == 401


@pytest.mark.parametrize("days", [-1, 400])
def test_a_key_ends_within_a_year_from_now(ada: Browser, days: int) -> None:
    day = (Clock().now() + timedelta(days=days)).date().isoformat()

    assert refusal(ada.data(MAKE_KEY, endsOn=day, operation=uuid4().hex)) == "BAD_KEY"


def test_all_of_it_stands_in_the_log_with_before_and_after(ada: Browser, engine: Engine, told: MspId) -> None:
    with engine.connect() as connection:
        before = event_log.head(connection, told)
    user = row(ada.data(INVITE, email=MARA, role="VIEWER"))["id"]
    ada.data(SET_ROLE, user=user, role="APPROVER")
    ada.data(DISABLE, user=user)
    key = row(ada.data(MAKE_KEY, endsOn=next_month(), operation=uuid4().hex))["id"]
    ada.data(REVOKE, key=key)

    h.project(engine, told)
    acts = [each for each in h.rows(engine, "activity", told) if each["position"] > before]
    assert {act["actor"] for act in acts} == {ADA}

    assert [act["action"] for act in sorted(acts, key=lambda act: act["position"])] == [
        "user_role_set",
        "user_role_set",
        "user_disabled",
        "api_key_made",
        "api_key_revoked",
    ]
