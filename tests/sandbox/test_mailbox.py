"""The stand-in mail server takes what a mail program hands it, and shows it harmlessly."""

import smtplib
from email.message import EmailMessage

import requests

from deploy.sandbox.mailbox.box import Box
from deploy.sandbox.mailbox.page import mailbox_app
from deploy.sandbox.serving import serving
from deploy.servers.ports import free_port


def test_a_mail_is_taken_and_shown() -> None:
    box, port = Box(), free_port()
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "trueup@example.com", "mara@example.com", "Held: <b>Ä</b>"
    mail.set_content("8 units are too many.")
    with box.taking("127.0.0.1", port), serving(mailbox_app(box)) as address:
        assert "No mail has come yet" in requests.get(address, timeout=5).text
        with smtplib.SMTP("127.0.0.1", port) as server:
            server.send_message(mail)

        page = requests.get(address, timeout=5)
        (told,) = requests.get(f"{address}/mails", timeout=5).json()

    assert "Held: &lt;b&gt;Ä&lt;/b&gt;" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert (told["to"], told["text"]) == ("mara@example.com", "8 units are too many.\n")
