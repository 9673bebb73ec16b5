"""How a PSA connection fares: failures in a row and the pause they cost, refusals of one cause, a stop, its calibration."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from domain.keys import ConnectionId, MspId
from services.psa_writer.as_read import Calibration


@dataclass(frozen=True)
class Standing:
    """See tables.connections."""

    failures: int
    failure_kind: str | None
    paused_until: datetime | None
    stopped_version: int | None
    refusal_cause: str | None
    refusals: int
    calibration: Calibration
    usage_read_at: datetime | None


def standing(connection: Connection, msp_id: MspId, connection_id: ConnectionId) -> Standing:
    """The standing of a connection; a good one when it is new here."""
    connection.execute(
        text("INSERT INTO psa_writer.connections (msp_id, connection_id) VALUES (:m, :c) ON CONFLICT DO NOTHING"),
        {"m": msp_id, "c": connection_id},
    )
    row = connection.execute(
        text(
            """SELECT failures, failure_kind, paused_until, stopped_version, refusal_cause, refusals, calibration,
               usage_read_at FROM psa_writer.connections WHERE msp_id = :m AND connection_id = :c"""
        ),
        {"m": msp_id, "c": connection_id},
    ).one()
    return Standing(*row)


def set_failed(
    connection: Connection,
    msp_id: MspId,
    connection_id: ConnectionId,
    kind: str,
    message: str,
    paused_until: datetime,
    stopped_version: int | None,
) -> None:
    """One more failure in a row. stopped_version: the set-up that was not let in, when that was the failure."""
    _update(
        connection,
        msp_id,
        connection_id,
        """failures = failures + 1, failure_kind = :kind, failure_message = :message, paused_until = :until,
           stopped_version = coalesce(:version, stopped_version)""",
        kind=kind,
        message=message,
        until=paused_until,
        version=stopped_version,
    )


def set_well(connection: Connection, msp_id: MspId, connection_id: ConnectionId, *, posted: bool) -> None:
    """The PSA answered. posted: it even took something, so that refusals are no longer in a row."""
    _update(
        connection,
        msp_id,
        connection_id,
        """failures = CASE WHEN failure_kind = 'rejected' AND NOT :posted THEN failures ELSE 0 END,
           failure_kind = CASE WHEN failure_kind = 'rejected' AND NOT :posted THEN failure_kind END,
           paused_until = CASE WHEN failure_kind = 'rejected' AND NOT :posted THEN paused_until END,
           stopped_version = NULL,
           refusals = CASE WHEN :posted THEN 0 ELSE refusals END""",
        posted=posted,
    )


def count_refusals(
    connection: Connection, msp_id: MspId, connection_id: ConnectionId, cause: str, how_many: int
) -> int:
    """How many refusals of this cause came in a row, these counted in."""
    _update(
        connection,
        msp_id,
        connection_id,
        """refusals = CASE WHEN refusal_cause = :cause THEN refusals ELSE 0 END + :how_many, refusal_cause = :cause""",
        cause=cause,
        how_many=how_many,
    )
    return standing(connection, msp_id, connection_id).refusals


def set_calibration(
    connection: Connection, msp_id: MspId, connection_id: ConnectionId, calibration: Calibration
) -> None:
    """Keeps what an adjustment has shown; what was learned first stays."""
    _update(
        connection,
        msp_id,
        connection_id,
        "calibration = CASE WHEN calibration = 'unknown' THEN :calibration ELSE calibration END",
        calibration=calibration,
    )


def set_usage_read(connection: Connection, msp_id: MspId, connection_id: ConnectionId, at: datetime) -> None:
    """Remembers when the PSA last told how many calls are used."""
    _update(connection, msp_id, connection_id, "usage_read_at = :at", at=at)


def _update(
    connection: Connection, msp_id: MspId, connection_id: ConnectionId, assignments: str, **values: object
) -> None:
    connection.execute(
        text(f"UPDATE psa_writer.connections SET {assignments} WHERE msp_id = :m AND connection_id = :c"),
        {"m": msp_id, "c": connection_id, **values},
    )
