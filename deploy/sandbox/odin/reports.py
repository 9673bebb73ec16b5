"""(an account's books and changes, a day) -> that day's usage report, behind a link that is signed and expires."""

import csv
import hmac
import io
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

import orjson

from deploy.sandbox.odin.access import Refused
from deploy.sandbox.odin.account import OdinAccount
from deploy.sandbox.odin.opening import start_of
from deploy.sandbox.odin.wire import moment

_NAMES = UUID("6f1f3c39-64f0-4f0a-8a5e-1d0c5f5c0d10")
_KEPT_DAYS = 90
_LISTED_DAYS = 95
_LINK_LIVES = timedelta(hours=1)
_COLUMNS = ("customerId", "customerName", "id", "name", "status", "productId", "productName", "quantity", "unitCost")


def report_rows(market: OdinAccount, query: Mapping[str, str], address: str) -> list[dict[str, Any]]:
    """The daily reports, newest first, a CSV and a JSON of each day; from, to and format narrow them."""
    now = market.clock.now()
    first = date.fromisoformat(query["from"]) if "from" in query else date.min
    last = date.fromisoformat(query["to"]) if "to" in query else date.max
    days = [now.date() - timedelta(days=days_ago) for days_ago in range(_LISTED_DAYS)]
    wanted = query.get("format", "").lower()
    return [
        _row(market, day, kind, now, address)
        for day in days
        if first <= day <= last
        for kind in ("csv", "json")
        if wanted in {"", kind}
    ]


def download(market: OdinAccount, report_id: str, kind: str, query: Mapping[str, str]) -> tuple[str, bytes]:
    """(media type, body) of the report behind a signed link; 403 for a bad or expired link, 404 past 90 days."""
    expires = query.get("se", "")
    if not hmac.compare_digest(query.get("sig", ""), _signature(market, report_id, expires)):
        raise Refused(403, "AuthenticationFailed: the signature does not match")
    now = market.clock.now()
    if now.timestamp() > int(expires):
        raise Refused(403, "AuthenticationFailed: the link has expired")
    days = [now.date() - timedelta(days=days_ago) for days_ago in range(_KEPT_DAYS)]
    for day in days:
        if report_id == _report_id(market, day, kind):
            return _written(_contents(market, day), kind)
    raise Refused(404, "BlobNotFound: reports are kept for 90 days")


def _row(market: OdinAccount, day: date, kind: str, now: datetime, address: str) -> dict[str, Any]:
    report_id = _report_id(market, day, kind)
    expires = str(int((now + _LINK_LIVES).timestamp()))
    link = f"{address}/reportfiles/{market.name}/{report_id}.{kind}?se={expires}"
    return {
        "id": report_id,
        "name": f"Daily subscriptions {day.isoformat()}",
        "status": "completed",
        "type": "daily",
        "format": kind.upper() if market.switches.report_format_upper else kind,
        "creationDate": moment(start_of(day), market.switches),
        "startDate": moment(start_of(day), market.switches),
        "endDate": moment(start_of(day) + timedelta(days=1), market.switches),
        "downloadUrl": f"{link}&sig={_signature(market, report_id, expires)}",
    }


def _report_id(market: OdinAccount, day: date, kind: str) -> str:
    return str(uuid5(_NAMES, f"{market.name}/{day.isoformat()}/{kind}"))


def _signature(market: OdinAccount, report_id: str, expires: str) -> str:
    return hmac.new(market.secret.encode(), f"{report_id}/{expires}".encode(), sha256).hexdigest()


def _contents(market: OdinAccount, day: date) -> list[dict[str, str]]:
    """The counts as they stood at the end of the day: today's, with every later change taken back."""
    counts = {(s.subscription_id, r.product_id): r.count for s in market.subscriptions for r in s.resources}
    end = start_of(day) + timedelta(days=1)
    for change in reversed(market.ledger):
        if change.field == "count" and change.at >= end:
            counts[change.subscription_id, change.product_id] = Decimal(change.old)
    for past in reversed(market.history):
        if datetime.combine(past.date, datetime.min.time(), UTC) >= end:
            counts[past.subscription_id, past.product_id] = past.old
    names = {company.company_id: company.name for company in market.companies}
    return [
        {
            "customerId": subscription.company_id,
            "customerName": names.get(subscription.company_id, ""),
            "id": subscription.subscription_id,
            "name": subscription.name,
            "status": subscription.status,
            "productId": resource.product_id,
            "productName": resource.name,
            "quantity": str(counts[subscription.subscription_id, resource.product_id]),
            "unitCost": str(resource.cost.amount) if resource.cost else "",
        }
        for subscription in market.subscriptions
        for resource in subscription.resources
    ]


def _written(rows: list[dict[str, str]], kind: str) -> tuple[str, bytes]:
    if kind == "json":
        return "application/json", orjson.dumps(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return "text/csv", text.getvalue().encode()
