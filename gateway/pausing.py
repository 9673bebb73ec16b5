"""A person's wish to pause or resume the posts of an MSP -> an event in its log, once for each operation; else a refusal."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from domain.events import PostingPaused, PostingResumed
from domain.keys import MspId
from gateway.acts import append_act
from gateway.errors import Refusal
from plumbing.clock import Clock
from plumbing.pausing import STREAM, hold_marks, pause_of
from plumbing.row_security import of_msp

LONGEST_REASON = 1_000


@dataclass(frozen=True)
class Pausing:
    """The door through which posting is paused and resumed. actor: on whose behalf."""

    engine: Engine
    clock: Clock
    actor: str

    def pause(self, msp_id: MspId, operation_id: str, reason: str) -> None:
        """Once this returns nothing is marked for the PSA any more; what was marked before goes out and is read back.
        Refusal REASON_MISSING, BAD_REASON, ALREADY_PAUSED."""
        said = reason.strip()
        if not said:
            raise Refusal("REASON_MISSING", "To pause posting, a reason is needed.", "Say why.")
        if len(said) > LONGEST_REASON:
            raise Refusal("BAD_REASON", f"A reason has at most {LONGEST_REASON} characters.", "Shorten it.")
        with of_msp(self.engine, msp_id).begin() as connection:
            hold_marks(connection, msp_id)
            if _is_done(connection, msp_id, operation_id):
                return
            if (paused := pause_of(connection, msp_id)) is not None:
                message = f"Posting was paused by {paused.by}: {paused.reason}"
                raise Refusal("ALREADY_PAUSED", message, "Nothing: resume it when it may go on.")
            self._append(connection, msp_id, PostingPaused(operation_id=operation_id, reason=said))

    def resume(self, msp_id: MspId, operation_id: str) -> None:
        """What waited goes out, and what comes. Refusal NOT_PAUSED."""
        with of_msp(self.engine, msp_id).begin() as connection:
            hold_marks(connection, msp_id)
            if _is_done(connection, msp_id, operation_id):
                return
            if pause_of(connection, msp_id) is None:
                raise Refusal("NOT_PAUSED", "Posting is not paused.", "Nothing: adjustments go out.")
            self._append(connection, msp_id, PostingResumed(operation_id=operation_id))

    def _append(self, connection: Connection, msp_id: MspId, event: PostingPaused | PostingResumed) -> None:
        version = connection.scalar(
            text(
                "SELECT coalesce(max(stream_version), 0) + 1 FROM log.events WHERE msp_id = :msp_id AND stream = :stream"
            ),
            {"msp_id": msp_id, "stream": STREAM},
        )
        append_act(connection, msp_id, self.actor, self.clock.now(), STREAM, int(version or 1), event)


def _is_done(connection: Connection, msp_id: MspId, operation_id: str) -> bool:
    """Whether the wish was done before: it came twice."""
    found = connection.scalar(
        text(
            """SELECT true FROM log.events WHERE msp_id = :msp_id AND stream = :stream
               AND payload ->> 'operation_id' = :operation_id LIMIT 1"""
        ),
        {"msp_id": msp_id, "stream": STREAM, "operation_id": operation_id},
    )
    return bool(found)
