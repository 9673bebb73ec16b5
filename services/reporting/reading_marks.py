"""(an MSP, a person) -> what the bell shows: how many notifications are unread. Marks are the person's own and survive replays."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from domain.keys import MspId
from domain.notifications import KINDS

_UNREAD = """
SELECT coalesce(max(k.position), 0) AS read_upto, (
    SELECT count(*) FROM reporting.notifications n
    WHERE n.msp_id = :msp_id AND n.generation = (SELECT reporting.living_generation('notifications', :msp_id))
        AND n.position > coalesce(max(k.position), 0) AND n.kind = ANY(:kinds)
) AS unread
FROM reporting.read_marks k WHERE k.msp_id = :msp_id AND k.actor = :actor
"""
# Never beyond the log, or news to come would be read already; never back.
_MARK = """
INSERT INTO reporting.read_marks AS k (msp_id, actor, position, read_at)
SELECT :msp_id, :actor, least(:position, h.position), :now FROM log.heads h WHERE h.msp_id = :msp_id
ON CONFLICT (msp_id, actor) DO UPDATE SET position = excluded.position, read_at = excluded.read_at
WHERE k.position < excluded.position
"""


@dataclass(frozen=True)
class Unread:
    """read_upto: the place in the log up to which the person has read; count: the notifications after it."""

    read_upto: int
    count: int


def bell_kinds(connection: Connection, msp_id: MspId) -> list[str]:
    """The kinds for which the bell rings: those of the rules in the app, or all when there is no such rule. Kinds of which
    only a newer release knows are passed over."""
    found = set(
        connection.scalars(
            text(
                """SELECT DISTINCT unnest(kinds) FROM setup.notification_rules
                   WHERE msp_id = :msp_id AND channel = 'in_app' AND removed_at IS NULL"""
            ),
            {"msp_id": msp_id},
        )
    )
    return sorted(found & KINDS.keys()) if found else list(KINDS)


def unread(connection: Connection, msp_id: MspId, actor: str) -> Unread:
    """What the person has not read yet of what the bell rings for."""
    values = {"msp_id": msp_id, "actor": actor, "kinds": bell_kinds(connection, msp_id)}
    row = connection.execute(text(_UNREAD), values).one()
    return Unread(row.read_upto, row.unread)


def mark_read(connection: Connection, msp_id: MspId, actor: str, position: int, now: datetime) -> None:
    """The person has read all up to the position."""
    connection.execute(text(_MARK), {"msp_id": msp_id, "actor": actor, "position": position, "now": now})
