"""(a call of the Simple API, an account's books) -> the answer: tokens, customers, subscriptions, orders, products, reports."""

from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import orjson

from deploy.sandbox.books import Resource, Subscription
from deploy.sandbox.odin.access import Answer, Refused
from deploy.sandbox.odin.account import OdinAccount
from deploy.sandbox.odin.register import UnknownRecord
from deploy.sandbox.odin.reports import report_rows
from deploy.sandbox.odin.wire import (
    Row,
    catalogue_row,
    company_row,
    order_detail,
    order_row,
    subscription_detail,
    subscription_row,
)

_BRIEF = ("id", "externalId", "name", "status")


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it reached the platform: the path is what follows the region, such as /subscriptions/1000823."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    address: str


def give_token(market: OdinAccount, call: Call) -> Answer:
    """A token for the right user, password and marketplace code; 401 or 400 as Refused otherwise."""
    user, password = _basic(call.headers.get("authorization", ""))
    if (user, password) != (market.user, market.password):
        raise Refused(401, "Invalid user name or password")
    if not market.active:
        raise Refused(401, "The user has not been activated")
    if _marketplace_asked(call.body) != market.marketplace:
        raise Refused(400, "The marketplace code is missing or does not belong to this user")
    seconds = market.switches.token_seconds
    return Answer(200, {"token": market.tokens.issue(market.clock.now(), seconds), "expiresInSeconds": int(seconds)})


def answer_read(market: OdinAccount, call: Call) -> Answer:
    """The answer to a read; Refused for a bad token, a bad parameter or a record that is not there."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not market.tokens.good(token, market.clock.now()):
        raise Refused(401, "The token is missing, unknown or expired")
    collection, _, record_id = call.path.strip("/").partition("/")
    try:
        if collection in _LISTS and not record_id:
            return Answer(200, _LISTS[collection](market, call))
        if collection in _DETAILS and record_id:
            return Answer(200, _DETAILS[collection](market, record_id, call))
    except UnknownRecord:
        raise Refused(market.switches.not_found_status, f"No entity has been found by id {record_id}") from None
    except ValueError as problem:
        raise Refused(400, f"Bad request: {problem}") from None
    raise Refused(404, f"No such resource: {call.path}")


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        user, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except (BadBase64, UnicodeDecodeError):
        return "", ""
    return (user, password) if scheme.lower() == "basic" else ("", "")


def _marketplace_asked(body: bytes) -> Any:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return asked.get("marketplace") if isinstance(asked, dict) else None


def _list_companies(market: OdinAccount, call: Call) -> Row:
    name = call.query.get("name", "").lower()
    external_id = call.query.get("externalId")
    rows = [company_row(each, market.switches) for each in market.companies if name in each.name.lower()]
    rows = [row for row in rows if external_id in {None, row["externalId"]}]
    if market.switches.brief_customers:
        rows = [{field: row[field] for field in _BRIEF} for row in rows]
    return _page(rows, market, call)


def _list_subscriptions(market: OdinAccount, call: Call) -> Row:
    _one_status(call)
    wanted = [
        each
        for each in market.subscriptions
        if _asked(call, "customerId", each.company_id)
        and _asked(call, "status", each.status)
        and _created_within(each.creation_date, call)
    ]
    return _page(wanted, market, call, lambda each: subscription_row(each, market))


def _list_orders(market: OdinAccount, call: Call) -> Row:
    _one_status(call)
    wanted = [
        each
        for each in market.orders
        if _asked(call, "customerId", each.company_id)
        and _asked(call, "subscriptionId", each.subscription_id)
        and _asked(call, "orderNumber", each.number)
        and _asked(call, "status", each.status)
        and _ordered_within(each.created_at, call)
    ]
    return _page(wanted, market, call, lambda each: order_row(each, market))


def _list_products(market: OdinAccount, call: Call) -> Row:
    found: dict[str, tuple[Subscription, Resource]] = {}
    for subscription in market.subscriptions:
        for resource in subscription.resources:
            found.setdefault(resource.product_id, (subscription, resource))
    rows = [catalogue_row(*each, market.switches) for _, each in sorted(found.items())]
    for field in ("name", "serviceName", "mpn", "vendor"):
        rows = [row for row in rows if call.query.get(field, "").lower() in row[field].lower()]
    return _page(rows, market, call)


def _list_plans(market: OdinAccount, call: Call) -> Row:
    plans = {each.plan_id: each.name for each in market.subscriptions}
    return _page([{"id": plan_id, "name": name} for plan_id, name in sorted(plans.items())], market, call)


def _list_reports(market: OdinAccount, call: Call) -> Row:
    rows = report_rows(market, call.query, call.address)
    return {"data": rows, "pagination": {"offset": 0, "limit": len(rows), "total": len(rows)}}


def _report(market: OdinAccount, report_id: str, call: Call) -> Row:
    for row in report_rows(market, {}, call.address):
        if row["id"] == report_id:
            return row
    raise UnknownRecord(f"no report {report_id}")


def _plan(market: OdinAccount, plan_id: str, _: Call) -> Row:
    for each in market.subscriptions:
        if str(each.plan_id) == plan_id:
            return {"id": each.plan_id, "name": each.name}
    raise UnknownRecord(f"no plan {plan_id}")


def _page(
    records: list[Any], market: OdinAccount, call: Call, row: Callable[[Any], Row] = lambda record: record
) -> Row:
    offset, limit = int(call.query.get("offset", "0")), int(call.query.get("limit", "10"))
    if offset < 0 or limit < 1:
        raise ValueError("offset is 0 or more and limit 1 or more")
    if limit > 500 and market.switches.limit_over_500 == "refuse":
        raise ValueError("limit is 500 at most")
    if market.switches.limit_over_500 == "clamp":
        limit = min(limit, 500)
    data = [row(each) for each in records[offset : offset + limit]]
    return {"data": data, "pagination": {"offset": offset, "limit": limit, "total": len(records)}}


def _asked(call: Call, field: str, value: str) -> bool:
    return call.query.get(field, value) == value


def _one_status(call: Call) -> None:
    if "," in call.query.get("status", ""):
        raise ValueError("status takes one value")


def _created_within(day: date, call: Call) -> bool:
    first, last = call.query.get("creationDateFrom", "0001-01-01"), call.query.get("creationDateTo", "9999-12-31")
    return date.fromisoformat(first) <= day <= date.fromisoformat(last)


def _ordered_within(at: datetime, call: Call) -> bool:
    first, last = call.query.get("creationTimeFrom"), call.query.get("creationTimeTo")
    return (first is None or at >= _moment(first)) and (last is None or at <= _moment(last))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _nothing(market: OdinAccount, call: Call) -> Row:
    return _page([], market, call)


_LISTS: Mapping[str, Callable[[OdinAccount, Call], Row]] = {
    "customers": _list_companies,
    "subscriptions": _list_subscriptions,
    "orders": _list_orders,
    "products": _list_products,
    "plans": _list_plans,
    "reports": _list_reports,
    "resellers": _nothing,
}
_DETAILS: Mapping[str, Callable[[OdinAccount, str, Call], Row]] = {
    "customers": lambda market, record_id, _: company_row(market.company(record_id), market.switches),
    "subscriptions": lambda market, record_id, _: subscription_detail(market.subscription(record_id), market),
    "orders": lambda market, record_id, _: order_detail(market.order(record_id), market),
    "plans": _plan,
    "reports": _report,
}
