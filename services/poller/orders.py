"""The marketplace's orders -> subscriptions that an order concerns, marked to be read; open orders kept to their end."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Engine

from domain.keys import CompanyId, SubscriptionId
from plumbing.clock import Clock
from plumbing.http import OutsideFailure
from services.poller import known as rows
from services.poller.choose_reads import LastRead
from services.poller.follow_orders import KeptOrder, OrderPlan, follow_orders, hints
from services.poller.lease import Lease
from services.poller.sources.port import OPEN_ORDER_STATUSES, Order, Source, SubscriptionRow

log = logging.getLogger(__name__)
PROCESSING = "processing"


class Orders:
    """The orders of one connection, for one run of one poll."""

    def __init__(self, engine: Engine, clock: Clock, lease: Lease, source: Source) -> None:
        self._engine, self._clock, self._lease, self._source = engine, clock, lease, source
        self._place = lease.place

    def follow(self, listing: Sequence[SubscriptionRow], known: Mapping[SubscriptionId, LastRead]) -> int:
        """Reads the head of the orders and marks the subscriptions they concern; answers how many orders could not be
        looked up. The first time it only keeps what is open: everything is read then anyway."""
        seen, kept = self._kept()
        newest = self._source.newest_orders(seen or ())
        if seen is None:
            opened = [row for status in sorted(OPEN_ORDER_STATUSES) for row in self._source.orders_in(status)]
            keep = [KeptOrder(row.order_id, row.company_id, looked_up=True) for row in opened]
            self._put([row.order_id for row in newest], keep, (), ())
            return 0
        processing = {row.order_id for row in self._source.orders_in(PROCESSING)} if kept else set()
        plan = follow_orders(newest, seen, kept, processing, hints(listing, known))
        return self._carry_out(plan, [row.order_id for row in newest])

    def _carry_out(self, plan: OrderPlan, newest: list[str]) -> int:
        keep, failed = list(plan.keep), 0
        subscriptions: set[SubscriptionId] = set()
        companies = set(plan.touch)
        for asked in plan.look_up:
            try:
                order = self._source.order(asked.order_id)
            except OutsideFailure as failure:
                if failure.kind in ("unauthorised", "forbidden", "quota"):
                    raise
                log.warning("order not looked up", extra={"order_id": asked.order_id, "kind": failure.kind})
                keep.append(asked)
                failed += 1
                continue
            subscriptions.update(order.subscription_ids if order else ())
            if order is None or not order.subscription_ids:
                companies.add(asked.company_id)
            keep += _still_open(asked, order)
        self._put(newest, keep, subscriptions, companies)
        return failed

    def _kept(self) -> tuple[list[str] | None, list[KeptOrder]]:
        with self._engine.connect() as connection:
            seen = connection.exec_driver_sql(
                """SELECT newest_orders FROM poller.connections
                   WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s""",
                self._place.key,
            ).scalar()
            kept = connection.exec_driver_sql(
                """SELECT order_id, company_id, looked_up FROM poller.orders
                   WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s ORDER BY order_id""",
                self._place.key,
            )
            return seen, [KeptOrder(row.order_id, row.company_id, row.looked_up) for row in kept]

    def _put(
        self,
        newest: list[str],
        keep: list[KeptOrder],
        subscriptions: Iterable[SubscriptionId],
        companies: Iterable[CompanyId],
    ) -> None:
        """Marks and keeps in one transaction: an order that is no longer looked at has left its mark."""
        key = self._place.key
        with self._engine.begin() as connection:
            self._lease.keep(connection, self._clock)
            rows.touch(connection, self._place, list(subscriptions), list(companies))
            connection.exec_driver_sql(
                """DELETE FROM poller.orders WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s
                     AND order_id <> ALL(%(ids)s)""",
                key | {"ids": [each.order_id for each in keep]},
            )
            connection.exec_driver_sql(
                """INSERT INTO poller.orders (msp_id, connection_id, order_id, company_id, looked_up)
                   SELECT %(msp_id)s, %(connection_id)s, o.id, o.company, o.looked_up
                   FROM unnest(%(ids)s::text[], %(companies)s::text[], %(flags)s::boolean[]) AS o (id, company, looked_up)
                   ON CONFLICT (msp_id, connection_id, order_id) DO UPDATE SET looked_up = excluded.looked_up
                   WHERE orders.looked_up <> excluded.looked_up""",
                key
                | {
                    "ids": [each.order_id for each in keep],
                    "companies": [each.company_id for each in keep],
                    "flags": [each.looked_up for each in keep],
                },
            )
            connection.exec_driver_sql(
                """UPDATE poller.connections SET newest_orders = %(newest)s
                   WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s
                     AND newest_orders IS DISTINCT FROM %(newest)s::text[]""",
                key | {"newest": newest},
            )


def _still_open(asked: KeptOrder, order: Order | None) -> list[KeptOrder]:
    if order is None or not order.open:
        return []
    return [KeptOrder(asked.order_id, asked.company_id, looked_up=True)]
