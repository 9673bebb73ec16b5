"""A seeded world -> the opening books of a marketplace account, with the orders of the past year."""

from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256

from deploy.sandbox.books import PastChange, Subscription, World
from deploy.sandbox.odin.state import AccountState, Order, OrderedChange, Switches

_FIRST_ORDER_ID = 700001
_NUMBER_PREFIX = {"sales": "SO", "change": "CH", "renewal": "RN", "cancellation": "CN"}


def open_account(name: str, world: World, switches: Switches) -> AccountState:
    """The account of this name on the first day; user, password and key follow from the name alone."""
    state = AccountState(
        name=name,
        user=f"api@{name}.example",
        password=f"sandbox-{name}",
        secret=sha256(f"sandbox key of {name}".encode()).hexdigest()[:32],
        marketplace="us",
        region="na",
        active=True,
        companies={company.company_id: company for company in world.companies},
        subscriptions={each.subscription_id: each for each in world.subscriptions},
        history=list(world.history),
        next_subscription_id=max((int(each.subscription_id) for each in world.subscriptions), default=1000000) + 1,
        next_order_id=_FIRST_ORDER_ID,
        switches=switches,
    )
    for order in _past_orders(world):
        state.orders[order.order_id] = order
    state.next_order_id += len(state.orders)
    return state


def order_number(order_type: str, order_id: int) -> str:
    """The number that people see, such as CH700042."""
    return f"{_NUMBER_PREFIX[order_type]}{order_id}"


def start_of(day: date) -> datetime:
    """Midnight UTC of the day."""
    return datetime.combine(day, time(), UTC)


def _past_orders(world: World) -> list[Order]:
    by_id = {each.subscription_id: each for each in world.subscriptions}
    wanted: list[tuple[datetime, str, Subscription, tuple[OrderedChange, ...]]] = [
        (start_of(each.creation_date) + timedelta(hours=8), "sales", each, ()) for each in world.subscriptions
    ]
    wanted += [_change(past, by_id[past.subscription_id], place) for place, past in enumerate(world.history)]
    wanted.sort(key=lambda each: each[0])
    return [
        Order(
            order_id=str(order_id),
            number=order_number(order_type, order_id),
            type=order_type,
            company_id=subscription.company_id,
            subscription_id=subscription.subscription_id,
            created_at=created_at,
            due_at=created_at,
            status="completed",
            changes=changes,
        )
        for order_id, (created_at, order_type, subscription, changes) in enumerate(wanted, _FIRST_ORDER_ID)
    ]


def _change(
    past: PastChange, subscription: Subscription, place: int
) -> tuple[datetime, str, Subscription, tuple[OrderedChange, ...]]:
    created_at = start_of(past.date) + timedelta(hours=9, minutes=place % 480)
    return created_at, "change", subscription, (OrderedChange(past.product_id, past.new - past.old),)
