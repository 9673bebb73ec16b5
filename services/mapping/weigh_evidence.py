"""What speaks for and against a choice, one after the other -> a score from 0 to 1 that is exactly the sum of their weights."""

from dataclasses import dataclass
from decimal import Decimal

_STEP = Decimal("0.01")
NOTHING, ALL = Decimal("0.00"), Decimal("1.00")


@dataclass(frozen=True)
class Evidence:
    """One thing that speaks for a choice (weight above 0), against it (below), or that one should know (0). text: for people."""

    kind: str
    text: str
    weight: Decimal


class Scale:
    """Evidence as it is put on. The sum never leaves 0 to 1: what would lift or press it further weighs only what is left."""

    def __init__(self) -> None:
        self.evidence: list[Evidence] = []
        self.score = NOTHING

    def put(self, kind: str, text: str, weight: float | Decimal) -> None:
        """Something that speaks for it or against it."""
        wanted = self.score + Decimal(weight).quantize(_STEP)
        placed = min(max(wanted, NOTHING), ALL)
        self.evidence.append(Evidence(kind, text, placed - self.score))
        self.score = placed

    def at_most(self, kind: str, text: str, most: Decimal) -> None:
        """Something because of which the score may not be more than that."""
        self.evidence.append(Evidence(kind, text, min(NOTHING, most - self.score)))
        self.score = min(self.score, most)
