"""An event <-> plain JSON values. Decimals are strings, days ISO dates, moments UTC with Z, money {amount, currency}."""

import types
import typing
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from domain.events import EVENT_TYPES, Event
from domain.money import BadMoney
from domain.upcasters import upcast


class UnknownEvent(ValueError):
    """This program does not know the event's type or version: it was written by a newer one. Upgrade, then go on."""


class BadPayload(ValueError):
    """The payload does not have the fields of its event type and version."""


def encode(event: Event) -> dict[str, Any]:
    """The payload of an event as JSON values."""
    return _fields(event)


def decode(event_type: str, version: int, payload: dict[str, Any]) -> Event:
    """The event, brought up to the current version on the way. UnknownEvent for a newer one, BadPayload for a wrong shape."""
    known = EVENT_TYPES.get(event_type)
    if known is None or version > known.version or version < 1:
        raise UnknownEvent(f"{event_type} version {version}")
    current = upcast(event_type, version, known.version, payload)
    return typing.cast(Event, _build(known, current))


# Most values of an event: they are their own JSON.
_AS_THEY_ARE = frozenset((str, int, bool, types.NoneType))


def _fields(instance: object) -> dict[str, Any]:
    values = vars(instance).items()
    return {name: value if type(value) in _AS_THEY_ARE else _plain(value) for name, value in values}


def _plain(value: object) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [part if type(part) in _AS_THEY_ARE else _plain(part) for part in value]
    if is_dataclass(value):
        return _fields(value)
    raise TypeError(f"an event cannot carry {type(value).__name__}")


_hints: dict[type, dict[str, Any]] = {}


def _build(cls: type, payload: object) -> object:
    hints = _hints.get(cls)
    if hints is None:
        names = {field.name for field in fields(cls)}
        hints = _hints[cls] = {name: hint for name, hint in typing.get_type_hints(cls).items() if name in names}
    if not isinstance(payload, dict) or payload.keys() != hints.keys():
        given = sorted(payload) if isinstance(payload, dict) else type(payload).__name__
        raise BadPayload(f"{cls.__name__} has the fields {sorted(hints)}, not {given}")
    values = {name: _value(hint, payload[name], f"{cls.__name__}.{name}") for name, hint in hints.items()}
    try:
        return cls(**values)
    except BadMoney as fault:
        raise BadPayload(f"{cls.__name__}: {fault}") from None


def _value(hint: Any, value: Any, where: str) -> Any:
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not types.NoneType)
        return _value(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise BadPayload(f"{where} must be a list")
        return tuple(_value(typing.get_args(hint)[0], part, where) for part in value)
    if is_dataclass(hint):
        return _build(typing.cast(type, hint), value)
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    try:
        if hint is Decimal and isinstance(value, str):
            return _finite(Decimal(value))
        if hint is datetime and isinstance(value, str):
            return _aware(datetime.fromisoformat(value)).astimezone(UTC)
        if hint is date and isinstance(value, str):
            return date.fromisoformat(value)
    except (InvalidOperation, ValueError):
        raise BadPayload(f"{where}: {value!r} is not a {hint.__name__}") from None
    if hint in (str, int, bool) and type(value) is hint:
        return value
    raise BadPayload(f"{where}: {value!r} is not a {hint.__name__}")


def _finite(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise ValueError(number)
    return number


def _aware(moment: datetime) -> datetime:
    """A moment without its zone would be taken for this machine's own."""
    if moment.tzinfo is None:
        raise ValueError(moment)
    return moment
