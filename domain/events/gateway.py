"""What people set up. A connection's secrets are never in an event."""

from dataclasses import dataclass
from typing import ClassVar

from domain.keys import CompanyId, ConnectionId, ResourceId


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
class SecretsResealed:
    """Secrets stayed what they are and were sealed with another key of the service that opens them; key_id: its id. place:
    connection or notification_rule; kind: of the connection, or webhook. Stream: sealing/<place>/<id>."""

    type: ClassVar[str] = "SecretsResealed"
    version: ClassVar[int] = 1
    place: str
    place_id: str
    kind: str
    secrets: tuple[str, ...]
    key_id: str


@dataclass(frozen=True, kw_only=True)
class PolicyChanged:
    """A policy got another value, for the whole MSP or, with company_id or resource_id, as an exception. None as a value: it is
    not decided there. policies_version: of the MSP's whole set that came with it; 0: sets had no versions yet. Stream:
    policies; of version 1 policy/<policy>."""

    type: ClassVar[str] = "PolicyChanged"
    version: ClassVar[int] = 2
    policy: str
    previous_value: str | None
    value: str | None
    company_id: CompanyId | None
    resource_id: ResourceId | None
    policies_version: int


@dataclass(frozen=True, kw_only=True)
class NotificationRuleSaved:
    """A person says which kinds of notifications are told by which channel and where. target: a mail address, or of a URL
    only scheme and host, since the rest may hold a secret; "" in app. hour: of a daily digest, in the MSP's time zone.
    Stream of both: notification-rule/<rule>."""

    type: ClassVar[str] = "NotificationRuleSaved"
    version: ClassVar[int] = 1
    rule_id: str
    rule_version: int
    kinds: tuple[str, ...]
    channel: str
    target: str
    hour: int | None
    replaced_secret: bool


@dataclass(frozen=True, kw_only=True)
class NotificationRuleRemoved:
    """Nothing more is told by the rule; what still waited to be sent is given up."""

    type: ClassVar[str] = "NotificationRuleRemoved"
    version: ClassVar[int] = 1
    rule_id: str
    rule_version: int
    channel: str
    target: str


@dataclass(frozen=True, kw_only=True)
class PostingPaused:
    """Nothing new is posted to the MSP's PSAs from here on, until someone resumes. Stream of both: posting."""

    type: ClassVar[str] = "PostingPaused"
    version: ClassVar[int] = 1
    operation_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PostingResumed:
    """What waited may be posted again, and what comes."""

    type: ClassVar[str] = "PostingResumed"
    version: ClassVar[int] = 1
    operation_id: str
