"""One-time codes: after the password nobody is in before a good code, each is good once, and a dump of the rows has none."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import Connection, Engine, text

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.people import links, tries
from gateway.people.codes import STEP_SECONDS, Codes
from gateway.people.first_password import set_first_password
from gateway.people.permissions import Role
from plumbing.clock import Clock
from plumbing.secrets import new_key_pair, public_key_of, seal_of_user
from tests.gateway.browser import ME, PASSWORD, SESSION, SIGN_IN, Browser, add_user
from tests.gateway.people.test_signing_in import ANOTHER, RESET
from tests.gateway.people.test_users import refusal
from tests.gateway.serving import KEY, Answering
from tests.msps import add_msp
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
MARA, ADA = "mara@acme.example", "ada@acme.example"
HALF, DEVICE = "__Host-trueup-half", "__Host-trueup-device"
BEGIN = "mutation { beginCodes { secret uri } }"
ON = "mutation ($code: String!) { switchOnCodes(code: $code) { recoveryCodes } }"
OFF = "mutation ($password: String!, $code: String!) { switchOffCodes(password: $password, code: $code) { ok } }"
CODE = "mutation ($code: String!) { signInWithCode(code: $code) { mustChangePassword codeNeeded } }"
RESET_CODES = """mutation ($user: String!) {
    resetCodes(mspId: "acme", operationId: "o7", userId: $user) { results { ok refusal { code } } } }"""
NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


@dataclass
class App:
    """Somebody's authenticator app, and the recovery codes beside it."""

    engine: Engine
    user_id: str
    secret: str
    recovery: list[str]

    def shows(self, steps: int = 0) -> str:
        """The code of now, or of so many steps later."""
        return pyotp.TOTP(self.secret).generate_otp(int(Clock().now().timestamp()) // STEP_SECONDS + steps)

    def next(self) -> str:
        """The code of now as if none had been used yet: a test does not wait for half a minute."""
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE people.codes SET used_step = 0 WHERE user_id = :id"), {"id": self.user_id})
        return self.shows()


def with_codes(browser: Browser, engine: Engine, user_id: str) -> App:
    """Codes are on for whoever is signed in."""
    secret = browser.data(BEGIN)["beginCodes"]["secret"]
    app = App(engine, user_id, secret, [])
    app.recovery = browser.data(ON, code=app.shows())["switchOnCodes"]["recoveryCodes"]
    return app


@pytest.fixture
def user(engine: Engine, told: MspId) -> str:
    return add_user(engine, told, MARA, Role.OPERATOR)


@pytest.fixture
def mara(user: str, own: Answering) -> Browser:
    browser = Browser(own.url)
    browser.sign_in(MARA)
    return browser


@pytest.fixture
def app(mara: Browser, engine: Engine, user: str) -> App:
    return with_codes(mara, engine, user)


def half_in(url: str) -> Browser:
    """A browser that nobody knows, with the password given and no code."""
    browser = Browser(url)
    assert browser.data(SIGN_IN, email=MARA, password=PASSWORD)["signIn"]["codeNeeded"]
    return browser


@pytest.mark.parametrize(("moment", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_are_those_of_the_rfc(engine: Engine, user: str, moment: int, code: str) -> None:
    # RFC 6238, appendix B: the last six of its eight digits.
    codes, now = Codes(KEY), datetime.fromtimestamp(moment, UTC)
    with engine.begin() as connection:
        pretend(connection, codes, user, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")

        assert codes.use(connection, user, code, now)


def pretend(connection: Connection, codes: Codes, user: str, secret: str) -> None:
    """Codes of a known secret are on."""
    connection.execute(
        text("INSERT INTO people.codes (user_id, sealed, on_since, used_step) VALUES (:id, :sealed, now(), 0)"),
        {"id": user, "sealed": seal_of_user(public_key_of(codes.private_key), user, secret)},
    )


def test_nobody_is_in_before_the_code(app: App, own: Answering) -> None:
    browser = half_in(own.url)

    assert SESSION not in browser.cookies
    assert DEVICE not in browser.cookies
    assert browser.code(ME) == "UNAUTHENTICATED"
    browser.data(CODE, code=app.next())
    assert browser.data(ME)["me"]["email"] == MARA
    assert HALF not in browser.cookies


def test_the_half_is_out_of_reach_of_scripts_and_opens_nothing_as_a_session(app: App, own: Answering) -> None:
    browser = half_in(own.url)

    (cookie,) = [line for line in browser.set_cookies if line.startswith(f"{HALF}=")]
    assert {part.strip() for part in cookie.split(";")[1:]} == {
        "Path=/",
        "Secure",
        "HttpOnly",
        "SameSite=Strict",
        "Max-Age=300",
    }
    assert Browser(own.url, {SESSION: browser.cookies[HALF]}).code(ME) == "UNAUTHENTICATED"


def test_a_wrong_code_opens_nothing_and_a_right_one_still_may_follow(app: App, own: Answering) -> None:
    browser = half_in(own.url)
    wrong = f"{(int(app.next()) + 1) % 1_000_000:06}"

    assert browser.code(CODE, code=wrong) == "CODE_REFUSED"
    assert browser.code(CODE, code="") == "CODE_REFUSED"
    assert browser.code(ME) == "UNAUTHENTICATED"
    browser.data(CODE, code=app.next())


def test_a_code_without_a_password_opens_nothing(app: App, own: Answering) -> None:
    assert Browser(own.url).code(CODE, code=app.next()) == "SIGN_IN_AGAIN"
    assert Browser(own.url, {HALF: "x" * 43}).code(CODE, code=app.next()) == "SIGN_IN_AGAIN"


def test_a_half_is_too_old_after_five_minutes(app: App, own: Answering, engine: Engine) -> None:
    browser = half_in(own.url)
    with engine.begin() as connection:
        left = connection.scalar(text("SELECT max(ends_at) FROM people.half_sign_ins")) - Clock().now()
        connection.execute(text("UPDATE people.half_sign_ins SET ends_at = now()"))

    assert left <= timedelta(minutes=5)
    assert browser.code(CODE, code=app.next()) == "SIGN_IN_AGAIN"


def test_a_half_is_completed_once(app: App, own: Answering) -> None:
    browser = half_in(own.url)
    again = Browser(own.url, dict(browser.cookies))
    browser.data(CODE, code=app.next())

    assert again.code(CODE, code=app.next()) == "SIGN_IN_AGAIN"


def test_a_code_is_good_once_and_so_are_those_before_it(app: App, own: Answering) -> None:
    browser, code = half_in(own.url), app.next()
    browser.data(CODE, code=code)

    assert half_in(own.url).code(CODE, code=code) == "CODE_REFUSED"
    assert half_in(own.url).code(CODE, code=app.shows(-1)) == "CODE_REFUSED"


def test_the_first_code_of_all_opens_nothing_more(mara: Browser, engine: Engine, user: str, own: Answering) -> None:
    app = App(engine, user, mara.data(BEGIN)["beginCodes"]["secret"], [])
    first = app.shows()
    mara.data(ON, code=first)

    assert half_in(own.url).code(CODE, code=first) == "CODE_REFUSED"


def test_of_many_who_use_a_code_at_once_one_comes_in(app: App, own: Answering) -> None:
    browsers, code = [half_in(own.url) for _ in range(4)], app.next()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda browser: browser.post(CODE, code=code).json(), browsers))

    assert sum("errors" not in answer for answer in answers) == 1


@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_off_by_one_step(engine: Engine, user: str, steps: int, *, good: bool) -> None:
    codes = Codes(KEY)
    with engine.begin() as connection:
        pretend(connection, codes, user, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
        step = int(NOW.timestamp()) // STEP_SECONDS + steps
        code = pyotp.TOTP("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").generate_otp(step)

        assert codes.use(connection, user, code, NOW) == good


def test_each_of_ten_recovery_codes_is_good_once_however_it_is_written(app: App, own: Answering, mara: Browser) -> None:
    assert len(set(app.recovery)) == 10
    half_in(own.url).data(CODE, code=app.recovery[0])

    assert half_in(own.url).code(CODE, code=app.recovery[0]) == "CODE_REFUSED"
    half_in(own.url).data(CODE, code=app.recovery[1].lower().replace("-", " "))
    assert mara.data("{ me { codesOn recoveryCodesLeft } }")["me"] == {"codesOn": True, "recoveryCodesLeft": 8}


def test_a_recovery_code_is_nothing_to_another_user(app: App, engine: Engine, told: MspId, own: Answering) -> None:
    user = add_user(engine, told, ADA, Role.VIEWER)
    ada = Browser(own.url)
    ada.sign_in(ADA)
    with_codes(ada, engine, user)
    half = Browser(own.url)
    half.post(SIGN_IN, email=ADA, password=PASSWORD)

    assert half.code(CODE, code=app.recovery[0]) == "CODE_REFUSED"


def test_a_thousand_codes_get_no_further_than_ten_whatever_the_place(app: App, engine: Engine, user: str) -> None:
    tried = 0
    for n in range(1000):
        with engine.begin() as connection:
            counted = tries.code_buckets(MARA, f"10.0.{n // 250}.{n % 250}", f"device {n}" if n % 2 else "")
            tried += not tries.pause(connection, counted, NOW + timedelta(seconds=n / 2))

    assert tried == tries.OF_CODES


def test_giving_the_password_again_gives_no_more_tries_of_codes(app: App, own: Answering) -> None:
    codes = []
    for n in range(tries.FREE_FAILURES + 2):
        browser = Browser(own.url)
        first = browser.post(SIGN_IN, email=MARA, password=PASSWORD).json()
        answer = first if "errors" in first else browser.post(CODE, code=f"{n:06}").json()
        codes.append(answer["errors"][0]["extensions"]["code"])

    assert codes[: tries.FREE_FAILURES] == ["CODE_REFUSED"] * tries.FREE_FAILURES
    assert set(codes[tries.FREE_FAILURES :]) == {"TOO_MANY_TRIES"}


def test_signing_in_by_code_often_uses_up_no_tries(app: App, own: Answering) -> None:
    for _ in range(tries.OF_STRANGERS + 1):
        half_in(own.url).data(CODE, code=app.next())


def test_a_new_password_by_link_still_needs_the_code(app: App, own: Answering, engine: Engine, user: str) -> None:
    waiting = half_in(own.url)
    with engine.begin() as connection:
        token = links.new_link(connection, user, links.RESET_LASTS, Clock().now())
    browser = Browser(own.url)

    browser.data(RESET, token=token, new=ANOTHER)

    assert browser.code(ME) == "UNAUTHENTICATED"
    assert browser.data(SIGN_IN, email=MARA, password=ANOTHER)["signIn"]["codeNeeded"]
    assert browser.code(ME) == "UNAUTHENTICATED"
    assert waiting.code(CODE, code=app.next()) == "SIGN_IN_AGAIN"
    browser.data(CODE, code=app.next())


def test_a_first_password_is_still_good_once(app: App, own: Answering, engine: Engine, user: str) -> None:
    set_first_password(engine, user, PASSWORD)
    one, other = half_in(own.url), half_in(own.url)

    assert one.data(CODE, code=app.next())["signInWithCode"]["mustChangePassword"]
    assert other.code(CODE, code=app.next()) == "SIGN_IN_REFUSED"


def test_the_session_that_the_browser_had_ends_with_the_new_one(app: App, mara: Browser) -> None:
    before = Browser(mara.url, dict(mara.cookies))
    mara.data(SIGN_IN, email=MARA, password=PASSWORD)
    mara.data(CODE, code=app.next())

    assert before.code(ME) == "UNAUTHENTICATED"
    assert mara.data(ME)["me"]["email"] == MARA


def test_codes_are_off_until_a_code_has_shown_that_the_app_has_them(mara: Browser, engine: Engine, user: str) -> None:
    begun = mara.data(BEGIN)["beginCodes"]
    app = App(engine, user, begun["secret"], [])
    assert begun["uri"] == f"otpauth://totp/Trueup:mara%40acme.example?secret={app.secret}&issuer=Trueup"

    assert mara.code(ON, code="000000" if app.shows() != "000000" else "000001") == "CODE_REFUSED"
    assert mara.data("{ me { codesOn } }")["me"]["codesOn"] is False
    Browser(mara.url).sign_in(MARA)
    mara.sign_in(MARA)


def test_other_sessions_end_when_codes_are_switched_on(mara: Browser, engine: Engine, user: str) -> None:
    elsewhere = Browser(mara.url)
    elsewhere.sign_in(MARA)

    with_codes(mara, engine, user)

    assert elsewhere.code(ME) == "UNAUTHENTICATED"
    assert mara.data(ME)["me"]["email"] == MARA


def test_the_secret_is_not_shown_again_and_not_replaced(app: App, mara: Browser) -> None:
    assert mara.code(BEGIN) == "CODES_ARE_ON"
    assert mara.code(ON, code=app.next()) == "CODE_REFUSED"


def test_codes_are_switched_off_by_password_and_code_alone(app: App, mara: Browser, own: Answering) -> None:
    assert mara.code(OFF, password="wrong, so wrong", code=app.next()) == "PASSWORD_REFUSED"
    assert mara.code(OFF, password=PASSWORD, code="") == "PASSWORD_REFUSED"
    assert mara.code(OFF, password=PASSWORD, code="00") == "PASSWORD_REFUSED"
    half_in(own.url)

    mara.data(OFF, password=PASSWORD, code=app.next())

    Browser(own.url).sign_in(MARA)
    assert mara.data("{ me { codesOn recoveryCodesLeft } }")["me"] == {"codesOn": False, "recoveryCodesLeft": 0}
    assert mara.code(OFF, password=PASSWORD, code="") == "NO_CODES"


def test_a_wrong_password_uses_up_no_code(app: App, mara: Browser) -> None:
    code = app.next()
    assert mara.code(OFF, password="wrong, so wrong", code=code) == "PASSWORD_REFUSED"

    mara.data(OFF, password=PASSWORD, code=code)


def test_a_dump_has_no_codes_and_no_row_serves_another_user(app: App, engine: Engine, user: str, told: MspId) -> None:
    other = add_user(engine, told, ADA, Role.VIEWER)
    tables = ("codes", "recovery_codes", "half_sign_ins", "sessions", "users")
    with engine.begin() as connection:
        kept = " ".join(
            row for table in tables for row in connection.scalars(text(f"SELECT t::text FROM people.{table} t"))
        )
        connection.execute(
            text(
                """INSERT INTO people.codes SELECT :other, sealed, on_since, 0 FROM people.codes WHERE user_id = :user"""
            ),
            {"other": other, "user": user},
        )

        for secret in (app.secret, app.shows(), *app.recovery, *(each.replace("-", "") for each in app.recovery)):
            assert secret not in kept
        for key, whose in ((KEY, other), (new_key_pair()[0], user)):
            with pytest.raises(Refusal, match="do not open"):
                Codes(key).use(connection, whose, app.shows(), Clock().now())


def test_a_recovery_code_opens_also_when_the_key_is_lost(app: App, engine: Engine, user: str) -> None:
    with engine.begin() as connection:
        assert Codes("").use(connection, user, app.recovery[0], Clock().now())


def test_without_a_key_there_are_no_codes(engine: Engine, user: str) -> None:
    with engine.begin() as connection, pytest.raises(Refusal, match="TRUEUP_PRIVATE_KEY"):
        Codes("").begin(connection, user)


def test_no_secret_and_no_code_is_logged(app: App, own: Answering) -> None:
    browser, code = half_in(own.url), app.next()
    browser.data(CODE, code=code)

    own.log.flush()
    said = Path(f"/proc/{own.process.pid}/fd/1").read_text()

    assert "starting" in said
    for secret in (app.secret, code, app.recovery[0], browser.cookies[SESSION], KEY):
        assert secret not in said


@pytest.fixture
def ada(engine: Engine, told: MspId, own: Answering) -> Browser:
    """The MSP's admin, signed in."""
    add_user(engine, told, ADA, Role.ADMIN)
    browser = Browser(own.url)
    browser.sign_in(ADA)
    return browser


def test_an_admin_lets_in_who_has_lost_the_app_and_the_log_says_so(
    app: App, ada: Browser, mara: Browser, engine: Engine, told: MspId, user: str
) -> None:
    listed = ada.data('{ users(mspId: "acme") { email codesOn } }')["users"]
    assert {"email": MARA, "codesOn": True} in listed

    assert refusal(ada.data(RESET_CODES, user=user)) is None

    assert mara.code(ME) == "UNAUTHENTICATED"
    mara.sign_in(MARA)
    assert mara.data(ME)["me"]["email"] == MARA
    assert refusal(ada.data(RESET_CODES, user=user)) == "NO_CODES"
    h.project(engine, told)
    newest = max(h.rows(engine, "activity", told), key=lambda act: act["position"])
    assert (newest["action"], newest["actor"], newest["object_label"]) == ("user_codes_reset", ADA, MARA)


def test_an_admin_at_an_open_session_cannot_do_away_with_its_own_codes(ada: Browser, engine: Engine) -> None:
    (user,) = [each["id"] for each in ada.data('{ users(mspId: "acme") { id } }')["users"]]
    with_codes(ada, engine, user)

    assert refusal(ada.data(RESET_CODES, user=user)) == "ONESELF"


def test_codes_that_guard_another_msp_are_reset_by_the_installations_operator_alone(
    app: App, ada: Browser, own: Answering, engine: Engine, user: str, mara: Browser
) -> None:
    add_user(engine, add_msp(engine, MspId("codes-other")), MARA, Role.ADMIN)

    assert refusal(ada.data(RESET_CODES, user=user)) == "OTHER_MSPS"
    assert mara.data("{ me { codesOn } }")["me"]["codesOn"] is True
    assert refusal(own.data(RESET_CODES, user=user)) is None


def test_users_of_another_msp_keep_their_codes(ada: Browser, engine: Engine) -> None:
    user = add_user(engine, add_msp(engine, MspId("codes-third")), "zoe@other.example", Role.VIEWER)
    with engine.begin() as connection:
        pretend(connection, Codes(KEY), user, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")

    assert refusal(ada.data(RESET_CODES, user=user)) == "NO_SUCH_USER"
