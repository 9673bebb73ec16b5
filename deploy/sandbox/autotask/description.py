"""The table of entity types -> our own small description (WSDL) of the service, and the results of GetFieldInfo, GetEntityInfo."""

from xml.sax.saxutils import escape

from deploy.sandbox.autotask.entities import ENTITIES, ID, EntityType, Field
from deploy.sandbox.autotask.envelope import ATWS, OPERATIONS, XSD

_RESULTS = {
    "response": "tns:ATWSResponse",
    "zone": "tns:ATWSZoneInfo",
    "fields": "tns:ArrayOfField",
    "entities": "tns:ArrayOfEntityInfo",
    "text": "s:string",
    "attachment": "tns:Attachment",
}
_ARGUMENTS = {
    "query": (("sXML", "s:string"),),
    "create": (("Entities", "tns:ArrayOfEntity"),),
    "update": (("Entities", "tns:ArrayOfEntity"),),
    "delete": (("Entities", "tns:ArrayOfEntity"),),
    "getZoneInfo": (("UserName", "s:string"),),
    "GetFieldInfo": (("psObjectType", "s:string"),),
    "getUDFInfo": (("psTable", "s:string"),),
    "GetInvoiceMarkup": (("InvoiceId", "s:int"), ("Format", "s:string")),
    "GetAttachment": (("attachmentId", "s:long"),),
    "CreateAttachment": (("attachment", "tns:Attachment"),),
    "DeleteAttachment": (("attachmentId", "s:long"),),
}
_TYPES: dict[str, tuple[tuple[str, str], ...]] = {
    "Attachment": (("Data", "s:base64Binary"),),
    "ATWSError": (("Message", "s:string"),),
    "ATWSResponse": (
        ("ReturnCode", "s:int"),
        ("EntityResults", "tns:ArrayOfEntity"),
        ("EntityResultType", "s:string"),
        ("Errors", "tns:ArrayOfATWSError"),
        ("EntityReturnInfoResults", "tns:ArrayOfEntityReturnInfo"),
    ),
    "ATWSZoneInfo": (
        ("URL", "s:string"),
        ("ErrorCode", "s:int"),
        ("DataBaseType", "s:string"),
        ("CI", "s:int"),
        ("WebUrl", "s:string"),
    ),
    "AutotaskIntegrations": (
        ("PartnerID", "s:string"),
        ("IntegrationCode", "s:string"),
        ("ImpersonateAsResourceID", "s:int"),
    ),
    "EntityReturnInfo": (
        ("EntityId", "s:long"),
        ("DatabaseAction", "s:string"),
        ("DuplicateStatus", "tns:EntityDuplicateStatus"),
        ("Message", "s:string"),
    ),
    "EntityDuplicateStatus": (("Found", "s:boolean"), ("MatchInfo", "s:string"), ("Ignored", "s:boolean")),
    "EntityInfo": (
        ("Name", "s:string"),
        ("CanUpdate", "s:boolean"),
        ("CanDelete", "s:boolean"),
        ("CanCreate", "s:boolean"),
        ("CanQuery", "s:boolean"),
        ("HasUserDefinedFields", "s:boolean"),
    ),
    "Field": (
        ("Name", "s:string"),
        ("Label", "s:string"),
        ("Type", "s:string"),
        ("Length", "s:int"),
        ("Description", "s:string"),
        ("IsRequired", "s:boolean"),
        ("IsReadOnly", "s:boolean"),
        ("IsQueryable", "s:boolean"),
        ("IsReference", "s:boolean"),
        ("ReferenceEntityType", "s:string"),
        ("IsPickList", "s:boolean"),
        ("PicklistValues", "tns:ArrayOfPickListValue"),
        ("PicklistParentValueField", "s:string"),
        ("DefaultValue", "s:string"),
    ),
    "PickListValue": (
        ("Value", "s:string"),
        ("Label", "s:string"),
        ("IsDefaultValue", "s:boolean"),
        ("SortOrder", "s:int"),
        ("parentValue", "s:string"),
        ("IsActive", "s:boolean"),
        ("IsSystem", "s:boolean"),
    ),
    "UserDefinedField": (("Name", "s:string"), ("Value", "s:string")),
}
_ARRAYS = ("Entity", "ATWSError", "EntityReturnInfo", "EntityInfo", "Field", "PickListValue", "UserDefinedField")


def write_description(address: str) -> bytes:
    """The WSDL of this service at this address."""
    types = "".join(_complex(name, _sequence(parts)) for name, parts in _TYPES.items())
    types += "".join(_complex(f"ArrayOf{each}", _many(each)) for each in _ARRAYS)
    types += _complex("Entity", _sequence(_ENTITY), ' abstract="true"') + "".join(map(_entity_type, ENTITIES))
    types += '<s:element name="AutotaskIntegrations" type="tns:AutotaskIntegrations"/>'
    types += "".join(map(_elements, OPERATIONS))
    messages = (
        '<message name="Integrations"><part name="AutotaskIntegrations" element="tns:AutotaskIntegrations"/></message>'
    )
    messages += "".join(map(_messages, OPERATIONS))
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"'
        f' xmlns:s="{XSD}" xmlns:tns="{ATWS}" targetNamespace="{ATWS}">'
        f'<types><s:schema elementFormDefault="qualified" targetNamespace="{ATWS}">{types}</s:schema></types>{messages}'
        f'<portType name="ATWSSoap">{"".join(map(_port, OPERATIONS))}</portType>'
        '<binding name="ATWSSoap" type="tns:ATWSSoap"><soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>'
        f"{''.join(map(_binding, OPERATIONS))}</binding>"
        f'<service name="ATWS"><port name="ATWSSoap" binding="tns:ATWSSoap"><soap:address location="{escape(address)}"/>'
        "</port></service></definitions>"
    ).encode()


def write_fields(entity: EntityType) -> str:
    """The result of GetFieldInfo for one entity type."""
    return "".join(_field_info(each, entity) for each in (ID, *entity.fields))


def write_entities() -> str:
    """The result of GetEntityInfo."""
    return "".join(
        f"<EntityInfo><Name>{each.name}</Name><CanUpdate>{_bool(each.can_update)}</CanUpdate><CanDelete>false</CanDelete>"
        f"<CanCreate>{_bool(each.can_create)}</CanCreate><CanQuery>{_bool(each.can_query)}</CanQuery>"
        "<HasUserDefinedFields>false</HasUserDefinedFields></EntityInfo>"
        for each in ENTITIES
    )


_ENTITY = (("Fields", "tns:ArrayOfField"), ("id", "s:long"), ("UserDefinedFields", "tns:ArrayOfUserDefinedField"))


def _complex(name: str, content: str, more: str = "") -> str:
    return f'<s:complexType name="{name}"{more}>{content}</s:complexType>'


def _sequence(parts: tuple[tuple[str, str], ...]) -> str:
    elements = (f'<s:element minOccurs="{int(name == "id")}" name="{name}" type="{kind}"/>' for name, kind in parts)
    return f"<s:sequence>{''.join(elements)}</s:sequence>"


def _many(name: str) -> str:
    element = f'<s:element minOccurs="0" maxOccurs="unbounded" nillable="true" name="{name}" type="tns:{name}"/>'
    return f"<s:sequence>{element}</s:sequence>"


def _entity_type(entity: EntityType) -> str:
    fields = "".join(f'<s:element minOccurs="0" name="{each.name}"/>' for each in entity.fields)
    content = f'<s:complexContent><s:extension base="tns:Entity"><s:sequence>{fields}</s:sequence></s:extension></s:complexContent>'
    return _complex(entity.name, content)


def _elements(operation: str) -> str:
    result = ((f"{operation}Result", _RESULTS[OPERATIONS[operation]]),)
    return "".join(
        f'<s:element name="{name}"><s:complexType>{_sequence(parts)}</s:complexType></s:element>'
        for name, parts in ((operation, _ARGUMENTS.get(operation, ())), (f"{operation}Response", result))
    )


def _messages(operation: str) -> str:
    return "".join(
        f'<message name="{operation}{suffix}"><part name="parameters" element="tns:{operation}{element}"/></message>'
        for suffix, element in (("In", ""), ("Out", "Response"))
    )


def _port(operation: str) -> str:
    return (
        f'<operation name="{_called(operation)}"><input message="tns:{operation}In"/>'
        f'<output message="tns:{operation}Out"/></operation>'
    )


def _binding(operation: str) -> str:
    header = '<soap:header message="tns:Integrations" part="AutotaskIntegrations" use="literal"/>'
    return (
        f'<operation name="{_called(operation)}"><soap:operation soapAction="{ATWS}{operation}" style="document"/>'
        f'<input><soap:body use="literal"/>{"" if operation == "getZoneInfo" else header}</input>'
        '<output><soap:body use="literal"/></output></operation>'
    )


def _called(operation: str) -> str:
    """The port calls this one operation otherwise than its action and element."""
    return "getEntityInfo" if operation == "GetEntityInfo" else operation


def _field_info(field: Field, entity: EntityType) -> str:
    picks = "".join(
        f"<PickListValue><Value>{escape(value)}</Value><Label>{escape(label)}</Label><IsDefaultValue>false</IsDefaultValue>"
        f"<SortOrder>{place}</SortOrder><IsActive>true</IsActive><IsSystem>true</IsSystem></PickListValue>"
        for place, (value, label) in enumerate(field.picklist, start=1)
    )
    return (
        f"<Field><Name>{field.name}</Name><Label>{field.name}</Label><Type>{field.type}</Type><Length>{field.length}</Length>"
        f"<Description /><IsRequired>{_bool(field.required)}</IsRequired>"
        f"<IsReadOnly>{_bool(not field.create and not field.update)}</IsReadOnly>"
        f"<IsQueryable>{_bool(entity.can_query)}</IsQueryable><IsReference>{_bool(bool(field.reference))}</IsReference>"
        f"<ReferenceEntityType>{field.reference}</ReferenceEntityType><IsPickList>{_bool(bool(field.picklist))}</IsPickList>"
        + (f"<PicklistValues>{picks}</PicklistValues>" if picks else "")
        + "</Field>"
    )


def _bool(value: bool) -> str:  # noqa: FBT001 - it writes a boolean
    return "true" if value else "false"
