"""`trueup key rotate`: all secrets of a service are sealed with its new key, or it is said which are not and why."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from deploy.up import in_containers
from deploy.up.__main__ import main as up
from deploy.up.house import house_parts
from deploy.up.parts import Folder
from deploy.up.site import open_site, read_site
from domain.keys import ConnectionId, MspId
from domain.notifications import SECRET
from gateway.resealing import Resealing
from gateway.set_up import SetUp
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.resealing import resealed
from plumbing.secrets import NotForUs, key_id, new_key_pair, public_key_of, seal, sealed_with, unseal
from tests.deploy.test_cli import Run, command, said
from tests.house import Part
from tests.processes import Process
from tests.servers import role_url
from tests.waiting import wait_for

OLD, OLD_PUBLIC = new_key_pair()
NEW, NEW_PUBLIC = new_key_pair()
ODIN = {"gateway_url": "https://api.example/", "user": "u"}


@dataclass
class Installed:
    """A database with MSPs, and pollers that hold keys."""

    database: str
    vhost: str
    engine: Engine
    pollers: list[Part]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TRUEUP_DATABASE_URL": self.database,
            "TRUEUP_RABBITMQ_URL": self.vhost,
            "TRUEUP_POLLER_PUBLIC_KEY": NEW_PUBLIC,
            "TRUEUP_REPORTING_PUBLIC_KEY": NEW_PUBLIC,
        }

    @property
    def trueup(self) -> Run:
        return command(self.environment)

    def start(self, private_key: str, service: str = "poller") -> None:
        environment = {
            "TRUEUP_DATABASE_URL": role_url(self.database, f"trueup_{service}"),
            "TRUEUP_RABBITMQ_URL": self.vhost,
            "TRUEUP_PRIVATE_KEY": private_key,
        }
        self.pollers.append(Part(service, "deploy.run_service", (service,), environment))
        self.pollers[-1].wait_until_ready()

    def add_msp(self, name: str) -> MspId:
        set_up = SetUp(self.engine, Clock(), "test")
        msp_id = set_up.add_msp(name, name, "UTC")
        set_up.save_connection(
            msp_id, "odin", "odin", ODIN, {"password": f"p-{name}", "secret": f"s-{name}"}, {"poller": OLD_PUBLIC}
        )
        return msp_id

    def sealed(self) -> dict[str, dict[str, str]]:
        """By MSP."""
        with self.engine.connect() as connection:
            rows = connection.execute(text("SELECT msp_id, sealed FROM setup.connections"))
            return {row.msp_id: row.sealed for row in rows}

    def events(self) -> list[Any]:
        with self.engine.connect() as connection:
            asked = (
                "SELECT msp_id, actor, stream, payload FROM log.events WHERE type = 'SecretsResealed' ORDER BY msp_id"
            )
            return list(connection.execute(text(asked)))

    def done(self) -> list[str]:
        """The MSPs whose secrets are sealed with the new key."""
        new = key_id(NEW_PUBLIC)
        return [msp for msp, blobs in self.sealed().items() if {sealed_with(blob) for blob in blobs.values()} == {new}]


@pytest.fixture
def installed(database: str, vhost: str) -> Iterator[Installed]:
    engine = make_engine(database, "test", pool_size=5)
    installed = Installed(database, vhost, engine, [])
    yield installed
    for part in installed.pollers:
        part.process.__exit__(None, None, None)
    engine.dispose()


def opens(installed: Installed, msp_id: str, private_key: str) -> dict[str, str]:
    blobs = installed.sealed()[msp_id]
    return {name: unseal(private_key, MspId(msp_id), ConnectionId("odin"), name, blob) for name, blob in blobs.items()}


def test_killed_in_the_middle_it_goes_on_and_each_secret_is_sealed_anew_once(installed: Installed) -> None:
    # given
    msps = [installed.add_msp(f"msp-{number:03}") for number in range(120)]
    installed.start(f"{NEW},{OLD}")
    installed.start(f"{NEW},{OLD}")

    # when
    with Process("deploy.cli", "key", "rotate", "poller", environment=installed.environment) as killed:
        wait_for(lambda: len(installed.done()) > 5 or not killed.running, every=0.01)
        killed.kill()
    halfway = len(installed.done())
    assert 5 < halfway < len(msps)
    again = installed.trueup("key", "rotate", "poller")
    once_more = installed.trueup("key", "rotate", "poller")

    # then
    for outcome in (again, once_more):
        assert outcome.returncode == 0, said(outcome)
        assert f"2 of 2 replicas of poller hold the key {key_id(NEW_PUBLIC)}." in outcome.stdout
        assert "120 of 120 connections and rules are sealed with it." in outcome.stdout
        assert "Nothing needs an older key of poller: take it out of TRUEUP_PRIVATE_KEY" in outcome.stdout
    for msp_id in (msps[0], msps[-1]):
        assert opens(installed, msp_id, NEW) == {"password": f"p-{msp_id}", "secret": f"s-{msp_id}"}
        with pytest.raises(NotForUs):
            opens(installed, msp_id, OLD)
    told = installed.events()
    assert [event.msp_id for event in told] == sorted(msps)
    assert (told[0].actor, told[0].stream) == ("operator", "sealing/connection/odin")
    assert told[0].payload == {
        "place": "connection",
        "place_id": "odin",
        "kind": "odin",
        "secrets": ["password", "secret"],
        "key_id": key_id(NEW_PUBLIC),
    }
    said_by_pollers = "".join(part.process.output for part in installed.pollers)
    assert "p-msp-0" not in said(again) + said_by_pollers
    with installed.engine.connect() as connection:
        assert connection.scalar(text("SELECT max(version) FROM setup.connections")) == 1


def test_a_secret_that_was_copied_from_another_msp_is_refused_and_the_others_are_sealed_anew(
    installed: Installed,
) -> None:
    # given
    for name in ("acme", "globex", "initech"):
        installed.add_msp(name)
    installed.start(f"{NEW},{OLD}")
    stolen = installed.sealed()["acme"]
    with installed.engine.begin() as connection:
        connection.execute(
            text("UPDATE setup.connections SET sealed = CAST(:sealed AS jsonb) WHERE msp_id = 'globex'"),
            {"sealed": orjson.dumps(stolen).decode()},
        )

    # when
    outcome = installed.trueup("key", "rotate", "poller")

    # then
    assert outcome.returncode == 1
    assert "2 of 3 connections and rules are sealed with it." in outcome.stdout
    assert "globex: secret of connection odin was sealed for something else" in outcome.stderr
    assert "older key" not in said(outcome)
    assert installed.sealed()["globex"] == stolen
    assert sorted(installed.done()) == ["acme", "initech"]


def test_nothing_is_sealed_with_a_key_that_a_replica_does_not_hold(installed: Installed) -> None:
    # given
    installed.add_msp("acme")
    installed.start(f"{NEW},{OLD}")
    installed.start(OLD)
    before = installed.sealed()

    # when
    outcome = installed.trueup("key", "rotate", "poller")

    # then
    assert outcome.returncode == 1
    assert f"is {key_id(OLD_PUBLIC)}, not {key_id(NEW_PUBLIC)}: put the new private key first" in said(outcome)
    assert installed.sealed() == before


def test_without_the_service_nothing_can_be_sealed_anew(installed: Installed) -> None:
    outcome = installed.trueup("key", "rotate", "poller")
    assert outcome.returncode == 1
    assert "the service poller does not run (trueup doctor)" in said(outcome)


def test_the_secrets_of_webhooks_move_too(installed: Installed) -> None:
    # given
    installed.add_msp("acme")
    sealed = seal(OLD_PUBLIC, MspId("acme"), ConnectionId("r1"), SECRET, "whsec_canary")
    with installed.engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.notification_rules (msp_id, rule_id, kinds, channel, target, sealed, after_position,
                       version, operation_id, made_at, saved_at, saved_by)
                   VALUES ('acme', 'r1', '{held}', 'webhook', 'https://hooks.example', :sealed, 0, 1, 'o', now(), now(), 'm')"""
            ),
            {"sealed": sealed},
        )
    installed.start(f"{NEW},{OLD}", "reporting")

    # when
    outcome = installed.trueup("key", "rotate", "reporting")

    # then
    assert outcome.returncode == 0, said(outcome)
    assert "1 of 1 connections and rules are sealed with it." in outcome.stdout
    with installed.engine.connect() as connection:
        blob = connection.scalar(text("SELECT sealed FROM setup.notification_rules"))
    assert unseal(NEW, MspId("acme"), ConnectionId("r1"), SECRET, blob) == "whsec_canary"
    assert installed.events()[0].stream == "sealing/notification_rule/r1"


def test_a_connection_saved_at_that_moment_does_not_bring_the_old_seal_back(installed: Installed) -> None:
    # given
    msp_id = installed.add_msp("acme")
    anew = {name: seal(NEW_PUBLIC, msp_id, ConnectionId("odin"), name, "s") for name in ("password", "secret")}
    with ThreadPoolExecutor() as pool, installed.engine.connect() as sealing:
        sealing.execute(
            text("UPDATE setup.connections SET sealed = CAST(:anew AS jsonb)"), {"anew": orjson.dumps(anew).decode()}
        )

        # when somebody changes a setting before that is committed
        saving = pool.submit(_change_a_setting, installed, msp_id)
        wait_for(lambda: _somebody_waits(installed), what="the change to wait")
        sealing.commit()
        saving.result(30)

    # then
    assert installed.done() == ["acme"]


def test_a_secret_that_is_given_anew_at_that_moment_has_the_last_word(installed: Installed) -> None:
    # given a service that takes its time: somebody gives a new password meanwhile
    msp_id = installed.add_msp("acme")

    def answer(_method: str, *, msp_id: MspId, connection_id: ConnectionId, sealed: dict[str, str]) -> dict[str, Any]:
        SetUp(installed.engine, Clock(), "test").save_connection(
            msp_id, "odin", "odin", {}, {"password": "another"}, {"poller": OLD_PUBLIC}
        )
        return resealed(f"{NEW},{OLD}", msp_id, connection_id, sealed)

    sealing = Resealing(installed.engine, Clock(), "operator", "poller", key_id(NEW_PUBLIC), answer)

    # when
    assert list(sealing.reseal(sealing.places())) == [""]

    # then it was left alone, and the next run finds it
    assert opens(installed, msp_id, OLD) == {"password": "another", "secret": "s-acme"}
    assert installed.events() == []
    assert [place.place_id for place in sealing.places() if place.older(key_id(NEW_PUBLIC))] == ["odin"]


def _change_a_setting(installed: Installed, msp_id: MspId) -> int:
    return SetUp(installed.engine, Clock(), "test").save_connection(msp_id, "odin", "odin", {"user": "v"}, {}, {})


def _somebody_waits(installed: Installed) -> bool:
    with installed.engine.connect() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(connection.scalar(text(waiting)))


def test_make_up_gives_a_service_a_new_key_beside_the_old_one_and_takes_the_old_one_away(tmp_path: Path) -> None:
    # given
    folder = Folder(tmp_path / "site")
    folder.path.mkdir()
    site = open_site(folder, {}, {})
    old = site.secrets["poller_private_key"]

    # when
    added = CliRunner().invoke(up, ["--folder", str(folder.path), "new-key", "poller"])
    both = read_site(folder)
    dropped = CliRunner().invoke(up, ["--folder", str(folder.path), "drop-old-keys", "poller"])
    newest = read_site(folder)

    # then
    assert "Next: make down up" in added.output
    assert dropped.exit_code == 0, dropped.output
    assert both is not None
    assert newest is not None
    new = newest.secrets["poller_private_key"]
    assert both.secrets["poller_private_key"] == f"{new},{old}"
    assert both.secrets["poller_public_key"] == newest.secrets["poller_public_key"] == public_key_of(new)
    assert both.secrets["psa_writer_private_key"] == site.secrets["psa_writer_private_key"]
    given = {part.name: part.environment for part in house_parts(folder, both, "postgresql://h/d", "amqp://h/")}
    assert given["poller"]["TRUEUP_PRIVATE_KEY"] == f"{new},{old}"


def test_in_containers_the_volume_of_the_service_gets_the_new_key_and_loses_the_old_one(tmp_path: Path) -> None:
    # given
    in_containers._make_keys(tmp_path)
    old = _volume(tmp_path, "poller")["TRUEUP_PRIVATE_KEY"]
    others = _volume(tmp_path, "public")["TRUEUP_REPORTING_PUBLIC_KEY"]

    # when
    added = CliRunner().invoke(in_containers.main, ["new-key", "poller", "--secrets", str(tmp_path)])
    both = _volume(tmp_path, "poller")["TRUEUP_PRIVATE_KEY"]
    in_containers._make_keys(tmp_path)
    public = _volume(tmp_path, "public")
    dropped = CliRunner().invoke(in_containers.main, ["drop-old-keys", "poller", "--secrets", str(tmp_path)])

    # then
    assert (added.exit_code, dropped.exit_code) == (0, 0), added.output + dropped.output
    new = _volume(tmp_path, "poller")["TRUEUP_PRIVATE_KEY"]
    assert both == f"{new},{old}"
    assert public["TRUEUP_POLLER_PUBLIC_KEY"] == public_key_of(new)
    assert (public["TRUEUP_REPORTING_PUBLIC_KEY"], _volume(tmp_path, "public")) == (others, public)
    assert os.stat(tmp_path / "poller" / "environment").st_mode & 0o077 == 0


def _volume(folder: Path, name: str) -> dict[str, str]:
    lines = (folder / name / "environment").read_text().splitlines()
    return dict(line.removeprefix("export ").replace("'", "").split("=", 1) for line in lines)
