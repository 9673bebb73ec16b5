"""Text -> exact money: an amount and its currency, never a float, never two currencies in one sum."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Self


class BadMoney(ValueError):
    """The text is not an amount of money: it must be a plain decimal number and a three-letter currency."""


class MixedCurrencies(ValueError):
    """Two currencies cannot be added or compared."""


@dataclass(frozen=True)
class Money:
    """An exact amount in one currency (ISO 4217 code)."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not self.amount.is_finite():
            raise BadMoney(f"{self.amount} is not an amount")
        if len(self.currency) != 3 or not self.currency.isascii() or not self.currency.isalpha():
            raise BadMoney(f"{self.currency!r} is not a currency code")

    @classmethod
    def parse(cls, amount: str, currency: str) -> Self:
        """Money from text such as ("3.4000", "usd"); BadMoney for anything a person would have to interpret."""
        try:
            return cls(Decimal(amount), currency.upper())
        except InvalidOperation:
            raise BadMoney(f"{amount!r} is not an amount") from None

    def __add__(self, other: Self) -> Self:
        self._same_currency(other)
        return type(self)(self.amount + other.amount, self.currency)

    def __sub__(self, other: Self) -> Self:
        self._same_currency(other)
        return type(self)(self.amount - other.amount, self.currency)

    def __neg__(self) -> Self:
        return type(self)(-self.amount, self.currency)

    def times(self, factor: Decimal) -> Self:
        """The amount taken so many times, unrounded."""
        return type(self)(self.amount * factor, self.currency)

    def rounded(self, places: int = 2) -> Self:
        """To so many decimal places, half away from zero as invoices do."""
        return type(self)(self.amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP), self.currency)

    def _same_currency(self, other: Self) -> None:
        if self.currency != other.currency:
            raise MixedCurrencies(f"{self.currency} and {other.currency}")
