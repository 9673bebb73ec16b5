"""Measured figures -> one line a goal: both numbers, the ratio, floor and stretch, and a mark for what is below its floor.

Each goal is a ratio inside one run on one machine. A figure alone says how fast the machine is; the ratio says how much of
what PostgreSQL or RabbitMQ could do is left when our code stands in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Goal:
    """What a figure is divided by, and how much of it there must be. at_most: less is better, floor is the most allowed.
    Without a limit (limit "") the figure itself is held against floor and stretch."""

    id: str
    what: str
    limit: str
    unit: str
    floor: float
    stretch: float
    at_most: bool = False

    def mark(self, ratio: float) -> str:
        """In words how the ratio stands to floor and stretch."""
        sign = -1 if self.at_most else 1
        if sign * ratio < sign * self.floor:
            return "BELOW ITS FLOOR" if not self.at_most else "ABOVE WHAT IS ALLOWED"
        return "stretch reached" if sign * ratio >= sign * self.stretch else "floor held"


@dataclass(frozen=True)
class Measured:
    """What came out for a goal: our figures and the limit's, round by round, measured in turns. notes: what to know."""

    goal: Goal
    ours: Sequence[float]
    limits: Sequence[float] = ()
    notes: Sequence[str] = field(default=())

    @property
    def ratio(self) -> float:
        """The median of ours over the median of the limit's; without a limit the median of ours."""
        return median(self.ours) / median(self.limits) if self.limits else median(self.ours)

    @property
    def below(self) -> bool:
        """Whether the floor is missed."""
        return self.goal.mark(self.ratio).isupper()

    def lines(self) -> list[str]:
        """The line of the goal, and a line for each note."""
        goal = self.goal
        against = f" / {_figure(median(self.limits))} {goal.unit} of {goal.limit}" if self.limits else ""
        word = "at most" if goal.at_most else "floor"
        mark = goal.mark(self.ratio)
        head = (
            f"{'>>' if self.below else '  '} {goal.id:<6}{goal.what}: {_figure(median(self.ours))} {goal.unit}{against}"
        )
        verdict = f"= {_figure(self.ratio)}  ({word} {goal.floor:g}, stretch {goal.stretch:g})  {mark}"
        spread = "  rounds: " + ", ".join(map(_round, self.ours, self.limits or [0.0] * len(self.ours)))
        return [head, f"         {verdict}", f"       {spread}", *(f"         {note}" for note in self.notes)]


def _round(ours: float, limit: float) -> str:
    return f"{_figure(ours)}/{_figure(limit)}" if limit else _figure(ours)


def _figure(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"
