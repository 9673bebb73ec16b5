"""An Authorization header -> who asks. One bearer token for the installation's operator, until sign-in comes."""

import hmac
from dataclasses import dataclass

from gateway.errors import Refusal

SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Caller:
    """Who asks; name is recorded as the actor of whatever is changed."""

    name: str


NOBODY = Caller("nobody")


def caller(header: str, token: str) -> Caller:
    """The operator, when the header carries the token; Refusal UNAUTHENTICATED otherwise, in constant time."""
    scheme, _, given = header.partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not same:
        raise Refusal(
            "UNAUTHENTICATED",
            "This request carries no valid token.",
            "Send the header Authorization: Bearer <the gateway's token>.",
        )
    return Caller("operator")
