"""Names as somebody might give them who wishes harm, in whatever the gateway answers, sends by mail and writes into files."""

import csv
import io
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import openpyxl
import pypdf
import pytest
import requests
from sqlalchemy import Engine

from deploy.sandbox.mailbox.box import Box, Taken
from deploy.sandbox.mailbox.page import mailbox_app
from deploy.sandbox.serving import serving
from domain.keys import MspId
from gateway.exports.close_pdf import write_pdf
from gateway.exports.close_sheet import COLUMNS, Sheet
from gateway.people.permissions import Role
from plumbing import mail
from plumbing.clock import Clock
from services.reporting.notifying.messages import digest_of, message_of
from tests.gateway.browser import Browser, add_user
from tests.gateway.serving import TOKEN, Answering, gateway
from tests.msps import add_msp
from tests.reporting import history as h
from tests.reporting.receiving import Mailbox, mailbox
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
NAMES = {
    "image": '<img src="https://evil.example/x" onerror="alert(1)">',
    "script": "</script><script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)" x="',
    "formula": '=HYPERLINK("https://evil.example","Pay")',
    "command": "@SUM(1+1)*cmd|' /C calc'!A0",
    "header": "Contoso\r\nBcc: everybody@evil.example\r\n\r\n<b>pay here</b>",
    "line": "Contoso\u2028Bcc: everybody@evil.example",
    "template": "{link}{name.__class__}%s%(x)s${x}{{x}}",
    "markup": "<para><a href='file:///etc/passwd'>x</a><img src='file:///etc/passwd'/></para>",
}
ASK = """{ subscriptions(mspId: "acme") { edges { node { companyName resourceName } } } }"""
INVITE = """mutation ($email: String!, $name: String!) {
    inviteUser(mspId: "acme", operationId: "o1", email: $email, name: $name, role: VIEWER) {
        results { ok refusal { code } } } }"""


@pytest.fixture
def mails() -> Iterator[Mailbox]:
    with mailbox() as taken:
        yield taken


@pytest.fixture
def msp(engine: Engine) -> MspId:
    """Companies, resources and products with these names."""
    msp_id = add_msp(engine)
    for number, name in enumerate(NAMES.values()):
        names = h.odin(str(number), subscription=str(number)) | {"company_name": name, "resource_name": name}
        h.append(engine, msp_id, [h.subscription(names), h.discovered(names)])
    h.project(engine, msp_id)
    return msp_id


@pytest.fixture
def door(msp: MspId, database: str, mails: Mailbox) -> Iterator[Answering]:
    given = {"SMTP_URL": mails.url, "PUBLIC_URL": "https://trueup.example"}
    with gateway(role_url(database, "trueup_gateway"), **given) as answering:
        yield answering


def test_g4_names_come_out_of_answers_and_files_as_they_went_in_and_run_nowhere(door: Answering) -> None:
    # in answers: JSON, which no browser takes for a page
    answer = door.post(ASK)
    told = {edge["node"]["resourceName"] for edge in answer.json()["data"]["subscriptions"]["edges"]}
    assert told == set(NAMES.values())
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]

    # in files: text, and no formula
    headers = {"authorization": f"Bearer {TOKEN}"}
    exported = {
        kind: requests.get(f"{door.url}/export/subscriptions.{kind}?msp=acme", headers=headers, timeout=60)
        for kind in ("csv", "xlsx")
    }
    for file in exported.values():
        assert file.status_code == 200, file.text
        assert file.headers["content-disposition"].startswith("attachment")
        assert file.headers["x-content-type-options"] == "nosniff"
    rows = list(csv.DictReader(io.StringIO(exported["csv"].content.decode("utf-8-sig"), newline="")))
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+", "\t", "\r"))]
    assert {cell.removeprefix("'") for cell in cells} >= set(NAMES.values())
    book = openpyxl.load_workbook(io.BytesIO(exported["xlsx"].content))
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row}
    assert "f" not in kinds
    assert not any(sheet._hyperlinks for sheet in book)


def test_g4_a_name_in_a_mail_is_text_of_it_and_makes_neither_headers_nor_pages(
    door: Answering, engine: Engine, mails: Mailbox, msp: MspId
) -> None:
    # given the mail of an invitation, whose name an admin chooses
    add_user(engine, msp, "ada@acme.example", Role.ADMIN)
    ada = Browser(door.url)
    ada.sign_in("ada@acme.example")

    for number, name in enumerate(NAMES.values()):
        # when
        mails.mails.clear()
        answer = ada.data(INVITE, email=f"new-{number}@acme.example", name=name)

        # then
        (row,) = answer["inviteUser"]["results"]
        if not name.isprintable():
            assert row["refusal"]["code"] == "BAD_USER"
            continue
        wait_for(lambda: mails.mails, what="the mail")
        assert mails.mails[0].get_content().startswith(f"Hello {name},\r\n")
        assert_plain(mails.mails[0])


@pytest.mark.parametrize("name", NAMES)
def test_g4_a_name_in_a_notification_and_in_a_digest_is_text_of_it(mails: Mailbox, name: str) -> None:
    news: Any = {
        "notification_id": "n",
        "kind": "adjustment_failed",
        "severity": "action",
        "text": f"{NAMES[name]} was not posted.",
        "fix": NAMES[name],
        "fold_key": f"adjustment_failed/{NAMES[name]}",
        "happened_at": Clock().now(),
        "position": 1,
        "link_report": "failures",
        "link_column": "resource_name",
        "link_key": NAMES[name],
    }

    for message in (message_of("mail", MspId("acme"), news), digest_of(MspId("acme"), "UTC", [news])):
        mail.send(mails.url, "trueup@localhost", "d", "ada@acme.example", message.subject_line, message.body)

    assert len(mails.mails) == 2
    for taken in mails.mails:
        assert_plain(taken)
        words = " ".join(taken.get_content().split())
        assert " ".join(NAMES[name].split()) in words


def assert_plain(taken: Any) -> None:
    assert taken.get_content_type() == "text/plain"
    assert not taken.is_multipart()
    assert {name.lower() for name in taken.keys()} <= {  # noqa: SIM118 a mail is no dict
        "message-id",
        "from",
        "to",
        "subject",
        "auto-submitted",
        "content-type",
        "content-transfer-encoding",
        "mime-version",
        "x-peer",
        "x-mailfrom",
        "x-rcptto",
    }
    assert "evil" not in str(taken["To"])


def test_g4_the_record_of_a_close_shows_names_and_loads_nothing() -> None:
    rows = [[name if column in {"Check", "Reason", "Names"} else "" for column in COLUMNS] for name in NAMES.values()]
    sheet = Sheet(NAMES["image"], [("MSP", NAMES["markup"])], rows)

    pdf = pypdf.PdfReader(io.BytesIO(write_pdf(sheet)))

    said = "".join("".join(page.extract_text().split()) for page in pdf.pages)
    assert "".join(NAMES["image"].split()) in said
    assert "".join(NAMES["markup"].split()) in said
    for page in pdf.pages:
        assert "/Annots" not in page
        assert not page.images


def test_g4_the_sandbox_s_mailbox_shows_names_as_text() -> None:
    box = Box()
    for name in NAMES.values():
        mail_ = EmailMessage()
        mail_["Subject"], mail_["From"], mail_["To"] = " ".join(name.split()), "t@localhost", "a@acme.example"
        mail_.set_content(name)
        box._taken.append(Taken(Clock().now(), ("a@acme.example",), mail_))

    with serving(mailbox_app(box)) as url:
        page = requests.get(f"{url}/", timeout=30)

    assert "default-src 'none'" in page.headers["content-security-policy"]
    for tag in ("<img", "<script", "<para", "<b>", '" onmouseover'):
        assert tag not in page.text
    assert "&lt;img src=" in page.text
