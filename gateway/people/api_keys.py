"""An admin's wish for a key -> the key, shown once; a key -> the program that calls. Only hashes are kept.

A key is trueup_<12 characters by which it is known>_<256 random bits>.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Connection, Engine, text

from domain.events import ApiKeyMade, ApiKeyRevoked
from domain.keys import MspId
from gateway.acts import append_act
from gateway.errors import Refusal
from gateway.people.callers import NOBODY, Caller
from gateway.people.permissions import Scope
from gateway.people.tokens import hash_of, new_token
from plumbing.clock import Clock
from plumbing.row_security import of_msp

LONGEST_NAME = 60
LONGEST_LIFE = timedelta(days=366)
_USED_EVERY = timedelta(minutes=1)
_KEY = re.compile(r"trueup_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


class ApiKeys:
    """The door through which keys come in. actor: on whose behalf."""

    def __init__(self, engine: Engine, clock: Clock, actor: str) -> None:
        self._engine, self._clock, self._actor = engine, clock, actor

    def make(
        self, msp_id: MspId, name: str, scopes: Sequence[Scope], ends_at: datetime, operation_id: str
    ) -> tuple[str, str]:
        """(the key's id, the key). Refusal BAD_KEY, DONE_ALREADY when the operation has made it: it is shown once."""
        now = self._clock.now()
        if not 1 <= len(name.strip()) <= LONGEST_NAME or not scopes:
            raise Refusal("BAD_KEY", f"A key has a name of 1 to {LONGEST_NAME} characters and a scope.", "Give both.")
        if not now < ends_at <= now + LONGEST_LIFE:
            raise Refusal("BAD_KEY", "A key ends within a year.", "Give a day in the future.")
        key_id = uuid5(NAMESPACE_URL, f"trueup:{msp_id}/api-key/{operation_id}").hex
        prefix = f"trueup_{token_hex(6)}"
        key = f"{prefix}_{new_token()}"
        wanted = tuple(sorted(set(scopes)))
        with of_msp(self._engine, msp_id).begin() as connection:
            made = connection.execute(
                text(
                    """INSERT INTO people.api_keys (key_id, msp_id, key_hash, prefix, name, scopes, made_by, made_at, ends_at)
                       VALUES (:key_id, :msp_id, :hash, :prefix, :name, :scopes, :actor, :now, :ends_at)
                       ON CONFLICT DO NOTHING"""
                ),
                {
                    "key_id": key_id,
                    "msp_id": msp_id,
                    "hash": hash_of(key),
                    "prefix": prefix,
                    "name": name.strip(),
                    "scopes": [str(scope) for scope in wanted],
                    "actor": self._actor,
                    "now": now,
                    "ends_at": ends_at,
                },
            ).rowcount
            if not made:
                said = "This operation has made its key, and a key is shown once."
                raise Refusal("DONE_ALREADY", said, "Revoke it and make another one.")
            event = ApiKeyMade(
                key_id=key_id, name=name.strip(), prefix=prefix, scopes=tuple(map(str, wanted)), ends_at=ends_at
            )
            append_act(connection, msp_id, self._actor, self._clock.now(), f"api-key/{key_id}", 1, event)
        return key_id, key

    def revoke(self, msp_id: MspId, key_id: str) -> None:
        """Calls with it fail from the next request on; once more does nothing. Refusal NO_SUCH_KEY."""
        with of_msp(self._engine, msp_id).begin() as connection:
            row = connection.execute(
                text(
                    "SELECT name, revoked_at FROM people.api_keys WHERE msp_id = :msp_id AND key_id = :key_id FOR UPDATE"
                ),
                {"msp_id": msp_id, "key_id": key_id},
            ).first()
            if row is None:
                raise Refusal("NO_SUCH_KEY", "This MSP has no such key.", "Read the list again.")
            if row.revoked_at is not None:
                return
            connection.execute(
                text("UPDATE people.api_keys SET revoked_at = :now WHERE key_id = :key_id"),
                {"key_id": key_id, "now": self._clock.now()},
            )
            append_act(
                connection,
                msp_id,
                self._actor,
                self._clock.now(),
                f"api-key/{key_id}",
                2,
                ApiKeyRevoked(key_id=key_id, name=row.name),
            )


def looks_like_key(token: str) -> bool:
    """Whether it has the shape of one."""
    return bool(_KEY.fullmatch(token))


def caller_of(connection: Connection, key: str, now: datetime) -> Caller:
    """The program that calls with the key; NOBODY when it was never made, was revoked or has ended."""
    hashed = hash_of(key)
    found = connection.execute(
        text(
            """SELECT name, msp_id, scopes, used_at FROM people.api_keys
               WHERE key_hash = :hash AND revoked_at IS NULL AND ends_at > :now"""
        ),
        {"hash": hashed, "now": now},
    ).first()
    if found is None:
        return NOBODY
    if found.used_at is None or now - found.used_at >= _USED_EVERY:
        connection.execute(
            text("UPDATE people.api_keys SET used_at = :now WHERE key_hash = :hash"), {"hash": hashed, "now": now}
        )
    return Caller(f"api key {found.name}", key_msp=found.msp_id, scopes=frozenset(map(Scope, found.scopes)))


def keys_of(connection: Connection, msp_id: str, now: datetime) -> list[dict[str, Any]]:
    """{key_id, name, prefix, scopes, state (active, ended, revoked), made_by, made_at, ends_at, used_at}, the newest first."""
    found = connection.execute(
        text(
            """SELECT key_id, name, prefix, scopes, made_by, made_at, ends_at, used_at,
                   CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN ends_at <= :now THEN 'ended' ELSE 'active' END AS state
               FROM people.api_keys WHERE msp_id = :msp_id ORDER BY made_at DESC, key_id"""
        ),
        {"msp_id": msp_id, "now": now},
    )
    return [dict(row) for row in found.mappings()]
