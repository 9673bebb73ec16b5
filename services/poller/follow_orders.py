"""(orders shown, orders kept) -> which ones to look up, whose subscriptions to read, and which to keep until they end.

Orders are hints: they never tell the resulting count. A decrease can stay in processing for months, so an open order is
kept until it has left the list of open ones. Which subscription an order concerns stands only in its own answer; where a
company has no more subscriptions than orders, reading those costs no more than asking.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from domain.keys import CompanyId
from services.poller.sources.port import OrderRow


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
    subscriptions: Mapping[CompanyId, int],
) -> OrderPlan:
    """What to do about orders this time: each is followed up when it appears and when it has ended. seen: those that stood
    at the head before; processing: ids now in processing; subscriptions: how many living ones each company has."""
    known = {each.order_id for each in kept}.union(seen)
    fresh = [row for row in newest if row.order_id not in known]
    orders = Counter(row.company_id for row in fresh)
    touch = frozenset(company for company, count in orders.items() if subscriptions.get(company, 0) <= count)
    waiting = [each for each in kept if not each.looked_up or each.order_id not in processing]
    new = [KeptOrder(row.order_id, row.company_id, looked_up=False) for row in fresh if row.company_id not in touch]
    keep = [each for each in kept if each.looked_up and each.order_id in processing]
    keep += [KeptOrder(r.order_id, r.company_id, looked_up=True) for r in fresh if r.open and r.company_id in touch]
    return OrderPlan((*waiting, *new), touch, tuple(keep))
