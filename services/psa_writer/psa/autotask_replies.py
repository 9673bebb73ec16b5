"""Bytes from Autotask -> a whole, well-formed reply to the call that was made, or a refusal to read them.

Fields are kept as text under their element's name, whatever fields the server has gained since; the reader of a field
says what it must be.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from lxml import etree

_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_AUTOTASK = re.compile(r"http://autotask\.net/ATWS/v1_\d+/")

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_REFERENCE = re.compile(rb"&#(?:[xX]([0-9a-fA-F]{1,8})|([0-9]{1,10}));")

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?", re.ASCII)
_EXACT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}

SUCCESS = 1
REFUSED = -1


class BadReply(Exception):
    """The bytes are not a whole, well-formed reply to the call that was made."""


class Fault(Exception):
    """Autotask answered with a SOAP fault. by_caller: it blames what was sent, and so has not worked on it."""

    def __init__(self, message: str, by_caller: bool) -> None:  # noqa: FBT001 - a fault is one or the other
        super().__init__(message)
        self.message, self.by_caller = message, by_caller


@dataclass(frozen=True)
class Entity:
    """One record as Autotask sent it. A field without a value is missing from fields."""

    kind: str
    fields: Mapping[str, str]

    @property
    def entity_id(self) -> int:
        """Autotask's id of the record; BadReply when it has none."""
        return whole(self.text("id"), f"the id of a {self.kind or 'record'}")

    def text(self, name: str) -> str:
        """The field's text, without blanks around it; "" when it has none."""
        return self.fields.get(name, "").strip()

    def whole(self, name: str) -> int:
        """The field's whole number; BadReply when it has none."""
        return whole(self.text(name), self._place(name))

    def exact(self, name: str) -> Decimal | None:
        """The field's exact number, None when it is empty or kept from our user."""
        text = self.text(name)
        if text and not _EXACT.fullmatch(text):
            raise BadReply(f"{self._place(name)} is {text!r}, not a number")
        return Decimal(text) if text else None

    def day(self, name: str) -> date:
        """The date part of the field, exactly as written: converting zones would shift it. BadReply when it has none."""
        try:
            return date.fromisoformat(self.text(name)[:10])
        except ValueError:
            raise BadReply(f"{self._place(name)} is {self.text(name)!r}, not a date") from None

    def flag(self, name: str) -> bool:
        """Whether the field is true; BadReply when it says neither."""
        return flag(self.text(name), self._place(name))

    def _place(self, name: str) -> str:
        return f"{name} of {self.kind} {self.text('id')}"


@dataclass(frozen=True)
class Reply:
    """An ATWSResponse. entities is None when the reply has no list of them, which is not an empty list."""

    return_code: int
    entities: tuple[Entity, ...] | None
    entity_kind: str
    errors: tuple[str, ...]
    notes: tuple[str, ...]
    returned_ids: tuple[str, ...]


@dataclass(frozen=True)
class Zone:
    """Where a user's Autotask lives. error_code 0: the user is known."""

    url: str
    error_code: int


@dataclass(frozen=True)
class EntityFlags:
    """What our user may do with an entity."""

    create: bool
    query: bool


def read_reply(body: bytes, operation: str, *, repair: bool) -> Reply:
    """The reply to an operation that answers with a return code. repair: control characters, which XML forbids but
    Autotask's texts may hold, are read as blanks; only right where the worst outcome is to read again.

    Raises BadReply, and Fault for a SOAP fault.
    """
    result = _result(body, operation, repair=repair)
    entities = result.find("{*}EntityResults")
    return Reply(
        return_code=whole(_text(result, "ReturnCode"), "ReturnCode"),
        entities=None if entities is None else tuple(_entity(each) for each in entities.iterchildren("{*}Entity")),
        entity_kind=_text(result, "EntityResultType"),
        errors=_texts(result, "{*}Errors/{*}ATWSError/{*}Message"),
        notes=_texts(result, "{*}EntityReturnInfoResults/{*}EntityReturnInfo/{*}Message"),
        returned_ids=_texts(result, "{*}EntityReturnInfoResults/{*}EntityReturnInfo/{*}EntityId"),
    )


def read_zone(body: bytes) -> Zone:
    """The reply to getZoneInfo. Raises BadReply and Fault."""
    result = _result(body, "getZoneInfo", repair=True)
    return Zone(_text(result, "URL"), whole(_text(result, "ErrorCode"), "ErrorCode"))


def read_entity_flags(body: bytes) -> dict[str, EntityFlags]:
    """The reply to GetEntityInfo, by entity. Raises BadReply and Fault."""
    result = _result(body, "GetEntityInfo", repair=True)
    return {
        _text(each, "Name"): EntityFlags(
            create=flag(_text(each, "CanCreate"), "CanCreate"), query=flag(_text(each, "CanQuery"), "CanQuery")
        )
        for each in result.iterchildren("{*}EntityInfo")
    }


def read_choices(body: bytes, field: str) -> dict[str, str]:
    """A field's choices from the reply to GetFieldInfo, label by value. Raises BadReply, also when it has none."""
    result = _result(body, "GetFieldInfo", repair=True)
    for each in result.iterchildren("{*}Field"):
        if _text(each, "Name") == field:
            values = each.iterfind("{*}PicklistValues/{*}PickListValue")
            return {_text(value, "Value"): _text(value, "Label") for value in values}
    raise BadReply(f"the reply has no field {field}")


def read_fault(body: bytes) -> Fault | None:
    """The SOAP fault that an answer with an error status carries, None when it carries something else."""
    try:
        _result(body, "", repair=True)
    except Fault as fault:
        return fault
    except BadReply:
        return None
    return None


def whole(text: str, what: str) -> int:
    """The whole number in a text such as "12" or "12.0000"; BadReply for anything else."""
    if not _WHOLE.fullmatch(text):
        raise BadReply(f"{what} is {text!r}, not a whole number")
    return int(text.partition(".")[0])


def flag(text: str, what: str) -> bool:
    """True or false; BadReply for anything else."""
    try:
        return _FLAGS[text.lower()]
    except KeyError:
        raise BadReply(f"{what} is {text!r}, neither true nor false") from None


def _result(body: bytes, operation: str, *, repair: bool) -> etree._Element:
    """The element <operation>Result of a SOAP 1.1 reply."""
    envelope = _parsed(body, repair=repair)
    if envelope.tag != f"{_SOAP}Envelope":
        raise BadReply("it is not a SOAP reply")
    content = [child for part in envelope.iterchildren(f"{_SOAP}Body") for child in part]
    if len(content) != 1:
        raise BadReply(f"the SOAP body holds {len(content)} elements, not one")
    if content[0].tag == f"{_SOAP}Fault":
        raise _fault(content[0])
    name = etree.QName(content[0])
    if name.localname != f"{operation}Response" or not _AUTOTASK.fullmatch(name.namespace or ""):
        raise BadReply(f"it answers with {name.localname}, not with {operation}Response")
    results = list(content[0].iterchildren(f"{{{name.namespace}}}{operation}Result"))
    if len(results) != 1:
        raise BadReply(f"it holds {len(results)} {operation}Result, not one")
    return results[0]


def _parsed(body: bytes, *, repair: bool) -> etree._Element:
    if not body.strip():
        raise BadReply("it is empty")
    try:
        return _strictly(body)
    except etree.XMLSyntaxError as error:
        if not repair or (repaired := _with_blanks(body)) == body:
            raise BadReply(f"it is not well-formed XML: {error.msg}") from None
    try:
        return _strictly(repaired)
    except etree.XMLSyntaxError as error:
        raise BadReply(f"it is not well-formed XML: {error.msg}") from None


def _strictly(body: bytes) -> etree._Element:
    """The root of the document. A document type is refused: replies have none, and it is how XML attacks begin."""
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
    root = etree.fromstring(body, parser)
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadReply("it has a document type, which no reply of Autotask has")
    return root


def _with_blanks(body: bytes) -> bytes:
    """The bytes with a blank for each control character: left out, they could join two numbers into one."""
    return _REFERENCE.sub(_allowed, _CONTROL.sub(b" ", body))


def _allowed(reference: re.Match[bytes]) -> bytes:
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    allowed = code in {9, 10, 13} or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF
    return reference[0] if allowed else b" "


def _fault(element: etree._Element) -> Fault:
    code = (element.findtext("faultcode") or "").rpartition(":")[2]
    message = " ".join((element.findtext("faultstring") or "").split())
    return Fault(
        message or "a SOAP fault without words", by_caller=code in {"Client", "MustUnderstand", "VersionMismatch"}
    )


def _entity(element: etree._Element) -> Entity:
    kind = (element.get(f"{_XSI}type") or "").rpartition(":")[2]
    # An element with children is a list (user-defined fields), not a field of the record.
    fields = {
        etree.QName(each).localname: each.text or ""
        for each in element
        if not len(each) and each.get(f"{_XSI}nil") not in {"true", "1"}
    }
    return Entity(kind, fields)


def _text(element: etree._Element, name: str) -> str:
    return (element.findtext(f"{{*}}{name}") or "").strip()


def _texts(element: etree._Element, path: str) -> tuple[str, ...]:
    return tuple(" ".join((each.text or "").split()) for each in element.iterfind(path))
