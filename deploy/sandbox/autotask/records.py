"""What one Autotask database holds, as frozen records; a change is a new record with the same id.

Units are whole numbers, as in Autotask; money is Decimal, totals to 4 places; days are dates; moments are aware, in UTC.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from deploy.sandbox.autotask.periods import PeriodType

RECURRING_SERVICE = 7
ACTIVE = 1
API_RESOURCE_ID = 29684250
PERSON_RESOURCE_ID = 29682885


@dataclass(frozen=True, slots=True)
class Account:
    """A customer; id 0 is the MSP itself."""

    id: int
    name: str
    number: str = ""
    account_type: int = 1
    active: bool = True
    parent_id: int | None = None
    phone: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """An agreement of an account; type 7 is recurring service, status 1 is active."""

    id: int
    account_id: int
    name: str
    start: date
    end: date
    period_type: PeriodType
    contract_type: int = RECURRING_SERVICE
    status: int = ACTIVE
    number: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A row of the catalogue: cost and price for one unit and one period, for lines still to come."""

    id: int
    name: str
    period_type: PeriodType
    unit_cost: Decimal
    unit_price: Decimal
    description: str = ""
    invoice_description: str = ""
    is_active: bool = True
    vendor_account_id: int | None = None
    created_at: datetime | None = None
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A service on a contract (ContractService). first_* is how it began; adjusted_price is billed, unit_price the list price."""

    id: int
    contract_id: int
    service_id: int
    first_day: date
    first_units: int
    first_cost: Decimal
    first_price: Decimal
    unit_cost: Decimal
    unit_price: Decimal
    adjusted_price: Decimal | None
    invoice_description: str = ""
    internal_description: str = ""

    @classmethod
    def beginning(cls, line_id: int, place: tuple[int, int, date], units: int, cost: Decimal, price: Decimal) -> "Line":
        """A line with these units from its first day on. place: contract id, service id, first day."""
        return cls(line_id, *place, units, cost, price, unit_cost=cost, unit_price=price, adjusted_price=price)


@dataclass(frozen=True, slots=True)
class UnitRow:
    """So many units of a line from start to end, within the billing period that begins on `period`; cost and price are totals.

    touched: an adjustment dated into this period has been applied, so that the row is there even where rows are made late.
    """

    id: int
    line_id: int
    period: date
    period_days: int
    start: date
    end: date
    units: int
    unit_cost: Decimal
    unit_price: Decimal
    cost: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    approved_at: datetime | None = None
    touched: bool = False

    @property
    def days(self) -> int:
        """Days of the row, both ends counted."""
        return (self.end - self.start).days + 1


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One adjustment that was applied: an entry of the ledger, never visible through SOAP.

    proration_cost and proration_price: what it changes in its own billing period. prorated: that is billed as a transaction of its
    own (else it stands in the period's row). undone: why it no longer counts; empty while it does.
    """

    id: int
    line_id: int
    contract_id: int
    service_id: int
    effective_date: date
    unit_change: int
    unit_cost: Decimal | None
    unit_price: Decimal | None
    proration_cost: Decimal
    proration_price: Decimal
    prorated: bool
    applied_at: datetime
    caller: str
    request_id: int
    by_hand: bool = False
    billed_at: datetime | None = None
    undone: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A contract note (ContractNote)."""

    id: int
    contract_id: int
    title: str
    description: str
    created_at: datetime
    changed_at: datetime
    creator_id: int


@dataclass(frozen=True, slots=True)
class BillingItem:
    """What Approve & Post put on the next invoice, to 2 places: a period's row or one adjustment's proration."""

    id: int
    account_id: int
    contract_id: int
    line_id: int
    service_id: int
    period_row_id: int | None
    adjustment_id: int | None
    name: str
    item_date: date
    quantity: int
    rate: Decimal
    total: Decimal
    our_cost: Decimal
    posted_at: datetime
    web_service_date: date | None = None


Record = Account | Contract | Service | Line | UnitRow | Adjustment | Note | BillingItem
#: Where the ids of each kind begin. They are the same in every database, as in Autotask: an id means nothing without its database.
FIRST_IDS: dict[type, int] = {
    Account: 29683500,
    Contract: 29730000,
    Service: 1201,
    Line: 8001,
    UnitRow: 500001,
    Adjustment: 70001,
    Note: 90001,
    BillingItem: 120001,
}
#: By which parent the records of a kind are looked up.
PARENTS: dict[type, str] = {
    Contract: "account_id",
    Line: "contract_id",
    UnitRow: "line_id",
    Adjustment: "line_id",
    Note: "contract_id",
}
