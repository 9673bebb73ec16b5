"""SOAP 1.1 bytes <-> calls and replies of the Autotask web services, version 1.6."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from deploy.sandbox.autotask.engine import Engine
from deploy.sandbox.autotask.entities import ID, EntityType, Field
from deploy.sandbox.autotask.values import XSD_TYPES, write_value

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"
ATWS = "http://autotask.net/ATWS/v1_6/"
#: What each operation answers with: a response with ReturnCode and errors, or something else (then errors come as faults).
OPERATIONS = {
    "query": "response",
    "create": "response",
    "update": "response",
    "delete": "response",
    "getThresholdAndUsageInfo": "response",
    "getZoneInfo": "zone",
    "GetFieldInfo": "fields",
    "getUDFInfo": "fields",
    "GetEntityInfo": "entities",
    "GetWsdlVersion": "text",
    "GetInvoiceMarkup": "text",
    "GetAttachment": "attachment",
    "CreateAttachment": "text",
    "DeleteAttachment": "text",
}


class Malformed(Exception):
    """The bytes are no SOAP 1.1 call of this service; the message is the fault's text."""


@dataclass(frozen=True)
class SentEntity:
    """An entity as a client sent it: its type's name, its id, and the text of the fields it gave (None: nil)."""

    type_name: str
    id: str
    values: dict[str, str | None]


@dataclass(frozen=True)
class Call:
    """One call: the operation, its plain arguments, its entities, and the integration code of the header (None: no header)."""

    operation: str
    arguments: dict[str, str]
    entities: tuple[SentEntity, ...]
    integration_code: str | None


@dataclass(frozen=True)
class Reply:
    """What an operation with a response answers. infos: entity id and message for each EntityReturnInfo."""

    entity: EntityType | None = None
    records: tuple[Any, ...] = ()
    errors: tuple[str, ...] = ()
    infos: tuple[tuple[int, str], ...] = ()
    result_type: str = ""
    ids: tuple[int, ...] = field(default=())


def read_call(body: bytes) -> Call:
    """The call in these bytes; Malformed when there is none. DTDs and entities are refused."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as broken:
        raise Malformed(f"Server was unable to read request. {broken}") from None
    if b"<!DOCTYPE" in body:
        raise Malformed("Server was unable to read request. A DTD is not allowed.")
    if root.tag != f"{{{SOAP}}}Envelope":
        raise Malformed("SOAP header Action was not understood.")
    request = root.find(f"{{{SOAP}}}Body/*")
    name = etree.QName(request).localname if request is not None else ""
    if request is None or name not in OPERATIONS or etree.QName(request).namespace != ATWS:
        raise Malformed(f"Server did not recognize the request element: {name or '(none)'}.")
    code = root.find(f"{{{SOAP}}}Header/{{{ATWS}}}AutotaskIntegrations/{{{ATWS}}}IntegrationCode")
    return Call(
        operation=name,
        arguments={etree.QName(each).localname: each.text or "" for each in request if len(each) == 0},
        entities=tuple(_sent(each) for each in request.iterfind(f"{{{ATWS}}}Entities/{{{ATWS}}}Entity")),
        integration_code=None if code is None else code.text or "",
    )


def _sent(element: etree._Element) -> SentEntity:
    type_name = element.get(f"{{{XSI}}}type", "").rpartition(":")[2]
    values: dict[str, str | None] = {}
    for each in element:
        nil = each.get(f"{{{XSI}}}nil") in {"true", "1"}
        if len(each) == 0:
            values[etree.QName(each).localname] = None if nil else each.text or ""
    return SentEntity(type_name, values.pop("id", None) or "0", values)


def write_reply(operation: str, reply: Reply, engine: Engine, *, unknown_field: str = "") -> bytes:
    """The reply's envelope. unknown_field "middle" or "end" adds a field that no description has to every entity."""
    fields = _shown_fields(reply.entity, engine) if reply.entity else ()
    entities = "".join(
        _entity(record, reply.entity, fields, engine, unknown_field) for record in reply.records if reply.entity
    )
    entities += "".join(_bare_entity(each, reply.entity, unknown_field) for each in reply.ids if reply.entity)
    result_type = reply.result_type or (reply.entity.result_type if reply.entity else "")
    errors = "".join(f"<ATWSError><Message>{escape(each)}</Message></ATWSError>" for each in reply.errors)
    return write_result(
        operation,
        f"<ReturnCode>{-1 if reply.errors else 1}</ReturnCode>"
        + _wrapped("EntityResults", entities)
        + _wrapped("EntityResultType", escape(result_type))
        + _wrapped("Errors", errors)
        + _wrapped("EntityReturnInfoResults", "".join(_info(*each) for each in reply.infos)),
    )


def write_result(operation: str, result: str) -> bytes:
    """The envelope around an operation's result element."""
    name = f"{operation}Response"
    return _envelope(f'<{name} xmlns="{ATWS}">{_wrapped(operation + "Result", result)}</{name}>')


def write_fault(text: str) -> bytes:
    """The envelope of a fault."""
    return _envelope(
        f"<soap:Fault><faultcode>soap:Server</faultcode><faultstring>{escape(text)}</faultstring></soap:Fault>"
    )


def _envelope(body: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="{SOAP}" xmlns:xsi="{XSI}" xmlns:xsd="{XSD}">'
        f"<soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()


def _wrapped(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>" if content else f"<{name} />"


def _info(entity_id: int, message: str) -> str:
    return (
        f"<EntityReturnInfo><EntityId>{entity_id}</EntityId><DatabaseAction>None</DatabaseAction>"
        "<DuplicateStatus><Found>false</Found><Ignored>false</Ignored></DuplicateStatus>"
        + (_wrapped("Message", escape(message)) if message else "")
        + "</EntityReturnInfo>"
    )


def _shown_fields(entity: EntityType, engine: Engine) -> tuple[Field, ...]:
    return tuple(each for each in entity.fields if engine.switches.newer_fields or not each.newer)


def _entity(record: Any, entity: EntityType, fields: Iterable[Field], engine: Engine, unknown_field: str) -> str:
    parts = [_value(each, each.value(engine, record)) for each in fields]
    return _entity_element(entity, ID.value(engine, record), parts, unknown_field)


def _bare_entity(entity_id: int, entity: EntityType, unknown_field: str) -> str:
    return _entity_element(entity, entity_id, [], unknown_field)


def _entity_element(entity: EntityType, entity_id: int, parts: list[str], unknown_field: str) -> str:
    if unknown_field:
        place = len(parts) // 2 if unknown_field == "middle" else len(parts)
        parts.insert(place, '<AddedSinceYesterday xsi:type="xsd:int">1</AddedSinceYesterday>')
    return f'<Entity xsi:type="{entity.name}"><id>{entity_id}</id><UserDefinedFields />{"".join(parts)}</Entity>'


def _value(shown: Field, value: Any) -> str:
    """A null is left out; a text is never null, and comes even when it is empty."""
    if value is None:
        return ""
    kind, text = XSD_TYPES[shown.type], escape(write_value(value))
    return f'<{shown.name} xsi:type="{kind}">{text}</{shown.name}>' if text else f'<{shown.name} xsi:type="{kind}" />'
