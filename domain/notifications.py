"""What people are told of and by which channel: the kinds of notifications, and what a rule may say."""

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

# Kind -> what it says. A read model makes the rows; see services/reporting/projections/notifications.sql.
KINDS: dict[str, str] = {
    "failed": "An adjustment failed; it is tried again by itself.",
    "held": "An adjustment waits for a person.",
    "plan_refused": "Counts cannot become units, so nothing is asked for.",
    "drift": "The PSA has other units than we left there.",
    "unlinked_found": "A poll found resources that are linked to nothing.",
    "renewal_unclear": "A subscription ended and several could be its renewal.",
    "agreement_unclear": "An agreement with relations ended and several could continue it.",
    "poll_failed": "A marketplace connection cannot be polled.",
    "catalogue_failed": "A PSA connection cannot be read.",
    "quota_low": "A poll put subscriptions off to stay within the call budget.",
    "poll_late": "A marketplace connection was not polled when it was due.",
    "close_red": "Checks of a month's close are red, and its invoice is due soon or was.",
    "consumer_stopped": "A report, or a part of the work, stands still at an event that it cannot take.",
    "consumer_resumed": "What stood still goes on.",
}
CHANNELS: dict[str, str] = {
    "in_app": "The bell: with such rules only the kinds they name count as unread; without any, all do.",
    "mail": "One mail for each notification, at once.",
    "digest": "One mail a day with all since the last.",
    "webhook": "One signed POST for each notification, at once.",
}
MAILS = ("mail", "digest")
# The name under which a webhook's secret is sealed.
SECRET = "signing"  # noqa: S105
_ADDRESS = re.compile(r"[^@\s,;:<>\"()\[\]\\]{1,64}@[A-Za-z0-9.-]{1,255}")
_SECRET_PREFIX = "whsec_"  # noqa: S105


class BadRule(ValueError):
    """The rule cannot be kept; the message says what it must have."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which kinds are told by which channel and where. target: a mail address or a URL, "" in app; hour: of a digest."""

    kinds: tuple[str, ...]
    channel: str
    target: str = ""
    hour: int | None = None

    def shown_target(self) -> str:
        """The target as it may stand in events and logs: of a URL scheme and host only, since its path may hold a secret."""
        return origin(self.target) if self.channel == "webhook" else self.target

    def check(self) -> None:
        """BadRule when the parts do not fit each other. Where a URL leads is not checked here."""
        unknown = sorted(set(self.kinds) - KINDS.keys())
        if unknown or not self.kinds:
            raise BadRule(f"kinds are some of {', '.join(KINDS)}, not {unknown or 'none'}")
        if self.channel not in CHANNELS:
            raise BadRule(f"the channel is one of {', '.join(CHANNELS)}, not {self.channel!r}")
        if (self.channel == "digest") != (self.hour is not None) or not 0 <= (self.hour or 0) <= 23:
            raise BadRule("a digest, and nothing else, has an hour from 0 to 23")
        if self.channel in MAILS and not _ADDRESS.fullmatch(self.target):
            raise BadRule("the target is one mail address")
        if self.channel == "webhook" and not _is_url(self.target):
            raise BadRule("the target is a URL such as https://example.com/hook, without user and password")
        if self.channel == "in_app" and self.target:
            raise BadRule("what is told in the app has no target")


def origin(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def signing_key(secret: str) -> bytes:
    """The key in a webhook's secret: whsec_ and base64 of 24 to 64 bytes, as Standard Webhooks writes it. BadRule."""
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_SECRET_PREFIX) or not 24 <= len(key) <= 64:
        raise BadRule("the secret is whsec_ and the base64 of 24 to 64 random bytes")
    return key


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and not re.search(r"[\s\\]", text) and len(text) <= 2000
    return (
        plain and parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and port != 0
    )
