"""Calls as they come -> a log of the last ones and a count of all, per operation and entity type."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

KEPT = 10_000


@dataclass(frozen=True, slots=True)
class CallMade:
    """One call to a database. entities: how many it carried. outcome: answered, refused, unauthorised, or the fault it met, such as
    "reset after"."""

    request_id: int
    operation: str
    entity: str
    entities: int
    outcome: str
    at: datetime


class Calls:
    """The calls of one database; iterating gives the last 10,000, the counts cover all."""

    def __init__(self) -> None:
        self._last: deque[CallMade] = deque(maxlen=KEPT)
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, call: CallMade) -> None:
        """Take this call down."""
        self._last.append(call)
        self._counts[call.operation, call.entity, call.outcome] += 1

    def count(self, operation: str = "", entity: str = "", outcome: str = "") -> int:
        """How many calls of this operation, entity type and outcome; what is left out may be any."""
        wanted = (operation.lower(), entity.lower(), outcome.lower())
        return sum(
            count
            for key, count in self._counts.items()
            if all(want in {"", part.lower()} for want, part in zip(wanted, key, strict=True))
        )

    def totals(self) -> dict[tuple[str, str, str], int]:
        """Calls by operation, entity type and outcome."""
        return dict(self._counts)

    def clear(self) -> None:
        """Begin to count anew."""
        self._last.clear()
        self._counts.clear()

    def __iter__(self) -> Iterator[CallMade]:
        return iter(list(self._last))

    def __len__(self) -> int:
        return sum(self._counts.values())
