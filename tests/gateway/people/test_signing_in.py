"""Signing in as people do: by password and cookie, by a link, never by what a stranger could guess or send."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from sqlalchemy import Engine, text

from deploy.migrations.rights import ROLES
from domain.keys import MspId
from gateway.people import links, tries
from gateway.people.first_password import set_first_password
from gateway.people.permissions import Role
from gateway.people.users import Users
from plumbing.clock import Clock
from tests.gateway.browser import ME, PASSWORD, SESSION, SIGN_IN, Browser, add_user
from tests.gateway.serving import TOKEN, Answering

pytestmark = pytest.mark.postgres
MARA = "mara@acme.example"
RESET = "mutation ($token: String!, $new: String!) { resetPassword(token: $token, newPassword: $new) { ok } }"
CHANGE = "mutation ($current: String!, $new: String!) { changePassword(current: $current, newPassword: $new) { ok } }"
FORGOTTEN = "mutation ($email: String!) { requestPasswordReset(email: $email) { ok } }"
ANOTHER = "a quite different set of words"


@pytest.fixture
def mara(engine: Engine, told: MspId, own: Answering) -> Browser:
    add_user(engine, told, MARA, Role.OPERATOR)
    return Browser(own.url)


def test_a_user_signs_in_by_e_mail_in_any_letters_and_is_known_by_a_cookie(mara: Browser, told: MspId) -> None:
    mara.sign_in(" Mara@ACME.example ")

    assert mara.data(ME)["me"] == {
        "email": MARA,
        "mustChangePassword": False,
        "msps": [{"mspId": told, "role": "OPERATOR"}],
    }


def test_the_cookie_is_for_this_host_alone_and_out_of_reach_of_scripts(mara: Browser) -> None:
    mara.sign_in(MARA)

    (cookie,) = [line for line in mara.set_cookies if line.startswith(f"{SESSION}=")]
    assert {part.strip() for part in cookie.split(";")[1:]} == {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"}


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(mara: Browser) -> None:
    wrong = mara.refusal(SIGN_IN, email=MARA, password="wrong, so wrong, so wrong")
    unknown = mara.refusal(SIGN_IN, email="nobody@acme.example", password=PASSWORD)

    same = ("code", "message", "fix", "status")
    assert [wrong[name] for name in same] == [unknown[name] for name in same]
    assert wrong["code"] == "SIGN_IN_REFUSED"
    assert not mara.cookies


def test_an_unknown_user_takes_as_many_hashes_as_a_known_one(mara: Browser) -> None:
    def seconds(email: str) -> float:
        begun = time.perf_counter()
        assert mara.code(SIGN_IN, email=email, password="wrong, so wrong") == "SIGN_IN_REFUSED"
        return time.perf_counter() - begun

    known, unknown = (min(seconds(f"{n}{email}") for n in ("", " ", "  ")) for email in (MARA, "nobody@acme.example"))

    # One hash takes tens of milliseconds, everything else a few: without it, it would be a tenth.
    assert unknown > known / 3


def test_whoever_is_not_signed_in_may_ask_nothing_but_how_to(own: Answering) -> None:
    stranger = Browser(own.url)

    assert stranger.data("{ signInOptions { mail } }") == {"signInOptions": {"mail": False}}
    assert stranger.refusal(ME)["status"] == 401
    assert stranger.code('{ signInOptions { mail } pulse(mspId: "acme") { position } }') == "UNAUTHENTICATED"
    fragment = '{ signInOptions { mail } ...f } fragment f on Query { pulse(mspId: "acme") { position } }'
    assert stranger.code(fragment) == "UNAUTHENTICATED"


def test_g3_a_page_of_another_origin_has_no_use_of_the_cookie(mara: Browser) -> None:
    mara.sign_in(MARA)
    mara.origin = "https://evil.example"

    assert mara.refusal(ME)["status"] == 403
    assert mara.code(SIGN_IN, email=MARA, password=PASSWORD) == "FOREIGN_ORIGIN"


def test_a_form_of_another_page_has_no_use_of_the_cookie(mara: Browser) -> None:
    mara.sign_in(MARA)
    cookie = {"cookie": f"{SESSION}={mara.cookies[SESSION]}"}

    sent = requests.post(f"{mara.url}/graphql", data={"query": ME}, headers=cookie, timeout=60)

    assert sent.status_code == 415


def test_signing_in_again_ends_the_session_that_the_browser_had(mara: Browser) -> None:
    mara.sign_in(MARA)
    before = Browser(mara.url, dict(mara.cookies))
    mara.sign_in(MARA)

    assert before.code(ME) == "UNAUTHENTICATED"
    assert mara.data(ME)["me"]["email"] == MARA


def test_after_signing_out_the_cookie_opens_nothing(mara: Browser) -> None:
    mara.sign_in(MARA)
    stolen = Browser(mara.url, dict(mara.cookies))
    mara.data("mutation { signOut { ok } }")

    assert SESSION not in mara.cookies
    assert stolen.code(ME) == "UNAUTHENTICATED"


@pytest.mark.parametrize("column", ["begun_at", "seen_at"])
def test_a_session_ends_by_itself(mara: Browser, engine: Engine, column: str) -> None:
    mara.sign_in(MARA)
    hours = {"begun_at": 13, "seen_at": 2}[column]
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE people.sessions SET {column} = now() - interval '{hours} hours'"))

    assert mara.code(ME) == "UNAUTHENTICATED"


def test_places_are_listed_and_ended_one_by_one_or_all_but_this_one(mara: Browser) -> None:
    others = [Browser(mara.url) for _ in range(3)]
    for browser in (mara, *others):
        browser.sign_in(MARA)

    places = mara.data("{ signIns { id here address } }")["signIns"]
    assert len(places) == 4
    assert [place["here"] for place in places].count(True) == 1
    there = next(place["id"] for place in places if not place["here"])
    mara.data("mutation ($id: String!) { endSignIn(id: $id) { ok } }", id=there)
    assert sorted(other.post(ME).status_code for other in others) == [200, 200, 401]
    mara.data("mutation { signOutEverywhere { ok } }")
    assert [other.post(ME).status_code for other in others] == [401, 401, 401]
    assert mara.data(ME)["me"]["email"] == MARA


def test_nobody_ends_the_session_of_another(mara: Browser, engine: Engine, told: MspId) -> None:
    add_user(engine, told, "ada@acme.example", Role.VIEWER)
    ada = Browser(mara.url)
    ada.sign_in("ada@acme.example")
    mara.sign_in(MARA)
    (place,) = ada.data("{ signIns { id } }")["signIns"]

    mara.data("mutation ($id: String!) { endSignIn(id: $id) { ok } }", id=place["id"])

    assert ada.data(ME)["me"]["email"] == "ada@acme.example"


def test_the_sixth_try_waits_and_says_how_long(mara: Browser) -> None:
    for _ in range(tries.FREE_FAILURES):
        assert mara.code(SIGN_IN, email=MARA, password="wrong, so wrong") == "SIGN_IN_REFUSED"

    waits = mara.refusal(SIGN_IN, email=MARA, password=PASSWORD)

    assert waits["code"] == "TOO_MANY_TRIES"
    assert "Wait 60 s" in waits["message"] or "Wait 59 s" in waits["message"]


def test_a_thousand_guesses_at_once_get_no_further_than_a_few(mara: Browser, engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda n: Browser(mara.url).code(SIGN_IN, email=MARA, password=f"guess {n}"), range(200)))

    assert codes.count("SIGN_IN_REFUSED") <= tries.FREE_FAILURES
    assert set(codes) == {"SIGN_IN_REFUSED", "TOO_MANY_TRIES"}


def test_a_device_that_signed_in_before_is_not_locked_out_by_strangers(mara: Browser) -> None:
    mara.sign_in(MARA)
    for _ in range(tries.FREE_FAILURES + 1):
        Browser(mara.url).post(SIGN_IN, email=MARA, password="wrong, so wrong")
    assert Browser(mara.url).code(SIGN_IN, email=MARA, password=PASSWORD) == "TOO_MANY_TRIES"

    mara.sign_in(MARA)

    assert mara.data(ME)["me"]["email"] == MARA


def test_the_device_of_one_user_is_a_stranger_to_another(mara: Browser, engine: Engine, told: MspId) -> None:
    add_user(engine, told, "ada@acme.example", Role.VIEWER)
    mara.sign_in(MARA)
    for _ in range(tries.FREE_FAILURES):
        mara.post(SIGN_IN, email="ada@acme.example", password="wrong, so wrong")

    assert Browser(mara.url).code(SIGN_IN, email="ada@acme.example", password=PASSWORD) == "TOO_MANY_TRIES"


def test_g6_a_link_works_once_and_ends_all_sessions(mara: Browser, engine: Engine) -> None:
    mara.sign_in(MARA)
    with engine.begin() as connection:
        user_id = connection.scalar(text("SELECT user_id FROM people.users WHERE email = :e"), {"e": MARA})
        token = links.new_link(connection, user_id, links.RESET_LASTS, Clock().now())

    assert mara.code(RESET, token=token, new="mara@acme.example") == "WEAK_PASSWORD"
    mara.data(RESET, token=token, new=ANOTHER)

    assert mara.code(RESET, token=token, new=ANOTHER) == "LINK_REFUSED"
    assert mara.code(ME) == "UNAUTHENTICATED"
    assert mara.code(SIGN_IN, email=MARA, password=PASSWORD) == "SIGN_IN_REFUSED"
    mara.sign_in(MARA, ANOTHER)


def test_g6_of_two_who_use_a_link_at_once_one_wins(mara: Browser, engine: Engine) -> None:
    with engine.begin() as connection:
        user_id = connection.scalar(text("SELECT user_id FROM people.users WHERE email = :e"), {"e": MARA})
        token = links.new_link(connection, user_id, links.RESET_LASTS, Clock().now())

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: Browser(mara.url).post(RESET, token=token, new=f"{ANOTHER} {n}"), range(4)))

    assert sum("errors" not in answer.json() for answer in answers) == 1


def test_a_link_is_refused_after_half_an_hour(mara: Browser, engine: Engine) -> None:
    with engine.begin() as connection:
        user_id = connection.scalar(text("SELECT user_id FROM people.users WHERE email = :e"), {"e": MARA})
        token = links.new_link(connection, user_id, links.RESET_LASTS, Clock().now() - links.RESET_LASTS)

    assert mara.code(RESET, token=token, new=ANOTHER) == "LINK_REFUSED"


def test_of_all_that_opens_a_door_only_hashes_are_kept(mara: Browser, engine: Engine) -> None:
    mara.sign_in(MARA)
    with engine.begin() as connection:
        user_id = connection.scalar(text("SELECT user_id FROM people.users WHERE email = :e"), {"e": MARA})
        token = links.new_link(connection, user_id, links.RESET_LASTS, Clock().now())
        kept = "\n".join(
            str(row)
            for table in ("users", "sessions", "devices", "links")
            for row in connection.execute(text(f"SELECT t::text FROM people.{table} t")).scalars()
        )

    for opens in (PASSWORD, token, *mara.cookies.values()):
        assert opens not in kept
    assert "$argon2id$" in kept


def test_a_first_password_is_good_once_and_must_be_changed_before_anything_else(
    engine: Engine, told: MspId, own: Answering
) -> None:
    invited = Users(engine, Clock(), "test").invite(told, "new@acme.example", "New", Role.ADMIN)
    set_first_password(engine, invited.user_id, "gateway password")
    browser = Browser(own.url)

    browser.sign_in("new@acme.example", "gateway password")

    assert browser.data(ME)["me"]["mustChangePassword"] is True
    assert browser.code('{ pulse(mspId: "acme") { position } }') == "MUST_CHANGE_PASSWORD"
    assert browser.code("{ signIns { id } }") == "MUST_CHANGE_PASSWORD"
    assert Browser(own.url).code(SIGN_IN, email="new@acme.example", password="gateway password") == "SIGN_IN_REFUSED"
    browser.data(CHANGE, current="", new=ANOTHER)
    assert browser.data(ME)["me"]["mustChangePassword"] is False
    browser.data('{ pulse(mspId: "acme") { position } }')


def test_a_password_is_changed_by_who_knows_it_and_other_sessions_end(mara: Browser) -> None:
    elsewhere = Browser(mara.url)
    for browser in (mara, elsewhere):
        browser.sign_in(MARA)
    assert mara.code(CHANGE, current=PASSWORD, new="password1234") == "WEAK_PASSWORD"

    mara.data(CHANGE, current=PASSWORD, new=ANOTHER)

    assert mara.data(ME)["me"]["email"] == MARA
    assert elsewhere.code(ME) == "UNAUTHENTICATED"


def test_whoever_sits_at_an_open_session_cannot_change_the_password_and_loses_it(mara: Browser) -> None:
    mara.sign_in(MARA)

    assert mara.code(CHANGE, current="wrong, so wrong", new=ANOTHER) == "SIGN_IN_REFUSED"
    assert mara.code(ME) == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "password", ["short", "aaaaaaaaaaaaaaaaaaaa", "qwertyuiop123", "mara@acme.example", "x" * 201, "password1234"]
)
def test_weak_passwords_are_refused(mara: Browser, password: str) -> None:
    mara.sign_in(MARA)

    assert mara.code(CHANGE, current=PASSWORD, new=password) == "WEAK_PASSWORD"


def test_g6_a_forgotten_password_is_answered_alike_for_known_and_unknown(mara: Browser) -> None:
    known, unknown = (mara.post(FORGOTTEN, email=email) for email in (MARA, "nobody@acme.example"))

    assert known.json() == unknown.json() == {"data": {"requestPasswordReset": {"ok": True}}}
    assert known.headers.keys() == unknown.headers.keys()


def test_the_installations_token_opens_all_and_is_no_user(own: Answering) -> None:
    own.data('{ pulse(mspId: "acme") { position } }')

    assert own.refusal(ME)["code"] == "UNAUTHENTICATED"
    wrong = own.post(ME, headers={"authorization": f"Bearer {TOKEN}x"})
    assert wrong.status_code == 401


def test_no_service_can_read_who_comes_in(engine: Engine) -> None:
    with engine.connect() as connection:
        may = {
            role
            for role in ROLES
            if connection.scalar(text("SELECT has_schema_privilege(:r, 'people', 'USAGE')"), {"r": role})
        }

    assert may == {"trueup_gateway"}
