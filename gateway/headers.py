"""An answer of whatever kind -> the same with the headers that keep a browser from doing more with it than is meant.

This stands around the whole application, so that no route, refusal, fault or handshake can be without them. An answer that says
otherwise of itself is left as it says.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
UNUSED = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": ", ".join(f"{feature}=()" for feature in UNUSED),
    # Not no-referrer: under that, browsers send "Origin: null" with some POSTs of our own pages, and the door refuses them.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
ONLY_HTTPS = {"strict-transport-security": "max-age=31536000"}
_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


class WithHeaders:
    """The application with these headers on each of its answers. public_url: where people open it; when that is https,
    browsers are told never to come otherwise for a year."""

    def __init__(self, application: ASGIApp, public_url: str) -> None:
        self._application = application
        self._headers = {**HEADERS, **(ONLY_HTTPS if public_url.startswith("https://") else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as the application does."""
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "websocket.close" and not begun:
                # Closed before it was taken: the server would answer 403 with headers of its own alone.
                begun = True
                await send_with_headers({"type": "websocket.http.response.start", "status": 403, "headers": []})
                await send({"type": "websocket.http.response.body", "body": b""})
                return
            if message["type"] in _STARTS:
                begun = True
                self._add(message)
            await send(message)

        await self._application(scope, receive, send_with_headers)

    def _add(self, message: MutableMapping[str, Any]) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in self._headers.items():
            headers.setdefault(name, value)
