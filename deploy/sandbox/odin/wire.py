"""(a record of the books, the account's switches) -> the JSON row that the Simple API shows of it (spec 1.15)."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from deploy.sandbox.books import Company, Money, Resource, Subscription
from deploy.sandbox.odin.marketplace import Marketplace
from deploy.sandbox.odin.state import Order, Switches

Row = dict[str, Any]
_STATUS_CODE = {"completed": "CP", "processing": "AS", "error": "ER"}


def company_row(company: Company, switches: Switches) -> Row:
    """A Customer with an address and a contact person, whose data nobody should store."""
    row: Row = {
        "id": company.company_id,
        "externalId": f"ext-{company.company_id}",
        "name": company.name,
        "status": company.status,
        "resellerId": "1000001",
        "taxRegId": "",
        "language": "en",
        "attributes": {},
        "address": {
            "streetAddress": "1 Example Street",
            "addressExtension": "",
            "postalCode": "10001",
            "city": "Exampletown",
            "state": "NY",
            "countryCode": "US",
        },
        "contactPersons": [
            {
                "type": "admin",
                "firstName": "Personal",
                "lastName": "Contact",
                "email": f"contact@{company.company_id}.example",
                "phoneNumber": "+1 555 0100",
            }
        ],
    }
    return _with_extras(row, switches)


def subscription_row(subscription: Subscription, market: Marketplace) -> Row:
    """A Subscription as lists show it: without its products."""
    row: Row = {
        "id": subscription.subscription_id,
        "customerId": subscription.company_id,
        "name": subscription.name,
        "status": subscription.status,
        "renewalStatus": subscription.auto_renew,
        "creationDate": subscription.creation_date.isoformat(),
        "renewalDate": subscription.renewal_date.isoformat(),
        "lastModifiedDate": subscription.last_modified_date.isoformat(),
        "expirationDate": subscription.renewal_date.isoformat(),
        "billingModel": subscription.billing_model,
        "attributes": {},
        "billingPeriod": {"type": subscription.billing_period.type, "duration": subscription.billing_period.duration},
        "subscriptionPeriod": {
            "type": subscription.subscription_period.type,
            "duration": subscription.subscription_period.duration,
        },
    }
    return _shown(_with_extras(row, market.switches), market.shown(subscription.subscription_id, ""))


def subscription_detail(subscription: Subscription, market: Marketplace) -> Row:
    """A SubscriptionDetailed: the only row that tells counts and costs."""
    products = [_product_of(subscription, resource, market) for resource in subscription.resources]
    switches, resources = market.switches, subscription.resources
    price = sum((each.price.amount * each.count for each in resources), Decimal(0))
    cost = sum((each.cost.amount * each.count for each in resources if each.cost), Decimal(0))
    totals = {
        "planId": subscription.plan_id,
        "totalPrice": _money(Money(price, "USD"), switches),
        "totalSubscriptionPrice": _money(Money(price, "USD"), switches),
        "totalSubscriptionCost": _money(Money(cost, "USD"), switches),
        "products": products,
        "orderParameters": [],
        "fulfillmentParameters": [{"name": "ms_customer_id", "value": "00000000-0000-0000-0000-0000000000aa"}],
    }
    shown = market.shown(subscription.subscription_id, "")
    return _shown({**subscription_row(subscription, market), **totals}, shown)


def order_row(order: Order, market: Marketplace) -> Row:
    """An Order as lists show it: it does not name its subscription."""
    created = moment(order.created_at, market.switches)
    row: Row = {
        "id": order.order_id,
        "orderNumber": order.number,
        "type": order.type,
        "customerId": order.company_id,
        "poNumber": f"PO-{order.company_id}",
        "creationDate": created,
        "provisioningDate": moment(order.due_at, market.switches) if order.status == "completed" else None,
        "status": order.status,
        "statusCode": _STATUS_CODE.get(order.status, "CL"),
        "total": {"currency": "USD", "amount": "0"},
    }
    return _with_extras(row, market.switches)


def order_detail(order: Order, market: Marketplace) -> Row:
    """An OrderDetailed. Changes carry signed quantities; renewals and cancellations carry no products at all."""
    row = order_row(order, market) | {
        "subscriptionId": order.subscription_id,
        "targetSubscriptionId": order.target_subscription_id or None,
        "scheduledOn": moment(order.due_at, market.switches) if order.status == "processing" else None,
        "details": [],
    }
    if order.type in {"sales", "change"}:
        row["products"] = [
            {"id": change.product_id, "quantity": quantity(change.count_change, market.switches)}
            for change in order.changes
        ]
    return row


def catalogue_row(subscription: Subscription, resource: Resource, switches: Switches) -> Row:
    """A Product of the catalogue, as it is sold on this subscription."""
    period = {"type": subscription.billing_period.type, "duration": subscription.billing_period.duration}
    kinds = {"type": "recurring", "model": "FLAT", "lowerLimit": "0"}
    costs = [_money(resource.cost, switches) | kinds] if resource.cost and switches.tell_cost else []
    row: Row = {
        "id": resource.product_id,
        "mpn": resource.mpn,
        "vendor": resource.vendor,
        "serviceName": resource.vendor,
        "name": resource.name,
        "minimumQuantity": "1",
        "maximumQuantity": "10000",
        "prices": [_money(resource.price, switches) | kinds],
        "costs": costs,
        "billingPeriod": period,
        "subscriptionPeriod": {"type": subscription.subscription_period.type, "duration": 1},
        "billingModel": subscription.billing_model,
        "dependsOn": [],
        "coterming": False,
    }
    return _with_extras(row, switches)


def quantity(count: Decimal, switches: Switches) -> Any:
    """A count as the wire writes it: 8, 8.0, "8.0" or 8e0."""
    plain = format(count.normalize(), "f")
    pointed = plain if "." in plain else f"{plain}.0"
    styles = {"integer": plain, "decimal": pointed, "text": f'"{pointed}"', "exponent": f"{plain}e0"}
    return orjson.Fragment(styles[switches.quantity_as])


def moment(at: datetime, switches: Switches) -> str:
    """A moment as the wire writes it: with Z or +00:00."""
    text = at.isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z") if switches.moments_as == "Z" else text


def _product_of(subscription: Subscription, resource: Resource, market: Marketplace) -> Row:
    switches = market.switches
    row: Row = {
        "id": resource.product_id,
        "mpn": resource.mpn,
        "vendor": resource.vendor,
        "name": resource.name,
        "quantity": quantity(resource.count, switches),
        "unitPrice": _money(resource.price, switches),
        "extendedPrice": _money(Money(resource.price.amount * resource.count, resource.price.currency), switches),
        "vendorSubscriptionId": resource.vendor_subscription_id,
    }
    if resource.cost is not None and switches.tell_cost:
        row["unitCost"] = _money(resource.cost, switches)
        row["unitProviderCost"] = _money(Money(resource.cost.amount / 2, resource.cost.currency), switches)
    return _shown(_with_extras(row, switches), market.shown(subscription.subscription_id, resource.product_id))


def _money(money: Money, switches: Switches) -> Row:
    styles = {
        "shortest": format(money.amount.normalize(), "f"),
        "four places": f"{money.amount:.4f}",
        "as kept": str(money.amount),
    }
    return {"currency": money.currency, "amount": styles[switches.amounts_as]}


def _with_extras(row: Row, switches: Switches) -> Row:
    if switches.extra_fields:
        row |= {"introducedLater": {"nested": [1, "two", None]}, "anotherNewField": True}
    return row


def _shown(row: Row, shown: Mapping[str, str | None]) -> Row:
    for field, raw_json in shown.items():
        if raw_json is None:
            row.pop(field, None)
        else:
            row[field] = orjson.Fragment(raw_json)
    return row
