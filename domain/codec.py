"""An event <-> plain JSON values. Decimals are strings, days ISO dates, moments UTC with Z, money {amount, currency}."""

import types
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, TypeVar

from domain.events import EVENT_TYPES, Event
from domain.upcasters import upcast

Part = TypeVar("Part")


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
    if version < known.version:
        payload = upcast(event_type, version, known.version, payload)
    event: Event = _builder(typing.cast(type, known))(payload)
    return event


def encode_part(part: object) -> dict[str, Any]:
    """A part of an event, such as the settings of a relation, as JSON values."""
    return _fields(part)


def decode_part(kind: type[Part], payload: dict[str, Any]) -> Part:
    """The part of an event that was encoded by encode_part; BadPayload."""
    part: Part = _builder(typing.cast(type, kind))(payload)
    return part


# Most values of an event: they are their own JSON.
_AS_THEY_ARE: frozenset[type] = frozenset((str, int, bool, types.NoneType))
_UNIONS = (types.UnionType, typing.Union)


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
def _builder(cls: type) -> Read:
    """What makes an instance of a payload, worked out once a class: type hints are slow to look at, events come by the
    million. It fills the instance by itself: the __init__ of a frozen class takes a call for every field."""
    hints = typing.get_type_hints(cls)
    # The fields in their order, whatever the order of the payload.
    blank = dict.fromkeys(field.name for field in fields(cls))
    steps = [(name, _kinds(hints[name]), _reader(hints[name])) for name in blank]
    check = getattr(cls, "__post_init__", None)

    def build(payload: Any) -> Any:
        if not isinstance(payload, dict):
            raise BadPayload(f"{cls.__name__} has the fields {sorted(blank)}, not {type(payload).__name__}")
        values = blank | payload
        if not len(payload) == len(values) == len(blank):
            raise BadPayload(f"{cls.__name__} has the fields {sorted(blank)}, not {sorted(payload)}")
        try:
            for name, kinds, read in steps:
                value = values[name]
                if type(value) not in kinds:
                    values[name] = read(value)
        except BadPayload as fault:
            raise BadPayload(f"{cls.__name__}.{name}: {fault}") from None
        instance: Any = object.__new__(cls)
        object.__setattr__(instance, "__dict__", values)
        if check is not None:
            try:
                check(instance)
            except ValueError as fault:
                raise BadPayload(f"{cls.__name__}: {fault}") from None
        return instance

    return build


def _kinds(hint: Any) -> frozenset[type]:
    """The types whose values such a field takes as they are: without asking its reader, which would say the same."""
    arms = typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,)
    return _AS_THEY_ARE & frozenset(map(_bare, arms))


def _bare(hint: Any) -> Any:
    """What stands behind the name of a NewType."""
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    return hint


def _reader(hint: Any) -> Read:
    hint = _bare(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in _UNIONS:
        (hint,) = (arm for arm in arguments if arm is not types.NoneType)
        return _reader(hint)
    if origin is tuple:
        return _each(_reader(arguments[0]))
    if is_dataclass(hint):
        return _builder(typing.cast(type, hint))
    return _SCALARS[hint]


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
