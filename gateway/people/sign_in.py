"""(an e-mail, a password, a place) -> a session, or the same refusal for every reason why not."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from sqlalchemy import Connection, Engine, text

from gateway.errors import Refusal
from gateway.people import passwords, sessions, tries
from gateway.people.first_password import use_up
from gateway.people.sessions import Place
from gateway.people.tokens import hash_of, new_token
from plumbing.clock import Clock

LONGEST_EMAIL = 254
# After so long without a sign-in a device is a stranger again.
DEVICE_KEPT = timedelta(days=180)


@dataclass(frozen=True)
class SignedIn:
    """The tokens of a new session and of the device, for the browser's cookies."""

    session: str
    device: str
    must_change: bool


def address_of(email: str) -> str:
    """An e-mail as it is compared: without blanks around it, in small letters."""
    return email.strip().lower()


def sign_in(engine: Engine, clock: Clock, email: str, password: str, place: Place, device: str) -> SignedIn:
    """A new session. device: the token that an earlier sign-in gave this browser, or "". Refusal SIGN_IN_REFUSED for an unknown
    user and a wrong password alike; TOO_MANY_TRIES."""
    account = address_of(email)[: LONGEST_EMAIL + 1]
    with engine.begin() as connection:
        known = device if device and _is_known(connection, account, device, clock) else ""
        counted = tries.buckets(account, place.address, known)
        wait = tries.pause(connection, counted, clock.now())
        user = connection.execute(
            text("SELECT user_id, password_hash, must_change FROM people.users WHERE email = :email"),
            {"email": account},
        ).first()
    if wait:
        seconds = ceil(wait.total_seconds())
        raise Refusal("TOO_MANY_TRIES", f"Too many tries. Wait {seconds} s.", "Wait, or ask for a reset link.")
    if not passwords.is_right(password[: passwords.LONGEST + 1], user.password_hash if user else None):
        raise _refused()
    assert user is not None  # noqa: S101 a right password has a user
    with engine.begin() as connection:
        if user.must_change and not use_up(connection, user.user_id, user.password_hash):
            raise _refused()
        tries.forget(connection, counted, clock.now())
        session = sessions.begin(connection, user.user_id, place, clock.now())
        return SignedIn(session, known or _new_device(connection, user.user_id, clock), user.must_change)


def _refused() -> Refusal:
    return Refusal("SIGN_IN_REFUSED", "E-mail or password is wrong.", "Try again, or ask for a reset link.")


def _is_known(connection: Connection, account: str, device: str, clock: Clock) -> bool:
    """Whether this device has signed in to this account before."""
    found = connection.execute(
        text(
            """UPDATE people.devices d SET seen_at = :now FROM people.users u
               WHERE d.device_hash = :hash AND u.user_id = d.user_id AND u.email = :email AND d.seen_at > :since"""
        ),
        {"hash": hash_of(device), "email": account, "now": clock.now(), "since": clock.now() - DEVICE_KEPT},
    )
    return found.rowcount > 0


def _new_device(connection: Connection, user_id: str, clock: Clock) -> str:
    token = new_token()
    connection.execute(text("DELETE FROM people.devices WHERE seen_at < :since"), {"since": clock.now() - DEVICE_KEPT})
    connection.execute(
        text("INSERT INTO people.devices (device_hash, user_id, seen_at) VALUES (:hash, :user_id, :now)"),
        {"hash": hash_of(token), "user_id": user_id, "now": clock.now()},
    )
    return token
