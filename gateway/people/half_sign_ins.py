"""A right password of a user with one-time codes -> a token by which the code may follow. It opens nothing by itself."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from gateway.people.tokens import hash_of, new_token

HALF_LASTS = timedelta(minutes=5)


@dataclass(frozen=True)
class HalfSignIn:
    """Whose password was right. password_hash: that of a first password, which the sign-in uses up."""

    user_id: str
    email: str
    must_change: bool
    password_hash: str | None


def begin(connection: Connection, user_id: str, now: datetime) -> str:
    """The token of a new one; those that are too old go."""
    token = new_token()
    connection.execute(text("DELETE FROM people.half_sign_ins WHERE ends_at <= :now"), {"now": now})
    connection.execute(
        text("INSERT INTO people.half_sign_ins (half_hash, user_id, ends_at) VALUES (:hash, :user_id, :ends_at)"),
        {"hash": hash_of(token), "user_id": user_id, "ends_at": now + HALF_LASTS},
    )
    return token


def find(connection: Connection, token: str, now: datetime) -> HalfSignIn | None:
    """The one of this token; None when it was completed, is too old, or the password has changed."""
    found = connection.execute(
        text(
            """SELECT u.user_id, u.email, u.must_change, u.password_hash
               FROM people.half_sign_ins h JOIN people.users u USING (user_id)
               WHERE h.half_hash = :hash AND h.ends_at > :now"""
        ),
        {"hash": hash_of(token), "now": now},
    ).first()
    return HalfSignIn(**found._mapping) if found else None


def complete(connection: Connection, token: str, now: datetime) -> bool:
    """Whether it was there until now; of two who complete it at once one wins."""
    wanted = "DELETE FROM people.half_sign_ins WHERE half_hash = :hash AND ends_at > :now"
    return bool(connection.execute(text(wanted), {"hash": hash_of(token), "now": now}).rowcount)


def end(connection: Connection, user_id: str) -> None:
    """All of a user: its password has changed."""
    connection.execute(text("DELETE FROM people.half_sign_ins WHERE user_id = :user_id"), {"user_id": user_id})
