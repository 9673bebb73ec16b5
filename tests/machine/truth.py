"""The log and the policies -> what may leave for the PSA now, and what each product should have: told without the services' rows.

Deliberately blunt: it reads the whole log each time and knows nothing of leases, intents or plans.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from domain.envelope import Envelope
from domain.events import (
    AdjustmentApproved,
    AdjustmentDropped,
    AdjustmentHeld,
    AdjustmentMoved,
    AdjustmentRefused,
    AdjustmentRequested,
    AdjustmentSuperseded,
    RelationCleared,
    RelationFrozen,
    RelationSet,
    RelationSettingsSaved,
    RelationUnfrozen,
    ResourceCountChanged,
    ResourceDiscovered,
)
from domain.months import Month
from domain.policies import POLICIES
from domain.relation_settings import AS_NEW, RelationSettings

Policies = Mapping[tuple[str, str | None], str]
OfResource = tuple[str, str, str]


@dataclass
class Relation:
    """A live relation as the log tells it."""

    relation_id: str
    resource: OfResource
    psa_product_id: str
    set_by: str
    settings: RelationSettings = AS_NEW
    frozen: bool = False


@dataclass
class Request:
    """A wish as the log tells it. held: as it was told last; approvers: who let that out since; ended: "", or how."""

    wish: AdjustmentRequested
    held: AdjustmentHeld | None = None
    approvers: list[str] = field(default_factory=list)
    ended: str = ""


@dataclass
class Truth:
    """What the log says."""

    counts: dict[OfResource, Decimal | None] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, log: Iterable[Envelope]) -> "Truth":
        """Told from the beginning."""
        truth = cls()
        for envelope in log:
            truth._take(envelope)
        return truth

    def _take(self, envelope: Envelope) -> None:
        match envelope.event:
            case ResourceDiscovered() | ResourceCountChanged() as event:
                self.counts[_resource(event)] = event.count
            case RelationSet() as event:
                self.relations[event.relation_id] = Relation(
                    event.relation_id, _resource(event), event.psa_product_id, envelope.actor
                )
            case RelationCleared() as event:
                self.relations.pop(event.relation_id, None)
            case RelationSettingsSaved() as event:
                self.relations[event.relation_id].settings = event.settings
            case RelationFrozen() | RelationUnfrozen() as event:
                self.relations[event.relation_id].frozen = isinstance(event, RelationFrozen)
            case AdjustmentRequested() as event:
                self.requests[event.request_id] = Request(event)
                self.newest[event.psa_product_id] = event.request_id
            case AdjustmentSuperseded() as event:
                self.requests[event.request_id].ended = "superseded"
            case AdjustmentRefused() | AdjustmentDropped() as event:
                self.requests[event.request_id].ended = event.type
            case AdjustmentHeld() | AdjustmentMoved() as event:
                request = self.requests[event.request_id]
                request.held = event if isinstance(event, AdjustmentHeld) else None
                request.approvers = []
            case AdjustmentApproved() as event:
                self.requests[event.request_id].approvers.append(envelope.actor)

    def of_product(self, product_id: str) -> list[Relation]:
        """What feeds the product."""
        return [each for each in self.relations.values() if each.psa_product_id == product_id]

    def of_resource(self, resource: OfResource) -> Relation | None:
        """The relation of the resource."""
        return next((each for each in self.relations.values() if each.resource == resource), None)

    def wanted(self, product_id: str) -> int | None:
        """The units that its counts come to; None: one is unknown."""
        feeds = self.of_product(product_id)
        counts = [(relation, self.counts.get(relation.resource)) for relation in feeds]
        if any(count is None for _, count in counts):
            return None
        return sum(relation.settings.rule.units(count) for relation, count in counts if count is not None)


@dataclass(frozen=True)
class Step:
    """One adjustment that is about to leave. before: the units of its day, earlier steps left out."""

    effective_date: date
    unit_change: int
    before: int


def why_it_must_not_leave(
    truth: Truth, policies: Policies, product_id: str, steps: Sequence[Step], units_now: int, now: datetime
) -> str:
    """Why these steps of a product may not be sent; "": they may."""
    relations = truth.of_product(product_id)
    if not relations:
        return "not linked"
    if any(relation.frozen for relation in relations):
        return "frozen"
    request = truth.requests.get(truth.newest.get(product_id, ""))
    if request is None or request.ended:
        return f"its request is {request.ended if request else 'unknown'}"
    companies = {request.wish.company_id, *(cause.company_id for cause in request.wish.causes)}
    modes = _values(policies, "mode", companies)
    if "shadow" in modes:
        return "the mode is shadow"
    waits = _stands_still(policies, steps, now) or _large(policies, companies, request.wish, steps)
    waits = waits or ("the mode is approve" if "approve" in modes else "")
    waits = waits or ("a first look was asked for" if request.wish.hold_first else "")
    if not waits:
        return ""
    said = _not_approved(request, relations, units_now)
    return f"{waits}; {said}" if said else ""


def _not_approved(request: Request, relations: Sequence[Relation], units_now: int) -> str:
    held = request.held
    if held is None or len(request.approvers) < held.people_needed:
        return f"approved by {request.approvers}"
    if len(set(request.approvers)) < len(request.approvers):
        return "approved twice by one person"
    if len(request.approvers) > 1 and request.approvers[-1] in {relation.set_by for relation in relations}:
        return "the second person has set its relation"
    if (held.target_units, held.units_before) != (request.wish.target_units, units_now):
        return f"approved as {held.units_before} to {held.target_units}, is {units_now} to {request.wish.target_units}"
    return ""


def _stands_still(policies: Policies, steps: Sequence[Step], now: datetime) -> str:
    month = Month(now.date().replace(day=1))
    hours = int(policies.get(("freeze_hours", None), POLICIES["freeze_hours"].default))
    first = min(step.effective_date for step in steps)
    return "the month stands still" if month.freeze_from("UTC", hours) <= now and first < month.due_on else ""


def _large(policies: Policies, companies: set[Any], wish: AdjustmentRequested, steps: Sequence[Step]) -> str:
    def least(name: str) -> int:
        return min(int(value) for value in _values(policies, name, companies))

    moves = [step.unit_change for step in steps]
    moves.append(sum(moves))
    fall, rise = -min(0, *moves), max(0, *moves)
    before = min(steps, key=lambda step: step.effective_date).before
    if fall and wish.target_units == 0 and "hold" in _values(policies, "brake_to_zero", companies):
        return "falls to zero"
    if fall > least("brake_fall_units"):
        return f"falls by {fall}"
    if fall > least("brake_small_units") and before and fall * 100 > least("brake_fall_percent") * before:
        return f"falls by {fall} of {before}"
    if rise > least("brake_rise_units") and (not before or rise * 100 > least("brake_rise_percent") * before):
        return f"rises by {rise} from {before}"
    return ""


def _values(policies: Policies, name: str, companies: set[Any]) -> set[str]:
    whole = policies.get((name, None), POLICIES[name].default)
    return {policies.get((name, company), whole) for company in companies}


def _resource(event: Any) -> OfResource:
    return event.company_id, event.subscription_id, event.resource_id
