"""(a user) -> a one-time link by which a password is chosen: for the first sign-in, and when it was forgotten.

Only the token's hash is kept. The link leads to a page of this installation's own address, with the token in its fragment, which
browsers send to nobody.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text

from gateway.errors import Refusal
from gateway.people import devices, half_sign_ins, sessions
from gateway.people.breached import Breached
from gateway.people.passwords import hashed, refuse_weak
from gateway.people.tokens import hash_of, new_token
from plumbing.clock import Clock

RESET_LASTS, INVITATION_LASTS = timedelta(minutes=30), timedelta(hours=24)


def new_link(connection: Connection, user_id: str, lasts: timedelta, now: datetime) -> str:
    """The token of a new link; those that the user had before open nothing any more."""
    token = new_token()
    connection.execute(
        text("DELETE FROM people.links WHERE user_id = :user_id OR ends_at <= :now"), {"user_id": user_id, "now": now}
    )
    connection.execute(
        text("INSERT INTO people.links (link_hash, user_id, ends_at) VALUES (:hash, :user_id, :ends_at)"),
        {"hash": hash_of(token), "user_id": user_id, "ends_at": now + lasts},
    )
    return token


@dataclass(frozen=True)
class Chosen:
    """Whose password was chosen, and the token of a device of the user: whoever holds the link can read its mail, so
    however many tries strangers have made, the next sign-in here is not held up by them."""

    email: str
    device: str


def choose_password(engine: Engine, clock: Clock, breached: Breached, token: str, password: str) -> Chosen:
    """The user's password is now this one; all its sessions end. Of two who use a link at once one wins. Refusal
    LINK_REFUSED, WEAK_PASSWORD."""
    values = {"hash": hash_of(token), "now": clock.now()}
    wanted = """SELECT u.user_id, u.email, u.name FROM people.links l JOIN people.users u USING (user_id)
                WHERE l.link_hash = :hash AND l.ends_at > :now"""
    with engine.connect() as connection:
        user = connection.execute(text(wanted), values).first()
    if user is None:
        raise _refused()
    # Looked at first, so that a password that is too weak does not use up the link.
    refuse_weak(password, breached, user.email, user.name)
    password_hash = hashed(password)
    with engine.begin() as connection:
        used = connection.execute(text("DELETE FROM people.links WHERE link_hash = :hash AND ends_at > :now"), values)
        if not used.rowcount:
            raise _refused()
        set_password(connection, user.user_id, password_hash, clock.now())
        sessions.end(connection, user.user_id)
        return Chosen(user.email, devices.new_device(connection, user.user_id, clock.now()))


def set_password(connection: Connection, user_id: str, password_hash: str, now: datetime) -> None:
    """From here on it is this one, and need not be changed; links and half sign-ins that were on their way open nothing any
    more."""
    connection.execute(
        text(
            """UPDATE people.users SET password_hash = :password_hash, must_change = false, password_set_at = :now
               WHERE user_id = :user_id"""
        ),
        {"user_id": user_id, "password_hash": password_hash, "now": now},
    )
    connection.execute(text("DELETE FROM people.links WHERE user_id = :user_id"), {"user_id": user_id})
    half_sign_ins.end(connection, user_id)


def _refused() -> Refusal:
    return Refusal("LINK_REFUSED", "This link was used already, or it is too old.", "Ask for a new one.")
