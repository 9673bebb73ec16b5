"""A database -> the same with an MSP in it, as `trueup msp add` leaves it."""

from datetime import UTC, datetime

from sqlalchemy import Engine, text

from domain.keys import MspId


def add_msp(engine: Engine, msp_id: str = "acme", time_zone: str = "UTC") -> MspId:
    """The id of a new MSP with an empty log."""
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO setup.msps (msp_id, name, time_zone, added_at) VALUES (:id, :id, :zone, :now)"),
            {"id": msp_id, "zone": time_zone, "now": datetime.now(UTC)},
        )
        connection.execute(text("INSERT INTO log.heads (msp_id) VALUES (:id)"), {"id": msp_id})
    return MspId(msp_id)
