"""(who is signed in, its own wishes) -> its row: what it is called, and how its sign-in is kept safe."""

from typing import Any

from sqlalchemy import Connection, text

from gateway.errors import Refusal

LONGEST_NAME = 100


def name_of(given: str) -> str:
    """A name as it is kept, without blanks around it. Refusal BAD_USER."""
    name = given.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise Refusal("BAD_USER", f"A name has 1 to {LONGEST_NAME} characters that can be seen.", "Give another one.")
    return name


def save_name(connection: Connection, user_id: str, name: str) -> None:
    """What the user is called from now on, on pages and in mails. Refusal BAD_USER."""
    connection.execute(
        text("UPDATE people.users SET name = :name WHERE user_id = :user_id"),
        {"user_id": user_id, "name": name_of(name)},
    )


def profile_of(connection: Connection, user_id: str) -> dict[str, Any]:
    """{name, codes_on, recovery_codes_left} of a user."""
    found = connection.execute(
        text(
            """SELECT u.name, coalesce(c.on_since IS NOT NULL, false) AS codes_on,
                   (SELECT count(*) FROM people.recovery_codes r WHERE r.user_id = u.user_id) AS recovery_codes_left
               FROM people.users u LEFT JOIN people.codes c USING (user_id) WHERE u.user_id = :user_id"""
        ),
        {"user_id": user_id},
    )
    return dict(found.mappings().one())
