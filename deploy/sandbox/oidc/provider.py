"""An OpenID provider's four addresses over HTTP -> ID tokens about the person it is told, true ones unless it shall lie.

    provider = Provider()
    with serving(provider.app()) as issuer: ...

The person is signed in there already: /authorize sends the browser straight back. Set `claims` to add or replace claims of the next
tokens (a value of None takes one away), `answers` to answer an address otherwise than it should, and call `rotate` for a new key.
"""

import hmac
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp


@dataclass(frozen=True)
class Person:
    """Who is signed in at the provider. subject: its name there for ever."""

    subject: str
    email: str
    verified: bool = True


def new_key(kind: str = "RS256") -> RSAKey | ECKey:
    """A key pair with a key id of its own."""
    key: RSAKey | ECKey = RSAKey.generate_key(2048) if kind == "RS256" else ECKey.generate_key("P-256")
    key.ensure_kid()
    return key


@dataclass
class Provider:
    """The provider and what it was asked. signs: (claims) -> the ID token; answers: address -> what it answers instead."""

    client_id: str = "trueup"
    client_secret: str = "a secret: of the client"  # noqa: S105 of the sandbox
    person: Person = Person("subject-1", "somebody@acme.example")
    claims: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Callable[[], ASGIApp]] = field(default_factory=dict)
    key: RSAKey | ECKey = field(default_factory=new_key)
    signs: Callable[[dict[str, Any]], str] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def rotate(self, kind: str = "RS256") -> None:
        """From now on it signs with a new key and publishes no other."""
        self.key = new_key(kind)

    def app(self) -> ASGIApp:
        """Its addresses."""
        routes = {
            "/.well-known/openid-configuration": self._discovery,
            "/keys": self._keys,
            "/authorize": self._authorize,
            "/token": self._token,
        }
        return Starlette(
            routes=[Route(path, self._or_else(path, act), methods=["GET", "POST"]) for path, act in routes.items()]
        )

    def _or_else(self, path: str, act: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Any:
            return self.answers[path]() if path in self.answers else await act(request)

        return answer

    async def _discovery(self, request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        return JSONResponse(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/keys",
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            }
        )

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        given = dict(request.query_params)
        self.asked.append(given)
        code = token_urlsafe()
        self._codes[code] = given
        back = {"code": code, "state": given["state"], "iss": str(request.base_url).rstrip("/")}
        return RedirectResponse(f"{given['redirect_uri']}?{urlencode(back)}", 302)

    async def _token(self, request: Request) -> Response:
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        who = [unquote(part) for part in b64decode(pair).decode().split(":", 1)]
        if scheme != "Basic" or who != [self.client_id, self.client_secret]:
            return JSONResponse({"error": "invalid_client"}, 401)
        given = dict(parse_qsl((await request.body()).decode()))
        begun = self._codes.pop(given.get("code", ""), None)
        if begun is None or not _fits(given, begun):
            return JSONResponse({"error": "invalid_grant"}, 400)
        token = (self.signs or self.signed)(self._claims(begun, str(request.base_url).rstrip("/")))
        return JSONResponse({"access_token": token_urlsafe(), "token_type": "Bearer", "id_token": token})

    def _claims(self, begun: dict[str, str], issuer: str) -> dict[str, Any]:
        now = int(time.time())
        told: dict[str, Any] = {
            "iss": issuer,
            "sub": self.person.subject,
            "aud": self.client_id,
            "exp": now + 300,
            "iat": now,
            "auth_time": now if begun.get("prompt") == "login" else now - 3600,
            "nonce": begun["nonce"],
            "email": self.person.email,
            "email_verified": self.person.verified,
        }
        return {name: value for name, value in (told | self.claims).items() if value is not None}

    def signed(self, claims: dict[str, Any]) -> str:
        """The claims as a token signed with its key, by that key's algorithm."""
        algorithm = "RS256" if isinstance(self.key, RSAKey) else "ES256"
        return jwt.encode({"alg": algorithm, "kid": self.key.kid}, claims, self.key, algorithms=[algorithm])

    def signed_with_public_key(self, claims: dict[str, Any]) -> str:
        """The old trick: HS256, with the text of the public key for a secret."""
        begun = _joined({"alg": "HS256", "kid": self.key.kid}, claims)
        return f"{begun}.{_letters(hmac.digest(self.key.as_pem(private=False), begun.encode(), 'sha256'))}"

    def unsigned(self, claims: dict[str, Any]) -> str:
        """The older one: a token that says it needs no signature."""
        return f"{_joined({'alg': 'none', 'kid': self.key.kid}, claims)}."


def _fits(given: dict[str, str], begun: dict[str, str]) -> bool:
    """Whether the code is used by who asked for it (RFC 7636 4.6)."""
    challenge = _letters(sha256(given.get("code_verifier", "").encode()).digest())
    return challenge == begun.get("code_challenge") and given.get("redirect_uri") == begun.get("redirect_uri")


def _joined(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return ".".join(_letters(orjson.dumps(part)) for part in (header, claims))


def _letters(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")
