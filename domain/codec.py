"""An event <-> plain JSON values. Decimals are strings, days ISO dates, moments UTC with Z, money {amount, currency}."""

import types
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, partial
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


# Reads one JSON value as what a field's type says, or BadPayload.
Read = Callable[[Any], Any]


@cache
def _readers(cls: type) -> dict[str, Read]:
    """A reader for each field, worked out once a class: type hints are slow to look at, events come by the million."""
    hints = typing.get_type_hints(cls)
    return {field.name: _reader(hints[field.name]) for field in fields(cls)}


def _build(cls: type, payload: Any) -> object:
    readers = _readers(cls)
    if not isinstance(payload, dict) or payload.keys() != readers.keys():
        given = sorted(payload) if isinstance(payload, dict) else type(payload).__name__
        raise BadPayload(f"{cls.__name__} has the fields {sorted(readers)}, not {given}")
    try:
        return cls(**{name: read(payload[name]) for name, read in readers.items()})
    except (BadPayload, BadMoney) as fault:
        raise BadPayload(f"{cls.__name__}{_place(readers, payload)}: {fault}") from None


def _place(readers: dict[str, Read], payload: dict[str, Any]) -> str:
    """The first field that cannot be read, as ".name"; nothing when only all together are wrong."""
    for name, read in readers.items():
        try:
            read(payload[name])
        except BadPayload:
            return f".{name}"
    return ""


def _reader(hint: Any) -> Read:
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (hint,) = (arm for arm in arguments if arm is not types.NoneType)
        return _or_none(_reader(hint))
    if origin is tuple:
        return _each(_reader(arguments[0]))
    if is_dataclass(hint):
        return partial(_build, typing.cast(type, hint))
    return _SCALARS[hint]


def _or_none(read: Read) -> Read:
    return lambda value: None if value is None else read(value)


def _each(read: Read) -> Read:
    def read_all(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise BadPayload(f"{value!r} is not a list")
        return tuple(map(read, value))

    return read_all


def _exactly(kind: type) -> Read:
    def read(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise BadPayload(f"{value!r} is not a {kind.__name__}")

    return read


def _from_text(kind: type, parse: Callable[[str], Any]) -> Read:
    def read(value: Any) -> Any:
        try:
            if type(value) is str:
                return parse(value)
        except (InvalidOperation, ValueError):
            pass
        raise BadPayload(f"{value!r} is not a {kind.__name__}")

    return read


def _finite(value: str) -> Decimal:
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(value)
    return number


def _aware(value: str) -> datetime:
    """A moment without its zone would be taken for this machine's own."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(value)
    return moment.astimezone(UTC)


_SCALARS: dict[type, Read] = {
    str: _exactly(str),
    int: _exactly(int),
    bool: _exactly(bool),
    Decimal: _from_text(Decimal, _finite),
    datetime: _from_text(datetime, _aware),
    date: _from_text(date, date.fromisoformat),
}
