"""A database -> the same with an MSP in it, as `trueup msp add` leaves it."""

from datetime import UTC, datetime

from sqlalchemy import Engine, text

from domain.keys import MspId
from domain.policies import POLICIES, policy_value


def add_msp(engine: Engine, msp_id: str = "acme", time_zone: str = "UTC") -> MspId:
    """The id of a new MSP with an empty log."""
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO setup.msps (msp_id, name, time_zone, added_at) VALUES (:id, :id, :zone, :now)"),
            {"id": msp_id, "zone": time_zone, "now": datetime.now(UTC)},
        )
        connection.execute(text("INSERT INTO log.heads (msp_id) VALUES (:id)"), {"id": msp_id})
    return MspId(msp_id)


def loosen_brake(engine: Engine, msp_id: MspId) -> None:
    """From now on no change of the MSP is too large, and no hour is near a month's end: for tests of something else."""
    wide = {name: "1000000000" for name in POLICIES if name.startswith("brake_") and not POLICIES[name].values}
    chosen = {**wide, "brake_to_zero": "post", "freeze_hours": "0"}
    with engine.begin() as connection:
        for policy, value in chosen.items():
            connection.execute(
                text(
                    """INSERT INTO setup.policies (msp_id, policy, value, version, saved_at)
                       VALUES (:m, :policy, :value, 1, now())"""
                ),
                {"m": msp_id, "policy": policy, "value": policy_value(policy, value)},
            )
