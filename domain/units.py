"""ODIN's number -> an exact count -> whole PSA units, or a refusal; nothing is rounded on the way."""

from decimal import Decimal, InvalidOperation

# A licence count beyond this is a fault of the sender: PSAs keep units in 32 bits.
LARGEST_COUNT = Decimal(2**31 - 1)


class BadCount(ValueError):
    """The value is not a count: it must be a number that is not negative and fits a PSA's units."""


class NotWholeUnits(ValueError):
    """The count is not whole, and the PSA takes whole units only: set a unit rule that rounds it."""


def parse_count(value: str | int | Decimal) -> Decimal:
    """The exact count in "8", "8.0", "1e3" or 10.5; BadCount for text, NaN, below zero, beyond 32 bits."""
    if isinstance(value, bool):
        raise BadCount(f"{value!r} is not a count")
    try:
        count = Decimal(value)
    except InvalidOperation:
        raise BadCount(f"{value!r} is not a count") from None
    if not count.is_finite() or count < 0 or count > LARGEST_COUNT:
        raise BadCount(f"{value!r} is not a count")
    # normalize() would round to 28 digits.
    whole = count.to_integral_value()
    return whole.copy_abs() if count == whole else Decimal(format(count, "f").rstrip("0"))


def whole_units(count: Decimal) -> int:
    """The count as PSA units, "as is"; NotWholeUnits when that would need rounding."""
    if count != count.to_integral_value():
        raise NotWholeUnits(f"{count} is not whole")
    return int(count)
