"""What people set up. A connection's secrets are never in an event."""

from dataclasses import dataclass
from typing import ClassVar

from domain.keys import ConnectionId


@dataclass(frozen=True, kw_only=True)
class MspAdded:
    """An MSP joined this installation. Stream: msp."""

    type: ClassVar[str] = "MspAdded"
    version: ClassVar[int] = 1
    name: str
    time_zone: str


@dataclass(frozen=True, kw_only=True)
class ConnectionSaved:
    """A marketplace or PSA connection was made or changed; replaced_secrets names the secrets that were given anew.
    Stream: connection/<connection>."""

    type: ClassVar[str] = "ConnectionSaved"
    version: ClassVar[int] = 1
    connection_id: ConnectionId
    kind: str
    connection_version: int
    changed_settings: tuple[str, ...]
    replaced_secrets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PolicyChanged:
    """A policy of the MSP got another value. Stream: policy."""

    type: ClassVar[str] = "PolicyChanged"
    version: ClassVar[int] = 1
    policy: str
    previous_value: str | None
    value: str
