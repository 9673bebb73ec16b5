"""(orders shown, orders kept) -> which ones to look up, whose subscriptions to read, and which to keep until they end.

Orders are hints: they never tell the resulting count. A decrease can stay in processing for months, so an open order is
kept until it has left the list of open ones. Which subscription an order concerns stands only in its own answer, one call
each; that call is saved where the list tells as much (see Hints.explain), and where a company has so few subscriptions that
reading them all costs no more than asking.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from domain.keys import CompanyId, SubscriptionId
from services.poller.choose_reads import LastRead, row_print
from services.poller.known_model import State
from services.poller.sources.port import OrderRow, SubscriptionRow

_A_DAY = timedelta(days=1)


@dataclass(slots=True)
class Hints:
    """What the list of subscriptions tells of one company. moved: subscriptions that are new or whose row differs from
    when they were last read, so that they are read anyway; living: all that live; newest_unmoved: the newest
    lastModifiedDate among the others (the last day there is when one of them does not tell it)."""

    moved: int = 0
    living: int = 0
    newest_unmoved: date = date.min

    def explain(self, orders: Sequence[OrderRow]) -> bool:
        """Whether the moved rows account for the orders. A row shows a change only once a day, so a subscription that was
        modified on the day of an order might have been changed again without a trace: then the orders must be asked."""
        days = [order.created_date for order in orders]
        told = all(day is not None and self.newest_unmoved < day - _A_DAY for day in days)
        return told and self.moved >= len(orders)


def hints(listing: Iterable[SubscriptionRow], known: Mapping[SubscriptionId, LastRead]) -> dict[CompanyId, Hints]:
    """What the list tells of each company."""
    found: dict[CompanyId, Hints] = {}
    for row in listing:
        last = known.get(row.subscription_id)
        if row.ended and (last is None or last.state is State.ENDED):
            continue
        company = found.setdefault(row.company_id, Hints())
        company.living += 1
        if last is None or last.row_print != row_print(row):
            company.moved += 1
        else:
            company.newest_unmoved = max(company.newest_unmoved, row.modified_date or date.max)
    return found


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """An order that may still take effect, or that was not looked up yet."""

    order_id: str
    company_id: CompanyId
    looked_up: bool


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """Orders to look up, companies all of whose subscriptions are read instead, and open orders that need neither now."""

    look_up: tuple[KeptOrder, ...]
    touch: frozenset[CompanyId]
    keep: tuple[KeptOrder, ...]


def follow_orders(
    newest: Iterable[OrderRow],
    seen: Collection[str],
    kept: Collection[KeptOrder],
    processing: Collection[str],
    companies: Mapping[CompanyId, Hints],
) -> OrderPlan:
    """What to do about orders this time: each is followed up when it appears and when it has ended. seen: those that stood
    at the head before; processing: ids now in processing."""
    known = {each.order_id for each in kept}.union(seen)
    fresh: dict[CompanyId, list[OrderRow]] = {}
    for row in newest:
        if row.order_id not in known:
            fresh.setdefault(row.company_id, []).append(row)
    look_up = [each for each in kept if not each.looked_up or each.order_id not in processing]
    keep = [each for each in kept if each.looked_up and each.order_id in processing]
    touch = set()
    for company_id, orders in fresh.items():
        company = companies.get(company_id, Hints())
        if not company.explain(orders):
            # Asking costs a call each and then at least one reading.
            if company.living > len(orders) + 1:
                look_up += [KeptOrder(row.order_id, company_id, looked_up=False) for row in orders]
                continue
            touch.add(company_id)
        keep += [KeptOrder(row.order_id, company_id, looked_up=True) for row in orders if row.open]
    return OrderPlan(tuple(look_up), frozenset(touch), tuple(keep))
