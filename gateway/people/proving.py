"""(who is signed in, the password, a code) -> the session's user has just proved who it is; tries are counted as at the sign-in."""

from sqlalchemy import Engine, text

from gateway.errors import Refusal
from gateway.people import codes, passwords, sessions, tries
from gateway.people.callers import Caller
from gateway.people.codes import Codes
from gateway.people.sessions import Place
from gateway.people.sign_in import known_device
from plumbing.clock import Clock


def prove(
    engine: Engine, clock: Clock, own_codes: Codes, caller: Caller, place: Place, device: str, password: str, code: str
) -> None:
    """The password was right, and so was the code of who has codes on; of others it may be anything. The same Refusal
    PASSWORD_REFUSED whichever was wrong; TOO_MANY_TRIES."""
    with engine.begin() as connection:
        counted = tries.code_buckets(caller.name, place.address, known_device(connection, caller.name, device, clock))
        wait = tries.pause(connection, counted, clock.now())
        wanted = "SELECT password_hash FROM people.users WHERE user_id = :user_id"
        password_hash = connection.scalar(text(wanted), {"user_id": caller.user_id})
    tries.refuse_waiting(wait)
    if not passwords.is_right(password[: passwords.LONGEST + 1], password_hash):
        raise _refused()
    with engine.begin() as connection:
        asked = codes.are_on(connection, caller.user_id)
        if asked and not own_codes.use(connection, caller.user_id, code, clock.now()):
            raise _refused()
        tries.forget(connection, counted, clock.now())
        sessions.proven(connection, caller.session, clock.now())


def _refused() -> Refusal:
    return Refusal(
        "PASSWORD_REFUSED", "The password is wrong, or the code is.", "Give both again: the password, and a new code."
    )
