"""What a person sets up -> rows in setup.* and events in the MSP's log, in one transaction: MSPs and connections."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from sqlalchemy import Connection, Engine, text

from domain.events import ConnectionSaved, MspAdded
from domain.keys import ConnectionId, MspId
from gateway.acts import append_act
from gateway.draft_connection import ID, Given, drafted
from gateway.errors import BadSetup, Refusal
from plumbing import setup
from plumbing.clock import Clock
from plumbing.row_security import of_msp
from plumbing.setup import OutsideConnection


@dataclass(frozen=True)
class Upon:
    """Which version somebody saw and changes; 0: there was none. operation_id: sent again, it acts once."""

    version: int
    operation_id: str


class SetUp:
    """The door through which MSPs and connections come in. actor: on whose behalf."""

    def __init__(self, engine: Engine, clock: Clock, actor: str) -> None:
        self._engine, self._clock, self._actor = engine, clock, actor

    def add_msp(self, msp_id: str, name: str, time_zone: str) -> MspId:
        """A new MSP with an empty log; BadSetup when the id is taken or no id, or the time zone is unknown."""
        if not ID.fullmatch(msp_id):
            raise BadSetup(f"{msp_id!r} is no id: use up to 40 of a-z, 0-9, - and _, beginning with a letter or digit")
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise BadSetup(f"{time_zone!r} is no time zone: use an IANA name such as Europe/Berlin") from None
        with of_msp(self._engine, msp_id).begin() as connection:
            made = connection.execute(
                text(
                    """INSERT INTO setup.msps (msp_id, name, time_zone, added_at) VALUES (:msp_id, :name, :zone, :now)
                       ON CONFLICT DO NOTHING"""
                ),
                {"msp_id": msp_id, "name": name, "zone": time_zone, "now": self._clock.now()},
            ).rowcount
            if not made:
                raise BadSetup(f"there is an MSP {msp_id!r} already")
            connection.execute(text("INSERT INTO log.heads (msp_id) VALUES (:msp_id)"), {"msp_id": msp_id})
            append_act(
                connection,
                MspId(msp_id),
                self._actor,
                self._clock.now(),
                "msp",
                1,
                MspAdded(name=name, time_zone=time_zone),
            )
        return MspId(msp_id)

    def save_connection(
        self,
        msp_id: MspId,
        connection_id: str,
        kind: str,
        settings: Mapping[str, str],
        secrets: Mapping[str, str],
        public_keys: Mapping[str, str],
        upon: Upon | None = None,
    ) -> int:
        """The version of the connection, made or changed, see `Given`. Secrets are sealed here with the public key of the
        service that uses them. upon None: whatever stands there is changed. BadSetup; Refusal CONNECTION_CHANGED."""
        given = Given(connection_id, kind, settings, secrets)
        with of_msp(self._engine, msp_id).begin() as connection:
            setup_msp(connection, msp_id)
            _one_at_a_time(connection, msp_id)
            before = standing(connection, msp_id, connection_id)
            if upon is not None:
                done = _done_by(connection, msp_id, connection_id, upon.operation_id)
                if done:
                    return done
                _refuse_stale(connection, msp_id, connection_id, before, upon.version)
            after = drafted(msp_id, before, given, public_keys, self._clock.now())
            self._keep(connection, after, upon.operation_id if upon else None)
            old = before.settings if before else {}
            saved = ConnectionSaved(
                connection_id=after.connection_id,
                kind=kind,
                connection_version=after.version,
                changed_settings=tuple(
                    sorted(name for name, value in after.settings.items() if old.get(name) != value)
                ),
                replaced_secrets=tuple(given.replaced),
            )
            append_act(
                connection, msp_id, self._actor, after.saved_at, connection_stream(connection_id), after.version, saved
            )
        return after.version

    def _keep(self, connection: Connection, after: OutsideConnection, operation_id: str | None) -> None:
        values = {
            "msp_id": after.msp_id,
            "connection_id": after.connection_id,
            "kind": after.kind,
            "settings": orjson.dumps(after.settings).decode(),
            "sealed": orjson.dumps(after.sealed).decode(),
            "version": after.version,
            "now": after.saved_at,
            "operation_id": operation_id,
        }
        connection.execute(
            text(
                """INSERT INTO setup.connections (msp_id, connection_id, kind, settings, sealed, version, saved_at)
                   VALUES (:msp_id, :connection_id, :kind, :settings, :sealed, :version, :now)
                   ON CONFLICT (msp_id, connection_id) DO UPDATE SET settings = excluded.settings,
                   sealed = excluded.sealed, version = excluded.version, saved_at = excluded.saved_at"""
            ),
            values,
        )
        connection.execute(
            text(
                """INSERT INTO setup.connection_versions (msp_id, connection_id, version, settings, operation_id)
                   VALUES (:msp_id, :connection_id, :version, :settings, :operation_id)"""
            ),
            values,
        )


def setup_msp(connection: Connection, msp_id: MspId) -> setup.Msp:
    """The MSP; BadSetup when there is none."""
    try:
        return setup.msp(connection, msp_id)
    except KeyError:
        raise BadSetup(f"there is no MSP {msp_id!r}: add it with `trueup msp add`") from None


def connection_stream(connection_id: str) -> str:
    """The stream of what was saved of a connection; its versions are the connection's."""
    return f"connection/{connection_id}"


def standing(connection: Connection, msp_id: MspId, connection_id: str) -> OutsideConnection | None:
    """The connection as it is saved; None: there is none."""
    try:
        # Locked: secrets that are not given are written back as they were read, and may be re-sealed meanwhile.
        return setup.connection_of(connection, msp_id, ConnectionId(connection_id), to_change=True)
    except KeyError:
        return None


def _one_at_a_time(connection: Connection, msp_id: MspId) -> None:
    """Connections of an MSP are saved one by one: of two who change the same version, the second is told."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 7430))"), {"key": f"{msp_id}/connections"}
    )


def _done_by(connection: Connection, msp_id: MspId, connection_id: str, operation_id: str) -> int | None:
    """The version that this very operation has made before."""
    version: int | None = connection.scalar(
        text(
            """SELECT version FROM setup.connection_versions
               WHERE msp_id = :msp_id AND connection_id = :connection_id AND operation_id = :operation_id"""
        ),
        {"msp_id": msp_id, "connection_id": connection_id, "operation_id": operation_id},
    )
    return version


def _refuse_stale(
    connection: Connection, msp_id: MspId, connection_id: str, before: OutsideConnection | None, seen: int
) -> None:
    if before is None and seen:
        raise Refusal("NO_SUCH_CONNECTION", "There is no such connection.", "Load the list of connections again.")
    if before is None or before.version == seen:
        return
    saved_by = connection.scalar(
        text("SELECT actor FROM log.events WHERE msp_id = :msp_id AND stream = :stream AND stream_version = :version"),
        {"msp_id": msp_id, "stream": connection_stream(connection_id), "version": before.version},
    )
    raise Refusal(
        "CONNECTION_CHANGED",
        f"{saved_by or 'Somebody'} saved this connection as version {before.version} "
        f"on {before.saved_at:%Y-%m-%d at %H:%M:%S} UTC.",
        "Load it again; its history shows what was changed.",
    )
