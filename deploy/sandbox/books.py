"""What stands in ODIN's and in the PSA's books for one MSP: the shapes of which a world is made."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

USAGE_BASED = "chargeExternalRating"
#: A PSA period type and its length in months.
MONTHS = {"monthly": 1, "quarterly": 3, "semi-annual": 6, "yearly": 12}


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in a currency such as USD."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Period:
    """How long a billing or subscription period is: type is day, month, year, statement_day or unknown."""

    type: str
    duration: int


@dataclass(frozen=True, slots=True)
class Resource:
    """What is counted in ODIN: a product on one subscription.

    The product id stands on many subscriptions; price and cost are per unit and billing period; cost None means that
    ODIN does not tell it.
    """

    product_id: str
    mpn: str
    vendor: str
    name: str
    count: Decimal
    price: Money
    cost: Money | None
    vendor_subscription_id: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """An ODIN subscription. Usage-based ones have billing_model chargeExternalRating; some hold no resource at all."""

    subscription_id: str
    company_id: str
    name: str
    status: str
    auto_renew: bool
    creation_date: date
    renewal_date: date
    last_modified_date: date
    billing_model: str
    billing_period: Period
    subscription_period: Period
    plan_id: int
    resources: tuple[Resource, ...]

    @property
    def usage_based(self) -> bool:
        """Whether its resources are rated by use, so that their counts bill nothing."""
        return self.billing_model == USAGE_BASED


@dataclass(frozen=True, slots=True)
class Company:
    """An ODIN customer."""

    company_id: str
    name: str
    status: str


@dataclass(frozen=True, slots=True)
class Account:
    """A PSA customer as Autotask calls it; the name may be spelled otherwise than in ODIN."""

    account_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Service:
    """A row of the PSA's catalogue: price and cost per unit and period."""

    service_id: int
    name: str
    period_type: str
    unit_price: Money
    unit_cost: Money


@dataclass(frozen=True, slots=True)
class Contract:
    """A PSA agreement: contract_type 7 is recurring service; status 1 active, 0 inactive; period_type a key of MONTHS."""

    contract_id: int
    account_id: int
    name: str
    contract_type: int
    status: int
    period_type: str
    start_date: date
    end_date: date


@dataclass(frozen=True, slots=True)
class ContractService:
    """A PSA product: a service on a contract, with the units billed today."""

    contract_service_id: int
    contract_id: int
    service_id: int
    name: str
    period_type: str
    unit_price: Money
    unit_cost: Money
    units: Decimal


@dataclass(frozen=True, slots=True)
class Link:
    """A plausible relation: the resource (company, subscription, product) feeds this contract service."""

    company_id: str
    subscription_id: str
    product_id: str
    account_id: int
    contract_id: int
    contract_service_id: int


@dataclass(frozen=True, slots=True)
class PastChange:
    """A count that changed on a day of the past year."""

    date: date
    subscription_id: str
    product_id: str
    old: Decimal
    new: Decimal


@dataclass(frozen=True, slots=True)
class World:
    """Both sides of one MSP on one day. history is ordered by day and ends in the counts of today."""

    seed: int
    today: date
    companies: tuple[Company, ...]
    subscriptions: tuple[Subscription, ...]
    accounts: tuple[Account, ...]
    services: tuple[Service, ...]
    contracts: tuple[Contract, ...]
    contract_services: tuple[ContractService, ...]
    links: tuple[Link, ...]
    history: tuple[PastChange, ...]
