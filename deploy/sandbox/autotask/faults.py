"""A script, or a seed and a rate -> what goes wrong with which call, before or after its effect is kept.

time_out            silence, then a closed line
reset               no answer, TCP reset
cut_off             half an answer, then the line is closed
bad_gateway, unavailable, gateway_timeout   502, 503, 504 with an HTML page
empty               status 200 without a body
truncated           a whole HTTP answer whose XML ends inside <ReturnCode>
control_character   an answer with a character that XML forbids
unknown_field_middle, unknown_field_end     a field that no description has
trickle             an answer that comes byte by byte
late_commit         no answer, and the effect comes some seconds later
duplicated          the request is delivered twice; one answer
forget              a true answer, then an older backup is restored: the effect is gone
zone_change         the database moves: 401 until the zone is asked for again
password_expired    401 until the password is renewed
rights_cut          rows vanish and writes are refused until the rights are back
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Literal, get_args

FaultKind = Literal[
    "time_out", "reset", "cut_off", "bad_gateway", "unavailable", "gateway_timeout", "empty", "truncated", "control_character",
    "unknown_field_middle", "unknown_field_end", "trickle", "late_commit", "duplicated", "forget", "zone_change",
    "password_expired", "rights_cut",
]  # fmt: skip
When = Literal["before", "after"]
#: What one call suffers and the next is free of, so that a client can live through any number of them.
PASSING: tuple[FaultKind, ...] = get_args(FaultKind)[:14]


@dataclass
class Fault:
    """One planned fault. operation, entity: which calls ("" = any). times: how many more. when: before or after the effect is kept.
    seconds: of silence, of lateness, or between the pieces of a trickle; None is the kind's own."""

    kind: FaultKind
    operation: str = ""
    entity: str = ""
    times: int = 1
    when: When = "after"
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"there is no fault {self.kind!r}; there are {', '.join(get_args(FaultKind))}")
        if self.when not in {"before", "after"}:
            raise ValueError(f"a fault strikes before or after the effect is kept, not {self.when!r}")

    def strikes(self, operation: str, entity: str) -> bool:
        """Whether this call is meant."""
        return self.operation.lower() in {"", operation.lower()} and self.entity.lower() in {"", entity.lower()}


@dataclass
class Faults:
    """The faults of one database: those scripted come first, in their order; then those drawn at random."""

    scripted: list[Fault] = field(default_factory=list)
    rate: float = 0.0
    kinds: tuple[FaultKind, ...] = PASSING
    operation: str = ""
    entity: str = ""
    seconds: float | None = None
    _random: Random = field(default_factory=lambda: Random(0))

    def script(
        self,
        kind: FaultKind,
        operation: str = "",
        entity: str = "",
        times: int = 1,
        *,
        when: When = "after",
        seconds: float | None = None,
    ) -> None:
        """Let the next so many calls of this operation and entity type (any, when left out) suffer this fault."""
        self.scripted.append(Fault(kind, operation, entity, times, when, seconds))

    def at_random(
        self,
        rate: float,
        seed: int,
        kinds: Iterable[FaultKind] = PASSING,
        *,
        operation: str = "",
        entity: str = "",
        seconds: float | None = None,
    ) -> None:
        """From now on let each call suffer one of these faults with this probability (0 to 1), before or after its effect alike."""
        self.rate, self.kinds, self._random = rate, tuple(kinds), Random(seed)
        self.operation, self.entity, self.seconds = operation, entity, seconds

    def clear(self) -> None:
        """No more faults; what a past one has changed (zone, password, rights) stays."""
        self.scripted.clear()
        self.rate = 0.0

    def take(self, operation: str, entity: str) -> Fault | None:
        """The fault that this call suffers, used up by it."""
        for fault in self.scripted:
            if fault.strikes(operation, entity):
                fault.times -= 1
                if fault.times <= 0:
                    self.scripted.remove(fault)
                return fault
        if self.rate and self._random.random() < self.rate:
            drawn = Fault(self._random.choice(self.kinds), self.operation, self.entity, seconds=self.seconds)
            drawn.when = self._random.choice(("before", "after"))
            return drawn if drawn.strikes(operation, entity) else None
        return None
