"""(a plan, the product as just read, today) -> when it counts and what it comes to: in the running period and in a full month."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.money import Money
from domain.periods import Period
from services.psa_writer.as_read import AsRead
from services.psa_writer.decide_post import Plan
from services.psa_writer.prorate import Proration, prorate
from services.psa_writer.psa.port import PsaProduct


@dataclass(frozen=True)
class Reckoning:
    """Money to the cent, None where the unit value is not known. period: the billing period of the first change, or the running
    one when nothing changes; charged: days of it that the first change is billed for. now: for the rest of the running period, 0
    for what counts later; month: the difference of a full month."""

    period: Period
    posted: bool
    charged: int
    prorations: tuple[Proration, ...]
    price_now: Money | None
    cost_now: Money | None
    price_month: Money | None
    cost_month: Money | None
    margin_month: Money | None


def reckon(plan: Plan, product: PsaProduct, as_read: AsRead, today: date) -> Reckoning:
    """What the plan comes to, by the same proration as the post's."""
    running = as_read.period(today)
    changes = plan.changes
    period = as_read.period(changes[0].effective_date) if changes else running
    new_cost = next((change.unit_cost for change in changes if change.unit_cost), product.unit_cost)
    new_price = next((change.unit_price for change in changes if change.unit_price), product.unit_price)
    prorations = []
    for place, change in enumerate(changes):
        cost_before, price_before = (new_cost, new_price) if place else (product.unit_cost, product.unit_price)
        of = as_read.period(change.effective_date)
        prorations.append(
            prorate(
                of,
                change.effective_date,
                change.units_before,
                change.units_after,
                cost_before,
                new_cost,
                price_before,
                new_price,
            )
        )
    now = [each for change, each in zip(changes, prorations, strict=True) if change.effective_date <= running.last_day]
    months = Decimal(product.period_type.months)
    before, after = (changes[0].units_before, changes[-1].units_after) if changes else (0, 0)
    price_month = _share(_difference(product.unit_price, before, new_price, after), months)
    cost_month = _share(_difference(product.unit_cost, before, new_cost, after), months)
    known = price_month is not None and cost_month is not None
    return Reckoning(
        period=period,
        posted=as_read.is_posted(period),
        charged=period.days_from(changes[0].effective_date) if changes else 0,
        prorations=tuple(prorations),
        price_now=_sum(new_price, [each.price for each in now]),
        cost_now=_sum(new_cost, [each.cost for each in now]),
        price_month=price_month,
        cost_month=cost_month,
        margin_month=price_month - cost_month if known and price_month and cost_month else None,
    )


def _difference(unit_before: Money | None, before: int, unit_after: Money | None, after: int) -> Money | None:
    if unit_after is None:
        return None
    return unit_after.times(Decimal(after)) - (unit_before or unit_after).times(Decimal(before))


def _share(money: Money | None, months: Decimal) -> Money | None:
    return None if money is None else Money(money.amount / months, money.currency).rounded()


def _sum(unit: Money | None, parts: Sequence[Money | None]) -> Money | None:
    """The parts are known when the unit value is."""
    if unit is None:
        return None
    return Money(sum((part.amount for part in parts if part), Decimal(0)), unit.currency).rounded()
