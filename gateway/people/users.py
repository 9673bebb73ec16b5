"""An admin's wishes about users -> rows in people.* and events in the MSP's log, in one transaction.

A user is one person with one e-mail and password, and has a role in each of its MSPs. No admin can take the last admin away.
"""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, Row, text

from domain.events import UserCodesReset, UserDisabled, UserRoleSet
from domain.keys import MspId
from gateway.acts import append_act
from gateway.errors import Refusal
from gateway.people import codes, links, sessions
from gateway.people.permissions import Role
from gateway.people.profile import name_of
from gateway.people.sign_in import LONGEST_EMAIL, address_of
from plumbing.clock import Clock
from plumbing.row_security import of_all_msps, of_msp


@dataclass(frozen=True)
class Invited:
    """link: the token of the first sign-in; "" for whoever has a password already."""

    user_id: str
    link: str


class Users:
    """The door through which an MSP's users come in. actor: on whose behalf."""

    def __init__(self, engine: Engine, clock: Clock, actor: str) -> None:
        self._engine, self._clock, self._actor = engine, clock, actor

    def invite(self, msp_id: MspId, email: str, name: str, role: Role) -> Invited:
        """A user of the MSP, new to the installation or not. Refusal BAD_USER, KNOWN_ALREADY."""
        address = address_of(email)
        if not 3 <= len(address) <= LONGEST_EMAIL or address.count("@") != 1 or any(c.isspace() for c in address):
            raise Refusal("BAD_USER", f"{email[:LONGEST_EMAIL]!r} is no e-mail.", "Give the address whole.")
        called = name_of(name)
        with of_msp(self._engine, msp_id).begin() as connection:
            user_id = _made(connection, address, called, self._clock)
            before = _role(connection, msp_id, user_id)
            if before is not None and not before.disabled:
                raise Refusal("KNOWN_ALREADY", f"{address} is a user of this MSP already.", "Change the role instead.")
            self._set(connection, msp_id, user_id, address, before, role)
            fresh = connection.scalar(
                text("SELECT password_hash IS NULL FROM people.users WHERE user_id = :user_id"), {"user_id": user_id}
            )
            link = links.new_link(connection, user_id, links.INVITATION_LASTS, self._clock.now()) if fresh else ""
        return Invited(user_id, link)

    def set_role(self, msp_id: MspId, user_id: str, role: Role) -> str:
        """The user's id: it has this role from the next request on, also when it was disabled. Refusal NO_SUCH_USER,
        LAST_ADMIN."""
        with of_msp(self._engine, msp_id).begin() as connection:
            before = self._known(connection, msp_id, user_id)
            if before.role == role.name.lower() and not before.disabled:
                return user_id
            if role is not Role.ADMIN:
                _refuse_last_admin(connection, msp_id, user_id)
            self._set(connection, msp_id, user_id, before.email, before, role)
        return user_id

    def disable(self, msp_id: MspId, user_id: str) -> str:
        """The user's id: it may do nothing in the MSP any more and is signed out everywhere. Refusal NO_SUCH_USER, LAST_ADMIN."""
        with of_msp(self._engine, msp_id).begin() as connection:
            before = self._known(connection, msp_id, user_id)
            if before.disabled:
                return user_id
            _refuse_last_admin(connection, msp_id, user_id)
            version = before.version + 1
            connection.execute(
                text(
                    """UPDATE people.roles SET disabled = true, version = :version
                       WHERE msp_id = :msp_id AND user_id = :user_id"""
                ),
                {"msp_id": msp_id, "user_id": user_id, "version": version},
            )
            sessions.end(connection, user_id)
            gone = UserDisabled(user_id=user_id, user_version=version, email=before.email, previous_role=before.role)
            self._append(connection, msp_id, gone)
        return user_id

    def reset_link(self, msp_id: MspId, user_id: str) -> tuple[str, str, bool]:
        """(e-mail, token, whether all its MSPs are the given one). Refusal NO_SUCH_USER."""
        with of_msp(self._engine, msp_id).begin() as connection:
            before = self._known(connection, msp_id, user_id)
            alone = _is_in_one_msp(self._engine, user_id)
            token = links.new_link(connection, user_id, links.RESET_LASTS, self._clock.now())
        return str(before.email), token, alone

    def reset_codes(self, msp_id: MspId, user_id: str, *, other_msps: bool = False) -> str:
        """The e-mail of a user who has lost app and recovery codes: it signs in by its password alone, and is signed out
        everywhere. other_msps: also one who belongs to others, for whom the codes stand guard as well. Refusal NO_SUCH_USER,
        NO_CODES, OTHER_MSPS, and ONESELF: whoever sits at an admin's open session cannot do away with its codes."""
        with of_msp(self._engine, msp_id).begin() as connection:
            before = self._known(connection, msp_id, user_id)
            if before.email == self._actor:
                raise Refusal("ONESELF", "These are your own codes.", "Switch them off by password and code.")
            if not other_msps and not _is_in_one_msp(self._engine, user_id):
                said = "The user belongs to other MSPs too, which its codes protect as well."
                raise Refusal("OTHER_MSPS", said, "Ask who runs the installation.")
            if not codes.switch_off(connection, user_id):
                raise Refusal("NO_CODES", "The user has no one-time codes on.", "There is nothing to do.")
            version = before.version + 1
            connection.execute(
                text("UPDATE people.roles SET version = :version WHERE msp_id = :msp_id AND user_id = :user_id"),
                {"msp_id": msp_id, "user_id": user_id, "version": version},
            )
            sessions.end(connection, user_id)
            self._append(connection, msp_id, UserCodesReset(user_id=user_id, user_version=version, email=before.email))
        return str(before.email)

    def _set(
        self, connection: Connection, msp_id: MspId, user_id: str, email: str, before: Row[Any] | None, role: Role
    ) -> None:
        version = before.version + 1 if before else 1
        connection.execute(
            text(
                """INSERT INTO people.roles (user_id, msp_id, role, disabled, version)
                   VALUES (:user_id, :msp_id, :role, false, :version)
                   ON CONFLICT (user_id, msp_id) DO UPDATE
                   SET role = excluded.role, disabled = false, version = excluded.version"""
            ),
            {"user_id": user_id, "msp_id": msp_id, "role": role.name.lower(), "version": version},
        )
        told = UserRoleSet(
            user_id=user_id,
            user_version=version,
            email=email,
            previous_role=before.role if before and not before.disabled else None,
            role=role.name.lower(),
        )
        self._append(connection, msp_id, told)

    def _known(self, connection: Connection, msp_id: MspId, user_id: str) -> Row[Any]:
        before = _role(connection, msp_id, user_id)
        if before is None:
            raise Refusal("NO_SUCH_USER", "This MSP has no such user.", "Read the list again.")
        return before

    def _append(
        self, connection: Connection, msp_id: MspId, event: UserRoleSet | UserDisabled | UserCodesReset
    ) -> None:
        stream = f"user/{event.user_id}"
        append_act(connection, msp_id, self._actor, self._clock.now(), stream, event.user_version, event)


def users_of(connection: Connection, msp_id: str) -> list[dict[str, Any]]:
    """{user_id, name, email, role, state (active, invited, disabled), single_sign_on, codes_on, last_seen_at} of each user of the
    MSP, by name."""
    found = connection.execute(
        text(
            """SELECT u.user_id, u.name, u.email, r.role,
                   CASE WHEN r.disabled THEN 'disabled' WHEN u.password_hash IS NULL AND NOT i.linked THEN 'invited'
                       ELSE 'active' END AS state,
                   i.linked AS single_sign_on,
                   EXISTS (SELECT FROM people.codes c WHERE c.user_id = u.user_id AND c.on_since IS NOT NULL) AS codes_on,
                   (SELECT max(s.seen_at) FROM people.sessions s WHERE s.user_id = u.user_id) AS last_seen_at
               FROM people.roles r JOIN people.users u USING (user_id),
                   LATERAL (SELECT EXISTS (SELECT FROM people.identities i WHERE i.user_id = u.user_id)) AS i (linked)
               WHERE r.msp_id = :msp_id ORDER BY lower(u.name), u.email"""
        ),
        {"msp_id": msp_id},
    )
    return [dict(row) for row in found.mappings()]


def _made(connection: Connection, address: str, name: str, clock: Clock) -> str:
    connection.execute(
        text(
            """INSERT INTO people.users (user_id, email, name, must_change, made_at)
               VALUES (:user_id, :email, :name, false, :now) ON CONFLICT (email) DO NOTHING"""
        ),
        {"user_id": uuid4().hex, "email": address, "name": name, "now": clock.now()},
    )
    found = connection.scalar(text("SELECT user_id FROM people.users WHERE email = :email"), {"email": address})
    return str(found)


def _role(connection: Connection, msp_id: MspId, user_id: str) -> Row[Any] | None:
    """Its role in the MSP, with all roles there held until the transaction ends, so that two admins cannot lower each other."""
    connection.execute(text("SELECT FROM people.roles WHERE msp_id = :msp_id FOR UPDATE"), {"msp_id": msp_id})
    return connection.execute(
        text(
            """SELECT r.role, r.disabled, r.version, u.email FROM people.roles r JOIN people.users u USING (user_id)
               WHERE r.msp_id = :msp_id AND r.user_id = :user_id"""
        ),
        {"msp_id": msp_id, "user_id": user_id},
    ).first()


def _is_in_one_msp(engine: Engine, user_id: str) -> bool:
    with of_all_msps(engine).connect() as connection:
        msps = connection.scalars(
            text("SELECT msp_id FROM people.roles WHERE user_id = :user_id"), {"user_id": user_id}
        )
        return len(msps.all()) == 1


def _refuse_last_admin(connection: Connection, msp_id: MspId, user_id: str) -> None:
    others = connection.scalar(
        text(
            """SELECT count(*) FILTER (WHERE user_id <> :user_id) > 0 OR count(*) FILTER (WHERE user_id = :user_id) = 0
               FROM people.roles WHERE msp_id = :msp_id AND role = 'admin' AND NOT disabled"""
        ),
        {"msp_id": msp_id, "user_id": user_id},
    )
    if not others:
        raise Refusal("LAST_ADMIN", "This is the MSP's last admin.", "Make somebody else an admin first.")
