"""A request's headers -> who asks and from where: by the cookie of a sign-in, an API key, or the installation's token.

A cookie counts only when no page of another origin can have sent the request: its Origin must be ours (and the cookie is
SameSite=Strict besides). Cookies bear the prefix __Host-: a browser keeps them only from https or from this machine, for this
host alone.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine
from starlette.requests import HTTPConnection

from gateway.errors import Refusal
from gateway.people import api_keys, sessions
from gateway.people.callers import NOBODY, OPERATOR, Caller
from gateway.people.devices import DEVICE_KEPT
from gateway.people.half_sign_ins import HALF_LASTS
from gateway.people.sessions import Place
from gateway.people.single_sign_on import VISIT_LASTS
from plumbing.clock import Clock
from plumbing.row_security import of_all_msps

SHORTEST_TOKEN = 16
SESSION_COOKIE, DEVICE_COOKIE, HALF_COOKIE = "__Host-trueup", "__Host-trueup-device", "__Host-trueup-half"
# The provider sends the browser back from another site: the one cookie that must come with that.
PROVIDER_COOKIE = "__Host-trueup-provider"
LONGEST_COOKIE = 100


@dataclass
class Visit:
    """Who asks in one request, and from where. half: the token of half a sign-in. Cookies that the answer shall set stand in
    new_cookies; "" takes one away."""

    caller: Caller = NOBODY
    place: Place = Place("", "")
    device: str = ""
    half: str = ""
    new_cookies: dict[str, str] = field(default_factory=dict)

    def set_cookie_headers(self) -> list[tuple[str, str]]:
        """The headers that set them. A session's cookie goes with the browser, the device's stays."""
        lasts = {
            SESSION_COOKIE: None,
            DEVICE_COOKIE: DEVICE_KEPT,
            HALF_COOKIE: HALF_LASTS,
            PROVIDER_COOKIE: VISIT_LASTS,
        }
        return [
            ("set-cookie", _cookie(name, value, lasts[name] if value else timedelta(0)))
            for name, value in self.new_cookies.items()
        ]


class Door:
    """Looks at who comes. token: of the installation's operator, "" for none."""

    def __init__(self, reader: Engine, clock: Clock, token: str) -> None:
        self._reader, self._clock, self._token = reader, clock, token

    def visit(self, request: HTTPConnection, given: str = "", *, reads: bool = False) -> Visit:
        """Who asks; nobody when nothing is said of that. given: an authorization that came by another way than the header.
        reads: the request can change nothing, so a link from elsewhere may lead to it. Asks the database. Refusal
        UNAUTHENTICATED when what is given is not valid, FOREIGN_ORIGIN."""
        place = Place(request.client.host if request.client else "", request.headers.get("user-agent", ""))
        authorization = request.headers.get("authorization") or given
        cookies = request.cookies
        device = cookies.get(DEVICE_COOKIE, "")[:LONGEST_COOKIE]
        if authorization:
            return Visit(self._by_authorization(authorization), place, device)
        token = cookies.get(SESSION_COOKIE, "")[:LONGEST_COOKIE]
        if not reads:
            _refuse_foreign(request)
        half = cookies.get(HALF_COOKIE, "")[:LONGEST_COOKIE]
        return Visit(self._read(sessions.caller_of, token) if token else NOBODY, place, device, half)

    def still(self, request: HTTPConnection, given: str) -> bool:
        """Whether whoever asked may still come in."""
        try:
            return self.visit(request, given).caller is not NOBODY
        except Refusal:
            return False

    def _by_authorization(self, authorization: str) -> Caller:
        scheme, _, given = authorization.partition(" ")
        given = given.strip()
        if scheme.lower() == "bearer":
            if api_keys.looks_like_key(given):
                caller = self._read(api_keys.caller_of, given)
                if caller is not NOBODY:
                    return caller
            elif self._token and hmac.compare_digest(given.encode(), self._token.encode()):
                return OPERATOR
        raise unauthenticated()

    def _read(self, find: Callable[[Connection, str, Any], Caller], token: str) -> Caller:
        with of_all_msps(self._reader).connect() as connection:
            return find(connection, token, self._clock.now())


def unauthenticated() -> Refusal:
    """The same whatever is missing or wrong."""
    return Refusal(
        "UNAUTHENTICATED",
        "Nobody is signed in, or not any more.",
        "Sign in, or send the header Authorization: Bearer <an API key>.",
    )


def same_origin(request: HTTPConnection) -> bool:
    """Whether no page of another origin sent it; programs send no Origin."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _refuse_foreign(request: HTTPConnection) -> None:
    if not same_origin(request):
        raise Refusal("FOREIGN_ORIGIN", "A page of another origin sent this.", "Open Trueup by its own address.")


def _cookie(name: str, value: str, lasts: timedelta | None) -> str:
    age = "" if lasts is None else f"; Max-Age={int(lasts.total_seconds())}"
    return f"{name}={value}; Path=/; Secure; HttpOnly; SameSite={'Lax' if name == PROVIDER_COOKIE else 'Strict'}{age}"
