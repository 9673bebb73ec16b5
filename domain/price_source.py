"""What a person chose to bill for a unit -> the unit price for one period of the PSA product, or none: leave it as it is."""

from dataclasses import dataclass
from decimal import Decimal

from domain.money import Money

#: Source -> what it means; the first is the default.
SOURCES = {
    "agreement": "the price that stands on the PSA agreement is left as it is",
    "catalogue": "the price to the customer that ODIN gives for the resource",
    "custom": "a price of one's own, for a unit and period of the PSA product",
    "cost_plus": "ODIN's cost and a markup in percent",
}
_LARGEST_MARKUP = 10_000
_PLACES = -4


class BadPrice(ValueError):
    """The values make no price source; the message says which and why."""


@dataclass(frozen=True)
class PriceSource:
    """source: one of SOURCES. price: of custom alone, not below 0; markup_percent: of cost_plus alone, -100 to 10,000.
    Both have at most four decimal places, as PSAs keep them."""

    source: str = "agreement"
    price: Money | None = None
    markup_percent: Decimal | None = None

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise BadPrice(f"The price source is one of {', '.join(SOURCES)}, not {self.source!r}.")
        if (self.price is not None) != (self.source == "custom"):
            raise BadPrice("A price goes with the price source custom, and only with it.")
        if (self.markup_percent is not None) != (self.source == "cost_plus"):
            raise BadPrice("A markup goes with the price source cost_plus, and only with it.")
        if self.price is not None and not (0 <= self.price.amount < 10**12 and _fits(self.price.amount)):
            raise BadPrice(f"A price is not below 0 and has at most four decimal places, not {self.price.amount}.")
        if self.markup_percent is not None and not (
            -100 <= self.markup_percent <= _LARGEST_MARKUP and _fits(self.markup_percent)
        ):
            raise BadPrice(f"A markup is -100 to {_LARGEST_MARKUP} percent, not {self.markup_percent}.")

    def unit_price(self, cost: Money | None, catalogue_price: Money | None) -> Money | None:
        """The price of a unit and period, to four places; None: leave the PSA's, or what it is reckoned from is not known.
        cost and catalogue_price: ODIN's, for the same unit and period."""
        match self.source:
            case "custom":
                return self.price.rounded(4) if self.price else None
            case "catalogue":
                return catalogue_price
            case "cost_plus" if cost is not None and self.markup_percent is not None:
                return cost.times(1 + self.markup_percent / 100).rounded(4)
        return None


def _fits(amount: Decimal) -> bool:
    exponent = amount.normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent >= _PLACES


LEFT_AS_IT_IS = PriceSource()
