"""What the sandbox ODIN answers to reads: rows, pages, filters, and the forms that real answers vary in."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

import pytest
import requests

from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.odin import odin_sandbox
from tests.sandbox.odin_reader import Reader, ids


@pytest.fixture(scope="module")
def sandbox():
    with odin_sandbox() as first:
        yield first


@pytest.fixture
def odin(sandbox):
    """An account of its own for each test, in a server that all tests share."""
    return sandbox.add_account(f"msp-{len(sandbox.sandbox.all) + 1}", companies=12)


@pytest.fixture
def reader(odin):
    with Reader(odin) as reader:
        yield reader


def test_a_list_shows_ten_rows_newest_first_and_none_of_their_products(reader):
    page = reader.read("subscriptions")

    assert page["pagination"] == {"offset": 0, "limit": 10, "total": len(reader.odin.subscriptions)}
    assert len(page["data"]) == 10
    created = [row["creationDate"] for row in page["data"]]
    assert created == sorted(created, reverse=True)
    assert not any("products" in row for row in page["data"])


def test_a_list_row_has_the_fields_of_the_specification_and_days_without_a_time(reader):
    rows = reader.read("subscriptions", limit=100)["data"]
    [row] = [row for row in rows if row["id"] == "1000823"]

    assert row.keys() == {
        "id", "customerId", "name", "status", "renewalStatus", "creationDate", "renewalDate", "lastModifiedDate",
        "expirationDate", "billingModel", "billingPeriod", "subscriptionPeriod", "attributes",
    }  # fmt: skip
    assert (row["customerId"], row["status"], row["renewalStatus"]) == ("1200000501", "active", True)
    assert row["billingPeriod"] == {"type": "month", "duration": 1}
    assert row["subscriptionPeriod"] == {"type": "year", "duration": 1}
    assert date.fromisoformat(row["creationDate"])


def test_the_detail_of_the_example_tells_its_count_price_and_cost(reader):
    detail = reader.read("subscriptions/1000823")
    [product] = detail["products"]

    assert (product["id"], product["name"]) == ("100234", "Exchange Online (Plan 1)")
    assert product["quantity"] == 8
    assert product["unitPrice"] == {"currency": "USD", "amount": "10"}
    assert product["unitCost"] == {"currency": "USD", "amount": "3.4"}
    assert product["extendedPrice"] == {"currency": "USD", "amount": "80"}
    assert detail["totalSubscriptionCost"] == {"currency": "USD", "amount": "27.2"}
    assert detail["fulfillmentParameters"][0]["name"] == "ms_customer_id"


def test_pages_walked_to_the_end_show_each_order_once(reader):
    walked = []
    total = reader.read("orders")["pagination"]["total"]
    for offset in range(0, total, 25):
        walked += ids(reader.read("orders", offset=offset, limit=25))

    assert len(walked) == len(set(walked)) == total
    assert reader.read("orders", offset=total, limit=25)["data"] == []


def test_filters_narrow_a_list_and_unknown_ones_are_ignored(reader):
    all_of_them = reader.read("subscriptions", limit=100)
    of_example = reader.read("subscriptions", customerId="1200000501", limit=100)
    active = reader.read("subscriptions", status="active", limit=100)
    recent = reader.read("subscriptions", creationDateFrom="2999-01-01")

    assert {row["customerId"] for row in of_example["data"]} == {"1200000501"}
    assert {row["status"] for row in active["data"]} == {"active"}
    assert recent["data"] == []
    assert reader.read("subscriptions", limit=100, modifiedSince="2026-01-01") == all_of_them
    assert [row["name"] for row in reader.read("customers", name="repair AND")["data"]] == ["Repair and Wear"]
    assert {row["mpn"] for row in reader.read("products", mpn="EXO-P1")["data"]} >= {"EXO-P1_MONTHLY"}


def test_orders_are_filtered_by_subscription_number_and_time(reader):
    newest = reader.read("orders", limit=1)["data"][0]
    detail = reader.read(f"orders/{newest['id']}")

    assert "subscriptionId" not in newest
    assert ids(reader.read("orders", orderNumber=newest["orderNumber"])) == [newest["id"]]
    assert newest["id"] in ids(reader.read("orders", subscriptionId=detail["subscriptionId"]))
    assert newest["id"] in ids(reader.read("orders", creationTimeFrom=newest["creationDate"]))
    assert reader.read("orders", creationTimeFrom="2999-01-01T00:00:00")["data"] == []
    assert reader.read("orders", creationTimeTo="1999-01-01T00:00:00Z")["data"] == []


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("subscriptions", {"status": "active,hold"}),
        ("orders", {"status": "completed,processing"}),
        ("customers", {"limit": 0}),
        ("customers", {"offset": -1}),
        ("customers", {"limit": "many"}),
        ("subscriptions", {"creationDateFrom": "yesterday"}),
    ],
)
def test_a_bad_parameter_is_a_400_in_the_platforms_body(reader, path, query):
    answer = reader.ask(path, **query)

    assert answer.status_code == 400
    assert answer.json().keys() == {"timeStamp", "status", "message", "path", "correlationId"}
    assert answer.json()["correlationId"] == answer.headers["X-Correlation-ID"]


@pytest.mark.parametrize("status", [404, 400])
def test_an_unknown_id_is_a_404_or_a_400_by_switch(reader, status):
    reader.odin.switch(not_found_status=status)

    for path in ("subscriptions/9", "customers/9", "orders/9", "plans/9", "reports/9"):
        answer = reader.ask(path)
        assert answer.status_code == status
        assert "No entity has been found" in answer.json()["message"]


@pytest.mark.parametrize(("switch", "limit"), [("accept", 1000), ("clamp", 500)])
def test_a_page_of_more_than_500_is_accepted_or_clamped_by_switch(reader, switch, limit):
    reader.odin.switch(limit_over_500=switch)

    assert reader.read("orders", limit=1000)["pagination"]["limit"] == limit


def test_a_page_of_more_than_500_is_refused_by_switch(reader):
    reader.odin.switch(limit_over_500="refuse")

    assert reader.ask("orders", limit=501).status_code == 400
    assert reader.ask("orders", limit=500).status_code == 200


def test_every_collection_answers_with_and_without_a_trailing_slash(reader):
    for path in ("customers", "subscriptions", "orders", "products", "plans", "reports", "resellers"):
        assert reader.read(f"{path}/")["pagination"] == reader.read(path)["pagination"]
    assert reader.read("subscriptions/1000823/") == reader.read("subscriptions/1000823")
    assert reader.read("plans/10234") == {"id": 10234, "name": "Exchange Online (Plan 1)"}
    assert reader.ask("prices").status_code == 404


def test_another_region_than_the_accounts_own_is_not_found(reader):
    elsewhere = reader.odin.url.replace("/na/", "/eu/")

    assert reader.http.get(f"{elsewhere}subscriptions", timeout=5).status_code == 404


def test_subscriptions_without_resources_and_usage_based_ones_can_be_told(reader):
    empty = next(each for each in reader.odin.subscriptions if not each.resources)
    metered = next(each for each in reader.odin.subscriptions if each.usage_based)

    assert reader.read(f"subscriptions/{empty.subscription_id}")["products"] == []
    assert reader.read(f"subscriptions/{metered.subscription_id}")["billingModel"] == "chargeExternalRating"


def test_a_cost_that_is_not_told_is_absent_not_zero(reader):
    reader.odin.set_cost("1000823", "100234", None)
    assert "unitCost" not in reader.product()

    reader.odin.set_cost("1000823", "100234", "3.40")
    assert "unitCost" in reader.product()

    reader.odin.switch(tell_cost=False)
    assert "unitCost" not in reader.product()


@pytest.mark.parametrize(
    ("style", "raw"), [("integer", "8"), ("decimal", "8.0"), ("text", '"8.0"'), ("exponent", "8e0")]
)
def test_a_count_is_written_in_the_style_of_the_switch(reader, style, raw):
    reader.odin.switch(quantity_as=style)

    assert f'"quantity":{raw},' in reader.ask("subscriptions/1000823").text


@pytest.mark.parametrize("raw", ["10.5", "-1", "null", "1e3", "9223372036854775808", '"8,0"', "[8]"])
def test_any_count_at_all_can_be_shown_while_the_books_keep_the_truth(reader, raw):
    reader.odin.show("1000823", "100234", "quantity", raw)

    assert f'"quantity":{raw},' in reader.ask("subscriptions/1000823").text
    assert reader.odin.count("1000823", "100234") == 8
    assert reader.odin.ledger == ()


def test_a_field_can_be_left_out_and_shown_again(reader):
    reader.odin.show("1000823", "100234", "quantity", None)
    reader.odin.show("1000823", "", "status", '"frozen"')
    assert "quantity" not in reader.product()
    assert reader.read("subscriptions/1000823")["status"] == "frozen"

    reader.odin.show_truth()
    assert reader.product()["quantity"] == 8
    assert reader.read("subscriptions/1000823")["status"] == "active"


@pytest.mark.parametrize(("style", "amount"), [("shortest", "3.4"), ("four places", "3.4000"), ("as kept", "3.40")])
def test_amounts_are_text_in_the_style_of_the_switch(reader, style, amount):
    reader.odin.switch(amounts_as=style)

    assert reader.product()["unitCost"]["amount"] == amount


@pytest.mark.parametrize(("style", "end"), [("Z", "Z"), ("+00:00", "+00:00")])
def test_moments_end_in_the_style_of_the_switch(reader, style, end):
    reader.odin.switch(moments_as=style)

    text = reader.read("orders", limit=1)["data"][0]["creationDate"]
    assert text.endswith(end)
    assert datetime.fromisoformat(text).tzinfo is not None


def test_unknown_fields_appear_everywhere_by_switch(reader):
    reader.odin.switch(extra_fields=True)

    for path in ("customers", "subscriptions", "orders", "products"):
        assert "introducedLater" in reader.read(path, limit=1)["data"][0]
    assert "introducedLater" in reader.product()


def test_customers_are_whole_or_brief_by_switch(reader):
    assert "contactPersons" in reader.read("customers", limit=1)["data"][0]

    reader.odin.switch(brief_customers=True)
    assert reader.read("customers", limit=1)["data"][0].keys() == {"id", "externalId", "name", "status"}
    assert "contactPersons" in reader.read("customers/1200000501")


def test_odd_names_arrive_as_they_are(reader):
    names = {row["name"] for row in reader.read("customers", limit=100)["data"]}
    assert {"=Gleich & Partner OHG", "Pixel <img src=x onerror=alert(1)> Studio Ltd", "شركة النور للتجارة"} <= names

    long_name = "ü" * 10_000
    reader.odin.rename("1000823", "100234", long_name)
    assert reader.product()["name"] == long_name


def test_an_unknown_switch_or_value_is_refused_and_changes_nothing(odin):
    before = odin.switches

    with pytest.raises(TypeError):
        odin.switch(quantity_is="text")
    with pytest.raises(ValueError, match="Invalid enum value"):
        odin.switch(quantity_as="roman")
    assert odin.switches == before


def test_a_report_tells_the_counts_of_its_day_behind_a_link_that_asks_for_no_token(reader):
    reader.odin.set_count("1000823", "100234", 12)
    today = reader.odin.clock.today()
    rows = reader.read("reports")["data"]
    [of_today] = [row for row in rows if row["format"] == "JSON" and today.isoformat() in row["name"]]
    yesterday = today - timedelta(days=1)
    [of_yesterday] = [row for row in rows if row["format"] == "CSV" and yesterday.isoformat() in row["name"]]

    told = json.loads(requests.get(of_today["downloadUrl"], timeout=5).content)
    told_before = list(csv.DictReader(io.StringIO(requests.get(of_yesterday["downloadUrl"], timeout=5).text)))

    def count(told):
        [row] = [row for row in told if (row["id"], row["productId"]) == ("1000823", "100234")]
        return Decimal(row["quantity"])

    assert (count(told_before), count(told)) == (8, 12)
    assert reader.read(f"reports/{of_today['id']}")["name"] == of_today["name"]


def test_a_report_of_the_past_year_follows_the_history(reader):
    past = reader.odin.history[-1]
    [row] = reader.read("reports", **{"from": past.date.isoformat(), "to": past.date.isoformat()}, format="json")[
        "data"
    ]
    earlier = (past.date - timedelta(days=1)).isoformat()
    [before] = reader.read("reports", **{"from": earlier, "to": earlier}, format="json")["data"]

    def count(row):
        told = requests.get(row["downloadUrl"], timeout=5).json()
        return next(
            Decimal(each["quantity"])
            for each in told
            if (each["id"], each["productId"]) == (past.subscription_id, past.product_id)
        )

    assert (count(before), count(row)) == (past.old, past.new)


def test_a_report_link_expires_cannot_be_forged_and_dies_after_ninety_days():
    clock = SandboxClock()
    with odin_sandbox(companies=1, clock=clock) as odin, Reader(odin) as reader:
        rows = reader.read("reports")["data"]
        link = rows[0]["downloadUrl"]
        assert requests.get(link, timeout=5).status_code == 200
        assert requests.get(link.replace(urlsplit(link).query, "se=9999999999&sig=0"), timeout=5).status_code == 403
        assert requests.get(rows[-1]["downloadUrl"], timeout=5).status_code == 404

        clock.advance(timedelta(hours=2))
        assert requests.get(link, timeout=5).status_code == 403


def test_report_formats_are_written_upper_or_lower_case_by_switch(reader):
    assert {row["format"] for row in reader.read("reports")["data"]} == {"CSV", "JSON"}

    reader.odin.switch(report_format_upper=False)
    assert {row["format"] for row in reader.read("reports")["data"]} == {"csv", "json"}


def test_the_clock_can_stand_hours_off(reader):
    with odin_sandbox(companies=1, clock=SandboxClock(timedelta(hours=-2))) as odin, Reader(odin) as reader:
        odin.set_count("1000823", "100234", 9)
        ordered = datetime.fromisoformat(reader.read("orders", limit=1)["data"][0]["creationDate"])

    assert timedelta(hours=1, minutes=59) < datetime.now(UTC) - ordered < timedelta(hours=2, minutes=1)
