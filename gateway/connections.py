"""An MSP's connections -> what is shown of them, going back to what one was, and trying one before or after it is saved.

No secret is in any answer, and none leaves here but sealed for the service that opens it.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, text

from domain.keys import MspId
from gateway.connection_kinds import KINDS
from gateway.draft_connection import Given, drafted
from gateway.errors import Refusal
from gateway.set_up import SetUp, Upon, connection_stream, setup_msp, standing
from plumbing import setup
from plumbing.clock import Clock
from plumbing.row_security import of_msp
from plumbing.setup import OutsideConnection
from plumbing.way_out import WayOut

MOST_VERSIONS = 200
# Longer than a service tries, so that its own words come.
TEST_SECONDS = 75.0
KEPT = timedelta(days=1)
# Each test may try a password that is wrong, and Autotask locks a user after a few of those.
TESTS_OF_A_CONNECTION, TESTS_OF_A_PERSON, TESTS_WINDOW = 10, 20, timedelta(minutes=15)

_SAVES = """
SELECT stream, stream_version AS version, actor, recorded_at, payload FROM log.events
WHERE msp_id = :msp_id AND stream = ANY(:streams) AND type = 'ConnectionSaved' ORDER BY stream_version
"""
_LAST_TESTS = """
SELECT DISTINCT ON (connection_id) connection_id, version, begun_at, begun_by, steps FROM setup.connection_tests
WHERE msp_id = :msp_id AND version IS NOT NULL AND steps IS NOT NULL ORDER BY connection_id, begun_at DESC
"""
_HISTORY = """
SELECT e.stream_version AS version, e.actor, e.recorded_at, e.payload, own.settings, previous.settings AS before
FROM log.events e
LEFT JOIN setup.connection_versions own
    ON own.msp_id = e.msp_id AND own.connection_id = :connection_id AND own.version = e.stream_version
LEFT JOIN setup.connection_versions previous
    ON previous.msp_id = e.msp_id AND previous.connection_id = :connection_id AND previous.version = e.stream_version - 1
WHERE e.msp_id = :msp_id AND e.stream = :stream AND e.type = 'ConnectionSaved'
ORDER BY e.stream_version DESC LIMIT :most
"""
_BEGIN = """
INSERT INTO setup.connection_tests (msp_id, operation_id, connection_id, version, begun_at, begun_by)
VALUES (:msp_id, :operation_id, :connection_id, :version, :now, :actor)
"""
# When the test was begun that must leave the window before another may begin; NULL: it may begin now.
_HINDERS = """
SELECT greatest(
    (SELECT begun_at FROM setup.connection_tests
     WHERE msp_id = :msp_id AND begun_at > :since AND connection_id = :connection_id
     ORDER BY begun_at DESC OFFSET :of_connection - 1 LIMIT 1),
    (SELECT begun_at FROM setup.connection_tests WHERE msp_id = :msp_id AND begun_at > :since AND begun_by = :actor
     ORDER BY begun_at DESC OFFSET :of_person - 1 LIMIT 1))
"""
_END = "UPDATE setup.connection_tests SET steps = :steps WHERE msp_id = :msp_id AND operation_id = :operation_id"
# What was shown last of a saved connection stays, however old.
_FORGET = """
DELETE FROM setup.connection_tests t WHERE msp_id = :msp_id AND begun_at < :before
AND (version IS NULL OR steps IS NULL OR EXISTS (
    SELECT FROM setup.connection_tests n WHERE n.msp_id = t.msp_id AND n.connection_id = t.connection_id
    AND n.version IS NOT NULL AND n.steps IS NOT NULL AND n.begun_at > t.begun_at))
"""


def saved_connections(connection: Connection, msp_id: MspId) -> list[dict[str, Any]]:
    """{connection_id, kind, version, saved_at, saved_by, settings, secrets, last_test}, by id."""
    found = setup.connections_of(connection, msp_id)
    streams = [connection_stream(each.connection_id) for each in found]
    saves: dict[str, list[Any]] = {stream: [] for stream in streams}
    for row in connection.execute(text(_SAVES), {"msp_id": msp_id, "streams": streams}):
        saves[row.stream].append(row)
    tests = {row.connection_id: row for row in connection.execute(text(_LAST_TESTS), {"msp_id": msp_id})}
    return [
        {
            "connection_id": each.connection_id,
            "kind": each.kind,
            "version": each.version,
            "saved_at": each.saved_at,
            "saved_by": next((row.actor for row in saves[stream] if row.version == each.version), None),
            "settings": _shown(each.kind, each.settings),
            "secrets": [_secret(name, each, saves[stream]) for name in KINDS[each.kind].secrets],
            "last_test": tests[each.connection_id]._mapping if each.connection_id in tests else None,
        }
        for each, stream in zip(found, streams, strict=True)
    ]


def history(connection: Connection, msp_id: MspId, connection_id: str) -> list[dict[str, Any]]:
    """{version, saved_at, saved_by, changes: [{key, before, after}], replaced_secrets, settings}, the newest first, at most
    200. settings: None where only the log is left of the version."""
    asked = {
        "msp_id": msp_id,
        "connection_id": connection_id,
        "stream": connection_stream(connection_id),
        "most": MOST_VERSIONS,
    }
    return [
        {
            "version": row.version,
            "saved_at": row.recorded_at,
            "saved_by": row.actor,
            "changes": [
                {"key": name, "before": _text(row.before, name), "after": _text(row.settings, name)}
                for name in row.payload["changed_settings"]
            ],
            "replaced_secrets": row.payload["replaced_secrets"],
            "settings": None if row.settings is None else _shown(row.payload["kind"], row.settings),
        }
        for row in connection.execute(text(_HISTORY), asked)
    ]


@dataclass(frozen=True)
class Connections:
    """The door for who sets connections up. actor: on whose behalf; public_keys: of the services that open secrets;
    private_addresses: whether connections may lead to http and into the own network; hosts: of each kind the only ones, if any."""

    engine: Engine
    clock: Clock
    actor: str
    public_keys: Mapping[str, str]
    private_addresses: bool
    hosts: Mapping[str, tuple[str, ...]]

    def save(self, msp_id: MspId, given: Given, upon: Upon) -> int:
        """The version that was made. BadSetup, PrivateAddress; Refusal CONNECTION_CHANGED, NO_SUCH_CONNECTION."""
        if given.kind in KINDS and given.settings.get(KINDS[given.kind].url):
            self._judge(given.kind, given.settings[KINDS[given.kind].url])
        return SetUp(self.engine, self.clock, self.actor).save_connection(
            msp_id, given.connection_id, given.kind, given.settings, given.secrets, self.public_keys, upon
        )

    def restore(self, msp_id: MspId, connection_id: str, version: int, upon: Upon) -> int:
        """The version that was made with the settings of an older one; secrets stay, and so do settings that came since.
        As save(); Refusal NO_SUCH_VERSION."""
        with of_msp(self.engine, msp_id).connect() as connection:
            before = standing(connection, msp_id, connection_id)
            settings = connection.scalar(
                text(
                    """SELECT settings FROM setup.connection_versions
                       WHERE msp_id = :msp_id AND connection_id = :connection_id AND version = :version"""
                ),
                {"msp_id": msp_id, "connection_id": connection_id, "version": version},
            )
        if before is None or settings is None:
            said = "There is no such version, or its settings were not kept."
            raise Refusal("NO_SUCH_VERSION", said, "Choose one of connectionHistory that tells its settings.")
        known = {name: str(value) for name, value in settings.items() if name in KINDS[before.kind].settings}
        return self.save(msp_id, Given(connection_id, before.kind, known, {}), upon)

    def test(
        self, msp_id: MspId, given: Given, operation_id: str, ask: Callable[..., Any]
    ) -> tuple[int | None, list[dict[str, Any]]]:
        """The version that was tried (None: values that are not saved) and {step, ok, milliseconds, message, fix} of each
        step. ask: (service, method, **arguments) -> its answer. A test is sent once, however often its operation comes.
        BadSetup, PrivateAddress; Refusal TEST_BEGUN, TOO_MANY_TESTS."""
        with of_msp(self.engine, msp_id).begin() as connection:
            setup_msp(connection, msp_id)
            before = standing(connection, msp_id, given.connection_id)
        tried = drafted(msp_id, before, given, self.public_keys, self.clock.now())
        self._judge(tried.kind, str(tried.settings[KINDS[tried.kind].url]))
        version = before.version if before is not None and _is_same(before, tried, given) else None
        done = self._begin(msp_id, given.connection_id, operation_id, version)
        if done is not None:
            return done
        unsaved = {"kind": tried.kind, "settings": tried.settings, "sealed": tried.sealed}
        answer = ask(
            KINDS[tried.kind].opened_by,
            "test_connection",
            msp_id=msp_id,
            connection_id=given.connection_id,
            **({"unsaved": unsaved} if version is None else {}),
        )
        steps = _steps(answer)
        with of_msp(self.engine, msp_id).begin() as connection:
            kept = {"msp_id": msp_id, "operation_id": operation_id, "steps": orjson.dumps(steps).decode()}
            connection.execute(text(_END), kept)
        return version, steps

    def _begin(
        self, msp_id: MspId, connection_id: str, operation_id: str, version: int | None
    ) -> tuple[int | None, list[dict[str, Any]]] | None:
        """What this very operation has shown before; None: it is begun now. Refusal TEST_BEGUN,
        TOO_MANY_TESTS."""
        key = {"msp_id": msp_id, "operation_id": operation_id}
        now = self.clock.now()
        values = {"connection_id": connection_id, "version": version, "now": now, "actor": self.actor}
        with of_msp(self.engine, msp_id).begin() as connection:
            # One at a time, so that of many at once no more begin than may.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('test ' || :msp_id))"), {"msp_id": msp_id})
            connection.execute(text(_FORGET), {"msp_id": msp_id, "before": now - KEPT})
            row = connection.execute(
                text(
                    """SELECT version, steps FROM setup.connection_tests
                       WHERE msp_id = :msp_id AND operation_id = :operation_id"""
                ),
                key,
            ).first()
            if row is None:
                _refuse_too_many(connection, values | {"msp_id": msp_id}, now)
                connection.execute(text(_BEGIN), key | values)
                return None
        if row.steps is None:
            said = "This test was begun before, and what it showed is not known yet."
            raise Refusal("TEST_BEGUN", said, "Wait a minute; then begin a new one, which tries the password again.")
        return row.version, row.steps

    def _judge(self, kind: str, url: str) -> None:
        """Tells at once what the service would refuse when it connects, which is the wall. PrivateAddress."""
        if not self.private_addresses:
            with suppress(OSError):  # its name is not known now: every call looks again
                WayOut(private_addresses=False, hosts=self.hosts.get(kind, ())).look(url)


def _refuse_too_many(connection: Connection, values: Mapping[str, Any], now: datetime) -> None:
    most = {"of_connection": TESTS_OF_A_CONNECTION, "of_person": TESTS_OF_A_PERSON}
    hinders = connection.scalar(text(_HINDERS), {**values, **most, "since": now - TESTS_WINDOW})
    if hinders is not None:
        minutes = ceil((hinders + TESTS_WINDOW - now).total_seconds() / 60)
        raise Refusal(
            "TOO_MANY_TESTS",
            f"Within {TESTS_WINDOW.seconds // 60} minutes a connection is tried {TESTS_OF_A_CONNECTION} times at most, "
            f"and {TESTS_OF_A_PERSON} connections by one person: a wrong password tried too often locks the user.",
            f"Try it again in {minutes} min.",
        )


def _is_same(before: OutsideConnection, tried: OutsideConnection, given: Given) -> bool:
    known = {**KINDS[before.kind].settings, **before.settings}
    return not given.replaced and all(known[name] == value for name, value in tried.settings.items())


def _steps(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of a service's answer; what kept it from trying any is the first."""
    refusal = answer.get("refusal")
    if refusal:
        return [
            {"step": "set-up", "ok": False, "milliseconds": 0, "message": refusal["message"], "fix": refusal["fix"]}
        ]
    return [{**step, "fix": step["fix"] or None} for step in answer["steps"]]


def _shown(kind: str, settings: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"key": name, "value": str(settings.get(name, default))} for name, default in KINDS[kind].settings.items()]


def _text(settings: Mapping[str, Any] | None, name: str) -> str | None:
    return None if settings is None or name not in settings else str(settings[name])


def _secret(name: str, outside: OutsideConnection, saves: list[Any]) -> dict[str, Any]:
    row = next((row for row in reversed(saves) if name in row.payload["replaced_secrets"]), None)
    is_set = name in outside.sealed
    return {
        "key": name,
        "is_set": is_set,
        "set_at": row.recorded_at if is_set and row else None,
        "set_by": row.actor if is_set and row else None,
    }
