"""The raw answers of readings that told something -> evidence of their events, with nothing personal and nothing secret in it.

What is shown is listed; all else is left out and counted, whatever the marketplace may add one day. Texts that people
write, such as the name of a subscription, are shown without what looks like an e-mail address, a telephone number or a
token. Numbers keep their very digits: 12.0 stays 12.0.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from domain.keys import SubscriptionId
from plumbing import evidence, logs
from plumbing.evidence import Answer, Reading
from services.poller.place import Place

log = logging.getLogger(__name__)
MASK = "(masked)"

# Field -> what is shown of it: None is a plain value, a mapping an object or a list of objects.
Shown = Mapping[str, "Shown | None"]


def _plain(*names: str) -> dict[str, "Shown | None"]:
    return dict.fromkeys(names)


_MONEY: Shown = _plain("currency", "amount") | {"priceTiers": _plain("lowerLimit", "amount")}
_PERIOD: Shown = _plain("type", "duration")
_PRODUCT: Shown = {
    **_plain("id", "mpn", "vendor", "name", "quantity", "vendorSubscriptionId"),
    **dict.fromkeys(
        ("unitPrice", "unitCost", "extendedPrice", "totalSubscriptionPrice", "totalSubscriptionCost"), _MONEY
    ),
}
# The fields of the Simple API's SubscriptionDetailed (spec 1.15) but for attributes and parameters, which may hold anything.
_SUBSCRIPTION: Shown = {
    **_plain("id", "customerId", "name", "status", "renewalStatus", "planId", "billingModel"),
    **_plain("creationDate", "renewalDate", "lastModifiedDate", "expirationDate"),
    **dict.fromkeys(("billingPeriod", "subscriptionPeriod"), _PERIOD),
    **dict.fromkeys(("totalPrice", "totalSubscriptionPrice", "totalSubscriptionCost"), _MONEY),
    "products": _PRODUCT,
}
# Where a product's values stand in it, by the names that events have for them.
_MARKED = {"count": "quantity", "cost": "unitCost/amount", "price": "unitPrice/amount"}
_PERSONAL = re.compile(
    r"""[^\s@<>"']+@[^\s@<>"']+              # an e-mail address, or a user name of that form
      | \+\d[\d ()./-]{5,}\d                 # a telephone number in the international form
      | (?i:bearer|basic)\s+[\w.~+/=-]{8,}   # a token as a header carries it
      | \beyJ[\w-]*\.[\w-]+\.[\w-]*          # a signed token
      | [\w+/=-]{40,}                        # nothing that a person would write
    """,
    re.VERBOSE,
)


def keep(connection: Connection, place: Place, told: Iterable[tuple[SubscriptionId, datetime, bytes]]) -> None:
    """Keeps the answers, as (subscription, read at, answer), in the caller's transaction, under the poll's correlation id."""
    readings = []
    for subscription_id, read_at, raw in told:
        answer = masked(raw)
        if len(answer.text) > evidence.LARGEST:
            log.warning("answer too large to be kept", extra={"subscription_id": subscription_id})
        readings.append(Reading(subscription_id, read_at, answer))
    evidence.keep(connection, place.msp_id, place.connection_id, logs.correlation_id(), readings)


def masked(raw: bytes) -> Answer:
    """The answer to GET /subscriptions/{id} as it may be shown, with the places of the numbers: count, cost and price of
    each resource as "<resource id>/count" and so on, the subscription's "status" and its "resources"."""
    shown = _shown(raw, _SUBSCRIPTION)
    marks = {"status": "/status", "resources": "/products"}
    for place, product in enumerate(shown.get("products") or ()):
        resource_id = msgspec.json.decode(product["id"])
        marks |= {f"{resource_id}/{name}": f"/products/{place}/{field}" for name, field in _MARKED.items()}
    return Answer("application/json", msgspec.json.encode(shown), marks)


def _shown(raw: bytes | msgspec.Raw, fields: Shown | None) -> Any:
    """What may be shown of a JSON value; numbers stay as they were written."""
    text = bytes(raw).strip()
    kind = text[:1]
    if text == b"null":
        return None
    if fields is None:
        if kind == b'"':
            return msgspec.Raw(msgspec.json.encode(_without_personal(msgspec.json.decode(text, type=str))))
        return MASK if kind in (b"{", b"[") else msgspec.Raw(text)
    if kind == b"[":
        return [_shown(each, fields) for each in msgspec.json.decode(text, type=list[msgspec.Raw])]
    if kind != b"{":
        return MASK
    parts = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    shown = {name: _shown(part, fields[name]) for name, part in parts.items() if name in fields}
    # Not even their names: a map may be keyed by people.
    unknown = len(parts) - len(shown)
    return shown | ({MASK: f"{unknown} more fields"} if unknown else {})


def _without_personal(text: str) -> str:
    return _PERSONAL.sub(MASK, text)
