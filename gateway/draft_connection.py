"""(a connection as it stands, what somebody gave of it) -> the connection as it shall be, its secrets sealed; or why not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from domain.keys import ConnectionId, MspId
from gateway.connection_kinds import KINDS, Kind
from gateway.errors import BadSetup
from plumbing.secrets import seal
from plumbing.setup import OutsideConnection

#: Of MSPs and connections.
ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
LONGEST_VALUE = 2_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Given:
    """What somebody gave of a connection: settings that are not among them, and secrets that are not or are empty, stay what
    they are."""

    connection_id: str
    kind: str
    settings: Mapping[str, str]
    secrets: Mapping[str, str]

    @property
    def replaced(self) -> list[str]:
        """The names of the secrets that are given anew."""
        return sorted(name for name, value in self.secrets.items() if value)


def drafted(
    msp_id: MspId, before: OutsideConnection | None, given: Given, public_keys: Mapping[str, str], now: datetime
) -> OutsideConnection:
    """The next version of the connection: what was given, the rest as it was or by default, secrets sealed. BadSetup."""
    if given.kind not in KINDS:
        raise BadSetup(f"{given.kind!r} is no kind of connection: there are {', '.join(KINDS)}")
    if not ID.fullmatch(given.connection_id):
        raise BadSetup(f"{given.connection_id!r} is no id: use up to 40 of a-z, 0-9, - and _")
    if before is not None and before.kind != given.kind:
        raise BadSetup(f"connection {given.connection_id!r} is of kind {before.kind}: choose another id")
    kind, connection_id = KINDS[given.kind], ConnectionId(given.connection_id)
    settings = _merged(kind, before.settings if before else {}, given.settings)
    sealed = dict(before.sealed) if before else {}
    for name in given.replaced:
        sealed[name] = _sealed(kind, public_keys, msp_id, connection_id, name, given.secrets[name])
    missing = [name for name in kind.secrets if name in kind.needed and name not in sealed]
    if missing:
        raise BadSetup(f"also give {', '.join(missing)}")
    if before is not None and _place(before.settings.get(kind.url, "")) != _place(settings[kind.url]):
        # Whoever may set the address, but does not know the secrets, would else have them sent to a host of its own.
        kept = [name for name in kind.secrets if name in kind.needed and name not in given.replaced]
        if kept:
            raise BadSetup(f"{kind.url} leads to another host, to which secrets are sent: also give {', '.join(kept)}")
    version = before.version + 1 if before else 1
    return OutsideConnection(msp_id, connection_id, given.kind, settings, sealed, version, now)


def _sealed(
    kind: Kind, public_keys: Mapping[str, str], msp_id: MspId, connection_id: ConnectionId, name: str, value: str
) -> str:
    if name not in kind.secrets:
        raise BadSetup(f"there is no secret {name!r}: there are {', '.join(kind.secrets)}")
    _refuse_unusable(name, value)
    public_key = public_keys.get(kind.opened_by)
    if not public_key:
        missing = f"TRUEUP_{kind.opened_by.upper()}_PUBLIC_KEY"
        raise BadSetup(f"this installation cannot seal secrets: {missing} is not set at the gateway")
    return seal(public_key, msp_id, connection_id, name, value)


def _place(url: Any) -> tuple[str, str | None, int | None] | None:
    """Scheme, host and port; None: it is no URL."""
    try:
        parts = urlsplit(str(url))
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return None


def _refuse_unusable(name: str, value: str) -> None:
    if len(value) > LONGEST_VALUE or _CONTROL.search(value):
        raise BadSetup(f"{name} has at most {LONGEST_VALUE} characters, and no line breaks or other control characters")


def _merged(kind: Kind, before: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str | int]:
    unknown = given.keys() - kind.settings.keys()
    if unknown:
        raise BadSetup(f"no such setting: {', '.join(sorted(unknown))}; there are {', '.join(kind.settings)}")
    merged: dict[str, str | int] = {}
    for name, default in kind.settings.items():
        value = given.get(name, before.get(name, default))
        _refuse_unusable(name, str(value))
        if value == "" and name not in kind.optional:
            raise BadSetup(f"also give {name}")
        if isinstance(default, int):
            if not str(value).isdecimal() or int(value) < 1:
                raise BadSetup(f"{name} is a whole number above 0, not {value!r}")
            value = int(value)
        merged[name] = value
    return merged
