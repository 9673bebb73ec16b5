"""A cookie's token -> the session of a signed-in user; each is kept as a row with the token's hash, and ends when its row goes.

A session ends 12 hours after it was begun, and after an hour in which nothing was asked. It remembers when its user last proved
who it is: by signing in, or by giving the password once more (proving.py).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, text

from gateway.people.callers import NOBODY, Caller
from gateway.people.permissions import Role
from gateway.people.tokens import hash_of, new_token

LONGEST, LONGEST_IDLE = timedelta(hours=12), timedelta(minutes=60)
# How exactly it is known when a session was last used: a row a minute, not one a request.
SEEN_EVERY = timedelta(minutes=1)
LONGEST_AGENT = 200


class SignInKind(StrEnum):
    """By what a session was begun."""

    PASSWORD = "password"  # noqa: S105
    PASSWORD_AND_CODE = "password_and_code"  # noqa: S105
    SINGLE_SIGN_ON = "single_sign_on"


@dataclass(frozen=True)
class Place:
    """Where a request comes from: an address, and what the browser says of itself."""

    address: str
    agent: str


_FIND = """
SELECT s.session_id, s.seen_at, s.proven_at, s.kind, u.user_id, u.email, u.must_change,
    coalesce((SELECT json_object_agg(r.msp_id, r.role) FROM people.roles r WHERE r.user_id = u.user_id AND NOT r.disabled),
        '{}') AS roles
FROM people.sessions s JOIN people.users u USING (user_id)
WHERE s.session_hash = :hash AND s.begun_at > :begun_after AND s.seen_at > :seen_after
"""


def begin(connection: Connection, user_id: str, place: Place, now: datetime, kind: SignInKind) -> str:
    """The token of a new session; rows of sessions that have ended by themselves go."""
    token = new_token()
    connection.execute(text(f"DELETE FROM people.sessions WHERE NOT ({_LIVES})"), _limits(now))
    connection.execute(
        text(
            """INSERT INTO people.sessions (session_hash, session_id, user_id, begun_at, seen_at, proven_at, address, agent, kind)
               VALUES (:hash, :session_id, :user_id, :now, :now, :now, :address, :agent, :kind)"""
        ),
        {
            "hash": hash_of(token),
            "session_id": uuid4().hex,
            "user_id": user_id,
            "now": now,
            "address": place.address,
            "agent": place.agent[:LONGEST_AGENT],
            "kind": str(kind),
        },
    )
    return token


def caller_of(connection: Connection, token: str, now: datetime) -> Caller:
    """The user whose session it is, with today's roles; NOBODY when there is no such session any more."""
    hashed = hash_of(token)
    found = connection.execute(text(_FIND), {"hash": hashed, **_limits(now)}).first()
    if found is None:
        return NOBODY
    if now - found.seen_at >= SEEN_EVERY:
        connection.execute(
            text("UPDATE people.sessions SET seen_at = :now WHERE session_hash = :hash"), {"hash": hashed, "now": now}
        )
    roles = {msp_id: Role[role.upper()] for msp_id, role in found.roles.items()}
    return Caller(
        found.email,
        user_id=found.user_id,
        session=found.session_id,
        proven_at=found.proven_at,
        by_single_sign_on=found.kind == SignInKind.SINGLE_SIGN_ON,
        must_change=found.must_change,
        roles=roles,
    )


def living(connection: Connection, session_id: str, now: datetime) -> Row[Any] | None:
    """{user_id, email, proven_at} of a session that has not ended."""
    return connection.execute(
        text(
            f"""SELECT user_id, u.email, s.proven_at FROM people.sessions s JOIN people.users u USING (user_id)
                WHERE s.session_id = :session_id AND {_LIVES}"""
        ),
        {"session_id": session_id, **_limits(now)},
    ).first()


def proven(connection: Connection, session_id: str, now: datetime) -> None:
    """Its user has just proved who it is."""
    connection.execute(
        text("UPDATE people.sessions SET proven_at = :now WHERE session_id = :session_id"),
        {"session_id": session_id, "now": now},
    )


def places_of(connection: Connection, user_id: str, now: datetime) -> list[dict[str, Any]]:
    """{id, begun_at, seen_at, address, agent, kind} of each living session of a user, the newest first."""
    found = connection.execute(
        text(
            f"""SELECT session_id AS id, begun_at, seen_at, address, agent, kind FROM people.sessions
                WHERE user_id = :user_id AND {_LIVES} ORDER BY begun_at DESC"""
        ),
        {"user_id": user_id, **_limits(now)},
    )
    return [dict(row) for row in found.mappings()]


def end(connection: Connection, user_id: str, session_id: str | None = None, *, but: str = "") -> int:
    """How many sessions of a user ended: the one of this id, or all, or all but one."""
    return connection.execute(
        text(
            """DELETE FROM people.sessions WHERE user_id = :user_id AND session_id <> :but
               AND (CAST(:session_id AS text) IS NULL OR session_id = :session_id)"""
        ),
        {"user_id": user_id, "session_id": session_id, "but": but},
    ).rowcount


_LIVES = "begun_at > :begun_after AND seen_at > :seen_after"


def _limits(now: datetime) -> dict[str, datetime]:
    return {"begun_after": now - LONGEST, "seen_after": now - LONGEST_IDLE}
