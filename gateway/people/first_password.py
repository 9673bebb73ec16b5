"""The user guide's way to the first sign-in: a delivered password that is good once, after which another must be chosen."""

from sqlalchemy import Connection, Engine, text

from gateway.people import half_sign_ins
from gateway.people.passwords import hashed


def set_first_password(engine: Engine, user_id: str, password: str) -> None:
    """The user signs in with it once. Whoever runs the installation decides for it: a link is safer."""
    password_hash = hashed(password)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE people.users SET password_hash = :hash, must_change = true WHERE user_id = :user_id"),
            {"hash": password_hash, "user_id": user_id},
        )
        connection.execute(text("DELETE FROM people.links WHERE user_id = :user_id"), {"user_id": user_id})
        half_sign_ins.end(connection, user_id)


def use_up(connection: Connection, user_id: str, password_hash: str) -> bool:
    """Whether it was good until now; of two who use it at once one wins."""
    return bool(
        connection.execute(
            text("UPDATE people.users SET password_hash = NULL WHERE user_id = :user_id AND password_hash = :hash"),
            {"user_id": user_id, "hash": password_hash},
        ).rowcount
    )
