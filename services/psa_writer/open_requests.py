"""The requests that the writer keeps: which are due, and what became of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import orjson
from sqlalchemy import Connection, Row, text

from domain.codec import decode
from domain.events import AdjustmentRequested
from domain.keys import ConnectionId, MspId, PsaAgreementId, PsaProductId
from services.psa_writer.check_brake import Approved

#: States in which a request may be taken up; in "sending" and "unknown" an intent must be decided first.
TO_DO = ("planned", "waiting", "parked", "held")


@dataclass(frozen=True)
class OpenRequest:
    """See tables.requests."""

    request_id: str
    psa_agreement_id: PsaAgreementId
    psa_product_id: PsaProductId
    correlation_id: str
    wish: AdjustmentRequested
    state: str
    attempt: int
    kind: str | None
    cause: str | None
    message: str | None
    told_at: datetime | None
    contradictions: int
    alone: bool
    released: bool
    stream_version: int
    effective: str = "as_planned"
    told: Mapping[str, Any] | None = None
    approvals: Sequence[Mapping[str, Any]] = ()
    approved: Approved | None = None
    operations: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Became:
    """What becomes of a request. next_try_at None: not by itself. moves, told: see
    tables.requests. not_approved: whatever was approved no longer counts."""

    request_id: str
    state: str
    attempt: int
    stream_version: int
    kind: str | None = None
    cause: str | None = None
    message: str | None = None
    told_at: datetime | None = None
    next_try_at: datetime | None = None
    contradictions: int = 0
    alone: bool = False
    moves: int = 0
    told: Mapping[str, Any] | None = None
    not_approved: bool = False


_COLUMNS = """request_id, psa_agreement_id, psa_product_id, correlation_id, wish, state, attempt, kind, cause, message,
              told_at, contradictions, alone, released, stream_version, effective, told, approvals, approved, operations"""
# An agreement with an intent that nobody has decided yet takes nothing new. Of those that wait for the same cause one is
# tried, and the others follow when it went through.
_DUE = f"""
WITH ready AS (
    SELECT * FROM psa_writer.requests r
    WHERE msp_id = :msp_id AND connection_id = :connection_id AND next_try_at <= :now
    AND state IN ('planned', 'waiting', 'parked', 'held')
    AND NOT EXISTS (SELECT FROM psa_writer.intents i WHERE i.state = 'sent' AND i.msp_id = r.msp_id
                    AND i.connection_id = r.connection_id AND i.psa_agreement_id = r.psa_agreement_id)
), probes AS (SELECT DISTINCT ON (cause) * FROM ready WHERE state IN ('parked', 'held') ORDER BY cause, next_try_at)
SELECT {_COLUMNS} FROM (SELECT * FROM ready WHERE state NOT IN ('parked', 'held') UNION ALL SELECT * FROM probes) AS due
WHERE :ids IS NULL OR request_id = ANY(CAST(:ids AS text[]))
ORDER BY position LIMIT :most
"""


def due(
    connection: Connection,
    msp_id: MspId,
    connection_id: ConnectionId,
    now: datetime,
    most: int,
    only: Iterable[str] | None = None,
) -> list[OpenRequest]:
    """Up to so many requests that may be tried now, in the order in which they were made."""
    rows = connection.execute(
        text(_DUE),
        {
            "msp_id": msp_id,
            "connection_id": connection_id,
            "now": now,
            "most": most,
            "ids": None if only is None else list(only),
        },
    )
    return [_request(row) for row in rows]


def to_do(connection: Connection, msp_id: MspId, most: int) -> list[OpenRequest]:
    """Up to so many requests of the MSP that were not posted yet, due or only shown, in the order in which they were made."""
    rows = connection.execute(
        text(
            f"""SELECT {_COLUMNS} FROM psa_writer.requests WHERE msp_id = :msp_id AND state = ANY(:states)
                ORDER BY position LIMIT :most"""
        ),
        {"msp_id": msp_id, "states": [*TO_DO, "shadowed"], "most": most},
    )
    return [_request(row) for row in rows]


def count_to_do(connection: Connection, msp_id: MspId) -> int:
    """How many there are of these."""
    return int(
        connection.scalar(
            text("SELECT count(*) FROM psa_writer.requests WHERE msp_id = :msp_id AND state = ANY(:states)"),
            {"msp_id": msp_id, "states": [*TO_DO, "shadowed"]},
        )
        or 0
    )


def locked(connection: Connection, msp_id: MspId, request_ids: Iterable[str]) -> dict[str, OpenRequest]:
    """The requests as they are now, locked until the caller's transaction ends."""
    rows = connection.execute(
        text(
            f"""SELECT {_COLUMNS} FROM psa_writer.requests WHERE msp_id = :msp_id AND request_id = ANY(:ids)
                ORDER BY request_id FOR UPDATE"""
        ),
        {"msp_id": msp_id, "ids": sorted(set(request_ids))},
    )
    return {row.request_id: _request(row) for row in rows}


def open_for(
    connection: Connection, msp_id: MspId, connection_id: ConnectionId, product_ids: Iterable[str]
) -> dict[PsaProductId, OpenRequest]:
    """The open request of each product that has one."""
    rows = connection.execute(
        text(
            f"""SELECT {_COLUMNS} FROM psa_writer.requests WHERE msp_id = :msp_id AND connection_id = :connection_id
                AND state NOT IN ('done', 'superseded', 'refused', 'dropped') AND psa_product_id = ANY(:ids) ORDER BY position"""
        ),
        {"msp_id": msp_id, "connection_id": connection_id, "ids": list(product_ids)},
    )
    return {PsaProductId(row.psa_product_id): _request(row) for row in rows}


def save(connection: Connection, msp_id: MspId, outcomes: Sequence[Became]) -> None:
    """Stores what became of requests."""
    if outcomes:
        connection.execute(
            text(
                """UPDATE psa_writer.requests SET state = :state, attempt = :attempt, stream_version = :stream_version,
                   kind = :kind, cause = :cause, message = :message, told_at = :told_at, next_try_at = :next_try_at,
                   contradictions = :contradictions, alone = :alone, moves = :moves,
                   told = CAST(:told AS jsonb),
                   approvals = CASE WHEN :not_approved THEN '[]' ELSE approvals END,
                   approved = CASE WHEN :not_approved THEN NULL ELSE approved END
                   WHERE msp_id = :msp_id AND request_id = :request_id"""
            ),
            [{"msp_id": msp_id, **vars(each), "told": _json(each.told)} for each in outcomes],
        )


def set_state(connection: Connection, msp_id: MspId, request_ids: Iterable[str], state: str) -> None:
    """Puts requests into another state, all else unchanged; taken up anew they have had one attempt more."""
    connection.execute(
        text(
            """UPDATE psa_writer.requests SET state = :state, attempt = attempt + CASE WHEN :state = 'sending' THEN 1 ELSE 0 END
               WHERE msp_id = :msp_id AND request_id = ANY(:ids)"""
        ),
        {"msp_id": msp_id, "ids": list(request_ids), "state": state},
    )


def plan_anew(connection: Connection, msp_id: MspId, request_ids: Iterable[str], now: datetime) -> None:
    """Requests of which nothing was applied wait to be planned anew, from now on."""
    connection.execute(
        text(
            """UPDATE psa_writer.requests SET state = 'planned', next_try_at = :now
               WHERE msp_id = :msp_id AND request_id = ANY(:ids)"""
        ),
        {"msp_id": msp_id, "ids": list(request_ids), "now": now},
    )


def free_the_cause(
    connection: Connection, msp_id: MspId, connection_id: ConnectionId, causes: Iterable[str], now: datetime
) -> None:
    """What was parked for one of these causes may go out now: a probe went through."""
    connection.execute(
        text(
            """UPDATE psa_writer.requests SET state = 'planned', next_try_at = :now WHERE state IN ('parked', 'held')
               AND msp_id = :msp_id AND connection_id = :connection_id AND cause = ANY(:causes)
               AND next_try_at IS NOT NULL"""
        ),
        {"msp_id": msp_id, "connection_id": connection_id, "causes": sorted(causes), "now": now},
    )


def put_off_the_cause(
    connection: Connection, msp_id: MspId, connection_id: ConnectionId, causes: Iterable[str], until: datetime
) -> None:
    """What is parked for one of these causes waits with the probe that was just refused."""
    connection.execute(
        text(
            """UPDATE psa_writer.requests SET next_try_at = :until WHERE state IN ('parked', 'held') AND msp_id = :msp_id
               AND connection_id = :connection_id AND cause = ANY(:causes) AND next_try_at < :until"""
        ),
        {"msp_id": msp_id, "connection_id": connection_id, "causes": sorted(causes), "until": until},
    )


def _request(row: Row[Any]) -> OpenRequest:
    event = AdjustmentRequested
    wish = cast(AdjustmentRequested, decode(event.type, event.version, row.wish))
    return OpenRequest(
        request_id=row.request_id,
        psa_agreement_id=PsaAgreementId(row.psa_agreement_id),
        psa_product_id=PsaProductId(row.psa_product_id),
        correlation_id=row.correlation_id,
        wish=wish,
        state=row.state,
        attempt=row.attempt,
        kind=row.kind,
        cause=row.cause,
        message=row.message,
        told_at=row.told_at,
        contradictions=row.contradictions,
        alone=row.alone,
        released=row.released,
        stream_version=row.stream_version,
        effective=row.effective,
        told=row.told,
        approvals=row.approvals,
        approved=None if row.approved is None else Approved(**row.approved),
        operations=row.operations,
    )


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
