"""What admins decide about who may come in to an MSP. A password, a code, a key and a link are in no event.

Streams: user/<user> and api-key/<key>. roles: viewer, bookkeeper, operator, approver, admin; None: none before, or disabled.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class UserRoleSet:
    """A user got a role in the MSP, for the first time (invited) or another one than before."""

    type: ClassVar[str] = "UserRoleSet"
    version: ClassVar[int] = 1
    user_id: str
    user_version: int
    email: str
    previous_role: str | None
    role: str


@dataclass(frozen=True, kw_only=True)
class UserDisabled:
    """A user may do nothing in the MSP any more; what was done stays."""

    type: ClassVar[str] = "UserDisabled"
    version: ClassVar[int] = 1
    user_id: str
    user_version: int
    email: str
    previous_role: str


@dataclass(frozen=True, kw_only=True)
class UserCodesReset:
    """A user who could not give a one-time code is asked for none any more, until it switches them on again."""

    type: ClassVar[str] = "UserCodesReset"
    version: ClassVar[int] = 1
    user_id: str
    user_version: int
    email: str


@dataclass(frozen=True, kw_only=True)
class ApiKeyMade:
    """A key for a program; prefix: its first characters, by which people know it."""

    type: ClassVar[str] = "ApiKeyMade"
    version: ClassVar[int] = 1
    key_id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class ApiKeyRevoked:
    """Calls with the key fail from now on."""

    type: ClassVar[str] = "ApiKeyRevoked"
    version: ClassVar[int] = 1
    key_id: str
    name: str
