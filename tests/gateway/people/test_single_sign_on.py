"""Signing in at the installation's OpenID provider, which may lie, be slow, or be somebody else's."""

import gzip
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from sqlalchemy import Engine, text
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from deploy.sandbox.oidc.provider import Person, Provider, new_key
from deploy.sandbox.serving import Hang, serving
from domain.keys import MspId
from gateway.people import tries
from gateway.people.callers import PROVEN_LASTS
from gateway.people.first_password import set_first_password
from gateway.people.permissions import Role
from gateway.people.single_sign_on import VISIT_LASTS, path_of
from gateway.people.users import Users
from plumbing.clock import Clock
from plumbing.database import make_engine
from tests.gateway.browser import ME, PASSWORD, SIGN_IN, Browser, add_user
from tests.gateway.conftest import tell
from tests.gateway.people.test_codes import with_codes
from tests.gateway.people.test_proving import CONFIRM, code, pass_by
from tests.gateway.serving import Answering, environment, gateway
from tests.msps import add_msp
from tests.reporting.receiving import Mailbox, mailbox
from tests.servers import Postgres, role_url
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
ADDRESS = "https://trueup.example"
MARA = "mara@acme.example"
BEGIN_CODES = "mutation { beginCodes { secret } }"


@dataclass(frozen=True)
class House:
    """What the tests of this module share. url: the database, for the gateway."""

    engine: Engine
    url: str
    settings: dict[str, str]
    answering: Answering
    msp_id: MspId
    provider: Provider
    mails: Mailbox


@pytest.fixture(scope="module")
def house(postgres: Postgres, migrated_template: str) -> Iterator[House]:
    """One gateway with a provider and a mail server."""
    name = f"sign_on_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    url = postgres.database_url(name)
    msp_id = tell(url)
    engine = make_engine(url, "test", pool_size=10)
    provider = Provider()
    with ExitStack() as stack:
        issuer = stack.enter_context(serving(provider.app()))
        mails = stack.enter_context(mailbox())
        given = {
            "OIDC_ISSUER": issuer,
            "OIDC_CLIENT_ID": provider.client_id,
            "OIDC_CLIENT_SECRET": provider.client_secret,
            "OIDC_LABEL": "Acme's directory",
            "PRIVATE_ADDRESSES": "true",
            "PUBLIC_URL": f"{ADDRESS}/",
            "SMTP_URL": mails.url,
        }
        of_gateway = role_url(url, "trueup_gateway")
        answering = stack.enter_context(gateway(of_gateway, **given))
        yield House(engine, of_gateway, given, answering, msp_id, provider, mails)
    engine.dispose()
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def engine(house: House) -> Engine:
    """Nobody is known yet, and no try counted."""
    with house.engine.begin() as connection:
        connection.execute(text("TRUNCATE people.users, people.tries, people.provider_visits CASCADE"))
    house.mails.mails.clear()
    return house.engine


@pytest.fixture
def told(house: House) -> MspId:
    return house.msp_id


@pytest.fixture
def provider(house: House) -> Provider:
    """An honest one, where Mara is signed in."""
    honest = house.provider
    honest.person, honest.claims, honest.signs, honest.answers = Person("mara-1", MARA), {}, None, {}
    honest.asked.clear()
    return honest


@pytest.fixture
def mara(house: House, engine: Engine, told: MspId, provider: Provider) -> Browser:
    """The browser of an operator who was invited and has no password."""
    Users(engine, Clock(), "test").invite(told, MARA, "Mara", Role.OPERATOR)
    return Browser(house.answering.url)


def get(browser: Browser, path: str, **given: str) -> str:
    """Follows a link here; answers where it leads."""
    cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    url = f"{browser.url}{path}{'?' + urlencode(given) if given else ''}"
    answer = requests.get(url, headers=cookie, allow_redirects=False, timeout=60)
    assert answer.status_code == 303, answer.text
    assert answer.headers["cache-control"] == "no-store"
    browser.set_cookies = answer.raw.headers.getlist("set-cookie")
    for line in browser.set_cookies:
        name, _, rest = line.partition("=")
        browser.cookies.pop(name, None)
        if value := rest.partition(";")[0]:
            browser.cookies[name] = value
    return answer.headers["location"]


def at_provider(address: str) -> dict[str, str]:
    """What the provider sends the browser back with."""
    answer = requests.get(address, allow_redirects=False, timeout=60)
    back = answer.headers["location"]
    assert back.startswith(f"{ADDRESS}/sign-in/oidc/callback?")
    return {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}


def sign_on(browser: Browser, **given: str) -> str:
    """Goes there and back; answers where it leads in the end."""
    return get(browser, "/sign-in/oidc/callback", **at_provider(get(browser, "/sign-in/oidc", **given)))


def refused(code: str) -> str:
    return f"/sign-in?refused={code}"


def test_the_page_of_the_sign_in_offers_it(mara: Browser) -> None:
    assert mara.data("{ signInOptions { oidc { label url proveUrl } } }")["signInOptions"]["oidc"] == {
        "label": "Acme's directory",
        "url": "/sign-in/oidc",
        "proveUrl": "/sign-in/oidc?prove=true",
    }


def test_an_invited_user_comes_in_by_its_verified_e_mail_and_is_told_so(
    mara: Browser, told: MspId, house: House
) -> None:
    assert sign_on(mara, next="/reports/unlinked?context=autotask") == "/reports/unlinked?context=autotask"

    assert mara.data(ME)["me"]["msps"] == [{"mspId": told, "role": "OPERATOR"}]
    assert mara.data("{ signIns { kind here } }")["signIns"] == [{"kind": "single_sign_on", "here": True}]
    wait_for(lambda: house.mails.mails, what="the mail")
    assert [mail["To"] for mail in house.mails.mails] == [MARA]
    assert "Acme's directory" in house.mails.mails[0].get_content()


def test_from_then_on_it_is_known_by_the_subject_whatever_its_e_mail_becomes(
    mara: Browser, engine: Engine, told: MspId, provider: Provider
) -> None:
    sign_on(mara)
    provider.person = Person("mara-1", "mara.miller@acme.example", verified=False)
    again = Browser(mara.url)

    assert sign_on(again) == "/"

    assert again.data(ME)["me"]["email"] == MARA


def test_the_new_owner_of_an_address_is_not_the_user_that_had_it(mara: Browser, provider: Provider) -> None:
    sign_on(mara)
    provider.person = Person("mara-2", MARA)

    assert sign_on(Browser(mara.url)) == refused("SIGN_IN_REFUSED")


def test_admins_see_who_comes_in_by_it_and_who_is_only_invited(mara: Browser, engine: Engine, told: MspId) -> None:
    add_user(engine, told, "ada@acme.example", Role.ADMIN)
    ada = Browser(mara.url)
    ada.sign_in("ada@acme.example")
    users = '{ users(mspId: "acme") { email state singleSignOn } }'
    assert {"email": MARA, "state": "invited", "singleSignOn": False} in ada.data(users)["users"]

    sign_on(mara)

    assert {"email": MARA, "state": "active", "singleSignOn": True} in ada.data(users)["users"]
    assert {"email": "ada@acme.example", "state": "active", "singleSignOn": False} in ada.data(users)["users"]


def test_what_is_asked_of_the_provider_is_bound_to_the_browser_and_used_once(
    mara: Browser, provider: Provider, engine: Engine
) -> None:
    sign_on(mara)

    (asked,) = provider.asked
    assert asked["redirect_uri"] == f"{ADDRESS}/sign-in/oidc/callback"
    assert asked["code_challenge_method"] == "S256"
    assert "prompt" not in asked
    words = [asked[name] for name in ("state", "nonce", "code_challenge")]
    assert len({*words}) == 3
    assert all(len(word) == 43 for word in words)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM people.provider_visits")) == 0


def test_the_cookie_of_the_way_there_comes_back_with_the_provider_s_link_and_no_other_cookie_does(
    mara: Browser,
) -> None:
    address = get(mara, "/sign-in/oidc")
    (line,) = mara.set_cookies
    assert line.startswith("__Host-trueup-provider=")
    assert {part.strip() for part in line.split(";")[1:]} == {
        "Path=/",
        "Secure",
        "HttpOnly",
        "SameSite=Lax",
        "Max-Age=600",
    }

    get(mara, "/sign-in/oidc/callback", **at_provider(address))

    lines = {line.partition("=")[0]: line for line in mara.set_cookies}
    assert "Max-Age=0" in lines["__Host-trueup-provider"]
    assert "SameSite=Strict" in lines["__Host-trueup"]
    assert "SameSite=Strict" in lines["__Host-trueup-device"]


def test_a_delivered_password_does_not_live_on_beside_it(mara: Browser, engine: Engine) -> None:
    with engine.connect() as connection:
        user_id = connection.scalar(text("SELECT user_id FROM people.users"))
    set_first_password(engine, user_id, "gateway password")

    sign_on(mara)

    assert mara.data(ME)["me"]["mustChangePassword"] is False
    assert Browser(mara.url).code(SIGN_IN, email=MARA, password="gateway password") == "SIGN_IN_REFUSED"


def test_a_password_that_was_chosen_still_opens(mara: Browser, engine: Engine, told: MspId) -> None:
    add_user(engine, told, "ada@acme.example", Role.ADMIN)
    sign_on(mara)

    Browser(mara.url).sign_in("ada@acme.example")


def test_the_session_that_the_browser_had_ends_and_sign_out_ends_this_one(
    mara: Browser, engine: Engine, told: MspId
) -> None:
    add_user(engine, told, "ada@acme.example", Role.ADMIN)
    mara.sign_in("ada@acme.example")
    before = Browser(mara.url, dict(mara.cookies))

    sign_on(mara)

    assert before.code(ME) == "UNAUTHENTICATED"
    elsewhere = Browser(mara.url)
    sign_on(elsewhere)
    mara.data("mutation { signOutEverywhere { ok } }")
    assert elsewhere.code(ME) == "UNAUTHENTICATED"
    mara.data("mutation { signOut { ok } }")
    assert mara.code(ME) == "UNAUTHENTICATED"


def lies(provider: Provider) -> dict[str, Callable[[], None]]:
    """What a provider, or who stands between, may say that is not so."""
    now = int(time.time())

    def claims(**told: Any) -> Callable[[], None]:
        return lambda: provider.claims.update(told)

    def signs(how: Callable[[dict[str, Any]], str]) -> Callable[[], None]:
        return lambda: setattr(provider, "signs", how)

    def by_another_key(told: dict[str, Any]) -> str:
        other = Provider(key=new_key())
        other.key = type(provider.key).import_key({**other.key.as_dict(private=True), "kid": provider.key.kid})
        return other.signed(told)

    return {
        "wrong issuer": claims(iss="https://login.evil.example"),
        "wrong audience": claims(aud="another client"),
        "an audience of several that does not say who asked": claims(aud=["trueup", "another client"]),
        "asked for by another client": claims(aud=["trueup", "another"], azp="another"),
        "expired": claims(exp=now - 120, iat=now - 400),
        "no expiry": claims(exp=None),
        "no time of issue": claims(iat=None),
        "issued in the future": claims(iat=now + 600),
        "wrong nonce": claims(nonce="of another sign-in"),
        "no nonce": claims(nonce=None),
        "no subject": claims(sub=None),
        "an endless subject": claims(sub="x" * 256),
        "no algorithm": signs(provider.unsigned),
        "the public key as a secret": signs(provider.signed_with_public_key),
        "another key under the known name": signs(by_another_key),
        "no token": signs(lambda _claims: "not a token"),
        "e-mail not verified": claims(email_verified=False),
        "e-mail verified in words": claims(email_verified="true"),
        "no word of the e-mail being verified": claims(email_verified=None),
        "no e-mail": claims(email=None),
        "an e-mail that is no text": claims(email=[MARA]),
        "the e-mail of nobody": claims(email="nobody@acme.example"),
        "a code that it does not take": lambda: provider.answers.update(
            {"/token": lambda: PlainTextResponse('{"error": "invalid_grant"}', 400)}
        ),
    }


@pytest.mark.parametrize("lie", lies(Provider()))
def test_a_lie_opens_nothing(mara: Browser, provider: Provider, engine: Engine, lie: str) -> None:
    lies(provider)[lie]()

    assert sign_on(mara) == refused("SIGN_IN_REFUSED")

    assert mara.code(ME) == "UNAUTHENTICATED"
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM people.identities")) == 0


async def endless() -> AsyncIterator[bytes]:
    for _ in range(16 * 1024):
        yield b"[" * 64 * 1024


def gigabyte() -> Response:
    return StreamingResponse(endless(), media_type="application/json")


def packed() -> Response:
    return Response(gzip.compress(b" " * 64 * 2**20), headers={"content-encoding": "gzip"})


FAULTS: dict[str, Callable[[], Any]] = {
    "500": lambda: PlainTextResponse("no", 500),
    "503": lambda: PlainTextResponse("no", 503),
    "401": lambda: PlainTextResponse("no", 401),
    "a redirect": lambda: Response(status_code=302, headers={"location": "http://127.0.0.1:1/"}),
    "no JSON": lambda: PlainTextResponse("<html>"),
    "a list": lambda: PlainTextResponse("[]"),
    "nothing of what is needed": lambda: PlainTextResponse("{}"),
    "a gigabyte": gigabyte,
    "64 MB packed into few": packed,
    "deep": lambda: PlainTextResponse("[" * 100_000),
    "silence": lambda: Hang(120),
}


def most_memory(answering: Answering) -> int:
    """Megabytes that the gateway took at most in its life."""
    status = Path(f"/proc/{answering.process.pid}/status").read_text()
    (most,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(most) // 1024


@pytest.mark.parametrize("fault", FAULTS)
def test_a_provider_that_fails_is_said_to_fail_long_before_the_browser_gives_up(
    mara: Browser, house: House, provider: Provider, fault: str
) -> None:
    address = get(mara, "/sign-in/oidc")
    back = at_provider(address)
    provider.answers["/token"] = FAULTS[fault]
    before = most_memory(house.answering)

    assert get(mara, "/sign-in/oidc/callback", **back) == refused("PROVIDER_FAILED")

    assert most_memory(house.answering) - before < 40
    provider.answers.clear()
    assert sign_on(mara) == "/"


def test_a_new_key_is_fetched_when_a_token_bears_its_name(mara: Browser, provider: Provider) -> None:
    assert sign_on(mara) == "/"
    provider.rotate("ES256")

    assert sign_on(Browser(mara.url)) == "/"


def test_a_way_back_is_taken_once_by_the_browser_that_left_and_in_time(
    mara: Browser, provider: Provider, engine: Engine
) -> None:
    address = get(mara, "/sign-in/oidc")
    stolen = Browser(mara.url)
    assert get(stolen, "/sign-in/oidc/callback", **at_provider(address)) == refused("SIGN_IN_AGAIN")
    get(stolen, "/sign-in/oidc")
    assert get(stolen, "/sign-in/oidc/callback", **at_provider(address)) == refused("SIGN_IN_AGAIN")

    kept = dict(mara.cookies)
    assert get(mara, "/sign-in/oidc/callback", **at_provider(address)) == "/"
    replayed = Browser(mara.url, kept)
    assert get(replayed, "/sign-in/oidc/callback", **at_provider(address)) == refused("SIGN_IN_AGAIN")

    late = Browser(mara.url)
    address = get(late, "/sign-in/oidc")
    with engine.begin() as connection:
        passed = "UPDATE people.provider_visits SET ends_at = ends_at - CAST(:lasts AS interval)"
        connection.execute(text(passed), {"lasts": VISIT_LASTS})
    assert get(late, "/sign-in/oidc/callback", **at_provider(address)) == refused("SIGN_IN_AGAIN")


def test_a_code_for_another_browser_s_challenge_is_worth_nothing(mara: Browser) -> None:
    mine = at_provider(get(mara, "/sign-in/oidc"))
    other = at_provider(get(Browser(mara.url), "/sign-in/oidc"))

    assert get(mara, "/sign-in/oidc/callback", **mine | {"code": other["code"]}) == refused("SIGN_IN_REFUSED")


def test_another_provider_that_names_itself_is_refused(mara: Browser) -> None:
    back = at_provider(get(mara, "/sign-in/oidc"))

    answer = get(mara, "/sign-in/oidc/callback", **back | {"iss": "https://login.evil.example"})

    assert answer == refused("SIGN_IN_REFUSED")


def test_whoever_changed_its_mind_at_the_provider_is_not_signed_in(mara: Browser) -> None:
    back = at_provider(get(mara, "/sign-in/oidc"))
    denied = {"state": back["state"], "error": "access_denied"}

    assert get(mara, "/sign-in/oidc/callback", **denied) == refused("SIGN_IN_REFUSED")


def test_a_disabled_user_stays_out_whether_it_came_before_or_not(mara: Browser, engine: Engine, told: MspId) -> None:
    add_user(engine, told, "ada@acme.example", Role.ADMIN)
    users = Users(engine, Clock(), "test")
    with engine.connect() as connection:
        user_id = connection.scalar(text("SELECT user_id FROM people.users WHERE email = :e"), {"e": MARA})
    users.disable(told, user_id)
    assert sign_on(mara) == refused("SIGN_IN_REFUSED")
    users.set_role(told, user_id, Role.VIEWER)
    assert sign_on(mara) == "/"
    users.disable(told, user_id)

    assert mara.code(ME) == "UNAUTHENTICATED"
    assert sign_on(mara) == refused("SIGN_IN_REFUSED")


def test_a_user_of_one_msp_is_nobody_in_another(mara: Browser, engine: Engine) -> None:
    add_msp(engine, f"other-{uuid.uuid4().hex[:8]}")
    sign_on(mara)

    with engine.connect() as connection:
        other = connection.scalar(text("SELECT msp_id FROM setup.msps WHERE msp_id LIKE 'other-%'"))
    assert mara.code("query ($m: String!) { pulse(mspId: $m) { position } }", m=other) == "NO_SUCH_MSP"


def test_a_mailbox_alone_does_not_get_past_one_time_codes(
    mara: Browser, engine: Engine, told: MspId, provider: Provider
) -> None:
    user_id = add_user(engine, told, "ada@acme.example", Role.ADMIN)
    ada = Browser(mara.url)
    ada.sign_in("ada@acme.example")
    with_codes(ada, engine, user_id)

    provider.person = Person("ada-1", "ada@acme.example")
    by_mail = Browser(mara.url)

    assert sign_on(by_mail) == refused("SIGN_IN_REFUSED")
    assert sign_on(ada, prove="true", next="/profile") == "/profile"
    assert sign_on(by_mail) == "/"
    assert by_mail.data(ME)["me"]["email"] == "ada@acme.example"


def test_one_who_signed_in_at_the_provider_proves_itself_there(
    mara: Browser, engine: Engine, provider: Provider
) -> None:
    sign_on(mara)
    pass_by(engine, PROVEN_LASTS)
    refusal = mara.refusal(BEGIN_CODES)
    assert refusal["code"] == "PASSWORD_NEEDED"
    assert "proveUrl" in refusal["fix"]
    before = dict(mara.cookies)

    assert sign_on(mara, prove="true", next="/users") == "/users"

    assert provider.asked[-1]["prompt"] == "login"
    assert provider.asked[-1]["max_age"] == "0"
    assert code(mara, BEGIN_CODES) == ""
    assert mara.cookies == before


@pytest.mark.parametrize(
    "auth_time", [None, "now", True, int(time.time()) - 3600], ids=["missing", "text", "boolean", "old"]
)
def test_a_provider_that_did_not_ask_again_proves_nothing(
    mara: Browser, engine: Engine, provider: Provider, auth_time: Any
) -> None:
    sign_on(mara)
    pass_by(engine, PROVEN_LASTS)
    provider.claims["auth_time"] = auth_time

    assert sign_on(mara, prove="true") == refused("SIGN_IN_REFUSED")

    assert code(mara, BEGIN_CODES) == "PASSWORD_NEEDED"


def test_another_s_identity_proves_nothing_and_changes_nothing(
    mara: Browser, engine: Engine, told: MspId, provider: Provider
) -> None:
    sign_on(mara)
    add_user(engine, told, "ada@acme.example", Role.ADMIN)
    ada = Browser(mara.url)
    ada.sign_in("ada@acme.example")

    assert sign_on(ada, prove="true") == refused("SIGN_IN_REFUSED")

    assert ada.data(ME)["me"]["email"] == "ada@acme.example"


def test_a_second_identity_is_not_added_to_a_user_that_has_one(mara: Browser, provider: Provider) -> None:
    sign_on(mara)
    provider.person = Person("mara-2", MARA)

    assert sign_on(mara, prove="true") == refused("SIGN_IN_REFUSED")


def test_it_is_added_while_signed_in_by_who_gave_the_password_a_short_while_ago(
    mara: Browser, engine: Engine, told: MspId, provider: Provider
) -> None:
    add_user(engine, told, "ada@acme.example", Role.ADMIN)
    ada = Browser(mara.url)
    ada.sign_in("ada@acme.example")
    provider.person = Person("ada-1", "", verified=False)
    pass_by(engine, PROVEN_LASTS)
    assert sign_on(ada, prove="true") == refused("PASSWORD_NEEDED")
    ada.data(CONFIRM, password=PASSWORD)

    assert sign_on(ada, prove="true") == "/"

    assert sign_on(Browser(mara.url)) == "/"


def test_nobody_proves_a_session_that_is_none(mara: Browser, engine: Engine) -> None:
    assert get(mara, "/sign-in/oidc", prove="true") == refused("UNAUTHENTICATED")
    sign_on(mara)
    address = get(mara, "/sign-in/oidc", prove="true")
    mara.data("mutation { signOutEverywhere { ok } }")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM people.sessions"))

    assert get(mara, "/sign-in/oidc/callback", **at_provider(address)) == refused("SIGN_IN_AGAIN")


def test_returns_of_one_address_are_slowed_down_and_those_that_open_are_not_counted(
    mara: Browser, provider: Provider
) -> None:
    for _ in range(3):
        assert sign_on(mara) == "/"
    provider.claims["nonce"] = "wrong"
    answers = [sign_on(mara) for _ in range(tries.OF_ADDRESS)]
    provider.claims.clear()

    assert set(answers) == {refused("SIGN_IN_REFUSED")}
    assert sign_on(mara) == refused("TOO_MANY_TRIES")


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example",
        "/\n/evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
        "/" + "x" * 2000,
        "/\u2028",
    ],
    ids=["url", "no scheme", "backslash", "tab", "line", "backslashes", "script", "name", "none", "long", "separator"],
)
def test_what_follows_a_sign_in_is_a_page_of_ours(wanted: str) -> None:
    assert path_of(wanted) == "/"


@pytest.mark.parametrize("missing", ["OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "PUBLIC_URL"])
def test_a_gateway_whose_provider_is_half_set_says_what_lacks(house: House, missing: str) -> None:
    given = {name: value for name, value in house.settings.items() if name != missing}
    started = subprocess.run(  # noqa: PLW1510 its status is looked at
        [sys.executable, "-W", "ignore", "-m", "gateway"],
        env=environment(house.url, **given),
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert started.returncode == 2
    assert f"set TRUEUP_{missing}: TRUEUP_OIDC_ISSUER needs it" in started.stderr


def test_a_provider_in_the_own_network_is_not_called_unless_the_installation_allows_it(
    house: House, provider: Provider
) -> None:
    with gateway(house.url, **house.settings | {"PRIVATE_ADDRESSES": "false"}) as answering:
        assert get(Browser(answering.url), "/sign-in/oidc") == refused("PROVIDER_FAILED")

    assert "only https addresses are called" in answering.output


def test_a_provider_that_calls_itself_another_than_was_set_is_not_believed(house: House, provider: Provider) -> None:
    with gateway(house.url, **house.settings | {"OIDC_ISSUER": house.settings["OIDC_ISSUER"] + "/"}) as answering:
        assert get(Browser(answering.url), "/sign-in/oidc") == refused("PROVIDER_FAILED")


def test_without_a_provider_there_is_nothing_of_it(house: House) -> None:
    given = {name: value for name, value in house.settings.items() if not name.startswith("OIDC")}
    with gateway(house.url, **given) as answering:
        browser = Browser(answering.url)
        assert browser.data("{ signInOptions { oidc { url } } }")["signInOptions"]["oidc"] is None
        for path in ("/sign-in/oidc", "/sign-in/oidc/callback"):
            assert requests.get(f"{browser.url}{path}", timeout=60).status_code == 404


def test_neither_code_nor_token_nor_client_secret_is_in_the_log(
    house: House, mara: Browser, provider: Provider
) -> None:
    said: list[str] = []
    provider.signs = lambda claims: said.append(provider.signed(claims)) or said[-1]
    with gateway(house.url, **house.settings | {"LOG_LEVEL": "DEBUG"}) as answering:
        browser = Browser(answering.url)
        back = at_provider(get(browser, "/sign-in/oidc"))
        assert get(browser, "/sign-in/oidc/callback", **back) == "/"

    for secret in (*said, back["code"], *browser.cookies.values(), provider.client_secret):
        assert secret not in answering.output
