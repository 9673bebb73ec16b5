"""(books of one account, an act on the clock) -> changed books, the orders that tell of it, and a line in the ledger."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from deploy.sandbox.books import USAGE_BASED, Company, Money, Period, Resource, Subscription
from deploy.sandbox.odin.opening import start_of
from deploy.sandbox.odin.register import Register, UnknownRecord, resource_of, shown_key
from deploy.sandbox.odin.state import OrderedChange, TrueChange
from deploy.sandbox.world import add_months

Exact = Decimal | int | str


class Marketplace(Register):
    """What can happen on a marketplace account. Counts and amounts are Decimal, whole numbers or text, never float."""

    def set_count(self, subscription_id: str, product_id: str, count: Exact, *, silent: bool = False) -> None:
        """Bring a resource to this count at once, by a completed change order; silent: without any order."""
        with self._books():
            before = self.count(subscription_id, product_id)
            change = _exact(count) - before
            if change and silent:
                self._apply_change(subscription_id, OrderedChange(product_id, change), self.clock.now())
            elif change:
                self.order_change(subscription_id, product_id, change)

    def order_change(
        self,
        subscription_id: str,
        product_id: str,
        count_change: Exact,
        *,
        completes_in: float = 0,
        at_renewal: bool = False,
    ) -> str:
        """The id of a new change order, which takes effect after so many seconds or when the term renews."""
        change = OrderedChange(product_id, _exact(count_change))
        with self._books() as books:
            subscription = self.subscription(subscription_id)
            _refuse_below_zero(resource_of(subscription, product_id), change)
            now = self.clock.now()
            due_at = start_of(subscription.renewal_date) if at_renewal else now + timedelta(seconds=completes_in)
            order = self._write_order("change", subscription, now, due_at=due_at, changes=(change,))
            self._settle(books, now)
            return order.order_id

    def set_cost(self, subscription_id: str, product_id: str, amount: Exact | None, currency: str = "USD") -> None:
        """What one unit costs the MSP from now on; None: the marketplace no longer tells it."""
        cost = None if amount is None else Money(_exact(amount), currency)
        with self._books():
            before = self.resource(subscription_id, product_id)
            self._put_resource(subscription_id, replace(before, cost=cost))
            self._note("cost", subscription_id, product_id, _money(before.cost), _money(cost))

    def set_price(self, subscription_id: str, product_id: str, amount: Exact, currency: str = "USD") -> None:
        """What one unit costs the customer from now on."""
        price = Money(_exact(amount), currency)
        with self._books():
            before = self.resource(subscription_id, product_id)
            self._put_resource(subscription_id, replace(before, price=price))
            self._note("price", subscription_id, product_id, _money(before.price), _money(price))

    def rename(self, subscription_id: str, product_id: str, name: str) -> None:
        """Give a resource another name."""
        with self._books():
            before = self.resource(subscription_id, product_id)
            self._put_resource(subscription_id, replace(before, name=name))
            self._note("name", subscription_id, product_id, before.name, name)

    def rename_company(self, company_id: str, name: str) -> None:
        """Give a company another name."""
        with self._books() as books:
            before = self.company(company_id)
            books.companies[company_id] = replace(before, name=name)
            self._write_down(TrueChange(self.clock.now(), "name", company_id, "", "", before.name, name))

    def renew(self, subscription_id: str, *, keeps_vendor_id: bool = True) -> str:
        """The id of the subscription that follows this one from today: the old id is removed, as monthly terms do.

        keeps_vendor_id False takes away the surest mark by which the two can be told to be one.
        """
        with self._books():
            return self._swap(self.subscription(subscription_id), self.clock.now(), keeps_vendor_id=keeps_vendor_id)

    def cancel(self, subscription_id: str) -> None:
        """End a subscription by a cancellation order: its status becomes terminated."""
        with self._books():
            now = self.clock.now()
            self._write_order("cancellation", self.subscription(subscription_id), now, due_at=now)
            self.set_status(subscription_id, "terminated")

    def remove(self, subscription_id: str, product_id: str = "") -> None:
        """End a subscription without any order: its status becomes removed. With a product: take it off instead."""
        if not product_id:
            self.set_status(subscription_id, "removed")
            return
        with self._books():
            subscription = self.subscription(subscription_id)
            gone = resource_of(subscription, product_id)
            left = tuple(each for each in subscription.resources if each is not gone)
            self._put(replace(subscription, resources=left))
            self._note("gone", subscription_id, product_id, str(gone.count), "")

    def set_status(self, subscription_id: str, status: str) -> None:
        """Set the status (pending, active, hold, terminated, removed, unknown, or any other text), without an order."""
        with self._books():
            before = self.subscription(subscription_id)
            self._put(replace(before, status=status))
            self._note("status", subscription_id, "", before.status, status)

    def set_auto_renew(self, subscription_id: str, *, auto_renew: bool) -> None:
        """Let a subscription renew at the end of its term, or end there without any order."""
        with self._books():
            self._put(replace(self.subscription(subscription_id), auto_renew=auto_renew))
            self._unsaved = True

    def vanish(self, subscription_id: str) -> None:
        """No longer answer for a subscription, as if it had never been."""
        with self._books() as books:
            subscription = self.subscription(subscription_id)
            self._note("gone", subscription_id, "", subscription.status, "")
            books.gone[subscription_id] = books.subscriptions.pop(subscription_id)

    def restore(self, subscription_id: str) -> None:
        """Answer again for a subscription that vanished, as it was."""
        with self._books() as books:
            if subscription_id not in books.gone:
                raise UnknownRecord(f"no subscription {subscription_id} has vanished")
            subscription = books.gone[subscription_id]
            books.subscriptions[subscription_id] = books.gone.pop(subscription_id)
            self._note("appeared", subscription_id, "", "", subscription.status)

    def move(self, subscription_id: str, company_id: str) -> None:
        """Hand a subscription to another company."""
        with self._books():
            before = self.subscription(subscription_id)
            self._put(replace(before, company_id=self.company(company_id).company_id))
            self._note("company", subscription_id, "", before.company_id, company_id)

    def add_company(self, name: str) -> str:
        """The id of a new company of this name."""
        with self._books() as books:
            company_id = str(max((int(each) for each in books.companies), default=1200000000) + 1)
            books.companies[company_id] = Company(company_id, name, "active")
            self._write_down(TrueChange(self.clock.now(), "appeared", company_id, "", "", "", name))
            return company_id

    def add_subscription(self, company_id: str, name: str, *, monthly: bool = False, usage_based: bool = False) -> str:
        """The id of a new subscription without resources, of a year's or a month's term, billed monthly."""
        with self._books() as books:
            today, subscription_id = self.clock.today(), self._new_subscription_id()
            books.subscriptions[subscription_id] = added = Subscription(
                subscription_id=subscription_id,
                company_id=self.company(company_id).company_id,
                name=name,
                status="active",
                auto_renew=True,
                creation_date=today,
                renewal_date=add_months(today, 1 if monthly else 12),
                last_modified_date=today,
                billing_model=USAGE_BASED if usage_based else "chargeBeforeBillingPeriod",
                billing_period=Period("month", 1),
                subscription_period=Period("month" if monthly else "year", 1),
                plan_id=10000,
                resources=(),
            )
            self._write_order("sales", added, self.clock.now(), due_at=self.clock.now())
            self._note("appeared", subscription_id, "", "", "active")
            return subscription_id

    def add_resource(
        self, subscription_id: str, product_id: str, name: str, count: Exact, *, price: Exact = "10", cost: Exact = "8"
    ) -> None:
        """Put a resource on a subscription; price and cost are in USD."""
        resource = Resource(
            product_id=product_id,
            mpn=f"MPN-{product_id}",
            vendor="Microsoft",
            name=name,
            count=_exact(count),
            price=Money(_exact(price), "USD"),
            cost=Money(_exact(cost), "USD"),
            vendor_subscription_id=f"00000000-0000-4000-8000-{int(subscription_id):012d}",
        )
        with self._books():
            subscription = self.subscription(subscription_id)
            self._put(replace(subscription, resources=(*subscription.resources, resource)))
            self._note("appeared", subscription_id, product_id, "", str(resource.count))

    def show(self, subscription_id: str, product_id: str, field: str, raw_json: str | None) -> None:
        """Show this JSON text in a field of the wire's row instead of the truth; None leaves the field out.

        The row is the resource's, or the subscription's when the product is "". The books stay as they are.
        """
        with self._books() as books:
            books.shown.setdefault(shown_key(subscription_id, product_id), {})[field] = raw_json
            self._unsaved = True

    def show_truth(self) -> None:
        """Take back every show()."""
        with self._books() as books:
            books.shown.clear()
            self._unsaved = True


def _refuse_below_zero(resource: Resource, change: OrderedChange) -> None:
    if resource.count + change.count_change < 0:
        raise ValueError(f"{resource.name} has {resource.count}: a change of {change.count_change} goes below zero")


def _exact(number: Exact) -> Decimal:
    if isinstance(number, float):
        raise TypeError(f"counts and amounts are exact; give {number} as text")
    return Decimal(number)


def _money(money: Money | None) -> str:
    return "" if money is None else f"{money.amount} {money.currency}"
