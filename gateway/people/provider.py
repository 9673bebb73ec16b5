"""A code that came back from the installation's OpenID provider -> whom it says that is, proved by its signature.

OpenID Connect Core 1.0, authorization code with PKCE (RFC 7636). Signatures and claims are joserfc's: RS256 and ES256 by the keys
that the provider publishes, and nothing else, so no token decides how it is checked. Every call leaves by plumbing/http.py: its
address is judged, and neither time nor bytes are without an end.
"""

import logging
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from gateway.errors import Refusal
from plumbing.clock import Clock
from plumbing.http import Http, Limits, OutsideFailure
from plumbing.way_out import WayOut

log = logging.getLogger(__name__)
ALGORITHMS = ("RS256", "ES256")
LIMITS = Limits(connect=5, read=5, total=10, largest=256 * 1024)
READ_AGAIN_SECONDS, KEYS_AGAIN_SECONDS = 3600.0, 10.0
# By how much the provider's clock may differ from ours.
CLOCKS_DIFFER = timedelta(seconds=60)
LONGEST_SUBJECT = 255
DISCOVERY = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class Identity:
    """Whom the provider speaks of: subject is its name for that person for ever. email: "" unless the provider has verified it.
    signed_in_at: when it last asked the person itself; None: it does not say."""

    issuer: str
    subject: str
    email: str
    signed_in_at: datetime | None


@dataclass(frozen=True)
class _Known:
    """What the provider told of itself. read_at: seconds of the monotonic clock."""

    document: dict[str, Any]
    keys: KeySet
    read_at: float


@dataclass
class Provider:
    """The provider of an installation. label: what people know it by; comes_back_to: the address that it sends people back to."""

    issuer: str
    client_id: str
    client_secret: str
    label: str
    comes_back_to: str
    way: WayOut
    clock: Clock
    _lock: Lock = field(default_factory=Lock)
    _known: _Known | None = None
    _keys_again_from: float = 0.0

    def address(self, state: str, nonce: str, challenge: str, *, again: bool) -> str:
        """Where a browser goes to sign in. again: the person is asked anew although it is signed in there. Refusal
        PROVIDER_FAILED."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.comes_back_to,
            "scope": "openid email",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if again:
            asked |= {"prompt": "login", "max_age": "0"}
        with _refusing():
            endpoint = str(self._read().document["authorization_endpoint"])
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    def identity(self, code: str, verifier: str, nonce: str) -> Identity:
        """Whom the code stands for; it is sent once. Refusal SIGN_IN_REFUSED when the provider does not take the code, or what it
        says is not to be believed; PROVIDER_FAILED when it does not answer as it should."""
        with _refusing():
            known = self._read()
            return self._proved(self._exchanged(known.document, code, verifier), nonce, known)

    def _exchanged(self, document: dict[str, Any], code: str, verifier: str) -> str:
        """The ID token for the code. OutsideFailure, Refusal."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.comes_back_to,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        # RFC 6749 2.3.1: both are form-encoded before they are joined.
        pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        try:
            answer = self._call("POST", document["token_endpoint"], "token", headers, urlencode(form).encode())
        except OutsideFailure as failure:
            if failure.status == 400:
                raise not_believed("the provider did not take the code") from None
            raise
        return str(answer["id_token"])

    def _proved(self, token: str, nonce: str, known: _Known) -> Identity:
        try:
            claims = self._decoded(token, known).claims
            now = self.clock.now()
            jwt.JWTClaimsRegistry(
                now=int(now.timestamp()),
                leeway=int(CLOCKS_DIFFER.total_seconds()),
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": self.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(claims)
        except JoseError as error:
            raise not_believed(f"{type(error).__name__}: {error}") from None
        # Core 3.1.3.7: a token for several must say that it was asked for by us.
        if claims.get("azp", self.client_id) != self.client_id or (
            isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and "azp" not in claims
        ):
            raise not_believed("the token was made for another client")
        if not 0 < len(claims["sub"]) <= LONGEST_SUBJECT:
            raise not_believed("the subject is too long")
        verified = claims.get("email_verified") is True and isinstance(claims.get("email"), str)
        return Identity(
            self.issuer, claims["sub"], claims["email"] if verified else "", _moment(claims.get("auth_time"))
        )

    def _decoded(self, token: str, known: _Known) -> jwt.Token:
        """Signed by a key of the provider's. One that is not known may have been published since. JoseError, OutsideFailure."""
        try:
            return jwt.decode(token, known.keys, algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            with self._lock:
                if time.monotonic() < self._keys_again_from:
                    raise
                self._keys_again_from = time.monotonic() + KEYS_AGAIN_SECONDS
                self._known = known = self._asked()
            return jwt.decode(token, known.keys, algorithms=ALGORITHMS)

    def _read(self) -> _Known:
        """What the provider said of itself within the hour. OutsideFailure."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known.read_at >= READ_AGAIN_SECONDS:
                self._known = self._asked()
            return self._known

    def _asked(self) -> _Known:
        document = self._call("GET", self.issuer.rstrip("/") + DISCOVERY, "discovery")
        if document["issuer"] != self.issuer:
            raise OutsideFailure("malformed", "the provider calls itself another issuer than TRUEUP_OIDC_ISSUER")
        keys = KeySet.import_key_set(self._call("GET", document["jwks_uri"], "keys"))  # type: ignore[arg-type]
        return _Known(document, keys, time.monotonic())

    def _call(
        self, method: str, url: Any, endpoint: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> dict[str, Any]:
        with closing(Http("oidc", LIMITS, self.clock, self.way, (self.client_secret,))) as http:
            answer = http.call(method, str(url), endpoint=endpoint, headers=headers, body=body)
        told = orjson.loads(answer.body)
        if not isinstance(told, dict):
            raise OutsideFailure("malformed", f"the {endpoint} is no JSON object")
        return told


def not_believed(why: str) -> Refusal:
    """The same for every reason; the log tells which."""
    log.warning("a sign-in by single sign-on was refused", extra={"reason": why[:300]})
    return Refusal("SIGN_IN_REFUSED", "This sign-in opens nothing here.", "Ask an admin of your MSP to invite you.")


@contextmanager
def _refusing() -> Iterator[None]:
    """Whatever keeps the provider from answering as it should -> Refusal PROVIDER_FAILED. A value that lacks, or is of another
    kind than it should be, is its fault as well."""
    try:
        yield
    except (OutsideFailure, JoseError, LookupError, TypeError, ValueError, RecursionError) as fault:
        log.warning("the single sign-on provider failed", extra={"reason": f"{type(fault).__name__}: {fault}"[:300]})
        said = "The sign-in provider does not answer as it should."
        raise Refusal("PROVIDER_FAILED", said, "Try again soon, or sign in by your password.") from None


def _moment(seconds: Any) -> datetime | None:
    if not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
