"""Autotask's records -> the port's customers, agreements, products and units rows; BadReply for what cannot be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from domain.keys import PsaAgreementId, PsaCustomerId, PsaProductId
from domain.money import Money
from domain.periods import PeriodType
from services.psa_writer.psa.autotask_replies import Entity
from services.psa_writer.psa.port import PsaAgreement, PsaCustomer, PsaProduct, UnitsRow

RECURRING_SERVICE = "7"
_ACTIVE = 1

# How Autotask names its period types, which differ from one Autotask to the next only in their codes.
_PERIOD_LABELS = {
    "monthly": PeriodType.MONTHLY,
    "quarterly": PeriodType.QUARTERLY,
    "semi-annual": PeriodType.HALF_YEARLY,
    "semi-annually": PeriodType.HALF_YEARLY,
    "semi annual": PeriodType.HALF_YEARLY,
    "half-yearly": PeriodType.HALF_YEARLY,
    "yearly": PeriodType.YEARLY,
    "annual": PeriodType.YEARLY,
    "annually": PeriodType.YEARLY,
}


@dataclass(frozen=True)
class Line:
    """A contract's line (ContractService); without its service it has no name yet. Cost and price are per unit."""

    psa_product_id: PsaProductId
    psa_agreement_id: PsaAgreementId
    service_id: str
    unit_cost: Decimal | None
    unit_price: Decimal | None


@dataclass(frozen=True)
class Service:
    """A service of Autotask's catalogue, as far as a contract's line needs it. period_code: one of the field's choices."""

    name: str
    period_code: str
    vendor_account_id: str
    active: bool


def customer(account: Entity) -> PsaCustomer:
    """The customer that an Account is. Autotask keeps contacts apart from it."""
    return PsaCustomer(PsaCustomerId(account.text("id")), account.text("AccountName"), None, account.flag("Active"))


def agreement(contract: Entity) -> PsaAgreement:
    """The agreement that a Contract is."""
    return PsaAgreement(
        psa_agreement_id=PsaAgreementId(contract.text("id")),
        psa_customer_id=PsaCustomerId(str(contract.whole("AccountID"))),
        name=contract.text("ContractName"),
        description=contract.text("Description") or None,
        start_date=contract.day("StartDate"),
        end_date=contract.day("EndDate"),
        active=contract.whole("Status") == _ACTIVE,
        recurring=contract.text("ContractType") == RECURRING_SERVICE,
    )


def service(entity: Entity) -> Service:
    """The catalogue's service."""
    return Service(
        entity.text("Name"), entity.text("PeriodType"), entity.text("VendorAccountID"), entity.flag("IsActive")
    )


def line(contract_service: Entity) -> Line:
    """The line that a ContractService is. Its price is what a unit is billed at, which may differ from the list's."""
    adjusted = contract_service.exact("AdjustedPrice")
    return Line(
        psa_product_id=PsaProductId(contract_service.text("id")),
        psa_agreement_id=PsaAgreementId(str(contract_service.whole("ContractID"))),
        service_id=str(contract_service.whole("ServiceID")),
        unit_cost=contract_service.exact("UnitCost"),
        unit_price=contract_service.exact("UnitPrice") if adjusted is None else adjusted,
    )


def period_types(choices: Mapping[str, str]) -> dict[str, PeriodType]:
    """The period type by Autotask's code, from the field's labels by code; those that bill no period are left out."""
    labels = {code: label.strip().lower() for code, label in choices.items()}
    return {code: _PERIOD_LABELS[label] for code, label in labels.items() if label in _PERIOD_LABELS}


def product(line: Line, of: Service, period_type: PeriodType, vendor: str | None, currency: str) -> PsaProduct:
    """The product that a line is."""
    return PsaProduct(
        psa_product_id=line.psa_product_id,
        psa_agreement_id=line.psa_agreement_id,
        name=of.name,
        vendor=vendor,
        period_type=period_type,
        unit_cost=None if line.unit_cost is None else Money(line.unit_cost, currency),
        unit_price=None if line.unit_price is None else Money(line.unit_price, currency),
        active=of.active,
    )


def units_row(row: Entity) -> UnitsRow:
    """The units row that a ContractServiceUnit is, as stored: the units may be a total or a change, and the last day may be
    the next row's first (units_on.py)."""
    return UnitsRow(
        psa_product_id=PsaProductId(str(row.whole("ContractServiceID"))),
        first_day=row.day("StartDate"),
        last_day=row.day("EndDate"),
        row_id=row.text("id"),
        units=row.whole("Units"),
        cost=row.exact("Cost"),
        price=row.exact("Price"),
        posted=bool(row.text("ApproveAndPostDate")),
    )
