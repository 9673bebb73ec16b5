"""A browser that has signed in to an account, or chosen a password by a link: strangers cannot use up its tries."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from gateway.people.tokens import hash_of, new_token

# After so long without a sign-in a device is a stranger again.
DEVICE_KEPT = timedelta(days=180)


def is_known(connection: Connection, email: str, device: str, now: datetime) -> bool:
    """Whether the device with this token is one of the account's."""
    found = connection.execute(
        text(
            """UPDATE people.devices d SET seen_at = :now FROM people.users u
               WHERE d.device_hash = :hash AND u.user_id = d.user_id AND u.email = :email AND d.seen_at > :since"""
        ),
        {"hash": hash_of(device), "email": email, "now": now, "since": now - DEVICE_KEPT},
    )
    return found.rowcount > 0


def new_device(connection: Connection, user_id: str, now: datetime) -> str:
    """The token of a new one; those that were not seen for too long go."""
    token = new_token()
    connection.execute(text("DELETE FROM people.devices WHERE seen_at < :since"), {"since": now - DEVICE_KEPT})
    connection.execute(
        text("INSERT INTO people.devices (device_hash, user_id, seen_at) VALUES (:hash, :user_id, :now)"),
        {"hash": hash_of(token), "user_id": user_id, "now": now},
    )
    return token
