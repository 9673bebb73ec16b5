"""(MSP, connection) -> its settings, policies and opened secrets, as people set them up."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from domain.keys import ConnectionId, MspId
from domain.policies import POLICIES, Policies
from plumbing.secrets import unseal

DEFAULT_POLL_SECONDS = 300
#: The version of a connection that somebody tries before it is saved.
UNSAVED = 0


@dataclass(frozen=True)
class Msp:
    """One managed service provider. Its billing days are days in its time zone (IANA name)."""

    msp_id: MspId
    name: str
    time_zone: str


@dataclass(frozen=True)
class OutsideConnection:
    """One marketplace (kind odin) or PSA (kind autotask) account. version rises with every change; UNSAVED: it is none yet."""

    msp_id: MspId
    connection_id: ConnectionId
    kind: str
    settings: dict[str, Any]
    sealed: dict[str, str]
    version: int
    saved_at: datetime

    def secret(self, private_key: str, name: str) -> str:
        """A secret in clear; NotForUs when it was not sealed for us, KeyError when it was never set."""
        return unseal(private_key, self.msp_id, self.connection_id, name, self.sealed[name])


def msp(connection: Connection, msp_id: MspId) -> Msp:
    """The MSP; KeyError when there is none."""
    row = connection.execute(
        text("SELECT msp_id, name, time_zone FROM setup.msps WHERE msp_id = :msp_id"), {"msp_id": msp_id}
    ).first()
    if row is None:
        raise KeyError(msp_id)
    return Msp(*row)


def connections(connection: Connection, kind: str) -> list[OutsideConnection]:
    """All connections of a kind, of all MSPs."""
    rows = connection.execute(
        text("SELECT * FROM setup.connections WHERE kind = :kind ORDER BY msp_id, connection_id"), {"kind": kind}
    )
    return [_connection(row) for row in rows]


def connections_of(connection: Connection, msp_id: MspId) -> list[OutsideConnection]:
    """All connections of an MSP."""
    rows = connection.execute(
        text("SELECT * FROM setup.connections WHERE msp_id = :msp_id ORDER BY connection_id"), {"msp_id": msp_id}
    )
    return [_connection(row) for row in rows]


def connection_of(
    connection: Connection, msp_id: MspId, connection_id: ConnectionId, *, to_change: bool = False
) -> OutsideConnection:
    """One connection; KeyError when there is none. to_change: nobody else changes it until the transaction ends."""
    row = connection.execute(
        text(
            f"""SELECT * FROM setup.connections WHERE msp_id = :msp_id AND connection_id = :connection_id
                {"FOR UPDATE" if to_change else ""}"""
        ),
        {"msp_id": msp_id, "connection_id": connection_id},
    ).first()
    if row is None:
        raise KeyError(f"{msp_id}/{connection_id}")
    return _connection(row)


def to_be_tried(
    connection: Connection,
    msp_id: MspId,
    connection_id: ConnectionId,
    unsaved: dict[str, Any] | None,
) -> OutsideConnection:
    """The connection as it is saved, KeyError when there is none; or as the `unsaved` {kind, settings, sealed} would be."""
    if unsaved is None:
        return connection_of(connection, msp_id, connection_id)
    now = connection.scalar(text("SELECT now()"))
    return OutsideConnection(msp_id, connection_id, **unsaved, version=UNSAVED, saved_at=now)


def poll_period(connection: OutsideConnection) -> timedelta:
    """The time between two polls of a marketplace connection."""
    return timedelta(seconds=float(connection.settings.get("poll_seconds", DEFAULT_POLL_SECONDS)))


def policy(connection: Connection, msp_id: MspId, name: str) -> str:
    """The value of a policy for the whole MSP, or its default: for a policy that has no exceptions."""
    value = connection.scalar(
        text(
            """SELECT value FROM setup.policies
               WHERE msp_id = :msp_id AND policy = :policy AND company_id IS NULL AND resource_id IS NULL"""
        ),
        {"msp_id": msp_id, "policy": name},
    )
    return POLICIES[name].default if value is None else str(value)


def policies(connection: Connection, msp_id: MspId) -> Policies:
    """All that the MSP has decided, exceptions too; of policies that there are no more nothing."""
    rows = connection.execute(
        text(
            """SELECT v.version, p.policy, p.value, p.company_id, p.resource_id
               FROM (SELECT coalesce(max(version), 0) AS version FROM setup.policy_versions WHERE msp_id = :msp_id) v
               LEFT JOIN setup.policies p ON p.msp_id = :msp_id"""
        ),
        {"msp_id": msp_id},
    ).all()
    return Policies.of_rows(rows[0].version, (dict(row._mapping) for row in rows if row.policy in POLICIES))


def _connection(row: Row[Any]) -> OutsideConnection:
    return OutsideConnection(
        MspId(row.msp_id),
        ConnectionId(row.connection_id),
        row.kind,
        row.settings,
        row.sealed,
        row.version,
        row.saved_at,
    )
