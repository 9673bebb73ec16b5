"""What a person sets up -> rows in setup.* and events in the MSP's log, in one transaction: MSPs, connections, policies."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from sqlalchemy import Connection, Engine, text

from domain.events import ConnectionSaved, MspAdded, PolicyChanged
from domain.keys import ConnectionId, MspId
from domain.policies import policy_value
from gateway.acts import append_act
from plumbing import setup
from plumbing.clock import Clock
from plumbing.row_security import of_msp
from plumbing.secrets import seal

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class BadSetup(ValueError):
    """What was given cannot be set up; the message says why and what to give instead."""


@dataclass(frozen=True)
class Kind:
    """What a kind of connection takes. settings: name -> default ("": must be given); secrets: names; opened_by: service;
    limits: the settings that limit its calls, each with the name and the seconds of its window."""

    settings: Mapping[str, str | int]
    secrets: tuple[str, ...]
    opened_by: str
    limits: Mapping[str, tuple[str, int]]


KINDS: dict[str, Kind] = {
    "odin": Kind(
        {
            "gateway_url": "",
            "account_number": "0",
            "subscription": "0",
            "user": "",
            "marketplace": "us",
            "calls_per_minute": 60,
            "calls_per_day": 5000,
            "poll_seconds": 300,
            "reread_hours": 24,
        },
        ("password", "secret"),
        "poller",
        {"calls_per_minute": ("minute", 60), "calls_per_day": ("day", 86_400)},
    ),
    "autotask": Kind(
        {
            "address": "https://webservices.autotask.net/atservices/1.6/atws.asmx",
            "user": "",
            "currency": "USD",
            "calls_per_hour": 2500,
            "catalogue_seconds": 3600,
            "longest_execution_seconds": 300,
            "mid_period_rows": "unknown",
        },
        ("password", "tracking_identifier"),
        "psa_writer",
        {"calls_per_hour": ("hour", 3600)},
    ),
}


class SetUp:
    """The door through which MSPs, connections and policies come in. actor: on whose behalf."""

    def __init__(self, engine: Engine, clock: Clock, actor: str) -> None:
        self._engine, self._clock, self._actor = engine, clock, actor

    def add_msp(self, msp_id: str, name: str, time_zone: str) -> MspId:
        """A new MSP with an empty log; BadSetup when the id is taken or no id, or the time zone is unknown."""
        if not _ID.fullmatch(msp_id):
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
    ) -> int:
        """The version of the connection, made or changed: settings and secrets not given keep what they were. Secrets are
        sealed here with the public key of the service that uses them. BadSetup."""
        if kind not in KINDS:
            raise BadSetup(f"{kind!r} is no kind of connection: there are {', '.join(KINDS)}")
        if not _ID.fullmatch(connection_id):
            raise BadSetup(f"{connection_id!r} is no id: use up to 40 of a-z, 0-9, - and _")
        with of_msp(self._engine, msp_id).begin() as connection:
            setup_msp(connection, msp_id)
            before = _before(connection, msp_id, connection_id, kind)
            merged = _merged(KINDS[kind], before.settings if before else {}, settings)
            sealed = dict(before.sealed) if before else {}
            for name, value in secrets.items():
                if name not in KINDS[kind].secrets:
                    raise BadSetup(f"{kind} has no secret {name!r}: it has {', '.join(KINDS[kind].secrets)}")
                sealed[name] = seal(
                    public_keys[KINDS[kind].opened_by], msp_id, ConnectionId(connection_id), name, value
                )
            missing = [name for name in KINDS[kind].secrets if name not in sealed]
            if missing:
                raise BadSetup(f"also give {', '.join(missing)}")
            version = (before.version if before else 0) + 1
            connection.execute(
                text(
                    """INSERT INTO setup.connections (msp_id, connection_id, kind, settings, sealed, version, saved_at)
                       VALUES (:msp_id, :connection_id, :kind, :settings, :sealed, :version, :now)
                       ON CONFLICT (msp_id, connection_id) DO UPDATE SET settings = excluded.settings,
                       sealed = excluded.sealed, version = excluded.version, saved_at = excluded.saved_at"""
                ),
                {
                    "msp_id": msp_id,
                    "connection_id": connection_id,
                    "kind": kind,
                    "settings": orjson.dumps(merged).decode(),
                    "sealed": orjson.dumps(sealed).decode(),
                    "version": version,
                    "now": self._clock.now(),
                },
            )
            old = before.settings if before else {}
            saved = ConnectionSaved(
                connection_id=ConnectionId(connection_id),
                kind=kind,
                connection_version=version,
                changed_settings=tuple(sorted(name for name, value in merged.items() if old.get(name) != value)),
                replaced_secrets=tuple(sorted(secrets)),
            )
            append_act(
                connection, msp_id, self._actor, self._clock.now(), f"connection/{connection_id}", version, saved
            )
        return version

    def set_policy(self, msp_id: MspId, name: str, value: str) -> None:
        """Gives a policy of the MSP another value; BadPolicy, BadSetup."""
        value = policy_value(name, value)
        with of_msp(self._engine, msp_id).begin() as connection:
            setup_msp(connection, msp_id)
            row = connection.execute(
                text(
                    "SELECT value, version FROM setup.policies WHERE msp_id = :msp_id AND policy = :policy FOR UPDATE"
                ),
                {"msp_id": msp_id, "policy": name},
            ).first()
            version = (row.version if row else 0) + 1
            connection.execute(
                text(
                    """INSERT INTO setup.policies (msp_id, policy, value, version, saved_at)
                       VALUES (:msp_id, :policy, :value, :version, :now) ON CONFLICT (msp_id, policy)
                       DO UPDATE SET value = excluded.value, version = excluded.version, saved_at = excluded.saved_at"""
                ),
                {"msp_id": msp_id, "policy": name, "value": value, "version": version, "now": self._clock.now()},
            )
            changed = PolicyChanged(policy=name, previous_value=row.value if row else None, value=value)
            append_act(connection, msp_id, self._actor, self._clock.now(), f"policy/{name}", version, changed)


def setup_msp(connection: Connection, msp_id: MspId) -> setup.Msp:
    """The MSP; BadSetup when there is none."""
    try:
        return setup.msp(connection, msp_id)
    except KeyError:
        raise BadSetup(f"there is no MSP {msp_id!r}: add it with `trueup msp add`") from None


def _before(connection: Connection, msp_id: MspId, connection_id: str, kind: str) -> setup.OutsideConnection | None:
    try:
        before = setup.connection_of(connection, msp_id, ConnectionId(connection_id))
    except KeyError:
        return None
    if before.kind != kind:
        raise BadSetup(f"connection {connection_id!r} is of kind {before.kind}: choose another id")
    return before


def _merged(kind: Kind, before: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str | int]:
    unknown = given.keys() - kind.settings.keys()
    if unknown:
        raise BadSetup(f"no such setting: {', '.join(sorted(unknown))}; there are {', '.join(kind.settings)}")
    merged: dict[str, str | int] = {}
    for name, default in kind.settings.items():
        value = given.get(name, before.get(name, default))
        if value == "":
            raise BadSetup(f"also give {name}")
        if isinstance(default, int):
            if not str(value).isdecimal() or int(value) < 1:
                raise BadSetup(f"{name} is a whole number above 0, not {value!r}")
            value = int(value)
        merged[name] = value
    return merged
