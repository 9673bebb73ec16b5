"""What the units should be: a wish for a product's units, its replacement by a newer one, or why there can be none."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from domain.events.names import OdinNames, PsaNames
from domain.keys import CompanyId, ConnectionId, PsaProductId, ResourceId, SubscriptionId
from domain.money import Money

#: The reasons of requests that a poll of ODIN brought about: those of one poll share its correlation id.
REASONS_OF_POLLS = ("resource discovered", "count changed", "resource disappeared", "cost changed")


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One linked resource and the count it adds to the target."""

    connection_id: ConnectionId
    company_id: CompanyId
    subscription_id: SubscriptionId
    resource_id: ResourceId
    resource_name: str
    count: Decimal


@dataclass(frozen=True, kw_only=True)
class AdjustmentRequested(OdinNames, PsaNames):
    """A product shall have target_units (a target, never a difference). The ODIN names are those of the resource whose
    change brought it about; causes lists all resources that feed the product. target_unit_cost, target_unit_price None:
    leave it as it is in the PSA. hold_first: who set the relation wants to see the change before it goes out.
    Stream of both: request/<PSA connection>/<product>."""

    type: ClassVar[str] = "AdjustmentRequested"
    version: ClassVar[int] = 2
    request_id: str
    target_units: int
    target_unit_cost: Money | None
    target_unit_price: Money | None
    hold_first: bool
    reason: str
    causes: tuple[Cause, ...]


@dataclass(frozen=True, kw_only=True)
class AdjustmentSuperseded:
    """An open request gave way to a newer one (superseded_by), or to none because the relation was cleared."""

    type: ClassVar[str] = "AdjustmentSuperseded"
    version: ClassVar[int] = 1
    request_id: str
    superseded_by: str | None
    psa_connection_id: ConnectionId
    psa_product_id: PsaProductId
    reason: str


@dataclass(frozen=True, kw_only=True)
class PlanRefused(OdinNames, PsaNames):
    """The counts that feed a product cannot become units, so nothing is asked for it (an open request gave way to none)
    until they can: the next AdjustmentRequested of the product, or the clearing of its last relation, ends this.
    The ODIN names are those of a resource that stands in the way. Stream: request/<PSA connection>/<product>."""

    type: ClassVar[str] = "PlanRefused"
    version: ClassVar[int] = 1
    reason: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class DriftAdopted(PsaNames):
    """A person took the PSA's units of a product as right although the counts come to target_units: nothing is posted until
    these change. on_date: the billing day on which the units were read. Stream of both: request/<PSA connection>/<product>."""

    type: ClassVar[str] = "DriftAdopted"
    version: ClassVar[int] = 1
    units: int
    target_units: int
    on_date: date
    reason: str


@dataclass(frozen=True, kw_only=True)
class DriftOverwritten(PsaNames):
    """A person had the PSA's units of a product brought to the target again; the request for it follows."""

    type: ClassVar[str] = "DriftOverwritten"
    version: ClassVar[int] = 1
    units: int
    target_units: int
    reason: str
