"""(an e-mail, a password, a place) -> a session, or the same refusal for every reason why not."""

from dataclasses import dataclass
from math import ceil

from sqlalchemy import Engine, text

from gateway.errors import Refusal
from gateway.people import devices, passwords, sessions, tries
from gateway.people.first_password import use_up
from gateway.people.sessions import Place
from plumbing.clock import Clock

LONGEST_EMAIL = 254


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
        known = device if device and devices.is_known(connection, account, device, clock.now()) else ""
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
        return SignedIn(session, known or devices.new_device(connection, user.user_id, clock.now()), user.must_change)


def _refused() -> Refusal:
    return Refusal("SIGN_IN_REFUSED", "E-mail or password is wrong.", "Try again, or ask for a reset link.")
