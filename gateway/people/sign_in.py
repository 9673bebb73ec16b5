"""(an e-mail, a password, a place) -> a session, or the same refusal for every reason why not.

Who has one-time codes gets no session for the password: half a sign-in, which the code completes.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from gateway.errors import Refusal
from gateway.people import codes, devices, half_sign_ins, passwords, sessions, tries
from gateway.people.codes import Codes
from gateway.people.first_password import use_up
from gateway.people.sessions import Place, SignInKind
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


@dataclass(frozen=True)
class HalfSignedIn:
    """The token of half a sign-in, for the browser's cookies."""

    half: str


def sign_in(
    engine: Engine, clock: Clock, email: str, password: str, place: Place, device: str
) -> SignedIn | HalfSignedIn:
    """A new session, or half a sign-in of who has one-time codes. device: the token that an earlier sign-in gave this browser,
    or "". Refusal SIGN_IN_REFUSED for an unknown user and a wrong password alike; TOO_MANY_TRIES."""
    account = address_of(email)[: LONGEST_EMAIL + 1]
    with engine.begin() as connection:
        known = known_device(connection, account, device, clock)
        counted = tries.buckets(account, place.address, known)
        wait = tries.pause(connection, counted, clock.now())
        user = connection.execute(
            text("SELECT user_id, password_hash, must_change FROM people.users WHERE email = :email"),
            {"email": account},
        ).first()
    tries.refuse_waiting(wait)
    if not passwords.is_right(password[: passwords.LONGEST + 1], user.password_hash if user else None):
        raise _refused()
    assert user is not None  # noqa: S101 a right password has a user
    with engine.begin() as connection:
        if codes.are_on(connection, user.user_id):
            tries.take_back(connection, counted, clock.now())
            return HalfSignedIn(half_sign_ins.begin(connection, user.user_id, clock.now()))
        if user.must_change and not use_up(connection, user.user_id, user.password_hash):
            raise _refused()
        tries.forget(connection, counted, clock.now())
        session = sessions.begin(connection, user.user_id, place, clock.now(), SignInKind.PASSWORD)
        return SignedIn(session, known or devices.new_device(connection, user.user_id, clock.now()), user.must_change)


def sign_in_with_code(
    engine: Engine, clock: Clock, own_codes: Codes, half: str, code: str, place: Place, device: str
) -> SignedIn:
    """A new session for the second half of a sign-in. Refusal CODE_REFUSED, TOO_MANY_TRIES; SIGN_IN_AGAIN when the first half is
    too old."""
    with engine.begin() as connection:
        found = half_sign_ins.find(connection, half, clock.now())
        if found is None:
            raise _too_late()
        known = known_device(connection, found.email, device, clock)
        counted = tries.code_buckets(found.email, place.address, known)
        wait = tries.pause(connection, counted, clock.now())
    tries.refuse_waiting(wait)
    with engine.begin() as connection:
        if not own_codes.use(connection, found.user_id, code, clock.now()):
            raise codes.code_refused()
        if not half_sign_ins.complete(connection, half, clock.now()):
            raise _too_late()
        if found.must_change and not use_up(connection, found.user_id, found.password_hash or ""):
            raise _refused()
        tries.forget(connection, counted, clock.now())
        session = sessions.begin(connection, found.user_id, place, clock.now(), SignInKind.PASSWORD_AND_CODE)
        return SignedIn(session, known or devices.new_device(connection, found.user_id, clock.now()), found.must_change)


def known_device(connection: Connection, account: str, device: str, clock: Clock) -> str:
    """The device's token when it is one of the account's; else ""."""
    return device if device and devices.is_known(connection, account, device, clock.now()) else ""


def _refused() -> Refusal:
    return Refusal("SIGN_IN_REFUSED", "E-mail or password is wrong.", "Try again, or ask for a reset link.")


def _too_late() -> Refusal:
    return Refusal("SIGN_IN_AGAIN", "The password was given too long ago.", "Sign in again.")
