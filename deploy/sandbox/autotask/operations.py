"""(database, call) -> the reply of each operation of the web services."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from deploy.sandbox.autotask.contracts import Refused
from deploy.sandbox.autotask.database import Database
from deploy.sandbox.autotask.description import write_entities, write_fields
from deploy.sandbox.autotask.engine import NO_RIGHTS, Engine, Origin, Wish
from deploy.sandbox.autotask.entities import EntityType, Field, by_name, records
from deploy.sandbox.autotask.envelope import OPERATIONS, Call, Malformed, Reply, SentEntity, write_reply, write_result
from deploy.sandbox.autotask.periods import PeriodType
from deploy.sandbox.autotask.query_xml import parse_query
from deploy.sandbox.autotask.records import API_RESOURCE_ID, Account, Adjustment, Contract, Line, Note, Service
from deploy.sandbox.autotask.values import billing_date, comparable, read_value

ROWS_A_QUERY = 500
ENTITIES_A_CALL = 200
MISSING = "Value does not exist for the required field {}."
NOT_FOUND = (
    "No matching records found. The logged in resource may not have the required permissions to update the data."
)


def answer(database: Database, call: Call, request_id: int, *, unknown_field: str = "") -> bytes:
    """The reply to a call that was let in; what it changes is kept when this returns. Malformed for what is not served."""
    if OPERATIONS[call.operation] != "response":
        return write_result(call.operation, _information(call))
    try:
        reply = _RESPONSES[call.operation](database, call, request_id)
    except Refused as refused:
        reply = Reply(errors=refused.args)
    return write_reply(call.operation, reply, database.engine, unknown_field=unknown_field)


def _query(database: Database, call: Call, _request_id: int) -> Reply:
    query = parse_query(call.arguments.get("sXML", ""))
    engine, above, ids = database.engine, query.ids_above(), query.only("id")
    candidates = (
        record
        for record in records(query.entity, engine, query.only("ContractServiceID"))
        if (above is None or record.id > above) and (ids is None or record.id in ids)
    )
    today = comparable(engine.now())
    found = (each for each in candidates if query.test.holds(_values_of(engine, each), today))
    return Reply(query.entity, tuple(islice(found, ROWS_A_QUERY)))


def _values_of(engine: Engine, record: Any) -> Callable[[Field], Any]:
    return lambda field: field.value(engine, record)


def _create(database: Database, call: Call, request_id: int) -> Reply:
    entity = _one_type(call.entities, "create", lambda each: each.can_create)
    origin = Origin(database.user, request_id)
    ids = _all_or_none(database, call.entities, "creating", lambda sent: _create_one(database, entity, sent, origin))
    if entity.kind is not Adjustment:
        made = tuple(each for each in (database.books.get(entity.kind, each) for each in ids) if each)
        return Reply(entity, made, infos=tuple((each, "") for each in ids))
    shown = tuple(each if database.switches.reply_id == "real" else 0 for each in ids)
    return Reply(entity, ids=shown, infos=tuple((each, "") for each in shown))


def _update(database: Database, call: Call, _request_id: int) -> Reply:
    entity = _one_type(call.entities, "update", lambda each: each.can_update)
    ids = _all_or_none(database, call.entities, "updating", lambda sent: _update_one(database, entity, sent))
    changed = tuple(each for each in (database.books.get(entity.kind, each) for each in ids) if each)
    return Reply(entity, changed, infos=tuple((each, "") for each in ids))


def _delete(_database: Database, call: Call, _request_id: int) -> Reply:
    _one_type(call.entities, "delete", lambda _each: False)
    return Reply()


def _usage(database: Database, _call: Call, _request_id: int) -> Reply:
    return Reply(infos=((0, database.limits.usage_text()),))


_RESPONSES: dict[str, Callable[[Database, Call, int], Reply]] = {
    "query": _query,
    "create": _create,
    "update": _update,
    "delete": _delete,
    "getThresholdAndUsageInfo": _usage,
}


def _information(call: Call) -> str:
    """The result of the operations that tell about the service itself. Attachments and invoices are not kept here."""
    if call.operation == "GetFieldInfo":
        entity = by_name(call.arguments.get("psObjectType", ""))
        if entity is None:
            raise Malformed(f"The entity type {call.arguments.get('psObjectType', '')} is not valid.")
        return write_fields(entity)
    if call.operation in {"GetAttachment", "CreateAttachment", "DeleteAttachment"}:
        raise Malformed("This sandbox keeps no attachments.")
    return {"GetEntityInfo": write_entities(), "GetWsdlVersion": "1.6.2"}.get(call.operation, "")


def _one_type(sent: Sequence[SentEntity], action: str, allowed: Callable[[EntityType], bool]) -> EntityType:
    """The one entity type of a call's entities, of which there may be 200."""
    if len(sent) > ENTITIES_A_CALL:
        raise Refused(f"The maximum number of entities for {action} is {ENTITIES_A_CALL}.")
    names = {each.type_name for each in sent}
    if len(names) != 1:
        raise Refused(f"All entities of one {action} call must be of the same type, and there must be at least one.")
    entity = by_name(names.pop())
    if entity is None:
        raise Refused(f"The entity type {sent[0].type_name} is not valid.")
    if not allowed(entity):
        raise Refused(f"This entity type does not support the {action} action.")
    return entity


def _all_or_none(
    database: Database, sent: Sequence[SentEntity], doing: str, act: Callable[[SentEntity], int]
) -> list[int]:
    """The ids of all entities, acted on in one transaction; else an error pair for each that was refused, and nothing is kept."""
    ids: list[int] = []
    pairs: list[str] = []
    with database.books.transaction():
        for number, each in enumerate(sent, start=1):
            try:
                ids.append(act(each))
            except Refused as refused:
                pairs += [str(refused), f"Error {doing} entity for record number[{number}]"]
        if pairs:
            raise Refused(*pairs)
    return ids


def _create_one(database: Database, entity: EntityType, sent: SentEntity, origin: Origin) -> int:
    engine = database.engine
    if entity.kind is Adjustment:
        wish = _wish(_given(database, entity, sent, "create", by_name_only=True))
        return engine.adjust(wish, origin).id
    if engine.rights_cut:
        raise Refused(NO_RIGHTS)
    values = _given(database, entity, sent, "create")
    new_id, now = engine.books.new_id(entity.kind), engine.now()
    if entity.kind is Account:
        engine.add_account(Account(new_id, created_at=now, **values))
    elif entity.kind is Contract:
        engine.add_contract(Contract(new_id, **{"period_type": PeriodType.MONTHLY, **values}))
    elif entity.kind is Service:
        amounts = {"unit_cost": Decimal(0), "unit_price": Decimal(0)}
        engine.add_service(Service(new_id, created_at=now, modified_at=now, **{**amounts, **values}))
    elif entity.kind is Line:
        engine.add_line(_line(engine, new_id, values))
    else:
        with engine.books.transaction():
            engine.books.put(Note(new_id, created_at=now, changed_at=now, creator_id=API_RESOURCE_ID, **values))
    return new_id


def _wish(values: dict[str, Any]) -> Wish:
    return Wish(
        effective_date=values["EffectiveDate"],
        unit_change=values.get("UnitChange") or Decimal(0),
        line_id=values.get("ContractServiceID"),
        contract_id=values.get("ContractID"),
        service_id=values.get("ServiceID"),
        unit_cost=values.get("AdjustedUnitCost"),
        unit_price=values.get("AdjustedUnitPrice"),
        allow_repeat=bool(values.get("AllowRepeatService")),
    )


def _line(engine: Engine, line_id: int, values: dict[str, Any]) -> Line:
    """A new contract service: it has no units until an adjustment gives it some."""
    contract, service = (
        engine.books.get(Contract, values["contract_id"]),
        engine.books.get(Service, values["service_id"]),
    )
    if contract is None or service is None:
        raise Refused(MISSING.format("ServiceID" if contract else "ContractID"))
    cost, price = values.get("unit_cost", service.unit_cost), values.get("unit_price", service.unit_price)
    amounts = {"unit_cost": cost, "unit_price": price, "adjusted_price": price, "first_cost": cost}
    first = {"first_day": contract.start, "first_units": 0, "first_price": values.get("adjusted_price", price)}
    return Line(id=line_id, **{**amounts, **first, **values})


def _update_one(database: Database, entity: EntityType, sent: SentEntity) -> int:
    """An update: every field that may be changed and is left out is cleared; the others are ignored."""
    engine = database.engine
    record: Any = None if engine.rights_cut else engine.books.get(entity.kind, int(sent.id))
    if record is None:
        raise Refused(NOT_FOUND)
    cleared = {field.attribute: field.cleared for field in entity.fields if field.update}
    values = {**cleared, **_given(database, entity, sent, "update")}
    if isinstance(record, Contract):
        engine.set_contract_end(record.id, values.pop("end"))
        record = engine.contract(record.id)
    elif isinstance(record, Line) and database.switches.unit_cost_update == "applied" and sent.values.get("UnitCost"):
        values["unit_cost"] = Decimal(sent.values["UnitCost"] or 0)
    elif isinstance(record, Service):
        values["modified_at"] = engine.now()
    elif isinstance(record, Note):
        values["changed_at"] = engine.now()
    engine.books.put(replace(record, **values))
    return int(sent.id)


def _given(
    database: Database, entity: EntityType, sent: SentEntity, action: str, *, by_name_only: bool = False
) -> dict[str, Any]:
    """The values a client gave for the fields it may set, by attribute; unknown and read-only fields are ignored silently."""
    texts = {name.lower(): text for name, text in sent.values.items()}
    given: dict[str, Any] = {}
    for field in entity.fields:
        if not getattr(field, action):
            continue
        text = texts.get(field.name.lower())
        if text is None or (text == "" and field.type != "string"):
            if field.required:
                raise Refused(MISSING.format(field.name))
            continue
        given[field.name if by_name_only else field.attribute] = _typed(database, field, text)
    return given


def _typed(database: Database, field: Field, text: str) -> Any:
    if field.picklist and text not in {value for value, _ in field.picklist}:
        raise Refused(f"{text} is not a value of the picklist {field.name}.")
    try:
        value = read_value(text, field.type)
    except ValueError as unfit:
        raise Refused(f"The value of {field.name} is not valid: {unfit}.") from None
    if isinstance(value, datetime):
        return billing_date(value, database.switches.soap_dates)
    return PeriodType(value) if field.attribute == "period_type" else value
