"""(a poll, the row of its connection) -> the right to store what it reads, taken over by a later run of the same poll.

A message comes a second time when its first holder seems dead; the first may still be running. The second run raises the
fence, and each storing transaction of the first checks the fence and finds itself out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from plumbing.clock import Clock
from services.poller.place import Place

# Longer than the longest single call; renewed with each batch and each minute.
HELD = timedelta(minutes=6)


class PollBusy(Exception):
    """Another poll of the same connection runs: this one comes again in a while."""


class LeaseLost(Exception):
    """Another run of this poll took over: this one stores nothing more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one run of one poll."""

    place: Place
    poll_id: str
    fence: int

    def keep(self, connection: Connection, clock: Clock) -> None:
        """Holds the connection's row for the caller's transaction and prolongs the lease. LeaseLost."""
        kept = connection.exec_driver_sql(
            """UPDATE poller.connections SET held_until = %(until)s
               WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s AND fence = %(fence)s
                 AND poll_id = %(poll_id)s""",
            self._key | {"until": clock.now() + HELD},
        )
        if kept.rowcount == 0:
            raise LeaseLost(f"poll {self.poll_id} goes on elsewhere")

    def give_back(self, connection: Connection) -> None:
        """Ends the lease and the poll with it. LeaseLost."""
        ended = connection.exec_driver_sql(
            """UPDATE poller.connections SET poll_id = NULL, held_until = NULL,
                 open_poll_id = nullif(open_poll_id, %(poll_id)s)
               WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s AND fence = %(fence)s
                 AND poll_id = %(poll_id)s""",
            self._key,
        )
        if ended.rowcount == 0:
            raise LeaseLost(f"poll {self.poll_id} goes on elsewhere")

    @property
    def _key(self) -> dict[str, Any]:
        return self.place.key | {"fence": self.fence, "poll_id": self.poll_id}


def take_lease(engine: Engine, place: Place, poll_id: str, clock: Clock) -> Lease:
    """The lease for this run: free, run out, or that of an earlier run of the same poll. PollBusy."""
    now = clock.now()
    with engine.begin() as connection:
        add_connections(connection, [place], now)
        fence = connection.exec_driver_sql(
            """UPDATE poller.connections SET poll_id = %(poll_id)s, fence = fence + 1, held_until = %(until)s,
                 reads_chosen = NULL, reads_done = NULL
               WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s
                 AND (poll_id IS NULL OR poll_id = %(poll_id)s OR held_until < %(now)s)
               RETURNING fence""",
            place.key | {"poll_id": poll_id, "until": now + HELD, "now": now},
        ).scalar()
    if fence is None:
        raise PollBusy(f"connection {place.connection_id} of {place.msp_id} is being polled")
    return Lease(place, poll_id, int(fence))


def add_connections(connection: Connection, places: list[Place], now: datetime) -> None:
    """Rows for connections that have none yet; their first poll is due at once."""
    connection.exec_driver_sql(
        """INSERT INTO poller.connections (msp_id, connection_id, next_poll_at)
           SELECT c.msp_id, c.connection_id, %(now)s
           FROM unnest(%(msps)s::text[], %(connections)s::text[]) AS c (msp_id, connection_id)
           ON CONFLICT DO NOTHING""",
        {
            "now": now,
            "msps": [place.msp_id for place in places],
            "connections": [place.connection_id for place in places],
        },
    )
