"""(a plan, its target, the limits of its product, facts) -> held for a person, only shown, or free to go: the last gate.

Of several rules that hold a plan the first is told, in the order of the functions below. A changed cost or price alone moves no
units: the mode, the freeze and a first look hold it, limits do not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from domain.keys import CompanyId, ResourceId
from domain.policies import Policies
from services.psa_writer.decide_post import Plan

#: The stricter mode comes first.
MODES = ("shadow", "approve", "unattended")


@dataclass(frozen=True)
class Limits:
    """The policies of the same names: units, and per cent of the units there are."""

    mode: str = "unattended"
    brake_fall_units: int = 25
    brake_fall_percent: int = 20
    brake_small_units: int = 3
    brake_rise_units: int = 50
    brake_rise_percent: int = 50
    brake_to_zero: str = "hold"
    second_person_units: int = 100


@dataclass(frozen=True)
class Approved:
    """What people have approved: so many units in place of so many, and the rule that held it then."""

    target_units: int
    units_before: int
    rule: str


@dataclass(frozen=True)
class Facts:
    """What is known beside the plan. frozen_until: what counts from a day before it falls into a month whose numbers stand
    still; short_answer: why the marketplace's answer behind a fall is doubted."""

    hold_first: bool = False
    frozen_until: date | None = None
    short_answer: str | None = None
    approved: Approved | None = None


@dataclass(frozen=True)
class Held:
    """Why a plan waits for so many people. rule: one word; message: the rule with its numbers; severity: normal or high.
    until: it is looked at again by itself on that day, or within the hour (the rule hour)."""

    rule: str
    message: str
    severity: str
    people_needed: int
    until: date | None = None


@dataclass(frozen=True)
class Shadow:
    """The plan is shown and not posted."""


def limits_of(policies: Policies, fed_by: Iterable[tuple[CompanyId, ResourceId]]) -> Limits:
    """The strictest limits of all resources that feed a product; the MSP's own when none does."""
    resources = list(fed_by)
    values = {field.name: policies.of_all(field.name, resources) for field in fields(Limits)}
    return Limits(
        mode=min(values.pop("mode"), key=MODES.index),
        brake_to_zero=min(values.pop("brake_to_zero")),  # "hold" before "post"
        **{name: min(map(int, found)) for name, found in values.items()},
    )


def check_brake(plan: Plan, target_units: int, limits: Limits, facts: Facts) -> Held | Shadow | None:
    """What the brake says of a plan that would be posted now. None: nothing stands against it."""
    if not plan.changes:
        return None
    if limits.mode == "shadow":
        return Shadow()
    held = _approved(plan, target_units, facts) if facts.approved else _rules(plan, target_units, limits, facts)
    if held is None:
        return None
    rule, message, until = held
    needed = people_needed(plan, limits)
    high = needed > 1 or rule in ("to_zero", "short_answer")
    return Held(rule, message, "high" if high else "normal", needed, until)


def check_swing(plan: Plan, swing: int, policies: Policies, limits: Limits) -> Held | None:
    """Held when the poll behind the plan moves so many units over all customers, this plan's among them."""
    limit = int(policies.of_msp("brake_swing_units"))
    if swing <= limit:
        return None
    message = f"The poll that brought this moves {swing} units over all customers, limit {limit}."
    return Held("swing", message, "high", people_needed(plan, limits))


def check_hour(plan: Plan, moved: int, policies: Policies, limits: Limits) -> Held | None:
    """Held when the plan would exceed what may change in an hour for the MSP, of which so many units have moved."""
    limit, more = int(policies.of_msp("brake_hour_units")), units_moved(plan)
    if not more or moved + more <= limit:
        return None
    message = f"{moved} units were changed in the last hour; {more} more exceed the limit of {limit}."
    return Held("hour", message, "normal", people_needed(plan, limits))


def units_moved(plan: Plan) -> int:
    """The units that the plan changes, summed without sign."""
    return sum(abs(change.unit_change) for change in plan.changes)


def people_needed(plan: Plan, limits: Limits) -> int:
    """How many must approve the plan: two when a step of it or their sum moves more units than one person may let out."""
    return 2 if max(_largest(plan, 1), _largest(plan, -1)) > limits.second_person_units else 1


_Rule = tuple[str, str, date | None]


def _approved(plan: Plan, target_units: int, facts: Facts) -> _Rule | None:
    """What was approved goes out when it still is the same; a month that stands still is approved only by who saw that."""
    approved = facts.approved
    assert approved is not None  # noqa: S101 the caller asks for nothing else
    if approved.target_units != target_units or approved.units_before != plan.units_now:
        was, now = f"{approved.units_before} → {approved.target_units}", f"{plan.units_now} → {target_units}"
        return "changed", f"The change was approved as {was} units and is {now} now.", None
    return None if approved.rule == "freeze" else _freeze(plan, facts)


def _rules(plan: Plan, target_units: int, limits: Limits, facts: Facts) -> _Rule | None:
    return (
        _freeze(plan, facts)
        or _first_look(facts)
        or _mode(limits)
        or _short_answer(plan, limits, facts)
        or _to_zero(plan, target_units, limits)
        or _fall(plan, target_units, limits)
        or _rise(plan, target_units, limits)
    )


def _freeze(plan: Plan, facts: Facts) -> _Rule | None:
    until, first = facts.frozen_until, min(change.effective_date for change in plan.changes)
    if until is None or first >= until:
        return None
    return "freeze", f"It would count from {first}, in a month whose numbers stand still until {until}.", until


def _first_look(facts: Facts) -> _Rule | None:
    return ("hold_first", "Held as asked when the relation was set.", None) if facts.hold_first else None


def _mode(limits: Limits) -> _Rule | None:
    return ("mode", "The mode is approve: every change waits.", None) if limits.mode == "approve" else None


def _short_answer(plan: Plan, limits: Limits, facts: Facts) -> _Rule | None:
    if facts.short_answer is None or _largest(plan, -1) <= limits.brake_small_units:
        return None
    return "short_answer", facts.short_answer, None


def _to_zero(plan: Plan, target_units: int, limits: Limits) -> _Rule | None:
    if target_units or not _largest(plan, -1) or limits.brake_to_zero != "hold":
        return None
    return "to_zero", f"Falls from {plan.units_now} units to 0.", None


def _fall(plan: Plan, target_units: int, limits: Limits) -> _Rule | None:
    fall, share = _largest(plan, -1), _share(plan, -1)
    too_many = fall > limits.brake_fall_units
    too_much = share is not None and share > limits.brake_fall_percent and fall > limits.brake_small_units
    if not (too_many or too_much):
        return None
    by_units = f"by {fall} units, limit {limits.brake_fall_units}"
    by_share = f"by {_percent(share, limits.brake_fall_percent)}, limit {limits.brake_fall_percent} %"
    broken = [words for words, is_broken in ((by_units, too_many), (by_share, too_much)) if is_broken]
    return "fall", f"Falls from {plan.units_now} to {target_units} units: {'; '.join(broken)}.", None


def _rise(plan: Plan, target_units: int, limits: Limits) -> _Rule | None:
    rise, share = _largest(plan, 1), _share(plan, 1)
    if rise <= limits.brake_rise_units or (share is not None and share <= limits.brake_rise_percent):
        return None
    by_share = "from none" if share is None else f"by {_percent(share, limits.brake_rise_percent)}"
    message = (
        f"Rises from {plan.units_now} to {target_units} units: by {rise} units, limit {limits.brake_rise_units}; {by_share}, "
        f"limit {limits.brake_rise_percent} %."
    )
    return "rise", message, None


def _largest(plan: Plan, sign: int) -> int:
    """The largest rise (sign 1) or fall (-1) among the plan's steps and their sum; 0 when there is none."""
    steps = [sign * change.unit_change for change in plan.changes]
    return max(0, *steps, sum(steps))


def _share(plan: Plan, sign: int) -> Decimal | None:
    """The same in per cent of the units before the first change; None: of nothing."""
    before = plan.changes[0].units_before
    return Decimal(_largest(plan, sign) * 100) / before if before else None


def _percent(share: Decimal | None, limit: int) -> str:
    """A share in words, with a digit more when it would read as the limit itself."""
    if share is None:
        return "all"
    whole = share.quantize(Decimal(1), ROUND_HALF_UP)
    return f"{whole} %" if whole != limit else f"{share.quantize(Decimal('0.01'), ROUND_HALF_UP)} %"
