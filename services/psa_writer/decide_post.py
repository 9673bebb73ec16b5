"""(a product as just read, a target, policies) -> the changes to post and from which days, or why none can be posted.

Two dates are planned, because a decrease may be scheduled already (design section 9): now, for what may change inside the
running billing period, and later, at the start of the next one. With U the units there are:

    change now   = target - U when that is above 0 (units rise today), or below 0 where the policy takes them away today
    change later = target - (U at the next period's start + change now)

Decided where the design is silent:
- Units may turn inside the running period, by hand or by us. The change now never carries any day past the target: a rise
  is measured from the most, a fall from the fewest units of the days left. Too little for some days beats too much.
- From one day we post at most once for a product. A day that is taken gives way to the next free one, also at a period's
  start: what was sent cannot be merged any more, and a PSA may refuse the second or, worse, take it.
- A change that someone scheduled for a period after the next one is left as it is; it must only not fall below zero.
- An agreement that ends before the later date takes no decrease: its units were committed to the end. A person is told.
- A cost and a price go with the first change, or alone from the first possible day.
"""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from domain.money import Money
from services.psa_writer.as_read import AsRead
from services.psa_writer.hindrance import Hindrance

FOUR_PLACES = Decimal("0.0001")


@dataclass(frozen=True)
class PostPolicies:
    """What the MSP decided: the four policies of the same names."""

    increase_effective: str = "today"
    decrease_effective: str = "next_period"
    posted_period: str = "next_unposted"
    unit_cost: str = "post"


@dataclass(frozen=True)
class Target:
    """What the product shall have. unit_cost, unit_price None: leave it as it is."""

    units: int
    unit_cost: Money | None = None
    unit_price: Money | None = None


@dataclass(frozen=True)
class Change:
    """One adjustment to post. units_before and units_after are those of its effective date, earlier changes of the same
    plan counted in. unit_cost, unit_price: the new ones of a unit and period, None to leave them."""

    effective_date: date
    unit_change: int
    units_before: int
    units_after: int
    unit_cost: Money | None
    unit_price: Money | None = None


@dataclass(frozen=True)
class Plan:
    """The changes by date; none when the PSA has the target already. units_now: those of today."""

    changes: tuple[Change, ...]
    units_now: int

    def in_sending_order(self) -> list[Change]:
        """Increases first: a PSA that checks one after the other never meets a day below zero on the way."""
        return sorted(self.changes, key=lambda change: -change.unit_change)


@dataclass(frozen=True)
class MoreRows:
    """The plan needs rows of these days too."""

    since: date
    until: date


def decide_post(product: AsRead, today: date, target: Target, policies: PostPolicies) -> Plan | MoreRows | Hindrance:
    """The plan for today (a billing day in the MSP's time zone); MoreRows when it depends on days that were not read;
    a Hindrance when no plan keeps the rules. Raises OutsideContract when the agreement does not run today."""
    if not any(row.first_day <= today for row in product.rows):
        return _before_first_row(product, today)
    dates = _dates(product, today, policies)
    if isinstance(dates, MoreRows | Hindrance):
        return dates
    if dates.later is not None and dates.later > product.read_until:
        return MoreRows(product.read_since, dates.later)
    return _planned(product, today, target, policies, dates)


@dataclass(frozen=True)
class _Dates:
    """The days from which changes may count; None: there is no such day."""

    now: date | None
    later: date | None


def _before_first_row(product: AsRead, today: date) -> MoreRows | Hindrance:
    """No row is no fact: the PSA may make rows late, and a user without rights sees none at all."""
    if product.read_since > product.start_date:
        return MoreRows(product.start_date, product.read_until)
    if product.rows:
        begins = min(row.first_day for row in product.rows)
        return Hindrance(
            "product_not_begun",
            f"The product begins on {begins}; before that day it has no units that could be changed.",
            f"Nothing to do: it is posted when the day has come. To have it sooner, let the product begin before {today}.",
        )
    return Hindrance(
        "no_units_rows",
        "The PSA shows no units of this product for any day, not even 0.",
        "Check that our user may see the units of contracts, and that the product is set up; then retry.",
    )


def _dates(product: AsRead, today: date, policies: PostPolicies) -> _Dates | MoreRows | Hindrance:
    running = product.period(today)
    now = None if product.is_posted(running) else product.first_free_day(today, running.last_day)
    if product.is_posted(running) and policies.posted_period == "refuse":
        return _posted(running.first_day)
    period = product.period_after(today)
    while period is not None:
        if period.first_day > product.read_until:
            return MoreRows(product.read_since, period.first_day)
        if not product.is_posted(period):
            return _Dates(now, product.first_free_day(period.first_day, product.end_date))
        if policies.posted_period == "refuse":
            return _posted(period.first_day)
        period = product.period_after(period.first_day)
    return _Dates(now, None)


def _posted(first_day: date) -> Hindrance:
    return Hindrance(
        "posted_period",
        f"The billing period from {first_day} on is invoiced already, and the policy posted_period is refuse.",
        "Set the policy posted_period to next_unposted, or undo the posting in the PSA, then retry.",
    )


def _planned(
    product: AsRead, today: date, target: Target, policies: PostPolicies, dates: _Dates
) -> Plan | MoreRows | Hindrance:
    last = product.period(today).last_day
    days = {*product.turning_days(today, last), *(day for day in (dates.now, dates.later) if day)}
    units = {day: product.units(day) for day in days}
    if None in units.values():
        return _UNCALIBRATED
    known = {day: count for day, count in units.items() if count is not None}
    change_now = 0 if dates.now is None else _change_now(known, dates.now, last, target.units, policies)
    plan = _with_change_now(product, known[today], change_now, target, policies, dates)
    if change_now < 0 and isinstance(plan, Hindrance) and plan.code == "below_zero":
        # Someone scheduled a fall into the days that are taken: let the whole change wait for the next period.
        return _with_change_now(product, known[today], 0, target, policies, dates)
    return plan


def _with_change_now(
    product: AsRead, units_now: int, change_now: int, target: Target, policies: PostPolicies, dates: _Dates
) -> Plan | MoreRows | Hindrance:
    steps = {} if dates.now is None else {dates.now: change_now}
    if dates.later is not None:
        steps[dates.later] = target.units - (product.units(dates.later) or 0) - change_now
    elif product.read_until < product.end_date:
        return MoreRows(product.read_since, product.end_date)
    elif (product.units(product.end_date) or 0) + change_now != target.units:
        return _ends_first(product, target)
    return _checked(product, units_now, steps, _money_to_post(product, target, policies))


def _change_now(known: dict[date, int], now: date, last: date, target: int, policies: PostPolicies) -> int:
    """What to add from the day `now` on. A rise is measured from the most units of today and the days left, so that what
    an earlier post of today already reaches is not added again."""
    most = max(units for day, units in known.items() if day <= last)
    fewest = min(units for day, units in known.items() if now <= day <= last)
    if target > most and policies.increase_effective == "today":
        return target - most
    if target < fewest and policies.decrease_effective == "today":
        return target - fewest
    return 0


@dataclass(frozen=True)
class _MoneyToPost:
    cost: Money | None
    price: Money | None


def _money_to_post(product: AsRead, target: Target, policies: PostPolicies) -> _MoneyToPost:
    """The new cost and price: what is to be posted and differs from the PSA's at four places."""
    cost = target.unit_cost if policies.unit_cost == "post" else None
    return _MoneyToPost(
        None if cost is None or same_money(product.unit_cost, cost) else cost,
        None if same_money(product.unit_price, target.unit_price) else target.unit_price,
    )


def same_money(one: Money | None, other: Money | None) -> bool:
    """Whether two unit costs or prices are the same to the four places that PSAs keep."""
    if one is None or other is None:
        return one is other
    return one.currency == other.currency and to_four_places(one.amount) == to_four_places(other.amount)


def to_four_places(amount: Decimal) -> Decimal:
    """The amount as PSAs keep it."""
    return amount.quantize(FOUR_PLACES, ROUND_HALF_UP)


def _checked(
    product: AsRead, units_now: int, steps: dict[date, int], money: _MoneyToPost
) -> Plan | MoreRows | Hindrance:
    wanted = {day: step for day, step in steps.items() if step}
    if (money.cost or money.price) and not wanted:
        if not steps:
            return _ends_first(product, None)
        wanted = {min(steps): 0}
    if sum(wanted.values()) < 0 and product.read_until < product.end_date:
        return MoreRows(product.read_since, product.end_date)
    below = _below_zero(product, wanted)
    if below is not None:
        return below
    changes: list[Change] = []
    for day, step in sorted(wanted.items()):
        before = (product.units(day) or 0) + sum(change.unit_change for change in changes)
        new = money if not changes else _MoneyToPost(None, None)
        changes.append(Change(day, step, before, before + step, new.cost, new.price))
    return Plan(tuple(changes), units_now)


def _below_zero(product: AsRead, steps: dict[date, int]) -> Hindrance | None:
    """The first day from the plan on that would have fewer than no units."""
    if not steps:
        return None
    for day in sorted({*steps, *product.turning_days(min(steps), product.end_date)}):
        units = product.units(day)
        if units is None:
            return _UNCALIBRATED
        left = units + sum(step for of, step in steps.items() if of <= day)
        if left < 0:
            return Hindrance(
                "below_zero",
                f"From {day} on the product has {units} units, by a change that someone has scheduled; the target would "
                f"leave it with {left}.",
                "Look at the scheduled units of this product in the PSA and correct them, then retry.",
            )
    return None


def _ends_first(product: AsRead, target: Target | None) -> Hindrance:
    wish = "The change" if target is None else f"The change to {target.units} units"
    return Hindrance(
        "agreement_ends",
        f"{wish} could count only after the agreement's end on {product.end_date}: it has no billing period left for it.",
        "Prolong the agreement in the PSA, or link the resource to the product on the agreement that follows it.",
    )


_UNCALIBRATED = Hindrance(
    "uncalibrated",
    "The product's rows of the running period can be read in two ways, as totals or as changes, and no adjustment of this "
    "connection has shown yet which one is right.",
    "Nothing to do: the first adjustment of another product decides it, or the next billing period does. To have it sooner, "
    "set mid_period_rows of the connection to total or change.",
)
