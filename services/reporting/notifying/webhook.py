"""(a URL, a body, a secret) -> one signed POST, as Standard Webhooks has it (standardwebhooks.com, version 1).

Never follows a redirect and never calls an address inside the installation's network, unless the installation allows it.
What the receiver answers is not kept but for its status: it is of no use here, and may hold anything.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from domain.notifications import signing_key
from plumbing.clock import Clock
from plumbing.http import Http, Limits, OutsideFailure
from plumbing.undelivered import Undelivered
from plumbing.way_out import WayOut

LIMITS = Limits(connect=5, read=10, total=15, largest=64 * 1024)


def post(url: str, delivery_id: str, body: str, secret: str, clock: Clock, way: WayOut) -> str:
    """What came back, in words. Undelivered."""
    headers = {"Content-Type": "application/json", **signed(delivery_id, clock.now(), body, secret)}
    # A session of its own: nothing that one receiver sets, such as a cookie, reaches another.
    http = Http("webhook", LIMITS, clock, way)
    try:
        answer = http.call("POST", url, endpoint="POST", headers=headers, body=body.encode())
    except OutsideFailure as fault:
        raise Undelivered(_plainly(fault)) from fault
    finally:
        http.close()
    return f"status {answer.status}"


def _plainly(fault: OutsideFailure) -> str:
    """Without what a library says of it: that would tell the path of the URL, which may hold a secret."""
    if fault.status is not None or fault.kind == "address":
        return fault.message
    if fault.kind == "malformed":
        return "what it answered is no HTTP"
    return "it was reached, but gave no answer in time" if fault.sent else "it cannot be reached"


def signed(delivery_id: str, at: datetime, body: str, secret: str) -> Mapping[str, str]:
    """The three headers by which a receiver knows who sent what when."""
    timestamp = str(int(at.timestamp()))
    told = f"{delivery_id}.{timestamp}.{body}".encode()
    signature = base64.b64encode(hmac.new(signing_key(secret), told, hashlib.sha256).digest()).decode()
    return {"webhook-id": delivery_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}
