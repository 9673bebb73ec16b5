"""(an address, a subject, a text) -> one mail handed to the mail server."""

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

from plumbing.undelivered import Undelivered

SECONDS = 15


def send(smtp_url: str, sender: str, delivery_id: str, to: str, subject: str, body: str) -> str:
    """What the mail server said, in words. The delivery's id is the mail's, so that a double can be known. Undelivered."""
    if not smtp_url:
        raise Undelivered("no mail server is set: TRUEUP_SMTP_URL")
    mail = EmailMessage()
    mail["Message-ID"] = f"<{delivery_id}@trueup>"
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(body)
    parts = urlsplit(smtp_url)
    try:
        with _connected(parts) as server:
            _sign_in(server, parts)
            server.send_message(mail)
    except (smtplib.SMTPException, OSError) as fault:
        raise Undelivered(f"{type(fault).__name__}: {fault}"[:300]) from fault
    return "taken by the mail server"


def _connected(parts: SplitResult) -> smtplib.SMTP:
    host = parts.hostname or ""
    if parts.scheme == "smtps":
        return smtplib.SMTP_SSL(host, parts.port or 465, timeout=SECONDS, context=ssl.create_default_context())
    return smtplib.SMTP(host, parts.port or 587, timeout=SECONDS)


def _sign_in(server: smtplib.SMTP, parts: SplitResult) -> None:
    server.ehlo()
    if parts.scheme == "smtp" and server.has_extn("starttls"):
        server.starttls(context=ssl.create_default_context())
        server.ehlo()
    elif parts.scheme == "smtp" and parts.password:
        raise Undelivered("the mail server offers no TLS, so it is not given the password: use smtps, or none")
    if parts.password:
        server.login(unquote(parts.username or ""), unquote(parts.password))
