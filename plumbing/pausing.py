"""The log of an MSP -> whether a person has paused its posts, read so that no pause begins while a post is being marked.

The newest event of one stream says it: there is no second place that could say otherwise, before or after a restart.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from domain.events import PostingPaused
from domain.keys import MspId

STREAM = "posting"
_LOCK = 7429
#: In SQL, of a row c with msp_id: whether the posts of its MSP are paused.
IS_PAUSED = f"""coalesce((SELECT e.type = '{PostingPaused.type}' FROM log.events e
    WHERE e.msp_id = c.msp_id AND e.stream = '{STREAM}' ORDER BY e.stream_version DESC LIMIT 1), false)"""


@dataclass(frozen=True)
class Pause:
    """Who paused the posts of an MSP, when and why."""

    by: str
    at: datetime
    reason: str


def pause_of(connection: Connection, msp_id: MspId) -> Pause | None:
    """The pause that holds now; None: posts go out."""
    newest = connection.execute(
        text(
            """SELECT type, actor, occurred_at, payload FROM log.events WHERE msp_id = :msp_id AND stream = :stream
               ORDER BY stream_version DESC LIMIT 1"""
        ),
        {"msp_id": msp_id, "stream": STREAM},
    ).first()
    if newest is None or newest.type != PostingPaused.type:
        return None
    return Pause(newest.actor, newest.occurred_at, newest.payload["reason"])


def may_post(connection: Connection, msp_id: MspId) -> bool:
    """Whether posts of the MSP may be marked as sent in the caller's transaction. A pause that comes meanwhile waits for its
    end: whoever has paused knows that nothing is marked after it."""
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:m, :lock))"), _key(msp_id))
    return pause_of(connection, msp_id) is None


def hold_marks(connection: Connection, msp_id: MspId) -> None:
    """Waits for the posts that are being marked; none is marked until the caller's transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:m, :lock))"), _key(msp_id))


def _key(msp_id: MspId) -> dict[str, object]:
    return {"m": f"posting/{msp_id}", "lock": _LOCK}
