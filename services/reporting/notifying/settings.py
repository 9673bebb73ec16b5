"""What the reporting service needs to send notifications."""

from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from plumbing.secrets import are_keys
from plumbing.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class ReportingSettings(Settings):
    """The settings of the reporting service. Without a key no webhook is signed, without a mail server no mail is sent; the
    deliveries say so."""

    private_key: str = setting(
        "",
        secret=True,
        help="opens the webhook secrets sealed for this service (base64); several with commas, the newest first",
        fits=are_keys,
    )
    smtp_url: str = setting(
        "",
        secret=True,
        help="mail server, smtp://user:password@host:port or smtps://...",
        fits=lambda url: urlsplit(url).scheme in ("smtp", "smtps") and bool(urlsplit(url).hostname),
    )
    mail_from: str = setting("trueup@localhost", help="address that mails are sent from")
    private_addresses: bool = setting(
        default=False, help="whether webhooks may lead to http and private addresses (sandbox only)"
    )
    delivery_seconds: Decimal = setting(
        Decimal(2), help="how often deliveries that are due are looked for, in seconds above 0", fits=lambda s: s > 0
    )
