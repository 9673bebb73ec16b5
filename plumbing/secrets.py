"""A connection's secret -> sealed bytes that only the service it is meant for can open (libsodium sealed box).

MSP, connection and field stand inside the seal and are checked on opening, so a blob copied to another row is refused.
"""

import base64
import binascii

import orjson
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from domain.keys import ConnectionId, MspId


class NotForUs(Exception):
    """The sealed secret was not sealed for this key, MSP, connection and field: set it anew with `trueup connection set`."""


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
    inside = orjson.dumps([msp_id, connection_id, name, value])
    return base64.b64encode(SealedBox(PublicKey(base64.b64decode(public_key))).encrypt(inside)).decode()


def unseal(private_key: str, msp_id: MspId, connection_id: ConnectionId, name: str, sealed: str) -> str:
    """The secret in clear; NotForUs when it was sealed for anything else."""
    try:
        inside = orjson.loads(SealedBox(PrivateKey(base64.b64decode(private_key))).decrypt(base64.b64decode(sealed)))
    except (CryptoError, ValueError, TypeError) as error:
        raise NotForUs(f"{name} of connection {connection_id} does not open with this service's key") from error
    if inside[:3] != [msp_id, connection_id, name]:
        raise NotForUs(f"{name} of connection {connection_id} was sealed for something else")
    return str(inside[3])
