"""(a password) -> whether it is good enough, its hash, and whether it is the one behind a hash.

Rules as OWASP ASVS 5.0 6.2: a length, no rules of composition, nothing that is commonly used or easily guessed from that (6.2.4;
the guessing is zxcvbn's, which knows the 30,000 commonest passwords), and nothing that was breached (6.2.12, breached.py). argon2id
by libsodium, 2 passes over 64 MB; two at a time, whoever asks, so that strangers cannot take all memory.
"""

import threading
from functools import cache

from nacl import pwhash
from nacl.exceptions import InvalidkeyError
from zxcvbn import zxcvbn

from gateway.errors import Refusal
from gateway.people.breached import Breached

SHORTEST, LONGEST = 12, 200
_PASSES, _BYTES = 2, 64 * 1024 * 1024
# zxcvbn's time grows with the square of the length; of a longer password its beginning must be good enough.
_JUDGED = 60
_GOOD_SCORE = 3
_at_once = threading.BoundedSemaphore(2)


def refuse_weak(password: str, breached: Breached, *about: str) -> None:
    """Refusal WEAK_PASSWORD when it is too short or long, was breached, or is guessed within 10^8 tries by who knows these words
    of its user."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise _weak(f"A password has {SHORTEST} to {LONGEST} characters.")
    if breached.has(password):
        raise _weak("This password stands in a list of breached ones, which attackers try first.")
    words = [word for each in about for word in (each, each.partition("@")[0]) if word]
    if zxcvbn(password[:_JUDGED], user_inputs=words)["score"] < _GOOD_SCORE:
        raise _weak("This password is commonly used or easily guessed.")


def hashed(password: str) -> str:
    """The argon2id hash of a password, with its salt and costs in it."""
    with _at_once:
        return pwhash.argon2id.str(password.encode(), _PASSES, _BYTES).decode()


def is_right(password: str, password_hash: str | None) -> bool:
    """Whether the hash is of this password. Without a hash (no such user) it takes as long and is False."""
    against = password_hash or _nobodys()
    with _at_once:
        try:
            pwhash.verify(against.encode(), password.encode())
        except InvalidkeyError:
            return False
    return password_hash is not None


@cache
def _nobodys() -> str:
    return hashed("nobody's password")


def _weak(says: str) -> Refusal:
    return Refusal("WEAK_PASSWORD", says, "Choose one that nobody would guess: a few unusual words do well.")
