"""What calling the outside cost: how many calls were made, to what, how they ended and how long they took."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from domain.keys import ConnectionId


@dataclass(frozen=True, kw_only=True)
class EndpointCalls:
    """The calls to one endpoint. failed: not answered as asked; limited: those of them that were refused as too many.
    Times are whole milliseconds from sending to the last byte: half of the calls took no longer than p50, 95 % than p95."""

    endpoint: str
    calls: int
    failed: int
    limited: int
    p50_milliseconds: int
    p95_milliseconds: int
    slowest_milliseconds: int


@dataclass(frozen=True, kw_only=True)
class CallsCounted:
    """The calls through one connection from a moment on for so many seconds; none is told when there were none. Each
    endpoint stands once. Stream: calls/<connection>."""

    type: ClassVar[str] = "CallsCounted"
    version: ClassVar[int] = 1
    connection_id: ConnectionId
    since: datetime
    seconds: int
    endpoints: tuple[EndpointCalls, ...]
