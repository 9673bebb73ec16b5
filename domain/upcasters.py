"""A payload of an old event version -> the payload of the next version, one pure step at a time, for ever.

STEPS maps (type, version it starts from) to the step. Every version that was ever written keeps its golden file under
tests/golden/events, and a test takes each of them up to today.
"""

from collections.abc import Callable
from typing import Any

Payload = dict[str, Any]
Step = Callable[[Payload], Payload]

STEPS: dict[tuple[str, int], Step] = {
    # Version 1 knew neither prices nor a first post that waits.
    ("AdjustmentRequested", 1): lambda payload: payload | {"target_unit_price": None, "hold_first": False},
    # Version 1 knew neither a first post that waits nor suggestions.
    ("RelationSet", 1): lambda payload: payload | {"hold_first": False, "score": None},
}


def upcast(event_type: str, version: int, current: int, payload: Payload) -> Payload:
    """The payload as the current version has it; the one given is left as it is."""
    for step in range(version, current):
        payload = STEPS[event_type, step](payload)
    return payload
