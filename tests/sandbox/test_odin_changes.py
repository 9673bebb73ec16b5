"""How the sandbox ODIN's books change: orders, renewals, endings, and the ledger that tells the truth of each."""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.odin import UnknownRecord, odin_sandbox
from deploy.sandbox.odin.changes import change_something, keep_changing
from deploy.sandbox.odin.opening import start_of
from tests.sandbox.odin_reader import Reader, ids
from tests.waiting import wait_for

KEY = ("1000823", "100234")


@pytest.fixture
def clock():
    clock = SandboxClock()
    clock.set(datetime(2026, 8, 11, 10, 0, tzinfo=UTC))
    return clock


@pytest.fixture(scope="module")
def sandbox():
    with odin_sandbox(companies=1) as first:
        yield first


@pytest.fixture
def odin(sandbox):
    return sandbox.add_account(f"msp-{len(sandbox.sandbox.all) + 1}", companies=12)


@pytest.fixture
def reader(odin):
    with Reader(odin) as reader:
        yield reader


@pytest.fixture
def timed(clock):
    """An account whose clock the test moves."""
    with odin_sandbox(companies=12, clock=clock) as odin:
        yield odin


def changes(odin):
    return [(change.field, *change.key, change.old, change.new) for change in odin.ledger]


def test_nothing_done_leaves_an_empty_ledger(odin):
    odin.set_count(*KEY, 8)
    odin.set_cost(*KEY, "3.40")
    odin.rename(*KEY, "Exchange Online (Plan 1)")

    assert odin.ledger == ()
    assert odin.count(*KEY) == 8


def test_a_count_that_is_set_shows_at_once_is_ordered_and_stands_in_the_ledger_once(reader):
    reader.odin.set_count(*KEY, 12)

    assert reader.product()["quantity"] == 12
    newest = reader.read("orders", limit=1)["data"][0]
    assert (newest["type"], newest["status"], newest["statusCode"]) == ("change", "completed", "CP")
    detail = reader.read(f"orders/{newest['id']}")
    assert (detail["subscriptionId"], detail["products"]) == ("1000823", [{"id": "100234", "quantity": 4}])
    assert changes(reader.odin) == [("count", "1200000501", "1000823", "100234", "8", "12")]


def test_a_change_order_tells_a_signed_change_never_the_count(reader):
    reader.odin.set_count(*KEY, 5)

    newest = ids(reader.read("orders", limit=1))[0]
    assert reader.read(f"orders/{newest}")["products"][0]["quantity"] == -3


def test_a_silent_change_leaves_no_order(reader):
    before = reader.read("orders")["pagination"]["total"]

    reader.odin.set_count(*KEY, "9", silent=True)

    assert reader.product()["quantity"] == 9
    assert reader.read("orders")["pagination"]["total"] == before
    assert changes(reader.odin) == [("count", "1200000501", "1000823", "100234", "8", "9")]


def test_an_order_is_processed_before_it_takes_effect(timed, clock):
    with Reader(timed) as reader:
        order_id = timed.order_change(*KEY, 4, completes_in=30)
        assert reader.product()["quantity"] == 8
        assert reader.read(f"orders/{order_id}")["status"] == "processing"
        assert reader.read(f"orders/{order_id}")["provisioningDate"] is None
        assert timed.ledger == ()

        clock.advance(timedelta(seconds=31))
        assert reader.product()["quantity"] == 12
        assert reader.read(f"orders/{order_id}")["status"] == "completed"
        assert len(timed.ledger) == 1


def test_a_decrease_can_be_held_to_the_renewal_months_away(timed, clock):
    with Reader(timed) as reader:
        order_id = timed.order_change(*KEY, -3, at_renewal=True)
        renewal = timed.subscription("1000823").renewal_date
        detail = reader.read(f"orders/{order_id}")
        assert (detail["status"], detail["statusCode"]) == ("processing", "AS")
        assert detail["scheduledOn"].startswith(renewal.isoformat())

        clock.set(start_of(renewal) - timedelta(seconds=5))
        assert timed.count(*KEY) == 8
        clock.set(start_of(renewal) + timedelta(seconds=5))
        reader.log_in()
        assert reader.product()["quantity"] == 5

        [change] = [change for change in timed.ledger if change.subscription_id == "1000823"]
        assert (change.at, change.old, change.new) == (start_of(renewal), "8", "5")
        assert timed.subscription("1000823").renewal_date > renewal
        assert ids(reader.read("orders", limit=1, subscriptionId="1000823")) != [order_id], "the renewal came after"
        assert "products" not in reader.read(f"orders/{ids(reader.read('orders', subscriptionId='1000823'))[0]}")


def test_an_order_whose_subscription_is_gone_or_too_small_ends_in_error(timed, clock):
    too_small = timed.order_change(*KEY, -8, completes_in=30)
    timed.set_count(*KEY, 5)
    other = next(each for each in timed.subscriptions if each.resources and each.subscription_id != "1000823")
    gone = timed.order_change(other.subscription_id, other.resources[0].product_id, 1, completes_in=30)
    timed.vanish(other.subscription_id)

    clock.advance(timedelta(minutes=1))

    assert [timed.order(order_id).status for order_id in (too_small, gone)] == ["error", "error"]
    assert timed.count(*KEY) == 5


def test_a_renewal_can_swap_the_subscription_id(reader):
    old = reader.read("subscriptions/1000823")

    new_id = reader.odin.renew("1000823")

    before, after = reader.read("subscriptions/1000823"), reader.read(f"subscriptions/{new_id}")
    assert (before["status"], after["status"]) == ("removed", "active")
    assert after["customerId"] == old["customerId"]
    assert after["creationDate"] == before["renewalDate"] == reader.odin.clock.today().isoformat()
    assert after["products"] == old["products"], "with the vendor's subscription id"
    assert new_id in ids(reader.read("subscriptions", limit=1))
    order = reader.read(f"orders/{ids(reader.read('orders', limit=1))[0]}")
    assert (order["type"], order["subscriptionId"], order["targetSubscriptionId"]) == ("renewal", "1000823", new_id)
    assert changes(reader.odin) == [("renewed", "1200000501", "1000823", "", "1000823", new_id)]


def test_a_renewal_can_hide_the_mark_by_which_it_is_known(reader):
    old = reader.product()["vendorSubscriptionId"]

    new_id = reader.odin.renew("1000823", keeps_vendor_id=False)

    assert reader.product(new_id)["vendorSubscriptionId"] != old


def test_terms_renew_in_place_or_under_new_ids_by_switch(timed, clock):
    monthly = [each for each in timed.subscriptions if _renews_monthly(each)]
    clock.advance(timedelta(days=32))
    in_place = {each.subscription_id: timed.subscription(each.subscription_id).status for each in monthly}
    assert set(in_place.values()) == {"active"}
    assert all(timed.subscription(each.subscription_id).renewal_date > clock.today() for each in monthly)
    assert timed.ledger == ()

    timed.switch(renewals_swap_ids=True)
    clock.advance(timedelta(days=62))
    renewed = [change for change in timed.ledger if change.field == "renewed"]
    assert {change.old for change in renewed} >= set(in_place)
    chain = {change.old: change.new for change in renewed}
    last = monthly[0].subscription_id
    while last in chain:
        assert timed.subscription(last).status == "removed"
        last = chain[last]
    assert timed.subscription(last).status == "active"
    assert timed.subscription(last).resources == monthly[0].resources
    assert timed.subscription(last).renewal_date > clock.today()


def _renews_monthly(subscription):
    return subscription.subscription_period.type == "month" and subscription.status == "active"


def test_a_subscription_can_end_without_any_order(reader):
    before = reader.read("orders")["pagination"]["total"]

    reader.odin.remove("1000823")

    assert reader.read("subscriptions/1000823")["status"] == "removed"
    assert reader.read("orders")["pagination"]["total"] == before
    assert changes(reader.odin) == [("status", "1200000501", "1000823", "", "active", "removed")]


def test_a_cancellation_is_an_order_without_products(reader):
    reader.odin.cancel("1000823")

    order = reader.read(f"orders/{ids(reader.read('orders', limit=1))[0]}")
    assert order["type"] == "cancellation"
    assert "products" not in order
    assert reader.read("subscriptions/1000823")["status"] == "terminated"


def test_a_resource_can_be_taken_off_its_subscription(reader):
    subscription = next(each for each in reader.odin.subscriptions if len(each.resources) > 1)
    gone = subscription.resources[-1]

    reader.odin.remove(subscription.subscription_id, gone.product_id)

    left = reader.read(f"subscriptions/{subscription.subscription_id}")["products"]
    assert [each["id"] for each in left] == [each.product_id for each in subscription.resources[:-1]]
    assert [change.field for change in reader.odin.ledger] == ["gone"]


def test_a_subscription_can_vanish_and_return(reader):
    total = reader.read("subscriptions")["pagination"]["total"]

    reader.odin.vanish("1000823")
    assert reader.ask("subscriptions/1000823").status_code == 404
    assert reader.read("subscriptions")["pagination"]["total"] == total - 1
    with pytest.raises(UnknownRecord):
        reader.odin.vanish("1000823")

    reader.odin.restore("1000823")
    assert reader.product()["quantity"] == 8
    assert [change.field for change in reader.odin.ledger] == ["gone", "appeared"]
    with pytest.raises(UnknownRecord):
        reader.odin.restore("1000823")


def test_prices_costs_names_states_and_owners_change_and_are_written_down(reader):
    odin = reader.odin
    odin.set_cost(*KEY, "3.5512")
    odin.set_price(*KEY, "11.00")
    odin.rename(*KEY, "Exchange Online Plan One")
    odin.rename_company("1200000501", "Repair & Wear Ltd")
    odin.set_status("1000823", "hold")
    odin.move("1000823", "1200000508")

    product, detail = reader.product(), reader.read("subscriptions/1000823")
    assert product["unitCost"]["amount"] == "3.5512"
    assert product["unitPrice"]["amount"] == "11"
    assert product["name"] == "Exchange Online Plan One"
    assert (detail["status"], detail["customerId"]) == ("hold", "1200000508")
    assert reader.read("customers/1200000501")["name"] == "Repair & Wear Ltd"
    assert [(change.field, change.old, change.new) for change in odin.ledger] == [
        ("cost", "3.40 USD", "3.5512 USD"),
        ("price", "10.00 USD", "11.00 USD"),
        ("name", "Exchange Online (Plan 1)", "Exchange Online Plan One"),
        ("name", "Repair and Wear", "Repair & Wear Ltd"),
        ("status", "active", "hold"),
        ("company", "1200000501", "1200000508"),
    ]


def test_a_cost_can_change_its_currency(reader):
    reader.odin.set_cost(*KEY, "3.10", "EUR")

    assert reader.product()["unitCost"] == {"currency": "EUR", "amount": "3.1"}


def test_new_companies_subscriptions_and_resources_can_be_added(reader):
    company_id = reader.odin.add_company("New Ltd")
    subscription_id = reader.odin.add_subscription(company_id, "Backup", monthly=True)
    reader.odin.add_resource(subscription_id, "PRD7", "Backup", 3, price="5", cost="2.5")

    assert ids(reader.read("customers", limit=1)) == [company_id]
    assert ids(reader.read("subscriptions", limit=1)) == [subscription_id]
    assert ids({"data": [reader.product(subscription_id)]}) == ["PRD7"]
    assert reader.read("orders", limit=1)["data"][0]["type"] == "sales"
    metered = reader.odin.add_subscription(company_id, "Cloud", usage_based=True)
    assert reader.read(f"subscriptions/{metered}")["billingModel"] == "chargeExternalRating"


@pytest.mark.parametrize("moves", [True, False])
def test_a_change_moves_the_last_modified_day_or_not_by_switch(reader, moves):
    before = reader.read("subscriptions/1000823")["lastModifiedDate"]
    reader.odin.switch(changes_move_last_modified=moves)

    reader.odin.set_count(*KEY, 9)

    today = reader.odin.clock.today().isoformat()
    assert reader.read("subscriptions/1000823")["lastModifiedDate"] == (today if moves else before)


def test_rows_shift_between_two_pages_when_something_is_ordered_meanwhile(reader):
    reader.odin.after("/orders?", lambda: reader.odin.set_count(*KEY, 9))

    first = reader.read("orders", limit=5)
    second = reader.read("orders", limit=5, offset=5)
    third = reader.read("orders", limit=5, offset=10)

    assert second["data"][0]["id"] == first["data"][-1]["id"], "the last row of the first page is shown again"
    assert second["pagination"]["total"] == first["pagination"]["total"] + 1 == third["pagination"]["total"]


def test_a_sequel_waits_for_its_call_and_comes_once(reader):
    reader.odin.after("/subscriptions/1000823", lambda: reader.odin.set_count(*KEY, 9), calls=2)

    assert [reader.product()["quantity"] for _ in range(4)] == [8, 8, 9, 9]
    assert len(reader.odin.ledger) == 1


@pytest.mark.parametrize(("count", "error"), [(-1, ValueError), (9.0, TypeError), ("many", ArithmeticError)])
def test_a_count_that_no_marketplace_holds_is_refused(odin, count, error):
    with pytest.raises(error):
        odin.set_count(*KEY, count)
    assert odin.count(*KEY) == 8


@pytest.mark.parametrize("key", [("9", "100234"), ("1000823", "PRD9")])
def test_a_resource_that_is_not_there_is_told_by_its_id(odin, key):
    with pytest.raises(UnknownRecord, match="9"):
        odin.set_count(*key, 9)


@pytest.fixture
def threads_that_switch_often():
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("threads_that_switch_often")
def test_changes_from_many_threads_at_once_are_all_counted_in_one_unbroken_chain(odin):
    def add_one_after_another():
        for _ in range(25):
            odin.order_change(*KEY, 1)

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(add_one_after_another) for _ in range(8)]:
            done.result()

    counts = [Decimal(change.new) for change in odin.ledger]
    assert counts == list(range(9, 209))
    assert [Decimal(change.old) for change in odin.ledger] == [8, *counts[:-1]]
    assert len({order.order_id for order in odin.orders}) == len(odin.orders)


def test_changes_that_keep_coming_are_plausible_and_spare_the_example(odin):
    random = Random(3)
    for _ in range(150):
        change_something(odin, random)

    ended = {each.subscription_id for each in odin.subscriptions if each.status != "active" or each.usage_based}
    assert len(odin.ledger) == 150
    assert all(0 < abs(Decimal(change.new) - Decimal(change.old)) <= 3 for change in odin.ledger)
    assert all(Decimal(change.new) > 0 for change in odin.ledger)
    assert not {change.subscription_id for change in odin.ledger} & (ended | {"1000823"})
    assert len({change.subscription_id for change in odin.ledger}) > 5


def test_an_account_with_the_example_alone_has_nothing_to_change(odin):
    for each in odin.subscriptions:
        if each.subscription_id != "1000823":
            odin.remove(each.subscription_id)

    assert change_something(odin, Random(1)) is None


def test_changes_keep_coming_while_the_block_runs_and_stop_with_it(odin):
    with keep_changing(odin, every=0.02):
        wait_for(lambda: len(odin.ledger) >= 3, what="three changes")

    ordered = len(odin.orders)
    wait_for(lambda: all(order.status == "completed" for order in odin.orders), what="open orders")
    assert len(odin.orders) == ordered


def test_a_subscription_that_does_not_renew_is_removed_at_its_end_without_an_order(timed, clock):
    ended = next(each for each in timed.subscriptions if each.resources and each.status == "active")
    timed.set_auto_renew(ended.subscription_id, auto_renew=False)
    orders = len([order for order in timed.orders if order.subscription_id == ended.subscription_id])

    clock.set(start_of(ended.renewal_date) + timedelta(hours=1))

    assert timed.subscription(ended.subscription_id).status == "removed"
    assert len([order for order in timed.orders if order.subscription_id == ended.subscription_id]) == orders


def test_the_opening_orders_tell_the_history(reader):
    past = reader.odin.history[-1]
    listed = reader.read("orders", subscriptionId=past.subscription_id, limit=100)["data"]
    on_the_day = [row["id"] for row in listed if date.fromisoformat(row["creationDate"][:10]) == past.date]

    [detail] = [reader.read(f"orders/{order_id}") for order_id in on_the_day]
    assert detail["products"] == [{"id": past.product_id, "quantity": int(past.new - past.old)}]
