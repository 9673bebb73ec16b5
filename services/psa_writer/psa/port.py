"""What the writer asks of any PSA: catalogue and units read, adjustments created, with every outcome named.

A client of the port never retries a create, never guesses an outcome, and reports failures by kind.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from domain.keys import PsaAgreementId, PsaCustomerId, PsaProductId
from domain.money import Money
from domain.periods import PeriodType


@dataclass(frozen=True)
class PsaCustomer:
    """Level 1: whom the MSP bills."""

    psa_customer_id: PsaCustomerId
    name: str
    contact: str | None
    active: bool


@dataclass(frozen=True)
class PsaAgreement:
    """Level 2: what the MSP bills by. Both days belong to it. recurring: it may carry counted products."""

    psa_agreement_id: PsaAgreementId
    psa_customer_id: PsaCustomerId
    name: str
    description: str | None
    start_date: date
    end_date: date
    active: bool
    recurring: bool


@dataclass(frozen=True)
class PsaProduct:
    """Level 3: a line of an agreement whose units are billed. Cost and price are per unit and billing period."""

    psa_product_id: PsaProductId
    psa_agreement_id: PsaAgreementId
    name: str
    vendor: str | None
    period_type: PeriodType
    unit_cost: Money | None
    unit_price: Money | None
    active: bool


@dataclass(frozen=True, order=True)
class UnitsRow:
    """The units of a product over some days (both belong to the row) as the PSA stores them. cost and price are the
    row's totals. posted: the row was invoiced already."""

    psa_product_id: PsaProductId
    first_day: date
    last_day: date
    row_id: str
    units: int
    cost: Decimal | None
    price: Decimal | None
    posted: bool


@dataclass(frozen=True)
class AdjustmentOrder:
    """One adjustment to create: from this day so many units more (or fewer), and/or another unit cost or price."""

    psa_agreement_id: PsaAgreementId
    psa_product_id: PsaProductId
    effective_date: date
    unit_change: int
    unit_cost: Decimal | None
    unit_price: Decimal | None = None


@dataclass(frozen=True)
class Applied:
    """The PSA says that it took all of them. Proof is still to be read back."""

    reply_ids: tuple[str | None, ...]


@dataclass(frozen=True)
class Refusal:
    """Why the PSA did not take an adjustment: its own words, and what to do. duplicate: it already has one for this
    product and date, so ours may have landed: read back."""

    message: str
    fix: str
    duplicate: bool = False


@dataclass(frozen=True)
class Refused:
    """The PSA took none of them: one transaction. refusals: by place (from 0) in what was sent; an empty mapping means
    that it named no culprit."""

    refusals: dict[int, Refusal]
    message: str


@dataclass(frozen=True)
class Unknown:
    """Nobody can say whether they were taken: time-out, reset, a cut or foreign reply. Only reading back can tell."""

    message: str


Outcome = Applied | Refused | Unknown


class PsaFailure(Exception):
    """The PSA could not be asked. kind: unreachable, rate_limited, unauthorised, malformed or rejected; nothing was changed.
    retry_after: seconds that the PSA asked us to wait, if it did."""

    def __init__(self, kind: str, message: str, fix: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.fix, self.retry_after = kind, message, fix, retry_after


@dataclass(frozen=True)
class TestStep:
    """One step of a connection test: what was tried, whether it worked, how long it took, what to do if not."""

    step: str
    ok: bool
    milliseconds: int
    message: str
    fix: str | None


class Psa(Protocol):
    """A PSA. All reads raise PsaFailure rather than answer in part."""

    def customers(self) -> Iterator[list[PsaCustomer]]:
        """All customers, page by page."""
        ...

    def agreements(self, ids: Sequence[PsaAgreementId] | None = None) -> Iterator[list[PsaAgreement]]:
        """All recurring agreements, or those with the given ids (whatever their state), page by page."""
        ...

    def products(self, agreement_ids: Sequence[PsaAgreementId] | None = None) -> Iterator[list[PsaProduct]]:
        """All product lines, or those of the given agreements, page by page."""
        ...

    def products_by_id(self, ids: Sequence[PsaProductId]) -> Iterator[list[PsaProduct]]:
        """The given product lines; one that is gone is missing from the answer."""
        ...

    def units(
        self, product_ids: Sequence[PsaProductId], since: date, until: date | None = None
    ) -> Iterator[list[UnitsRow]]:
        """The units rows of the products that reach to `since` or later and begin by `until`, page by page. Few PSAs
        keep one row a product: a year of monthly rows is twelve times the calls, so ask for the days that matter."""
        ...

    def create_adjustments(self, orders: Sequence[AdjustmentOrder]) -> Outcome:
        """Sends up to `batch_size` orders once, as one transaction. PsaFailure only when they certainly did not reach
        the PSA's work (no connection, refused at the door)."""
        ...

    def test(self) -> Iterator[TestStep]:
        """Tries the connection step by step, a wrong password exactly once."""
        ...

    @property
    def batch_size(self) -> int:
        """How many adjustments one create may carry."""
        ...

    @property
    def longest_execution(self) -> float:
        """Seconds after sending in which the server may still be working on a create."""
        ...
