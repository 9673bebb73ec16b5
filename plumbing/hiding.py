"""Texts from outside, in which what we sent may be echoed -> the same texts without what opens anything."""

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

HIDDEN = "***"
# Shorter ones would be found in every other word, and tell by their gaps what they are.
SHORTEST = 6


class Hiding:
    """Knows some secrets in every form in which a server may echo them: plain, and escaped for URL, JSON, XML and Python, in
    base64 and in hexadecimal digits."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        # The longest first: a short one may be a part of it.
        self._forms = sorted((form.encode("utf-8", "surrogatepass") for form in forms), key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text with *** for each secret."""
        return self.bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def bytes(self, body: bytes) -> bytes:
        """The same in bytes."""
        for form in self._forms:
            body = body.replace(form, HIDDEN.encode())
        return body


def _forms(secret: str) -> set[str]:
    encoded = secret.encode("utf-8", "surrogatepass")
    return {
        secret,
        quote(encoded, safe=""),
        quote_plus(encoded),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        escape(secret),
        escape(secret, {'"': "&quot;", "'": "&apos;"}),
        repr(secret)[1:-1],
        repr(encoded)[2:-1],
        base64.b64encode(encoded).decode(),
        encoded.hex(),
    }
