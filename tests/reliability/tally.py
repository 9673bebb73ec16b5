"""Projections that note every event they fold -> whether each committed event was applied exactly once, in order (I1, I2)."""

from collections.abc import Callable

from sqlalchemy import Connection, Engine, text

from domain.events import EVENT_TYPES
from domain.keys import MspId
from plumbing.catch_up import Projection, Slice


def make_tables(engine: Engine) -> None:
    """Tables without a key: an event that is folded twice stands there twice."""
    with engine.begin() as connection:
        for name in "abc":
            connection.execute(
                text(f"CREATE TABLE reporting.seen_{name} (msp_id text, position bigint, event_id uuid)")
            )


def fold_into(name: str) -> Callable[[Connection, Slice], None]:
    def fold(connection: Connection, part: Slice) -> None:
        connection.execute(
            text(
                f"""INSERT INTO reporting.seen_{name} SELECT msp_id, position, event_id FROM log.events
                    WHERE msp_id = :msp_id AND position > :after AND position <= :upto"""
            ),
            {"msp_id": part.msp_id, "after": part.after, "upto": part.upto},
        )

    return fold


def tally(name: str, batch: int = 7) -> Projection:
    return Projection(f"reporting.seen_{name}", "reporting", tuple(EVENT_TYPES), fold_into(name), batch)


def checksum(engine: Engine, table: str, msp_id: MspId) -> tuple[int, int]:
    """How many (position, id) there are and a sum over all of them."""
    query = f"""SELECT count(*), coalesce(sum(hashtextextended(position || ':' || event_id, 0)), 0)
                FROM {table} WHERE msp_id = :msp_id"""
    with engine.connect() as connection:
        row = connection.execute(text(query), {"msp_id": msp_id}).one()
    return int(row[0]), int(row[1])


def assert_complete(engine: Engine, msp_id: MspId, *names: str) -> None:
    """I1: every committed event was applied exactly once by each of the projections."""
    in_the_log = checksum(engine, "log.events", msp_id)
    assert in_the_log[0] > 0
    for name in names:
        assert checksum(engine, f"reporting.seen_{name}", msp_id) == in_the_log, name


def assert_ordered(engine: Engine, msp_id: MspId) -> None:
    """I2: positions have no gap, and the versions of each stream rise by 1 in position order."""
    with engine.connect() as connection:
        values = {"msp_id": msp_id}
        gaps = text(
            """SELECT count(*) - (SELECT position FROM log.heads WHERE msp_id = :msp_id) + min(position) - 1
               FROM log.events WHERE msp_id = :msp_id"""
        )
        assert connection.scalar(gaps, values) == 0
        turned = text(
            """SELECT count(*) FROM (SELECT stream_version - row_number() OVER (PARTITION BY stream ORDER BY position) AS off
               FROM log.events WHERE msp_id = :msp_id) v WHERE off <> 0"""
        )
        assert connection.scalar(turned, values) == 0
