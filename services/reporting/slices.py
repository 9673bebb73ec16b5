"""(a slice of the log, types of events) -> the text that a statement reads it by, payloads of older versions taken up.

Statements read the log in place. A rebuild folds one large slice into a dozen read models by some thirty statements, and each of
them would pass over every event to find its own, which takes longer than the folding: so it holds the slice for a while, in
temporary tables, one a type.
"""

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection, text

from domain.events import EVENT_TYPES
from domain.upcasters import STEPS, upcast
from plumbing.catch_up import Slice

IN_PLACE = """SELECT position, type, payload, occurred_at, actor, recorded_by, correlation_id FROM log.events
    WHERE msp_id = :msp_id AND position > :after AND position <= :upto AND type = ANY(:types)"""
BESIDE = """SELECT e.position, e.type, coalesce(u.payload, e.payload) AS payload, e.occurred_at, e.actor,
        e.recorded_by, e.correlation_id
    FROM log.events e LEFT JOIN pg_temp.upcast_events u USING (position)
    WHERE e.msp_id = :msp_id AND e.position > :after AND e.position <= :upto AND e.type = ANY(:types)"""
HELD = """SELECT position, type, payload, occurred_at, actor, recorded_by, correlation_id FROM pg_temp.held_events
    WHERE type = ANY(:types)"""

_MAKE = """CREATE TEMPORARY TABLE held_events (position bigint, type text COLLATE "C", payload jsonb, occurred_at timestamptz,
    actor text, recorded_by text, correlation_id text) PARTITION BY LIST (type)"""


def hold(connection: Connection, part: Slice) -> None:
    """From now to the end of the transaction HELD reads the events of the slice, whoever of its read models asks."""
    named = f"{part.msp_id} {part.after} {part.upto}"
    if connection.scalar(text("SELECT current_setting('trueup.held', true)")) == named:
        return
    if connection.scalar(text("SELECT to_regclass('pg_temp.held_events')")) is None:
        _make(connection)
    # The slice stands in one place of the log: no look at the logs of all other MSPs.
    connection.execute(text("TRUNCATE pg_temp.held_events; SET LOCAL random_page_cost = 1"))
    source = BESIDE if put_beside(connection, part, list(EVENT_TYPES)) else IN_PLACE
    connection.execute(
        text(f"INSERT INTO pg_temp.held_events {source}"),
        {"msp_id": part.msp_id, "after": part.after, "upto": part.upto, "types": list(EVENT_TYPES)},
    )
    connection.execute(text("SELECT set_config('trueup.held', :named, true)"), {"named": named})


def _make(connection: Connection) -> None:
    # Memory for the tables of a usual slice; it may be set before a session's first temporary table only.
    statements = ["SET temp_buffers = '128MB'", _MAKE]
    for number, name in enumerate(EVENT_TYPES):
        statements.append(
            f"CREATE TEMPORARY TABLE held_{number} PARTITION OF held_events FOR VALUES IN ('{name}') ON COMMIT DELETE ROWS"
        )
    connection.execute(text("; ".join(statements)))


def put_beside(connection: Connection, part: Slice, types: Sequence[str]) -> bool:
    """Whether the slice has events of older versions; their payloads of today then stand in the temporary table."""
    old = [(name, version) for name, version in STEPS if name in types]
    if not old:
        return False
    rows = connection.execute(
        text(
            """SELECT position, type, version, payload FROM log.events
               WHERE msp_id = :msp_id AND position > :after AND position <= :upto
               AND (type, version) IN (SELECT * FROM unnest(CAST(:names AS text[]), CAST(:versions AS smallint[])))"""
        ),
        {
            "msp_id": part.msp_id,
            "after": part.after,
            "upto": part.upto,
            "names": [name for name, _ in old],
            "versions": [version for _, version in old],
        },
    ).all()
    if rows:
        _put(
            connection,
            [row.position for row in rows],
            [upcast(row.type, row.version, EVENT_TYPES[row.type].version, row.payload) for row in rows],
        )
    return bool(rows)


def _put(connection: Connection, positions: Sequence[int], payloads: Sequence[object]) -> None:
    connection.execute(
        text(
            """CREATE TEMPORARY TABLE IF NOT EXISTS upcast_events (position bigint PRIMARY KEY, payload jsonb NOT NULL)
               ON COMMIT DELETE ROWS"""
        )
    )
    connection.execute(text("DELETE FROM pg_temp.upcast_events"))
    connection.exec_driver_sql(
        """INSERT INTO pg_temp.upcast_events SELECT * FROM unnest(%(positions)s::bigint[], %(payloads)s::jsonb[])""",
        {"positions": list(positions), "payloads": [orjson.dumps(payload).decode() for payload in payloads]},
    )
