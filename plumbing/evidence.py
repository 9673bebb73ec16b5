"""Answers of outside APIs that led to events -> kept compressed for a set time, each once, and found again from the event.

Whoever keeps an answer has masked what is personal or secret in it. An answer belongs to one MSP: two MSPs that got the same
one keep it twice, so nothing of one can be told from the other. An event needs no field for it: its correlation id, its
subject and its moment lead to the reading.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import orjson
from sqlalchemy import Connection, text

from domain.keys import ConnectionId, MspId
from domain.policies import POLICIES

#: The policy that says for how many days an MSP's answers are kept.
KEPT_DAYS = "payload_days"
#: Bytes of a masked answer. A larger one is not kept: no subscription fills it.
LARGEST = 4 * 2**20
_FORGOTTEN_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A masked answer. marks: the name of a value -> where it stands in the text, as a JSON pointer or an XML path."""

    content_type: str
    text: bytes
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer as it was read. subject: the id of what was asked for, such as a subscription."""

    subject: str
    read_at: datetime
    answer: Answer


@dataclass(frozen=True, slots=True)
class Sought:
    """What an event says of the reading it came from. at: when it was so; the reading is not younger."""

    connection_id: ConnectionId
    subject: str
    correlation_id: str
    at: datetime


_KEEP_ANSWERS = """
INSERT INTO evidence.answers AS a (msp_id, answer_hash, content_type, body, marks, last_read_at)
SELECT DISTINCT ON (hash) %(msp_id)s, hash, content_type, body, marks, read_at
FROM unnest(%(hashes)s::bytea[], %(content_types)s::text[], %(bodies)s::bytea[], %(marks)s::jsonb[],
            %(read_at)s::timestamptz[]) AS n (hash, content_type, body, marks, read_at)
ORDER BY hash, read_at DESC
ON CONFLICT (msp_id, answer_hash) DO UPDATE SET last_read_at = greatest(a.last_read_at, excluded.last_read_at)
"""
_KEEP_READINGS = """
INSERT INTO evidence.readings (msp_id, connection_id, subject, read_at, correlation_id, answer_hash)
SELECT %(msp_id)s, %(connection_id)s, subject, read_at, %(correlation_id)s, hash
FROM unnest(%(subjects)s::text[], %(read_at)s::timestamptz[], %(hashes)s::bytea[]) AS n (subject, read_at, hash)
ON CONFLICT DO NOTHING
"""
_FOUND = """
SELECT r.answer_hash FROM evidence.readings r
WHERE r.msp_id = :msp_id AND r.connection_id = s.connection_id AND r.subject = s.subject AND r.read_at <= s.at
  AND r.correlation_id = s.correlation_id
ORDER BY r.read_at DESC LIMIT 1
"""
_SOUGHT = """
unnest(CAST(:connections AS text[]), CAST(:subjects AS text[]), CAST(:correlations AS text[]),
       CAST(:moments AS timestamptz[])) WITH ORDINALITY AS s (connection_id, subject, correlation_id, at, place)
"""


def keep(
    connection: Connection,
    msp_id: MspId,
    connection_id: ConnectionId,
    correlation_id: str,
    readings: Sequence[Reading],
) -> None:
    """Keeps the readings in the caller's transaction. Without readings it does nothing."""
    kept = [each for each in readings if len(each.answer.text) <= LARGEST]
    if not kept:
        return
    values = {
        "msp_id": msp_id,
        "connection_id": connection_id,
        "correlation_id": correlation_id,
        "subjects": [each.subject for each in kept],
        "read_at": [each.read_at for each in kept],
        "hashes": [_hash(each.answer) for each in kept],
        "content_types": [each.answer.content_type for each in kept],
        "bodies": [zlib.compress(each.answer.text) for each in kept],
        "marks": [orjson.dumps(dict(each.answer.marks)).decode() for each in kept],
    }
    connection.exec_driver_sql(_KEEP_ANSWERS, values)
    connection.exec_driver_sql(_KEEP_READINGS, values)


def find(connection: Connection, msp_id: MspId, sought: Sought) -> Answer | None:
    """The answer that led to the event; None when none was kept, or it was kept long enough."""
    row = connection.execute(
        text(
            f"""SELECT a.content_type, a.body, a.marks
                FROM {_SOUGHT} CROSS JOIN LATERAL ({_FOUND}) AS r
                JOIN evidence.answers a ON a.msp_id = :msp_id AND a.answer_hash = r.answer_hash"""
        ),
        _values(msp_id, [sought]),
    ).first()
    if row is None:
        return None
    whole = zlib.decompressobj().decompress(bytes(row.body), LARGEST)
    return Answer(row.content_type, whole, row.marks)


def are_kept(connection: Connection, msp_id: MspId, sought: Sequence[Sought]) -> list[bool]:
    """For each of them whether find() would find it, in one statement."""
    if not sought:
        return []
    rows = connection.execute(
        text(f"SELECT EXISTS ({_FOUND}) FROM {_SOUGHT} ORDER BY s.place"), _values(msp_id, sought)
    )
    return list(rows.scalars())


def forget(connection: Connection, now: datetime) -> int:
    """Drops what is older than each MSP wants it kept, some thousands at a time; answers how many readings went."""
    values = {"now": now, "policy": KEPT_DAYS, "default": POLICIES[KEPT_DAYS].default, "most": _FORGOTTEN_AT_ONCE}
    gone: int = connection.execute(text(_forgetting("readings", "read_at")), values).rowcount
    connection.execute(text(_forgetting("answers", "last_read_at")), values)
    return gone


def _forgetting(table: str, moment: str) -> str:
    return f"""
        DELETE FROM evidence.{table} WHERE ctid = ANY(ARRAY(
            SELECT old.place FROM setup.msps m
            LEFT JOIN setup.policies p ON p.msp_id = m.msp_id AND p.policy = :policy
            CROSS JOIN LATERAL (
                SELECT e.ctid AS place FROM evidence.{table} e
                WHERE e.msp_id = m.msp_id
                  AND e.{moment} < :now - make_interval(days => least(CAST(coalesce(p.value, :default) AS numeric), 36500)::int)
                ORDER BY e.{moment} LIMIT :most
            ) AS old
            LIMIT :most
        ))"""


def _hash(answer: Answer) -> bytes:
    return blake2b(answer.content_type.encode() + b"\x00" + answer.text, digest_size=16).digest()


def _values(msp_id: MspId, sought: Sequence[Sought]) -> dict[str, Any]:
    return {
        "msp_id": msp_id,
        "connections": [each.connection_id for each in sought],
        "subjects": [each.subject for each in sought],
        "correlations": [each.correlation_id for each in sought],
        "moments": [each.at for each in sought],
    }
