"""Agreements -> leave for one writer to work on them for a while, fenced: who was overtaken can tell, and writes nothing.

Every new holder raises the fence of the lease. A writer checks its fences inside each transaction that counts, so one
whose lease ran out in a long call finds that another has taken over, and leaves the rest to it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import Connection, Engine, text

from domain.keys import ConnectionId, MspId
from plumbing.clock import Clock

#: The rounds of one connection's posts and of its catalogue: one writer at a time, so that calls stay few.
POSTS, CATALOGUE = "*posts", "*catalogue"


@dataclass(frozen=True)
class Lease:
    """What one writer holds of a connection. fences: by the name of each lease."""

    msp_id: MspId
    connection_id: ConnectionId
    fences: Mapping[str, int]
    holder: str = field(default_factory=lambda: uuid4().hex)


@contextmanager
def lease(
    engine: Engine, clock: Clock, msp_id: MspId, connection_id: ConnectionId, names: Sequence[str], seconds: float
) -> Iterator[Lease]:
    """Those of the leases that nobody holds, for so many seconds or until the block ends."""
    holder, now = uuid4().hex, clock.now()
    key = {"msp_id": msp_id, "connection_id": connection_id, "holder": holder, "now": now}
    with engine.begin() as connection:
        taken = connection.execute(
            text(
                """INSERT INTO psa_writer.leases AS l (msp_id, connection_id, name, holder, fence, until)
                   SELECT :msp_id, :connection_id, name, :holder, 1, :until
                   FROM unnest(CAST(:names AS text[])) AS n (name) ORDER BY name
                   ON CONFLICT (msp_id, connection_id, name) DO UPDATE
                   SET holder = excluded.holder, fence = l.fence + 1, until = excluded.until WHERE l.until <= :now
                   RETURNING name, fence"""
            ),
            {**key, "names": sorted(set(names)), "until": now + timedelta(seconds=seconds)},
        ).all()
    held = Lease(msp_id, connection_id, {row.name: row.fence for row in taken}, holder)
    try:
        yield held
    finally:
        _release(engine, held, clock)


def renew(connection: Connection, held: Lease, names: Sequence[str], seconds: float, clock: Clock) -> set[str]:
    """Those of the leases that are still ours, locked until the caller's transaction ends and kept for so many seconds
    more from now."""
    mine = [name for name in sorted(set(names)) if name in held.fences]
    kept = connection.execute(
        text(
            """UPDATE psa_writer.leases l SET until = greatest(l.until, :until)
               FROM unnest(CAST(:names AS text[]), CAST(:fences AS bigint[])) AS m (name, fence)
               WHERE l.msp_id = :msp_id AND l.connection_id = :connection_id AND l.name = m.name
               AND l.fence = m.fence AND l.holder = :holder RETURNING l.name"""
        ),
        {
            "msp_id": held.msp_id,
            "connection_id": held.connection_id,
            "holder": held.holder,
            "names": mine,
            "fences": [held.fences[name] for name in mine],
            "until": clock.now() + timedelta(seconds=seconds),
        },
    )
    return set(kept.scalars())


def _release(engine: Engine, held: Lease, clock: Clock) -> None:
    if not held.fences:
        return
    with engine.begin() as connection:
        connection.execute(
            text(
                """UPDATE psa_writer.leases SET until = :now WHERE msp_id = :msp_id AND connection_id = :connection_id
                   AND holder = :holder AND name = ANY(:names)"""
            ),
            {
                "msp_id": held.msp_id,
                "connection_id": held.connection_id,
                "holder": held.holder,
                "names": list(held.fences),
                "now": clock.now(),
            },
        )
