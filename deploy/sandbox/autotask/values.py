"""Text of a SOAP element <-> a typed value, with the day that a dateTime means under the switches."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from zoneinfo import ZoneInfo

from deploy.sandbox.autotask.switches import SoapDates

FieldType = Literal["integer", "string", "decimal", "datetime", "boolean"]
XSD_TYPES: dict[FieldType, str] = {
    "integer": "xsd:int",
    "string": "xsd:string",
    "decimal": "xsd:decimal",
    "datetime": "xsd:dateTime",
    "boolean": "xsd:boolean",
}
EASTERN = ZoneInfo("America/New_York")


def billing_date(moment: datetime, switch: SoapDates) -> date:
    """The day that Autotask stores for a dateTime as it was sent, with or without an offset."""
    if switch == "day_early":
        return moment.date() - timedelta(days=1)
    if switch == "eastern" and moment.tzinfo is not None:
        return moment.astimezone(EASTERN).date()
    return moment.date()


def read_value(text: str, field_type: FieldType) -> Any:
    """The value of an element; a dateTime stays a datetime. Text that does not fit the type raises ValueError."""
    readers: dict[FieldType, Callable[[str], Any]] = {
        "integer": _whole,
        "string": str,
        "decimal": _decimal,
        "datetime": datetime.fromisoformat,
        "boolean": _boolean,
    }
    return readers[field_type](text if field_type == "string" else text.strip())


def write_value(value: Any) -> str:
    """A value as Autotask writes it: days at midnight, moments in UTC without an offset."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00"
    return str(value)


def comparable(value: Any) -> Any:
    """A stored value as a query compares it: text without case, days as midnight, moments without their zone."""
    if isinstance(value, str):
        return value.casefold()
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime.combine(value, time())
    return value


def _whole(text: str) -> int:
    number = _decimal(text)
    if number != number.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number")
    return int(number)


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{text!r} is not a number")
    return number


def _boolean(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ValueError(f"{text!r} is neither true nor false")
    return known[text.lower()]
