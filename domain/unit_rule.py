"""A resource's count -> the whole units it adds to its PSA product, by what a person settled for the relation.

The steps, in this order and no other:
1. what is included is taken away, but never below 0 (a flat fee already covers it);
2. the rest is divided by the pack size: a unit of the product stands for so many licences;
3. the packs are rounded up, down or to the nearest (half a pack is rounded up);
4. the units are raised to the minimum, also for a count of 0: a commitment ends when the relation is cleared.
So units never fall when the count rises.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from domain.units import LARGEST_COUNT, whole_units

ROUNDINGS = {"up": ROUND_CEILING, "down": ROUND_FLOOR, "nearest": ROUND_HALF_UP}


class BadRule(ValueError):
    """The values make no unit rule; the message says which and why."""


@dataclass(frozen=True)
class UnitRule:
    """included: licences; pack_size: licences a unit; rounding: up, down, nearest, or none to refuse what is not whole;
    minimum: units. As built without values: "as is"."""

    included: Decimal = Decimal(0)
    pack_size: int = 1
    rounding: str = "none"
    minimum: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.included <= LARGEST_COUNT:
            raise BadRule(f"The included quantity is 0 to {LARGEST_COUNT}, not {self.included}.")
        if not 1 <= self.pack_size <= LARGEST_COUNT:
            raise BadRule(f"The pack size is 1 to {LARGEST_COUNT}, not {self.pack_size}.")
        if self.rounding not in (*ROUNDINGS, "none"):
            raise BadRule(f"The rounding is one of up, down, nearest, none, not {self.rounding!r}.")
        if self.pack_size > 1 and self.rounding == "none":
            raise BadRule("A pack size above 1 needs a rounding: up, down or nearest.")
        if not 0 <= self.minimum <= LARGEST_COUNT:
            raise BadRule(f"The minimum is 0 to {LARGEST_COUNT} units, not {self.minimum}.")

    def units(self, count: Decimal) -> int:
        """The units for a count that is not negative; NotWholeUnits when they would not be whole and nothing may be
        rounded."""
        left = max(count - self.included, Decimal(0))
        return max(self._rounded(left), self.minimum)

    def _rounded(self, left: Decimal) -> int:
        if self.rounding == "none":
            return whole_units(left)
        whole, rest = divmod(left, self.pack_size)
        # Rounded apart from the whole packs: a quotient of 28 digits could round up by itself.
        part = (rest / self.pack_size).to_integral_value(ROUNDINGS[self.rounding])
        return int(whole) + int(part)


AS_IS = UnitRule()
