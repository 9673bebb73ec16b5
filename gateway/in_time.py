"""(a request that only reads, so many seconds) -> no statement of it begins after them.

Each statement has a time limit of its own, but a request may have many; with this it ends when the last of them does. What asks
other services waits for those as long as they may take and is not held to this.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Engine, event

from gateway.errors import Refusal

ANSWER_SECONDS = 5.0
_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


@contextmanager
def answered_by(moment: float) -> Iterator[None]:
    """No statement inside begins after this moment of time.monotonic(), also on threads that are started from here."""
    token = _ends_at.set(moment)
    try:
        yield
    finally:
        _ends_at.reset(token)


def refuse_late_statements(engine: Engine) -> None:
    """Has the engine refuse them: Refusal TOO_SLOW."""
    event.listen(engine, "before_cursor_execute", _refuse)


def _refuse(*_statement: Any) -> None:
    if time.monotonic() > _ends_at.get():
        said = f"The answer would take more than {ANSWER_SECONDS:g} seconds."
        raise Refusal("TOO_SLOW", said, "Ask for less at once, or again later.")
