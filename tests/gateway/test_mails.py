"""Mails of the gateway, on a real mail server: invitations, reset links, and word of a changed password."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from domain.keys import MspId
from gateway.people.permissions import Role
from tests.gateway.browser import ME, PASSWORD, SIGN_IN, Browser, add_user
from tests.gateway.people.test_codes import OFF, RESET_CODES, with_codes
from tests.gateway.people.test_signing_in import ANOTHER, FORGOTTEN, MARA, RESET
from tests.gateway.people.test_users import INVITE, SEND_LINK, refusal
from tests.gateway.serving import Answering, gateway
from tests.msps import add_msp
from tests.reporting.receiving import Mailbox, mailbox
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
ADDRESS = "https://trueup.example"


@pytest.fixture
def mails() -> Iterator[Mailbox]:
    with mailbox() as taken:
        yield taken


@pytest.fixture
def mailing(told: MspId, database: str, mails: Mailbox) -> Iterator[Answering]:
    given = {"SMTP_URL": mails.url, "PUBLIC_URL": f"{ADDRESS}/"}
    with gateway(role_url(database, "trueup_gateway"), **given) as answering:
        yield answering


def token_in(mails: Mailbox, page: str, number: int = 1) -> str:
    """The token of the link in the newest of so many mails."""
    wait_for(lambda: len(mails.mails) >= number, what=f"mail {number}")
    (token,) = re.findall(rf"^{ADDRESS}/{page}#token=(\S+)", mails.mails[-1].get_content(), re.MULTILINE)
    return token


def test_a_forgotten_password_is_chosen_anew_by_the_mail(
    mailing: Answering, mails: Mailbox, engine: Engine, told: MspId
) -> None:
    add_user(engine, told, MARA, Role.OPERATOR)
    browser = Browser(mailing.url)

    browser.data(FORGOTTEN, email=MARA.upper())
    browser.data(RESET, token=token_in(mails, "reset-password"), new=ANOTHER)

    browser.sign_in(MARA, ANOTHER)
    assert browser.data(ME)["me"]["email"] == MARA
    wait_for(lambda: len(mails.mails) == 2, what="word of the changed password")
    assert mails.mails[1]["Subject"] == "Your Trueup password was changed"


def test_nobody_is_written_to_who_is_no_user(mailing: Answering, mails: Mailbox, engine: Engine, told: MspId) -> None:
    add_user(engine, told, MARA, Role.OPERATOR)
    browser = Browser(mailing.url)

    browser.data(FORGOTTEN, email="nobody@acme.example")
    browser.data(FORGOTTEN, email=MARA)

    token_in(mails, "reset-password")
    assert [mail["To"] for mail in mails.mails] == [MARA]


def test_only_the_newest_link_opens_and_a_stranger_cannot_send_more_than_a_few(
    mailing: Answering, mails: Mailbox, engine: Engine, told: MspId
) -> None:
    add_user(engine, told, MARA, Role.OPERATOR)
    browser = Browser(mailing.url)
    browser.data(FORGOTTEN, email=MARA)
    first = token_in(mails, "reset-password")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: Browser(mailing.url).data(FORGOTTEN, email=MARA), range(12)))

    wait_for(lambda: len(mails.mails) >= 5, what="the last mail")
    assert len(mails.mails) == 5
    assert browser.code(RESET, token=first, new=ANOTHER) == "LINK_REFUSED"


def test_who_is_invited_gets_the_link_and_the_admin_does_not(
    mailing: Answering, mails: Mailbox, engine: Engine, told: MspId
) -> None:
    add_user(engine, told, "ada@acme.example", Role.ADMIN)
    ada, mara = Browser(mailing.url), Browser(mailing.url)
    ada.sign_in("ada@acme.example")

    answer = ada.data(INVITE, email=MARA, role="VIEWER")

    assert answer["inviteUser"]["link"] is None
    mara.data(RESET, token=token_in(mails, "first-sign-in"), new=PASSWORD)
    mara.sign_in(MARA)


def test_a_user_of_other_msps_too_is_sent_its_link(
    mailing: Answering, mails: Mailbox, engine: Engine, told: MspId
) -> None:
    add_user(engine, told, "ada@acme.example", Role.ADMIN)
    user = add_user(engine, told, MARA, Role.VIEWER)
    add_user(engine, add_msp(engine, MspId("other")), MARA, Role.ADMIN)
    ada = Browser(mailing.url)
    ada.sign_in("ada@acme.example")

    answer = ada.data(SEND_LINK, user=user)

    assert (refusal(answer), answer["sendResetLink"]["link"]) == (None, None)
    assert Browser(mailing.url).data(RESET, token=token_in(mails, "reset-password"), new=ANOTHER)


def test_who_has_codes_is_told_when_they_are_switched_on_and_off_and_reset(
    mailing: Answering, mails: Mailbox, engine: Engine, told: MspId
) -> None:
    add_user(engine, told, "ada@acme.example", Role.ADMIN)
    user = add_user(engine, told, MARA, Role.OPERATOR)
    ada, mara = Browser(mailing.url), Browser(mailing.url)
    ada.sign_in("ada@acme.example")
    mara.sign_in(MARA)

    mara.data(OFF, password=PASSWORD, code=with_codes(mara, engine, user).next())
    with_codes(mara, engine, user)
    ada.data(RESET_CODES, user=user)

    wait_for(lambda: len(mails.mails) == 4, what="the fourth mail")
    assert {mail["To"] for mail in mails.mails} == {MARA}
    assert sorted(mail["Subject"] for mail in mails.mails) == [
        "One-time codes were switched off",
        "One-time codes were switched on",
        "One-time codes were switched on",
        "Your one-time codes were reset",
    ]


def test_a_mail_server_that_is_away_is_told_in_the_log_and_to_nobody_else(
    engine: Engine, told: MspId, database: str
) -> None:
    add_user(engine, told, MARA, Role.OPERATOR)
    given = {"SMTP_URL": "smtp://127.0.0.1:1", "PUBLIC_URL": ADDRESS}

    with gateway(role_url(database, "trueup_gateway"), **given) as answering:
        browser = Browser(answering.url)
        browser.data(FORGOTTEN, email=MARA)
        browser.sign_in(MARA)

    assert "a mail was not sent" in answering.output


def test_ten_thousand_tries_leave_the_honest_user_his_way_in_and_memory_flat(
    mailing: Answering, mails: Mailbox, engine: Engine, told: MspId
) -> None:
    add_user(engine, told, MARA, Role.OPERATOR)
    known, owner = Browser(mailing.url), Browser(mailing.url)
    known.sign_in(MARA)
    names = ", ".join(f"a{n}: signIn(email: $email, password: $password) {{ mustChangePassword }}" for n in range(5))
    five = f"mutation ($email: String!, $password: String!) {{ {names} }}"

    def guess(number: int) -> set[str]:
        answer = Browser(mailing.url).post(five, email=MARA, password=f"guess number {number}")
        return {error["extensions"]["code"] for error in answer.json()["errors"]}

    with ThreadPoolExecutor(8) as pool:
        warm = set().union(*pool.map(guess, range(200)))
        before = memory(mailing)
        codes = set().union(*pool.map(guess, range(1_800)))

    assert warm | codes == {"SIGN_IN_REFUSED", "TOO_MANY_TRIES"}
    assert memory(mailing) - before < 8 * 1024
    known.sign_in(MARA)
    owner.data(FORGOTTEN, email=MARA)
    owner.data(RESET, token=token_in(mails, "reset-password"), new=ANOTHER)
    owner.sign_in(MARA, ANOTHER)
    assert Browser(mailing.url).code(SIGN_IN, email=MARA, password=ANOTHER) == "TOO_MANY_TRIES"


def memory(answering: Answering) -> int:
    """Resident memory of the gateway, in kB."""
    with open(f"/proc/{answering.process.pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmRSS")]
    return int(line.split()[1])
