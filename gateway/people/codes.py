"""(a user, six digits) -> whether they are its one-time code of now, good once (RFC 6238); recovery codes stand in for them.

The secret is sealed in the database and opens with the gateway's key only, so whoever has the rows has no codes. A code is good
in its own 30 seconds and in those before and after, for a clock that is a little off (RFC 6238, 5.2).
"""

import hmac
import re
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime
from secrets import token_bytes

import pyotp
from sqlalchemy import Connection, text

from gateway.errors import Refusal
from gateway.people.tokens import hash_of
from plumbing.secrets import NotForUs, public_key_of, seal_of_user, unseal_of_user

STEP_SECONDS, DRIFT = 30, 1
RECOVERY_CODES = 10
# 120 random bits need no slow hash (OWASP ASVS 5.0 6.5.2: from 112 on).
_RECOVERY_BYTES = 15
_LONGEST = 60
_DIGITS = re.compile(r"[0-9]{6}")


@dataclass(frozen=True)
class Codes:
    """One-time codes of users. private_key: opens their secrets, base64; "": this installation has no codes."""

    private_key: str

    def begin(self, connection: Connection, user_id: str) -> str:
        """A new secret (base32), in place of one that was never confirmed. Refusal CODES_ARE_ON, NO_CODE_KEY."""
        if not self.private_key:
            said = "This installation cannot keep one-time codes: TRUEUP_PRIVATE_KEY is not set at the gateway."
            raise Refusal("NO_CODE_KEY", said, "Ask who runs it to set a key of `trueup key new`.")
        secret = pyotp.random_base32()
        kept = connection.execute(
            text(
                """INSERT INTO people.codes AS c (user_id, sealed, used_step) VALUES (:user_id, :sealed, 0)
                   ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed WHERE c.on_since IS NULL"""
            ),
            {"user_id": user_id, "sealed": seal_of_user(public_key_of(self.private_key), user_id, secret)},
        )
        if not kept.rowcount:
            raise Refusal("CODES_ARE_ON", "One-time codes are on already.", "Switch them off first.")
        return secret

    def confirm(self, connection: Connection, user_id: str, code: str, now: datetime) -> list[str]:
        """From now on a code is asked; answers the recovery codes, of which only hashes are kept. Refusal CODE_REFUSED."""
        kept = connection.execute(
            text("SELECT sealed FROM people.codes WHERE user_id = :user_id AND on_since IS NULL FOR UPDATE"),
            {"user_id": user_id},
        ).first()
        step = self._step_of(user_id, kept.sealed, _plain(code), now) if kept else None
        if step is None:
            raise code_refused()
        connection.execute(
            text("UPDATE people.codes SET on_since = :now, used_step = :step WHERE user_id = :user_id"),
            {"user_id": user_id, "now": now, "step": step},
        )
        recovery = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
        connection.execute(
            text("INSERT INTO people.recovery_codes (user_id, code_hash) VALUES (:user_id, :hash)"),
            [{"user_id": user_id, "hash": hash_of(_plain(each))} for each in recovery],
        )
        return recovery

    def use(self, connection: Connection, user_id: str, code: str, now: datetime) -> bool:
        """Whether it was a good code until now, of the app or for recovery; of two who use one at once one wins. Refusal
        CODES_CLOSED when the secret does not open."""
        plain = _plain(code)
        if not _DIGITS.fullmatch(plain):
            wanted = "DELETE FROM people.recovery_codes WHERE user_id = :user_id AND code_hash = :hash"
            used = connection.execute(text(wanted), {"user_id": user_id, "hash": hash_of(plain)})
            return bool(used.rowcount)
        wanted = "SELECT sealed FROM people.codes WHERE user_id = :user_id AND on_since IS NOT NULL"
        sealed = connection.scalar(text(wanted), {"user_id": user_id})
        step = self._step_of(user_id, sealed, plain, now) if sealed else None
        if step is None:
            return False
        used = connection.execute(
            text("UPDATE people.codes SET used_step = :step WHERE user_id = :user_id AND used_step < :step"),
            {"user_id": user_id, "step": step},
        )
        return bool(used.rowcount)

    def _step_of(self, user_id: str, sealed: str, digits: str, now: datetime) -> int | None:
        """The time step whose code it is; None when it is that of none around now."""
        try:
            generator = pyotp.TOTP(unseal_of_user(self.private_key, user_id, sealed))
        except NotForUs as error:
            said = "One-time codes do not open with the TRUEUP_PRIVATE_KEY of this gateway."
            raise Refusal("CODES_CLOSED", said, "Use a recovery code, and tell who runs the installation.") from error
        this = int(now.timestamp()) // STEP_SECONDS
        near = range(this - DRIFT, this + DRIFT + 1)
        return max((step for step in near if hmac.compare_digest(generator.generate_otp(step), digits)), default=None)


def are_on(connection: Connection, user_id: str) -> bool:
    """Whether the user is asked for a code."""
    wanted = "SELECT true FROM people.codes WHERE user_id = :user_id AND on_since IS NOT NULL"
    return bool(connection.scalar(text(wanted), {"user_id": user_id}))


def switch_off(connection: Connection, user_id: str) -> bool:
    """Whether codes were on; from now on none is asked, and the recovery codes are gone."""
    gone = connection.scalar(
        text("DELETE FROM people.codes WHERE user_id = :user_id RETURNING on_since"), {"user_id": user_id}
    )
    return gone is not None


def app_uri(secret: str, email: str) -> str:
    """What an authenticator app reads from a picture of it: otpauth://totp/..."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name="Trueup")


def code_refused() -> Refusal:
    """The same whatever is wrong with it."""
    return Refusal(
        "CODE_REFUSED",
        "This code is wrong, too old, or was used already.",
        "Wait for the next one, and look at the clock.",
    )


def _plain(code: str) -> str:
    """A code as it is compared: however it was grouped, in capital letters."""
    return code[:_LONGEST].replace(" ", "").replace("-", "").upper()


def _new_recovery_code() -> str:
    letters = b32encode(token_bytes(_RECOVERY_BYTES)).decode()
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))
