"""(who is signed in, the password until now, another) -> the other holds, and the user's other sessions have ended."""

from sqlalchemy import Engine, text

from gateway.errors import Refusal
from gateway.people import sessions
from gateway.people.breached import Breached
from gateway.people.callers import Caller
from gateway.people.links import set_password
from gateway.people.passwords import LONGEST, hashed, is_right, refuse_weak
from plumbing.clock import Clock


def change_password(
    engine: Engine, clock: Clock, breached: Breached, caller: Caller, current: str, password: str
) -> None:
    """Refusal SIGN_IN_REFUSED when the password until now is wrong, and the session has ended: whoever sits at an open one
    cannot try on. WEAK_PASSWORD."""
    with engine.connect() as connection:
        user = connection.execute(
            text("SELECT password_hash, name FROM people.users WHERE user_id = :id"), {"id": caller.user_id}
        ).one()
    # A first password was used up by the sign-in that opened this session, which can do nothing else.
    if not caller.must_change and not is_right(current[: LONGEST + 1], user.password_hash):
        with engine.begin() as connection:
            sessions.end(connection, caller.user_id, caller.session)
        raise Refusal("SIGN_IN_REFUSED", "The password until now is wrong.", "Sign in again.")
    if password == current:
        raise Refusal("WEAK_PASSWORD", "This is the password until now.", "Choose another one.")
    refuse_weak(password, breached, caller.name, user.name)
    password_hash = hashed(password)
    with engine.begin() as connection:
        set_password(connection, caller.user_id, password_hash, clock.now())
        sessions.end(connection, caller.user_id, but=caller.session)
