"""What the writer saw in the PSA and did to it. Units are whole numbers, as PSAs keep them."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from domain.events.names import OdinNames, PsaNames
from domain.keys import ConnectionId, PsaAgreementId, PsaCustomerId
from domain.money import Money


@dataclass(frozen=True, kw_only=True)
class PsaCustomerObserved:
    """A PSA customer was seen for the first time or changed. Stream: psa-customer/<connection>/<customer>."""

    type: ClassVar[str] = "PsaCustomerObserved"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    psa_customer_id: PsaCustomerId
    psa_customer_name: str
    previous_psa_customer_name: str | None
    contact: str | None
    active: bool


@dataclass(frozen=True, kw_only=True)
class PsaAgreementObserved:
    """A PSA agreement was seen for the first time or changed. Only a recurring one can carry counted products.
    Stream: psa-agreement/<connection>/<agreement>."""

    type: ClassVar[str] = "PsaAgreementObserved"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    psa_customer_id: PsaCustomerId
    psa_customer_name: str
    psa_agreement_id: PsaAgreementId
    psa_agreement_name: str
    description: str | None
    active: bool
    recurring: bool
    start_date: date
    end_date: date


@dataclass(frozen=True, kw_only=True)
class PsaProductObserved(PsaNames):
    """A PSA product was seen for the first time or changed. Cost and price are per unit and billing period.
    Stream of this and the next: psa-product/<connection>/<product>."""

    type: ClassVar[str] = "PsaProductObserved"
    version: ClassVar[int] = 1
    vendor: str | None
    period_type: str
    active: bool
    unit_cost: Money | None
    unit_price: Money | None


@dataclass(frozen=True, kw_only=True)
class PsaUnitsObserved(PsaNames):
    """The units of a product were read, and differ from what was read before (None: never read before)."""

    type: ClassVar[str] = "PsaUnitsObserved"
    version: ClassVar[int] = 1
    previous_units: int | None
    units: int
    on_date: date


@dataclass(frozen=True, kw_only=True)
class PsaRecordGone:
    """A customer, agreement or product is no longer in the PSA (or no longer shown to our user)."""

    type: ClassVar[str] = "PsaRecordGone"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    level: str
    record_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class CatalogueReadFailed:
    """The catalogue could not be read whole; what was known stays. Stream: catalogue/<connection>."""

    type: ClassVar[str] = "CatalogueReadFailed"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    kind: str
    message: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class CatalogueRead:
    """The catalogue was read whole again after a failure that was told. Readings that follow a good one are no news.
    Stream: catalogue/<connection>."""

    type: ClassVar[str] = "CatalogueRead"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    customers: int
    agreements: int
    products: int


@dataclass(frozen=True, kw_only=True)
class AdjustmentPosted(OdinNames, PsaNames):
    """The PSA took one adjustment, and reading back agreed. units_before and units_after are those on the effective
    date; prorated amounts are our own reckoning for the rest of that billing period. completes_request: with this one
    the request is done (a plan of two dates takes two adjustments).
    Stream of this and all below: adjustment/<request>."""

    type: ClassVar[str] = "AdjustmentPosted"
    version: ClassVar[int] = 2
    request_id: str
    operation_id: str
    effective_date: date
    unit_change: int
    units_before: int
    units_after: int
    unit_cost_before: Money | None
    unit_cost_after: Money | None
    unit_price_before: Money | None
    unit_price_after: Money | None
    prorated_cost: Money | None
    prorated_price: Money | None
    proof: str
    attempt: int
    completes_request: bool


@dataclass(frozen=True, kw_only=True)
class AdjustmentFailed(OdinNames, PsaNames):
    """An adjustment did not go out and is tried again by itself. kind: unreachable, rate_limited, unauthorised,
    rejected or outcome_unknown. next_try_at None: tried again when something changes."""

    type: ClassVar[str] = "AdjustmentFailed"
    version: ClassVar[int] = 1
    request_id: str
    kind: str
    message: str
    fix: str
    attempt: int
    target_units: int
    next_try_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class AdjustmentParked(OdinNames, PsaNames):
    """An adjustment waits for a person: the PSA refused it, something stands against it, or evidence contradicts."""

    type: ClassVar[str] = "AdjustmentParked"
    version: ClassVar[int] = 1
    request_id: str
    kind: str
    message: str
    fix: str
    attempt: int
    target_units: int


@dataclass(frozen=True, kw_only=True)
class UnitsFoundEqual(OdinNames, PsaNames):
    """Nothing had to be posted: the PSA has the target already, from the dates that the policy asks for."""

    type: ClassVar[str] = "UnitsFoundEqual"
    version: ClassVar[int] = 1
    request_id: str
    units: int
    on_date: date


@dataclass(frozen=True, kw_only=True)
class AdjustmentReleased(OdinNames, PsaNames):
    """A person let a parked adjustment out: it is planned anew, whatever we posted before. kind and message say what stood in
    the way until then (None: nothing did). Who it was is the actor of the event."""

    type: ClassVar[str] = "AdjustmentReleased"
    version: ClassVar[int] = 1
    request_id: str
    target_units: int
    kind: str | None
    message: str | None


@dataclass(frozen=True, kw_only=True)
class AdjustmentRetried(OdinNames, PsaNames):
    """A person had a waiting adjustment tried again at once; kind and message as in AdjustmentReleased."""

    type: ClassVar[str] = "AdjustmentRetried"
    version: ClassVar[int] = 1
    request_id: str
    target_units: int
    kind: str | None
    message: str | None


@dataclass(frozen=True, kw_only=True)
class PlannedChange:
    """One change of a plan that was not posted. prorated_price: our reckoning for the rest of that billing period; None:
    the product has no price."""

    effective_date: date
    unit_change: int
    prorated_price: Money | None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One thing that speaks for a change being right, or against it."""

    speaks_for: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class AdjustmentHeld(OdinNames, PsaNames):
    """The brake holds an adjustment: nothing of it is posted until so many people have approved it. Told again only when
    something of it has changed; what was approved before then no longer counts. rule: one word of check_brake; message: the
    rule with its numbers. severity: normal, or high. units_before: the PSA's units of the day; price_per_month: the change
    at the product's price, for a month."""

    type: ClassVar[str] = "AdjustmentHeld"
    version: ClassVar[int] = 1
    request_id: str
    rule: str
    message: str
    severity: str
    target_units: int
    units_before: int
    changes: tuple[PlannedChange, ...]
    price_per_month: Money | None
    evidence: tuple[Evidence, ...]
    people_needed: int


@dataclass(frozen=True, kw_only=True)
class AdjustmentApproved(OdinNames, PsaNames):
    """A person, the actor of the event, approved what was held: so many units in place of so many. effective: as_planned or
    next_period. With the last of people_needed it is planned anew and posted, when that comes to the same."""

    type: ClassVar[str] = "AdjustmentApproved"
    version: ClassVar[int] = 1
    request_id: str
    target_units: int
    units_before: int
    effective: str
    nth: int
    people_needed: int
    comment: str


@dataclass(frozen=True, kw_only=True)
class AdjustmentRefused(OdinNames, PsaNames):
    """A person refused what was held: it stays unposted until the product is asked for anew."""

    type: ClassVar[str] = "AdjustmentRefused"
    version: ClassVar[int] = 1
    request_id: str
    target_units: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class AdjustmentShadowed(OdinNames, PsaNames):
    """What would have been posted but for the mode shadow; nothing was. Told once a plan. Fields as in AdjustmentHeld."""

    type: ClassVar[str] = "AdjustmentShadowed"
    version: ClassVar[int] = 1
    request_id: str
    target_units: int
    units_before: int
    changes: tuple[PlannedChange, ...]
    price_per_month: Money | None


@dataclass(frozen=True, kw_only=True)
class AdjustmentMoved(OdinNames, PsaNames):
    """A person moved an adjustment to the next billing period: it is planned anew from there, and not approved by that."""

    type: ClassVar[str] = "AdjustmentMoved"
    version: ClassVar[int] = 1
    request_id: str
    target_units: int


@dataclass(frozen=True, kw_only=True)
class AdjustmentDropped(OdinNames, PsaNames):
    """A person gave up an adjustment that did not go out: it stays unposted until the product is asked for anew."""

    type: ClassVar[str] = "AdjustmentDropped"
    version: ClassVar[int] = 1
    request_id: str
    target_units: int
    reason: str
