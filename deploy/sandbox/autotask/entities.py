"""The entity types a client sees, in one table: their fields, and what may be done with them.

Queries, creates, updates, the description (WSDL) and GetFieldInfo all read it. Names and order of the fields are Autotask's own;
only those that mean something to recurring services are here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from operator import attrgetter
from typing import Any

from deploy.sandbox.autotask.engine import Engine
from deploy.sandbox.autotask.periods import PeriodType
from deploy.sandbox.autotask.records import (
    Account,
    Adjustment,
    BillingItem,
    Contract,
    Line,
    Note,
    Service,
    UnitRow,
)
from deploy.sandbox.autotask.unit_rows import seen
from deploy.sandbox.autotask.values import FieldType

Read = Callable[[Engine, Any], Any]


@dataclass(frozen=True)
class Field:
    """One field. attribute: of the record that it writes; read: its value, by default the attribute.

    create, update: whether a client may set it then. required: it must be there. cleared: what an update without the field leaves.
    newer: the public 2019 description lacks it.
    """

    name: str
    type: FieldType
    attribute: str = ""
    read: Read | None = None
    create: bool = False
    update: bool = False
    required: bool = False
    cleared: Any = None
    reference: str = ""
    picklist: tuple[tuple[str, str], ...] = ()
    length: int = 0
    newer: bool = False

    def value(self, engine: Engine, record: Any) -> Any:
        """The field's value in this record."""
        return self.read(engine, record) if self.read else attrgetter(self.attribute)(record)


@dataclass(frozen=True)
class EntityType:
    """An entity type: its name, its name in replies (cases differ, as in the real ones), its records and fields."""

    name: str
    kind: type
    result_type: str
    fields: tuple[Field, ...]
    can_create: bool = False
    can_update: bool = False
    can_query: bool = True

    def field(self, name: str) -> Field | None:
        """The field of this name, in any case."""
        return next((field for field in (ID, *self.fields) if field.name.lower() == name.lower()), None)


def records(entity: EntityType, engine: Engine, parents: frozenset[int] | None = None) -> list[Any]:
    """All records a query goes through, by id; for unit rows only those of the given lines, when given. Nothing without rights."""
    if engine.rights_cut:
        return []
    if entity.kind is not UnitRow:
        return engine.books.all(entity.kind)
    today = engine.now().astimezone(UTC).date()
    line_ids = (line.id for line in engine.books.all(Line)) if parents is None else sorted(parents)
    rows = [row for line_id in line_ids for row in seen(engine.rows(line_id), engine.switches, today)]
    return sorted(rows, key=lambda row: row.id)


def by_name(name: str) -> EntityType | None:
    """The entity type of this name, in any case."""
    return next((entity for entity in ENTITIES if entity.name.lower() == name.lower()), None)


def _of_line(attribute: str) -> Read:
    return lambda engine, row: getattr(engine.line(row.line_id), attribute)


def _vendor(engine: Engine, row: UnitRow) -> int | None:
    service = engine.books.get(Service, engine.line(row.line_id).service_id)
    return service.vendor_account_id if service else None


def _letter(_engine: Engine, record: Contract | Service) -> str:
    return record.period_type.letter


def _text(name: str, attribute: str, length: int = 0, **more: Any) -> Field:
    return Field(name, "string", attribute, length=length, cleared="", **more)


def _nothing(_engine: Engine, _record: Any) -> None:
    return None


def _empty(_engine: Engine, _record: Any) -> str:
    return ""


_PERIODS = tuple((each.letter, each.value.title()) for each in PeriodType)
_ACCOUNT_TYPES = (("1", "Customer"), ("2", "Lead"), ("3", "Prospect"), ("6", "Vendor"), ("7", "Partner"))
_CONTRACT_TYPES = (
    ("1", "Time & Materials"),
    ("3", "Fixed Price"),
    ("4", "Block Hours"),
    ("6", "Retainer"),
    ("7", "Recurring Service"),
    ("8", "Per Ticket"),
)
_STATUSES = (("0", "Inactive"), ("1", "Active"))

ID = Field("id", "integer", "id")
ENTITIES = (
    EntityType(
        "Account",
        Account,
        "account",
        (
            Field("CreateDate", "datetime", "created_at"),
            _text("AccountName", "name", 100, create=True, update=True, required=True),
            _text("AccountNumber", "number", 50, create=True, update=True),
            Field("ParentAccountID", "integer", "parent_id", create=True, update=True, reference="Account"),
            _text("Phone", "phone", 25, create=True, update=True),
            Field("AccountType", "integer", "account_type", None, True, True, True, picklist=_ACCOUNT_TYPES),
            Field("Active", "boolean", "active", create=True, update=True, cleared=False),
            Field("ApiVendorID", "integer", read=_nothing, newer=True),
            Field("LastTrackedModifiedDateTime", "datetime", "created_at", newer=True),
        ),
        can_create=True,
        can_update=True,
    ),
    EntityType(
        "Contract",
        Contract,
        "contract",
        (
            Field("AccountID", "integer", "account_id", create=True, required=True, reference="Account"),
            _text("ContractName", "name", 100, create=True, update=True, required=True),
            _text("ContractNumber", "number", 50, create=True, update=True),
            Field("ContractPeriodType", "string", "period_type", _letter, True, picklist=_PERIODS, length=1),
            Field("ContractType", "integer", "contract_type", None, True, required=True, picklist=_CONTRACT_TYPES),
            _text("Description", "description", 2000, create=True, update=True),
            Field("EndDate", "datetime", "end", None, True, True, True),
            Field("StartDate", "datetime", "start", create=True, required=True),
            Field("Status", "integer", "status", None, True, True, True, picklist=_STATUSES),
        ),
        can_create=True,
        can_update=True,
    ),
    EntityType(
        "Service",
        Service,
        "Service",
        (
            _text("Name", "name", 100, create=True, update=True, required=True),
            _text("Description", "description", 400, create=True, update=True),
            Field("UnitPrice", "decimal", "unit_price", None, True, True, cleared=Decimal(0)),
            Field("PeriodType", "string", "period_type", _letter, True, required=True, picklist=_PERIODS, length=1),
            Field("IsActive", "boolean", "is_active", None, True, True, cleared=False),
            Field("CreateDate", "datetime", "created_at"),
            Field("LastModifiedDate", "datetime", "modified_at"),
            Field("VendorAccountID", "integer", "vendor_account_id", None, True, True, reference="Account"),
            Field("UnitCost", "decimal", "unit_cost", None, True, True, cleared=Decimal(0)),
            _text("InvoiceDescription", "invoice_description", 1000, create=True, update=True),
        ),
        can_create=True,
        can_update=True,
    ),
    EntityType(
        "ContractService",
        Line,
        "contractservice",
        (
            Field("ContractID", "integer", "contract_id", create=True, required=True, reference="Contract"),
            Field("ServiceID", "integer", "service_id", create=True, required=True, reference="Service"),
            Field("UnitPrice", "decimal", "unit_price", create=True),
            Field("AdjustedPrice", "decimal", "adjusted_price", create=True, update=True),
            _text("InvoiceDescription", "invoice_description", 1000, create=True, update=True),
            Field("InternalCurrencyUnitPrice", "decimal", "unit_price"),
            Field("InternalCurrencyAdjustedPrice", "decimal", "adjusted_price"),
            _text("InternalDescription", "internal_description", 100, create=True),
            Field("UnitCost", "decimal", "unit_cost", create=True),
        ),
        can_create=True,
        can_update=True,
    ),
    EntityType(
        "ContractServiceUnit",
        UnitRow,
        "contractserviceunit",
        (
            Field("ContractID", "integer", read=_of_line("contract_id"), reference="Contract"),
            Field("ServiceID", "integer", read=_of_line("service_id"), reference="Service"),
            Field("StartDate", "datetime", "start"),
            Field("EndDate", "datetime", "end"),
            Field("Units", "integer", "units"),
            Field("Price", "decimal", "price"),
            Field("Cost", "decimal", "cost"),
            Field("VendorAccountID", "integer", read=_vendor, reference="Account"),
            Field("ApproveAndPostDate", "datetime", "approved_at"),
            Field("ContractServiceID", "integer", "line_id", reference="ContractService"),
            Field("InternalCurrencyPrice", "decimal", "price"),
        ),
    ),
    EntityType(
        "ContractServiceAdjustment",
        Adjustment,
        "contractserviceadjustment",
        (
            Field("ContractID", "integer", read=_nothing, create=True, reference="Contract"),
            Field("ServiceID", "integer", read=_nothing, create=True, reference="Service"),
            Field("EffectiveDate", "datetime", read=_nothing, create=True, required=True),
            Field("UnitChange", "decimal", read=_nothing, create=True),
            Field("AdjustedUnitPrice", "decimal", read=_nothing, create=True),
            Field("AdjustedUnitCost", "decimal", read=_nothing, create=True),
            Field("QuoteItemID", "integer", read=_nothing, create=True),
            Field("ContractServiceID", "integer", read=_nothing, create=True, reference="ContractService"),
            Field("AllowRepeatService", "boolean", read=_nothing, create=True),
        ),
        can_create=True,
        can_query=False,
    ),
    EntityType(
        "ContractNote",
        Note,
        "ContractNote",
        (
            Field("ContractID", "integer", "contract_id", create=True, required=True, reference="Contract"),
            Field("CreatorResourceID", "integer", "creator_id", reference="Resource"),
            Field("LastActivityDate", "datetime", "changed_at"),
            _text("Title", "title", 250, create=True, update=True, required=True),
            _text("Description", "description", 2000, create=True, update=True, required=True),
            Field("CreateDateTime", "datetime", "created_at"),
        ),
        can_create=True,
        can_update=True,
    ),
    EntityType(
        "BillingItem",
        BillingItem,
        "billingitem",
        (
            _text("ItemName", "name", 255),
            Field("Description", "string", read=_empty, length=2000),
            Field("Quantity", "integer", "quantity"),
            Field("Rate", "decimal", "rate"),
            Field("TotalAmount", "decimal", "total"),
            Field("OurCost", "decimal", "our_cost"),
            Field("ItemDate", "datetime", "item_date"),
            Field("AccountID", "integer", "account_id", reference="Account"),
            Field("ContractID", "integer", "contract_id", reference="Contract"),
            Field("WebServiceDate", "datetime", "web_service_date", update=True),
            Field("ExtendedPrice", "decimal", "total"),
            Field("ServiceID", "integer", "service_id", reference="Service"),
            Field("PostedDate", "datetime", "posted_at"),
            Field("ContractServiceID", "integer", "line_id", reference="ContractService", newer=True),
            Field("ContractServicePeriodID", "integer", "period_row_id", newer=True),
            Field("ContractServiceAdjustmentID", "integer", "adjustment_id", newer=True),
        ),
        can_update=True,
    ),
)
