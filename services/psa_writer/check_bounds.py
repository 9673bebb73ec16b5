"""(a plan, the MSP's bounds) -> why it must wait for a person, or nothing: the last gate before money moves."""

from dataclasses import dataclass

from services.psa_writer.decide_post import Plan
from services.psa_writer.hindrance import Hindrance


@dataclass(frozen=True)
class Bounds:
    """The policies of the same names: units, per cent of the units there are, units an hour."""

    largest_change_units: int = 50
    largest_change_percent: int = 50
    largest_change_per_hour: int = 5000


def check_size(plan: Plan, target_units: int, bounds: Bounds) -> Hindrance | None:
    """A Hindrance when the plan takes all units away, or one of its steps or their sum is both larger than the bound in
    units and larger than the bound in per cent of the units there are."""
    steps = [change.unit_change for change in plan.changes]
    largest = max(map(abs, [*steps, sum(steps)]), default=0)
    if not largest:
        return None
    units = plan.changes[0].units_before
    if target_units == 0:
        return _held(f"The product would fall from {units} units to 0.")
    share = units * bounds.largest_change_percent / 100
    if largest > bounds.largest_change_units and largest > share:
        limits = f"{bounds.largest_change_units} units and {bounds.largest_change_percent} % of the {units} there are"
        return _held(f"The change of {largest} units is larger than {limits}.")
    return None


def units_moved(plan: Plan) -> int:
    """The units that the plan changes, summed without sign."""
    return sum(abs(change.unit_change) for change in plan.changes)


def hour_is_full(moved: int, more: int, bounds: Bounds) -> Hindrance | None:
    """A Hindrance when so many units more would exceed what may change in an hour for this MSP."""
    if moved + more <= bounds.largest_change_per_hour:
        return None
    return Hindrance(
        "hour_full",
        f"{moved} units were changed in the last hour; {more} more would exceed the {bounds.largest_change_per_hour} of the "
        "policy largest_change_per_hour.",
        "If the changes are right, release the adjustment or raise the policy; else it goes out when the hour has passed.",
    )


def _held(message: str) -> Hindrance:
    return Hindrance(
        "large_change",
        message,
        "Look at the count in ODIN. If it is right, release the adjustment; if not, correct it there.",
    )
