"""Random words that open a door, of which only the hash is kept."""

import hashlib
import secrets


def new_token() -> str:
    """256 random bits as text that fits into a URL."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> bytes:
    """What is kept of a token. Random ones need no slow hash."""
    return hashlib.sha256(token.encode()).digest()
