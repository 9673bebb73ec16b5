"""(books of one account, the clock) -> the books of this moment: due orders completed, ended terms renewed, the ledger kept."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from deploy.sandbox.books import Company, PastChange, Resource, Subscription
from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.odin.opening import order_number, start_of
from deploy.sandbox.odin.state import AccountState, Order, OrderedChange, Switches, TrueChange
from deploy.sandbox.world import add_months, next_renewal

Record = TypeVar("Record")
_LIVE = {"active", "hold"}
_NEVER = datetime.max.replace(tzinfo=UTC)


class UnknownRecord(LookupError):
    """The account's books hold no such record."""


class Register:
    """The books of one account, brought up to the clock before each reading and each act; safe in any thread.

    An id that the books do not hold raises UnknownRecord. What an act changed is saved when the act is over.
    """

    def __init__(
        self, state: AccountState, clock: SandboxClock, lock: threading.RLock, save: Callable[[], None]
    ) -> None:
        self.clock = clock
        self._state = state
        self._lock = lock
        self._save = save
        self._depth = 0
        self._unsaved = False
        self._open_orders = [order.order_id for order in state.orders.values() if order.status == "processing"]
        self._next_due: datetime | None = None

    @property
    def name(self) -> str:
        """The account's name in the sandbox."""
        return self._state.name

    @property
    def switches(self) -> Switches:
        """How the marketplace behaves for this account now."""
        return self._state.switches

    def switch(self, **changes: Any) -> Switches:
        """Behave otherwise from now on; TypeError for an unknown switch, ValueError for a value that it does not have."""
        with self._books() as books:
            wanted = asdict(replace(books.switches, **changes))
            try:
                books.switches = msgspec.convert(wanted, Switches)
            except msgspec.ValidationError as problem:
                raise ValueError(str(problem)) from None
            self._unsaved = True
            return books.switches

    @property
    def companies(self) -> tuple[Company, ...]:
        """All companies, newest first."""
        with self._books() as books:
            return tuple(reversed(books.companies.values()))

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """All subscriptions that the marketplace answers for, ended ones too, newest first."""
        with self._books() as books:
            return tuple(sorted(books.subscriptions.values(), key=_age_of_subscription, reverse=True))

    @property
    def orders(self) -> tuple[Order, ...]:
        """All orders, newest first."""
        with self._books() as books:
            return tuple(sorted(books.orders.values(), key=_age_of_order, reverse=True))

    @property
    def ledger(self) -> tuple[TrueChange, ...]:
        """Everything that really changed since the account was opened, oldest first."""
        with self._books() as books:
            return tuple(books.ledger)

    @property
    def history(self) -> tuple[PastChange, ...]:
        """The changes of count before the account was opened, oldest first."""
        return tuple(self._state.history)

    def company(self, company_id: str) -> Company:
        """One company."""
        with self._books() as books:
            return _found(books.companies, company_id, "company")

    def subscription(self, subscription_id: str) -> Subscription:
        """One subscription with its resources."""
        with self._books() as books:
            return _found(books.subscriptions, subscription_id, "subscription")

    def order(self, order_id: str) -> Order:
        """One order."""
        with self._books() as books:
            return _found(books.orders, order_id, "order")

    def resource(self, subscription_id: str, product_id: str) -> Resource:
        """One resource of a subscription."""
        return resource_of(self.subscription(subscription_id), product_id)

    def count(self, subscription_id: str, product_id: str) -> Decimal:
        """The true count of a resource."""
        return self.resource(subscription_id, product_id).count

    def shown(self, subscription_id: str, product_id: str = "") -> dict[str, str | None]:
        """The fields of a row that are shown as raw JSON text instead of the truth (None: left out)."""
        return self._state.shown.get(shown_key(subscription_id, product_id), {})

    @contextmanager
    def _books(self) -> Iterator[AccountState]:
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._settle(self._state, self.clock.now())
                yield self._state
            finally:
                self._depth -= 1
                if self._unsaved and self._depth == 0:
                    self._unsaved = False
                    self._save()

    def _settle(self, books: AccountState, now: datetime) -> None:
        if self._next_due is not None and now < self._next_due:
            return
        while due := sorted(each for each in self._due(books) if each[0] <= now):
            for due_at, kind, record_id in due:
                if kind == "order":
                    self._complete(books, record_id)
                else:
                    self._end_term(books.subscriptions[record_id], due_at)
        self._next_due = min((each[0] for each in self._due(books)), default=_NEVER)

    def _due(self, books: AccountState) -> Iterator[tuple[datetime, str, str]]:
        for order_id in self._open_orders:
            yield books.orders[order_id].due_at, "order", order_id
        for subscription in books.subscriptions.values():
            if subscription.status in _LIVE:
                yield start_of(subscription.renewal_date), "renewal", subscription.subscription_id

    def _complete(self, books: AccountState, order_id: str) -> None:
        order = books.orders[order_id]
        self._open_orders.remove(order_id)
        books.orders[order_id] = replace(order, status="completed")
        self._unsaved = True
        try:
            for change in order.changes:
                self._apply_change(order.subscription_id, change, order.due_at)
        except (UnknownRecord, ValueError):
            books.orders[order_id] = replace(order, status="error")

    def _apply_change(self, subscription_id: str, change: OrderedChange, at: datetime) -> None:
        before = self.resource(subscription_id, change.product_id)
        count = before.count + change.count_change
        if count < 0:
            raise ValueError(f"{before.name} has {before.count}: a change of {change.count_change} goes below zero")
        self._put_resource(subscription_id, replace(before, count=count))
        self._note("count", subscription_id, change.product_id, str(before.count), str(count), at=at)

    def _end_term(self, subscription: Subscription, at: datetime) -> None:
        monthly = subscription.subscription_period.type == "month"
        if not subscription.auto_renew:
            self._put(replace(subscription, status="removed"))
            self._note("status", subscription.subscription_id, "", subscription.status, "removed", at=at)
        elif monthly and self.switches.renewals_swap_ids:
            self._swap(subscription, at, keeps_vendor_id=True)
        else:
            after = next_renewal(subscription.creation_date, 1 if monthly else 12, subscription.renewal_date)
            self._put(replace(subscription, renewal_date=after))
            self._write_order("renewal", subscription, at, due_at=at)

    def _swap(self, old: Subscription, at: datetime, *, keeps_vendor_id: bool) -> str:
        new_id = self._new_subscription_id()
        months = 1 if old.subscription_period.type == "month" else 12
        resources = old.resources
        if not keeps_vendor_id:
            resources = tuple(replace(each, vendor_subscription_id=f"renewed-{new_id}") for each in resources)
        new = replace(
            old,
            subscription_id=new_id,
            creation_date=at.date(),
            last_modified_date=at.date(),
            renewal_date=add_months(at.date(), months),
            resources=resources,
        )
        self._state.subscriptions[new_id] = new
        self._put(replace(old, status="removed", auto_renew=False, renewal_date=at.date()))
        self._write_order("renewal", old, at, due_at=at, target_subscription_id=new_id)
        self._write_down(
            TrueChange(at, "renewed", old.company_id, old.subscription_id, "", old.subscription_id, new_id)
        )
        return new_id

    def _new_subscription_id(self) -> str:
        new_id = self._state.next_subscription_id
        self._state.next_subscription_id += 1
        return str(new_id)

    def _write_order(
        self,
        order_type: str,
        subscription: Subscription,
        at: datetime,
        *,
        due_at: datetime,
        changes: tuple[OrderedChange, ...] = (),
        target_subscription_id: str = "",
    ) -> Order:
        books, order_id = self._state, self._state.next_order_id
        books.next_order_id += 1
        open_still = bool(changes)
        order = Order(
            order_id=str(order_id),
            number=order_number(order_type, order_id),
            type=order_type,
            company_id=subscription.company_id,
            subscription_id=subscription.subscription_id,
            created_at=at,
            due_at=due_at,
            status="processing" if open_still else "completed",
            changes=changes,
            target_subscription_id=target_subscription_id,
        )
        books.orders[order.order_id] = order
        if open_still:
            self._open_orders.append(order.order_id)
            self._next_due = None
        self._unsaved = True
        return order

    def _put_resource(self, subscription_id: str, resource: Resource) -> None:
        subscription = self.subscription(subscription_id)
        resources = tuple(
            resource if each.product_id == resource.product_id else each for each in subscription.resources
        )
        self._put(replace(subscription, resources=resources))

    def _put(self, subscription: Subscription) -> None:
        if self.switches.changes_move_last_modified:
            subscription = replace(subscription, last_modified_date=self.clock.today())
        self._state.subscriptions[subscription.subscription_id] = subscription

    def _note(
        self, field: str, subscription_id: str, product_id: str, old: str, new: str, *, at: datetime | None = None
    ) -> None:
        company_id = self._state.subscriptions[subscription_id].company_id
        now = at or self.clock.now()
        self._write_down(TrueChange(now, field, company_id, subscription_id, product_id, old, new))

    def _write_down(self, change: TrueChange) -> None:
        if change.old != change.new:
            self._state.ledger.append(change)
        self._next_due = None
        self._unsaved = True


def shown_key(subscription_id: str, product_id: str) -> str:
    """The key of AccountState.shown for a resource, or for the whole subscription when the product is ""."""
    return f"{subscription_id}/{product_id}" if product_id else subscription_id


def resource_of(subscription: Subscription, product_id: str) -> Resource:
    """The subscription's resource of this product."""
    resources = {each.product_id: each for each in subscription.resources}
    return _found(resources, product_id, f"product on subscription {subscription.subscription_id} of id")


def _age_of_order(order: Order) -> tuple[datetime, int]:
    return order.created_at, int(order.order_id)


def _age_of_subscription(subscription: Subscription) -> tuple[date, int]:
    return subscription.creation_date, int(subscription.subscription_id)


def _found(records: dict[str, Record], record_id: str, kind: str) -> Record:
    if record_id not in records:
        raise UnknownRecord(f"this account has no {kind} {record_id}")
    return records[record_id]
