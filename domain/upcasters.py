"""A payload of an old event version -> the payload of the next version, one pure step at a time, for ever.

STEPS maps (type, version it starts from) to the step. Every version that was ever written keeps its golden file under
tests/golden/events, and a test takes each of them up to today.
"""

from collections.abc import Callable
from typing import Any

Payload = dict[str, Any]
Step = Callable[[Payload], Payload]


def _named_candidates(payload: Payload) -> Payload:
    """Version 1 had the ids of the candidates only."""
    candidates = [
        {"subscription_id": each, "subscription_name": each, "evidence": []} for each in payload["candidates"]
    ]
    return payload | {"candidates": candidates}


STEPS: dict[tuple[str, int], Step] = {
    # Version 1 knew neither prices nor a first post that waits.
    ("AdjustmentRequested", 1): lambda payload: payload | {"target_unit_price": None, "hold_first": False},
    ("SubscriptionRenewalUnclear", 1): _named_candidates,
    # Version 1 knew no exceptions, and each policy was saved by itself.
    ("PolicyChanged", 1): lambda payload: payload | {"company_id": None, "resource_id": None, "policies_version": 0},
    # Version 1 looked at costs only: the price stayed as it was, whatever it was.
    ("AdjustmentPosted", 1): lambda payload: payload | {"unit_price_before": None, "unit_price_after": None},
    # Version 1 knew neither a first post that waits nor suggestions.
    ("RelationSet", 1): lambda payload: payload | {"hold_first": False, "score": None},
}


def upcast(event_type: str, version: int, current: int, payload: Payload) -> Payload:
    """The payload as the current version has it; the one given is left as it is."""
    for step in range(version, current):
        payload = STEPS[event_type, step](payload)
    return payload
