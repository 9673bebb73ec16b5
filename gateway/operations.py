"""Rows that another service decides for a person -> what is known of them meanwhile, for whoever asks by the operation's id.

The other service decides all rows in one transaction, so they go from none to all: it is told that they are under way, decided, or
that no answer came.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from plumbing.clock import Clock
from plumbing.row_security import of_msp

KEPT = timedelta(days=30)
# A gateway that died cannot tell any more that it got no answer.
LONGEST = timedelta(minutes=2)
_FORGET = "DELETE FROM setup.operations WHERE msp_id = :msp_id AND begun_at < :before"
_BEGIN = """
INSERT INTO setup.operations (msp_id, operation_id, rows, state, done, refused, begun_at)
VALUES (:msp_id, :operation_id, :rows, 'running', 0, 0, :now)
ON CONFLICT (msp_id, operation_id) DO UPDATE SET rows = excluded.rows, state = excluded.state, done = 0, refused = 0,
    begun_at = excluded.begun_at
"""
_END = """
UPDATE setup.operations SET state = :state, done = :done, refused = :refused
WHERE msp_id = :msp_id AND operation_id = :operation_id
"""


@contextmanager
def begun(
    engine: Engine, clock: Clock, msp_id: str, operation_id: str, rows: int
) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    """Keeps that so many rows are being decided, until the results are given; a block that raises got no answer."""
    key = {"msp_id": msp_id, "operation_id": operation_id}
    now = clock.now()
    with of_msp(engine, msp_id).begin() as connection:
        connection.execute(text(_FORGET), {"msp_id": msp_id, "before": now - KEPT})
        connection.execute(text(_BEGIN), key | {"rows": rows, "now": now})

    def end(state: str, done: int, refused: int) -> None:
        with of_msp(engine, msp_id).begin() as connection:
            connection.execute(text(_END), key | {"state": state, "done": done, "refused": refused})

    try:
        yield lambda results: end("done", len(results), sum(not result["ok"] for result in results))
    except Exception:
        end("unanswered", 0, 0)
        raise


def tell(engine: Engine, msp_id: str, operation_id: str, done: int) -> None:
    """Keeps that so many rows of a running operation are decided."""
    with of_msp(engine, msp_id).begin() as connection:
        connection.execute(
            text(
                """UPDATE setup.operations SET done = :done
                   WHERE msp_id = :msp_id AND operation_id = :operation_id AND state = 'running'"""
            ),
            {"msp_id": msp_id, "operation_id": operation_id, "done": done},
        )


def operation(connection: Connection, clock: Clock, msp_id: str, operation_id: str) -> dict[str, Any]:
    """{state, done, of, refused}; state: unknown, running, done or unanswered."""
    row = connection.execute(
        text("SELECT * FROM setup.operations WHERE msp_id = :msp_id AND operation_id = :operation_id"),
        {"msp_id": msp_id, "operation_id": operation_id},
    ).first()
    if row is None:
        return {"state": "unknown", "done": 0, "of": 0, "refused": 0}
    late = row.state == "running" and clock.now() - row.begun_at > LONGEST
    return {
        "state": "unanswered" if late else row.state,
        "done": row.done,
        "of": row.rows,
        "refused": row.refused,
    }
