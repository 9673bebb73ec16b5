"""A secret of a connection or a user -> sealed bytes that only the process it is meant for can open (libsodium sealed box).

MSP, connection and field, or the user, stand inside the seal and are checked on opening, so a blob copied to another row is
refused. Before the bytes stands the id of the key that opens them, with a colon; older blobs have none. A service may hold
several private keys, the newest first, so that a key can be replaced while everything runs (decision 0029).
"""

import base64
import binascii
import hashlib

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


def each_key(private_key: str) -> list[str]:
    """The private keys of a setting, which has commas between them: the newest first."""
    return private_key.split(",")


def are_keys(private_key: str) -> bool:
    """Whether every key of a setting is one. ValueError when not."""
    return all(public_key_of(key) for key in each_key(private_key))


def key_id(public_key: str) -> str:
    """The name of a key pair, which may be shown to everyone: 16 hexadecimal digits of the hash of its public half."""
    return hashlib.sha256(base64.b64decode(public_key)).hexdigest()[:16]


def key_ids(private_key: str) -> list[str]:
    """The id of each key of a setting, the newest first."""
    return [key_id(public_key_of(key)) for key in each_key(private_key)]


def sealed_with(sealed: str) -> str:
    """The id of the key that opens a sealed secret; "" for one from before keys had ids."""
    return sealed.rpartition(":")[0]


def seal(public_key: str, msp_id: MspId, connection_id: ConnectionId, name: str, value: str) -> str:
    """The secret, sealed: the key's id, a colon, base64 text."""
    return _closed(public_key, [msp_id, connection_id, name], value)


def unseal(private_key: str, msp_id: MspId, connection_id: ConnectionId, name: str, sealed: str) -> str:
    """The secret in clear; NotForUs when it was sealed for anything else. private_key: one or more, as in the setting."""
    return _opened(private_key, [msp_id, connection_id, name], sealed, f"{name} of connection {connection_id}")


def seal_of_user(public_key: str, user_id: str, value: str) -> str:
    """A user's secret, sealed in the same way."""
    return _closed(public_key, ["user", user_id], value)


def unseal_of_user(private_key: str, user_id: str, sealed: str) -> str:
    """The user's secret in clear; NotForUs when it was sealed for anything else."""
    return _opened(private_key, ["user", user_id], sealed, f"the secret of user {user_id}")


def _closed(public_key: str, owner: list[str], value: str) -> str:
    inside = orjson.dumps([*owner, value])
    sealed = SealedBox(PublicKey(base64.b64decode(public_key))).encrypt(inside)
    return f"{key_id(public_key)}:{base64.b64encode(sealed).decode()}"


def _opened(private_key: str, owner: list[str], sealed: str, what: str) -> str:
    inside = _inside(private_key, sealed)
    if inside is None:
        raise NotForUs(f"{what} does not open with {_held(private_key, sealed)}")
    *kept_for, value = inside
    if kept_for != owner:
        raise NotForUs(f"{what} was sealed for something else")
    return str(value)


def _inside(private_key: str, sealed: str) -> list[object] | None:
    named, _, blob = sealed.rpartition(":")
    for key in each_key(private_key):
        try:
            if named in ("", key_id(public_key_of(key))):
                inside: list[object] = orjson.loads(
                    SealedBox(PrivateKey(base64.b64decode(key))).decrypt(base64.b64decode(blob))
                )
                return inside
        except (CryptoError, ValueError, TypeError):
            continue
    return None


def _held(private_key: str, sealed: str) -> str:
    named = sealed_with(sealed)
    if not private_key or named in ("", *key_ids(private_key)):
        return "this service's key"
    return f"this service's keys {', '.join(key_ids(private_key))}: it was sealed with {named}"
