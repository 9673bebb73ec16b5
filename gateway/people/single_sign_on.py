"""Whom the provider says somebody is -> a session of that user here, or the proof that the one who is signed in is still it.

A user is known by issuer and subject. The first time it is found by an e-mail that the provider has verified, or it is signed in
here and has just proved it; nobody who was not invited becomes a user by it.
"""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from gateway.errors import Refusal
from gateway.people import codes, devices, sessions
from gateway.people.callers import PROVEN_LASTS
from gateway.people.provider import CLOCKS_DIFFER, Identity, not_believed
from gateway.people.sessions import Place, SignInKind
from gateway.people.sign_in import SignedIn, address_of, known_device
from gateway.people.tokens import hash_of, new_token
from plumbing.clock import Clock
from plumbing.row_security import of_all_msps

BEGIN, COME_BACK = "/sign-in/oidc", "/sign-in/oidc/callback"
VISIT_LASTS = timedelta(minutes=10)
LONGEST_NEXT = 2000
HOME = "/"


@dataclass(frozen=True)
class ProviderVisit:
    """A browser on its way to the provider and back. next: the path that it shall see then; session_id: its session when it
    left, or ""; proves: whether that session's user shows once more who it is."""

    next: str
    session_id: str
    proves: bool
    begun_at: datetime


def begin(connection: Connection, visit: ProviderVisit) -> str:
    """The token by which the browser is known when it comes back, once; visits that are too old go."""
    token = new_token()
    connection.execute(text("DELETE FROM people.provider_visits WHERE ends_at <= :now"), {"now": visit.begun_at})
    connection.execute(
        text(
            """INSERT INTO people.provider_visits (visit_hash, next, session_id, proves, begun_at, ends_at)
               VALUES (:hash, :next, :session_id, :proves, :begun_at, :ends_at)"""
        ),
        {"hash": hash_of(token), "ends_at": visit.begun_at + VISIT_LASTS, **vars(visit)},
    )
    return token


def come_back(connection: Connection, token: str, state: str, now: datetime) -> ProviderVisit | None:
    """The visit of this browser, which has come back with that; None when it comes twice, too late, or by another's link."""
    if not hmac.compare_digest(word_of(token, "state").encode(), state.encode()):
        return None
    found = connection.execute(
        text(
            """DELETE FROM people.provider_visits WHERE visit_hash = :hash AND ends_at > :now
               RETURNING next, session_id, proves, begun_at"""
        ),
        {"hash": hash_of(token), "now": now},
    ).first()
    return ProviderVisit(**found._mapping) if found else None


def word_of(token: str, use: str) -> str:
    """A word for one use (state, nonce, verifier), which only who has the token can make; of 43 characters."""
    return _letters(hmac.digest(token.encode(), use.encode(), "sha256"))


def challenge_of(verifier: str) -> str:
    """What is told of a verifier beforehand (RFC 7636 4.2, S256)."""
    return _letters(sha256(verifier.encode()).digest())


def path_of(wanted: str) -> str:
    """The path as it may follow a sign-in: one of this very address, else that of the first page."""
    plain = wanted.startswith("/") and not wanted.startswith("//") and len(wanted) <= LONGEST_NEXT
    # Browsers read a backslash as a slash, and leave tabs and line ends out.
    return wanted if plain and wanted.isascii() and wanted.isprintable() and "\\" not in wanted else HOME


@dataclass(frozen=True)
class Entered(SignedIn):
    """A sign-in by single sign-on. newly_linked: the user's e-mail, when it was the first by this identity; else ""."""

    newly_linked: str


def enter(engine: Engine, clock: Clock, identity: Identity, visit: ProviderVisit, place: Place, device: str) -> Entered:
    """A new session of the user whose identity it is. Refusal SIGN_IN_REFUSED."""
    with engine.begin() as connection:
        user, known = _linked(connection, identity), True
        if user is None:
            user, known = _of_email(connection, identity), False
        if not _has_a_role(engine, user.user_id):
            raise not_believed("the user may do nothing in any MSP")
        if not known:
            _link(connection, identity, user.user_id, clock.now())
        # Whatever session the browser had ends: nobody can slip it one of theirs.
        if before := sessions.living(connection, visit.session_id, clock.now()):
            sessions.end(connection, before.user_id, visit.session_id)
        # A first password that was delivered is good for nothing any more.
        forget = "UPDATE people.users SET password_hash = NULL, must_change = false WHERE user_id = :id AND must_change"
        connection.execute(text(forget), {"id": user.user_id})
        token = sessions.begin(connection, user.user_id, place, clock.now(), SignInKind.SINGLE_SIGN_ON)
        own = known_device(connection, user.email, device, clock) or devices.new_device(
            connection, user.user_id, clock.now()
        )
        return Entered(token, own, must_change=False, newly_linked="" if known else user.email)


def prove(engine: Engine, clock: Clock, identity: Identity, visit: ProviderVisit) -> str:
    """The user of the visit's session has just signed in at the provider. Who had no identity there has this one from now on, when
    it gave the password a short while ago: then its e-mail is answered, else "". Refusal SIGN_IN_REFUSED, SIGN_IN_AGAIN when
    the session has ended, PASSWORD_NEEDED."""
    now = clock.now()
    if identity.signed_in_at is None or identity.signed_in_at < visit.begun_at - CLOCKS_DIFFER:
        raise not_believed("the provider did not ask the user again")
    with engine.begin() as connection:
        session = sessions.living(connection, visit.session_id, now)
        if session is None:
            raise too_late()
        user = _linked(connection, identity)
        if user is not None and user.user_id != session.user_id:
            raise not_believed("the identity is another user's")
        if user is None:
            if now >= session.proven_at + PROVEN_LASTS:
                said = "Single sign-on is added to your user by who gave its password a short while ago."
                raise Refusal("PASSWORD_NEEDED", said, "Send confirmPassword, then begin again.")
            _link(connection, identity, session.user_id, now)
        sessions.proven(connection, visit.session_id, now)
        return "" if user else str(session.email)


def unlink(connection: Connection, user_id: str) -> bool:
    """Whether the user had identities until now; it is signed out everywhere."""
    gone = connection.execute(text("DELETE FROM people.identities WHERE user_id = :id"), {"id": user_id})
    sessions.end(connection, user_id)
    return bool(gone.rowcount)


def too_late() -> Refusal:
    """The visit is over, or was never begun here."""
    return Refusal("SIGN_IN_AGAIN", "This sign-in was begun too long ago, or in another browser.", "Sign in again.")


def _linked(connection: Connection, identity: Identity) -> Row[Any] | None:
    return connection.execute(
        text(
            """SELECT u.user_id, u.email FROM people.identities i JOIN people.users u USING (user_id)
               WHERE i.issuer = :issuer AND i.subject = :subject"""
        ),
        {"issuer": identity.issuer, "subject": identity.subject},
    ).first()


def _of_email(connection: Connection, identity: Identity) -> Row[Any]:
    """The user with the e-mail that the provider has verified. Refusal SIGN_IN_REFUSED."""
    if not identity.email:
        raise not_believed("the provider has verified no e-mail, and the identity is not known")
    wanted = "SELECT user_id, email FROM people.users WHERE email = :email"
    user = connection.execute(text(wanted), {"email": address_of(identity.email)}).first()
    if user is None:
        raise not_believed("no user has this e-mail")
    # A mailbox alone must not get past the codes (ASVS 5.0 6.4.3): such a user adds it while signed in.
    if codes.are_on(connection, user.user_id):
        raise not_believed("the user has one-time codes on and adds single sign-on while signed in")
    return user


def _link(connection: Connection, identity: Identity, user_id: str, now: datetime) -> None:
    """Refusal SIGN_IN_REFUSED when the user is known to this issuer by another subject: its address has a new owner there."""
    linked = connection.execute(
        text(
            """INSERT INTO people.identities (issuer, subject, user_id, linked_at)
               VALUES (:issuer, :subject, :user_id, :now) ON CONFLICT DO NOTHING"""
        ),
        {"issuer": identity.issuer, "subject": identity.subject, "user_id": user_id, "now": now},
    )
    if not linked.rowcount:
        raise not_believed("the user has another identity at this provider")


def _has_a_role(engine: Engine, user_id: str) -> bool:
    with of_all_msps(engine).connect() as connection:
        wanted = "SELECT true FROM people.roles WHERE user_id = :user_id AND NOT disabled LIMIT 1"
        return bool(connection.scalar(text(wanted), {"user_id": user_id}))


def _letters(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")
