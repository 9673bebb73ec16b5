"""What a person saw -> a token that stands for it; the token given back -> what was asked and shown then.

A token is good for 15 minutes, for whoever it was made for, and for one operation. Its print is of all that was shown but for
the moments of reading: when a preview made anew prints otherwise, the person has seen something else than what would be done.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Any

import orjson
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway.errors import Refusal
from plumbing.clock import Clock
from plumbing.row_security import of_msp

LASTS = timedelta(minutes=15)
# A click is repeated within a day or never.
_KEPT = timedelta(days=1)
Row = dict[str, Any]
_READ_AT = ("count_read_at", "units_read_at")


@dataclass(frozen=True)
class Kept:
    """A preview as it was made. asked: what it was made of; rows: what was shown; operation_id: the one it was confirmed by."""

    token: str
    asked: dict[str, Any]
    rows: list[dict[str, Any]]
    print: str
    made_at: datetime
    operation_id: str | None

    @property
    def expires_at(self) -> datetime:
        """From then on it is stale whatever it shows."""
        return self.made_at + LASTS


def print_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same for rows that show the same, whenever they were read."""
    seen = [{name: value for name, value in row.items() if name not in _READ_AT} for row in rows]
    return hashlib.sha256(orjson.dumps(seen, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True)
class Previews:
    """The previews that are kept for a caller."""

    engine: Engine
    clock: Clock
    caller: str

    def keep(self, msp_id: MspId, kind: str, asked: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Kept:
        """Keeps what was shown under a new token."""
        now = self.clock.now()
        kept = Kept(token_urlsafe(24), dict(asked), [dict(row) for row in rows], print_of(rows), now, None)
        with of_msp(self.engine, msp_id).begin() as connection:
            connection.execute(
                text("DELETE FROM setup.previews WHERE msp_id = :m AND made_at < :before"),
                {"m": msp_id, "before": now - _KEPT},
            )
            connection.execute(
                text(
                    """INSERT INTO setup.previews (msp_id, token, kind, asked, shown, print, made_by, made_at)
                       VALUES (:m, :token, :kind, CAST(:asked AS jsonb), CAST(:shown AS jsonb), :print, :by, :now)"""
                ),
                {
                    "m": msp_id,
                    "token": kept.token,
                    "kind": kind,
                    "asked": orjson.dumps(kept.asked).decode(),
                    "shown": orjson.dumps(kept.rows).decode(),
                    "print": kept.print,
                    "by": self.caller,
                    "now": now,
                },
            )
        return kept

    def take(self, msp_id: MspId, kind: str, token: str) -> Kept:
        """The preview of a token. Refusal NO_SUCH_PREVIEW for one that is not kept, or was made for somebody else."""
        with of_msp(self.engine, msp_id).connect() as connection:
            row = connection.execute(
                text(
                    """SELECT token, asked, shown, print, made_at, operation_id FROM setup.previews
                       WHERE msp_id = :m AND token = :token AND kind = :kind AND made_by = :by"""
                ),
                {"m": msp_id, "token": token, "kind": kind, "by": self.caller},
            ).first()
        if row is None:
            raise Refusal("NO_SUCH_PREVIEW", "There is no such preview of yours.", "Ask for the preview again.")
        return Kept(row.token, row.asked, row.shown, row.print, row.made_at, row.operation_id)

    def confirmed(
        self, msp_id: MspId, kind: str, token: str, operation_id: str, again: Callable[[dict[str, Any]], list[Row]]
    ) -> tuple[Kept, Refusal | None]:
        """The preview that the operation now may do, shown again the same by `again`; or, when that shows something else or came
        too late, the fresh one and Refusal PREVIEW_STALE. Refusal NO_SUCH_PREVIEW, PREVIEW_USED."""
        kept = self.take(msp_id, kind, token)
        if _is_of(kept, operation_id):
            return kept, None
        rows = again(kept.asked)
        late = self.clock.now() >= kept.expires_at
        if not late and print_of(rows) == kept.print:
            self._confirm(msp_id, token, operation_id)
            return kept, None
        # The same click may have come twice: then it was the other one that changed what is shown.
        if _is_of(kept := self.take(msp_id, kind, token), operation_id):
            return kept, None
        why = "This preview is older than 15 minutes." if late else "What this would do has changed since it was shown."
        return self.keep(msp_id, kind, kept.asked, rows), Refusal("PREVIEW_STALE", why, "Look at the fresh preview.")

    def _confirm(self, msp_id: MspId, token: str, operation_id: str) -> None:
        """The operation does what the preview shows; the same one may again. Refusal PREVIEW_USED when another did."""
        with of_msp(self.engine, msp_id).begin() as connection:
            found = connection.scalar(
                text(
                    """UPDATE setup.previews SET operation_id = :operation WHERE msp_id = :m AND token = :token
                       AND (operation_id IS NULL OR operation_id = :operation) RETURNING true"""
                ),
                {"m": msp_id, "token": token, "operation": operation_id},
            )
        if not found:
            raise _used()


def _is_of(kept: Kept, operation_id: str) -> bool:
    """Whether the operation has confirmed it. Refusal PREVIEW_USED when another did."""
    if kept.operation_id not in (None, operation_id):
        raise _used()
    return kept.operation_id is not None


def _used() -> Refusal:
    return Refusal("PREVIEW_USED", "What this preview showed was done already.", "Ask for a preview again.")
