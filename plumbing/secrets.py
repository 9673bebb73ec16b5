"""A secret of a connection or a user -> sealed bytes that only the process it is meant for can open (libsodium sealed box).

MSP, connection and field, or the user, stand inside the seal and are checked on opening, so a blob copied to another row is
refused.
"""

import base64
import binascii

import orjson
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from domain.keys import ConnectionId, MspId


class NotForUs(Exception):
    """The sealed secret was not sealed for this key, MSP, connection and field, or for this key and user: a connection's is set
    anew with `trueup connection set`."""


def new_key_pair() -> tuple[str, str]:
    """A new (private, public) key pair, each as base64 text."""
    private = PrivateKey.generate()
    return base64.b64encode(bytes(private)).decode(), base64.b64encode(bytes(private.public_key)).decode()


def public_key_of(private_key: str) -> str:
    """The public half of a private key, both base64 text; ValueError when the text is no key."""
    try:
        return base64.b64encode(bytes(PrivateKey(base64.b64decode(private_key)).public_key)).decode()
    except (binascii.Error, TypeError, CryptoError) as error:
        raise ValueError("not a private key") from error


def seal(public_key: str, msp_id: MspId, connection_id: ConnectionId, name: str, value: str) -> str:
    """The secret, sealed, as base64 text."""
    return _closed(public_key, [msp_id, connection_id, name], value)


def unseal(private_key: str, msp_id: MspId, connection_id: ConnectionId, name: str, sealed: str) -> str:
    """The secret in clear; NotForUs when it was sealed for anything else."""
    return _opened(private_key, [msp_id, connection_id, name], sealed, f"{name} of connection {connection_id}")


def seal_of_user(public_key: str, user_id: str, value: str) -> str:
    """A user's secret, sealed, as base64 text."""
    return _closed(public_key, ["user", user_id], value)


def unseal_of_user(private_key: str, user_id: str, sealed: str) -> str:
    """The user's secret in clear; NotForUs when it was sealed for anything else."""
    return _opened(private_key, ["user", user_id], sealed, f"the secret of user {user_id}")


def _closed(public_key: str, owner: list[str], value: str) -> str:
    inside = orjson.dumps([*owner, value])
    return base64.b64encode(SealedBox(PublicKey(base64.b64decode(public_key))).encrypt(inside)).decode()


def _opened(private_key: str, owner: list[str], sealed: str, what: str) -> str:
    try:
        inside = orjson.loads(SealedBox(PrivateKey(base64.b64decode(private_key))).decrypt(base64.b64decode(sealed)))
    except (CryptoError, ValueError, TypeError) as error:
        raise NotForUs(f"{what} does not open with this service's key") from error
    *kept_for, value = inside
    if kept_for != owner:
        raise NotForUs(f"{what} was sealed for something else")
    return str(value)
