"""(condition, deadline) -> the condition's value: how tests wait for other processes without a fixed pause."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 30, every: float = 0.05, what: str = "") -> T:
    """The first truthy answer of the condition; AssertionError with the last answer when the deadline passes."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what or condition}; last answer: {answer!r}")
        time.sleep(every)
