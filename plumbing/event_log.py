"""Events -> rows of the per-MSP, gap-free log, and back.

Positions of an MSP have no gaps and rise in commit order: the counter in log.heads is raised by the same statement that
writes the rows, and its row lock is held until the transaction ends. So a reader that remembers a position can never be
overtaken by an event that turns up behind it. The price: one MSP's appends wait for each other, so append last, in a
short transaction. Two writers that both believe they write the next event of a stream: the second gets StreamMoved.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import orjson
from psycopg2 import errors
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from domain.codec import decode, encode
from domain.envelope import Envelope, NewEvent
from domain.keys import MspId

log = logging.getLogger(__name__)

# One text each for all streams and all payloads: PostgreSQL takes them apart in half the time that it needs to read an
# ARRAY[...] of as many literals.
_APPEND = """
WITH head AS (
    UPDATE log.heads SET position = position + %(how_many)s WHERE msp_id = %(msp_id)s RETURNING position
), written AS (
    INSERT INTO log.events (msp_id, position, stream, stream_version, type, version, payload, occurred_at,
                            recorded_at, correlation_id, caused_by, recorded_by, actor)
    SELECT %(msp_id)s, head.position - %(how_many)s + e.number, e.stream, e.stream_version, e.type, e.version,
           e.payload, e.occurred_at, %(recorded_at)s, %(correlation_id)s, %(caused_by)s, %(recorded_by)s, %(actor)s
    FROM head, ROWS FROM (
        jsonb_array_elements_text(%(streams)s::jsonb),
        jsonb_array_elements(%(payloads)s::jsonb),
        unnest(%(stream_versions)s::bigint[], %(types)s::text[], %(versions)s::smallint[], %(occurred)s::timestamptz[])
    ) WITH ORDINALITY AS e (stream, payload, stream_version, type, version, occurred_at, number)
)
SELECT position FROM head
"""
# The same for a single event: a third cheaper to plan, and the lock on the head is held for as much less.
_APPEND_ONE = """
WITH head AS (
    UPDATE log.heads SET position = position + 1 WHERE msp_id = %(msp_id)s RETURNING position
)
INSERT INTO log.events (msp_id, position, stream, stream_version, type, version, payload, occurred_at,
                        recorded_at, correlation_id, caused_by, recorded_by, actor)
SELECT %(msp_id)s, position, %(stream)s, %(stream_version)s, %(type)s, %(version)s, %(payload)s::jsonb, %(occurred_at)s,
       %(recorded_at)s, %(correlation_id)s, %(caused_by)s, %(recorded_by)s, %(actor)s
FROM head RETURNING position
"""
_COPY_COLUMNS = (
    "msp_id, position, stream, stream_version, type, version, payload, occurred_at, recorded_at,"
    " correlation_id, caused_by, recorded_by, actor"
)
# What an envelope is made of, of a table or query named e: as text where psycopg2 would take longer to read it than we do.
COLUMNS = (
    "e.msp_id, e.position, e.event_id::text, e.stream, e.stream_version, e.type, e.version, e.payload::text,"
    " e.occurred_at::text, e.recorded_at::text, e.correlation_id, e.caused_by, e.recorded_by, e.actor"
)
_LINES_AT_A_TIME = 100
# All that COPY would misread in a line of JSON: its control characters are escaped already.
_BACKSLASH = "\\"


class UnknownMsp(Exception):
    """No such MSP in this installation: add it with `trueup msp add`."""


class StreamMoved(Exception):
    """Someone else appended to the stream since it was read: read it again and decide anew."""


def append(
    connection: Connection,
    msp_id: MspId,
    events: Sequence[NewEvent],
    *,
    recorded_at: datetime,
    recorded_by: str,
    correlation_id: str,
    caused_by: int | None = None,
    actor: str = "",
) -> int:
    """The position of the last of the events, appended in one statement inside the caller's transaction. actor: the
    person, key or service on whose behalf (default: recorded_by). UnknownMsp, StreamMoved."""
    if not events:
        return head(connection, msp_id)
    shared = {
        "msp_id": msp_id,
        "recorded_at": recorded_at,
        "correlation_id": correlation_id,
        "caused_by": caused_by,
        "recorded_by": recorded_by,
        "actor": actor or recorded_by,
    }
    statement, own = (_APPEND_ONE, _one(events[0])) if len(events) == 1 else (_APPEND, _many(events))
    try:
        last = connection.exec_driver_sql(statement, shared | own).scalar()
    except IntegrityError as error:
        raise _explained(error, msp_id) from error
    if last is None:
        raise UnknownMsp(msp_id)
    # Not committed yet; a line here without its successors further on means that the transaction was taken back.
    types = Counter(e.event.type for e in events)
    told = {"msp_id": msp_id, "position": last, "types": dict(types), "correlation_id": correlation_id}
    log.info("events appended", extra=told)
    return int(last)


def append_copied(
    connection: Connection,
    msp_id: MspId,
    events: Sequence[NewEvent],
    *,
    recorded_at: datetime,
    recorded_by: str,
    correlation_id: str,
) -> int:
    """As append(), by COPY: for loads of thousands of events from a plain process. psycopg2 refuses COPY under eventlet."""
    last = connection.scalar(
        text("UPDATE log.heads SET position = position + :n WHERE msp_id = :msp_id RETURNING position"),
        {"n": len(events), "msp_id": msp_id},
    )
    if last is None:
        raise UnknownMsp(msp_id)
    shared = "\t".join(
        (recorded_at.isoformat(), _escaped(correlation_id), "\\N", _escaped(recorded_by), _escaped(recorded_by))
    )
    msp = _escaped(msp_id)
    lines = (
        f"{msp}\t{position}\t{_escaped(e.stream)}\t{e.stream_version}\t{e.event.type}\t{e.event.version}\t"
        f"{_json(e).replace(_BACKSLASH, _BACKSLASH * 2)}\t{e.occurred_at.isoformat()}\t{shared}\n"
        for position, e in enumerate(events, last - len(events) + 1)
    )
    try:
        connection.connection.cursor().copy_expert(f"COPY log.events ({_COPY_COLUMNS}) FROM STDIN", _Lines(lines))
    except errors.UniqueViolation as error:
        raise StreamMoved(str(error).splitlines()[0]) from error
    return int(last)


def head(connection: Connection, msp_id: MspId) -> int:
    """The position of the MSP's newest event; 0 when there is none. UnknownMsp."""
    position = connection.scalar(text("SELECT position FROM log.heads WHERE msp_id = :msp_id"), {"msp_id": msp_id})
    if position is None:
        raise UnknownMsp(msp_id)
    return int(position)


def read(
    connection: Connection, msp_id: MspId, after: int, upto: int, types: Sequence[str] | None = None
) -> list[Envelope]:
    """The events at positions (after, upto], in order, decoded to their current versions; with types only those.
    UnknownEvent when a newer program wrote one of them, BadPayload when one is damaged."""
    rows = connection.execute(
        text(
            f"SELECT {COLUMNS} FROM log.events e WHERE msp_id = :msp_id AND position > :after AND position <= :upto"
            + (" AND type = ANY(:types)" if types is not None else "")
            + " ORDER BY position"
        ),
        {"msp_id": msp_id, "after": after, "upto": upto, "types": list(types or ())},
    )
    return [envelope(row) for row in rows]


def envelope(row: Sequence[Any]) -> Envelope:
    """COLUMNS of a row of log.events as an envelope."""
    (
        msp_id,
        position,
        event_id,
        stream,
        stream_version,
        event_type,
        version,
        payload,
        occurred_at,
        recorded_at,
        correlation_id,
        caused_by,
        recorded_by,
        actor,
    ) = row
    return Envelope(
        msp_id,
        position,
        event_id,
        stream,
        stream_version,
        decode(event_type, version, orjson.loads(payload)),
        datetime.fromisoformat(occurred_at),
        datetime.fromisoformat(recorded_at),
        correlation_id,
        caused_by,
        recorded_by,
        actor,
    )


def _one(new: NewEvent) -> dict[str, Any]:
    return {
        "stream": new.stream,
        "stream_version": new.stream_version,
        "type": new.event.type,
        "version": new.event.version,
        "payload": _json(new),
        "occurred_at": new.occurred_at,
    }


def _many(events: Sequence[NewEvent]) -> dict[str, Any]:
    return {
        "how_many": len(events),
        "streams": orjson.dumps([e.stream for e in events]).decode(),
        "payloads": orjson.dumps([encode(e.event) for e in events]).decode(),
        "stream_versions": _array([str(e.stream_version) for e in events]),
        "types": _array([e.event.type for e in events]),
        "versions": _array([str(e.event.version) for e in events]),
        "occurred": _array([e.occurred_at.isoformat() for e in events]),
    }


class _Lines:
    """Lines as a file for COPY, made on demand: PostgreSQL stores the first while the next are written."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines

    def read(self, _size: int) -> str:
        return "".join(islice(self._lines, _LINES_AT_A_TIME))


def _json(new: NewEvent) -> str:
    return orjson.dumps(encode(new.event)).decode()


def _array(values: Sequence[str]) -> str:
    """An array literal of values that need no quotes: numbers, moments, names of event types."""
    return "{" + ",".join(values) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _explained(error: IntegrityError, msp_id: MspId) -> Exception:
    detail = str(error.orig).splitlines()
    if isinstance(error.orig, errors.UniqueViolation) and "events_stream_version" in str(error.orig):
        return StreamMoved(f"{msp_id}: {detail[-1]}")
    return error
