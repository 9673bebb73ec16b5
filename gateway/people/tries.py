"""(an account, an address, a device) -> whether another password may be tried now; nobody is locked out for good.

Tries are counted three ways. Of one account from one place (the address, or a device that has signed in to it before): after 5
failures a minute's pause, doubled with each further one up to 15 minutes. Of one account from all places that are strange to it:
at most 10 in 15 minutes, so that a thousand addresses get no further than one. Of one address, whatever the accounts: 30 in 15
minutes. A device that has signed in before has a place of its own, which strangers cannot use up; a link by mail opens the door
whatever was tried.

One-time codes and passwords are counted together. Whoever knows the password makes at most 10 tries of codes in 15 minutes,
from whatever places: of a million codes three are good at a time. The owner chooses another password by mail, and is rid of that.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Connection, text

from gateway.errors import Refusal

FREE_FAILURES, OF_STRANGERS, OF_ADDRESS, OF_CODES = 5, 10, 30, 10
FIRST_PAUSE, WINDOW = timedelta(seconds=60), timedelta(minutes=15)


@dataclass(frozen=True, order=True)
class Bucket:
    """What tries are counted by. free: how many cost no pause; then pauses grow, or (at_most) the window has to pass."""

    hash: bytes
    free: int
    at_most: bool


def buckets(email: str, address: str, device: str) -> list[Bucket]:
    """What a try is counted by, the account's own place first. device: "" when it never signed in to the account before."""
    if device:
        return [_bucket(FREE_FAILURES, "device", email, device)]
    return [
        _bucket(FREE_FAILURES, "place", email, address),
        _bucket(OF_STRANGERS, "strangers", email, at_most=True),
        _bucket(OF_ADDRESS, "address", address, at_most=True),
    ]


def code_buckets(email: str, address: str, device: str) -> list[Bucket]:
    """What a try of a one-time code is counted by, the account's own place first."""
    return [*buckets(email, address, device), _bucket(OF_CODES, "codes", email, at_most=True)]


def reset_buckets(email: str, address: str) -> list[Bucket]:
    """What wishes for a reset link are counted by."""
    return [
        _bucket(FREE_FAILURES, "reset", email, at_most=True),
        _bucket(OF_ADDRESS, "reset address", address, at_most=True),
    ]


def provider_buckets(address: str) -> list[Bucket]:
    """What returns from the single sign-on provider are counted by."""
    return [_bucket(OF_ADDRESS, "provider address", address, at_most=True)]


def pause(connection: Connection, counted: list[Bucket], now: datetime) -> timedelta:
    """How long to wait before the next try; zero: try now. It counts as failed until `forget` says otherwise, so commit it
    first: a thousand at once are then not all let through."""
    connection.execute(text("DELETE FROM people.tries WHERE forgotten_at <= :now"), {"now": now})
    # In one order, so that two tries never wait for each other in a circle.
    longest = max(_free_at(connection, bucket, now) for bucket in sorted(counted)) - now
    if longest <= timedelta(0):
        for bucket in counted:
            connection.execute(text(_COUNT), {**vars(bucket), "now": now, "first": FIRST_PAUSE, "window": WINDOW})
    return max(longest, timedelta(0))


def refuse_waiting(wait: timedelta) -> None:
    """Refusal TOO_MANY_TRIES that says how long to wait, when one has to."""
    if wait:
        said = f"Too many tries. Wait {ceil(wait.total_seconds())} s."
        raise Refusal("TOO_MANY_TRIES", said, "Wait, or ask for a reset link.")


def forget(connection: Connection, counted: list[Bucket], now: datetime) -> None:
    """The try succeeded: nothing is counted any more at the account's own place, and one less elsewhere."""
    own, *others = counted
    connection.execute(text("DELETE FROM people.tries WHERE bucket = :bucket"), {"bucket": own.hash})
    take_back(connection, others, now)


def take_back(connection: Connection, counted: list[Bucket], now: datetime) -> None:
    """The try neither failed nor opened the door: a right password, after which a code is asked. What failed before stays."""
    for bucket in sorted(counted):
        connection.execute(
            text("UPDATE people.tries SET failures = failures - 1, free_at = :now WHERE bucket = :bucket"),
            {"bucket": bucket.hash, "now": now},
        )


_COUNT = """
UPDATE people.tries SET failures = failures + 1, free_at = CASE
    WHEN failures + 1 < :free THEN free_at
    WHEN :at_most THEN forgotten_at
    ELSE CAST(:now AS timestamptz) + least(:window, :first * power(2, failures + 1 - :free)) END
WHERE bucket = :hash
"""


def _free_at(connection: Connection, bucket: Bucket, now: datetime) -> datetime:
    free_at: datetime = connection.execute(
        text(
            """INSERT INTO people.tries AS t (bucket, failures, free_at, forgotten_at)
               VALUES (:bucket, 0, :now, :forgotten_at)
               ON CONFLICT (bucket) DO UPDATE SET forgotten_at = t.forgotten_at RETURNING free_at"""
        ),
        {"bucket": bucket.hash, "now": now, "forgotten_at": now + WINDOW},
    ).scalar_one()
    return free_at


def _bucket(free: int, *parts: str, at_most: bool = False) -> Bucket:
    return Bucket(hashlib.sha256("\x00".join(parts).encode()).digest(), free, at_most)
