"""The operator's command: what it does, and one line that says what to do when it cannot."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from deploy.servers.ports import free_port
from gateway.people import codes
from gateway.people.permissions import Role
from plumbing.database import make_engine
from plumbing.secrets import new_key_pair, unseal
from tests.gateway.browser import add_user
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import Postgres

pytestmark = [pytest.mark.postgres]
ROOT = Path(__file__).parent.parent.parent
PRIVATE, PUBLIC = new_key_pair()
Run = Callable[..., subprocess.CompletedProcess[str]]


def command(environment: dict[str, str]) -> Run:
    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TRUEUP_")}
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "deploy.cli", *arguments],
            cwd=ROOT,
            env=plain | environment | more,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def trueup(database: str, vhost: str) -> Run:
    keys = {"TRUEUP_POLLER_PUBLIC_KEY": PUBLIC, "TRUEUP_PSA_WRITER_PUBLIC_KEY": PUBLIC}
    return command({"TRUEUP_DATABASE_URL": database, "TRUEUP_RABBITMQ_URL": vhost} | keys)


def said(outcome: subprocess.CompletedProcess[str]) -> str:
    return outcome.stdout + outcome.stderr


GROUPS = ["", "migrate", "key", "key new", "key rotate", "msp", "msp add", "connection", "policy"]
GROUPS += ["policy list", "policy set", "policy unset", "policy history", "connection set", "connection test"]
GROUPS += ["poll", "catalogue", "relations", "relations import", "relations export", "failures", "failures list"]
GROUPS += ["failures retry", "export", "replay", "doctor", "user", "user add", "user link", "user reset-codes"]
GROUPS += ["user unlink"]


def test_every_command_has_help() -> None:
    for group in GROUPS:
        outcome = command({})(*group.split(), "--help")
        assert outcome.returncode == 0, said(outcome)
        assert "Usage:" in outcome.stdout


def test_an_msp_its_connection_and_its_policy_are_set_up_as_events_and_no_secret_is_stored_in_clear(
    trueup: Run, database: str, tmp_path: Path
) -> None:
    # given
    for name in ("password", "secret"):
        (tmp_path / name).write_text(f"canary-{name}\n")

    # when
    before = trueup("msp", "list")
    added = trueup("msp", "add", "acme", "--name", "Acme MSP", "--time-zone", "Europe/Berlin")
    listed = trueup("msp", "list")
    given = ["--set", "gateway_url=https://api.example/marketplace/na/", "--set", "user=api@acme.example"]
    secrets = [f"--secret-file={name}={tmp_path / name}" for name in ("password", "secret")]
    saved = trueup("connection", "set", "acme", "odin", "--kind", "odin", *given, *secrets)
    changed = trueup("connection", "set", "acme", "odin", "--kind", "odin", "--set", "poll_seconds=60")
    policy = trueup("policy", "set", "acme", "decrease_effective", "today")

    # then
    for outcome in (before, added, listed, saved, changed, policy):
        assert outcome.returncode == 0, said(outcome)
    assert "no MSP yet" in before.stdout
    assert listed.stdout.split() == ["acme", "Acme", "MSP", "Europe/Berlin", "since", listed.stdout.split()[-1]]
    engine = make_engine(database, "test")
    with engine.connect() as connection:
        row = connection.execute(text("SELECT settings, sealed, version FROM setup.connections")).one()
        types = list(connection.scalars(text("SELECT type FROM log.events ORDER BY position")))
        everything = "".join(map(str, connection.execute(text("SELECT * FROM log.events, setup.connections"))))
    engine.dispose()
    assert types == ["MspAdded", "ConnectionSaved", "ConnectionSaved", "PolicyChanged"]
    assert (row.settings["poll_seconds"], row.settings["user"], row.version) == (60, "api@acme.example", 2)
    assert "canary" not in everything
    assert unseal(PRIVATE, "acme", "odin", "password", row.sealed["password"]) == "canary-password"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["msp", "add", "Acme!", "--name", "A", "--time-zone", "UTC"], "'Acme!' is no id"),
        (["msp", "add", "acme", "--name", "A", "--time-zone", "Mars/Base"], "'Mars/Base' is no time zone"),
        (["policy", "set", "nobody", "decrease_effective", "today"], "there is no MSP 'nobody'"),
        (["policy", "list", "nobody"], "there is no MSP 'nobody'"),
        (["policy", "history", "nobody"], "there is no MSP 'nobody'"),
        (["connection", "set", "nobody", "odin", "--kind", "odin"], "there is no MSP 'nobody'"),
        (["connection", "test", "nobody", "odin"], "there is no MSP 'nobody'"),
        (["poll", "nobody"], "there is no MSP 'nobody'"),
        (["relations", "export", "nobody"], "there is no MSP 'nobody'"),
        (["failures", "list", "nobody"], "there is no MSP 'nobody'"),
        (["failures", "retry", "nobody"], "name the requests, or give --all"),
        (["replay", "everything"], "'everything' is no read model"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(trueup: Run, arguments: list[str], answer: str) -> None:
    outcome = trueup(*arguments)
    assert outcome.returncode != 0
    assert answer in said(outcome)
    assert "Traceback" not in said(outcome)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (
            ["set", "decrease_immediately", "yes"],
            "there is no policy 'decrease_immediately'; there are increase_effective,",
        ),
        (["unset", "decrease_immediately"], "there is no policy 'decrease_immediately'"),
        (["set", "ended_after_polls", "0"], "at least 1"),
        (["set", "freeze_hours", "12", "--company", "501"], "freeze_hours is the same for the whole MSP"),
        (["set", "decrease_effective", "today", "--company", "77"], "There is no company '77' in ODIN"),
        (["set", "decrease_effective", "today", "--product", "77"], "There is no resource '77' in ODIN"),
    ],
    ids=["set-unknown", "unset-unknown", "value", "whole", "company", "product"],
)
def test_a_policy_that_cannot_be_decided_is_told_in_one_line(
    trueup: Run, database: str, arguments: list[str], answer: str
) -> None:
    engine = make_engine(database, "test")
    add_msp(engine)
    engine.dispose()

    outcome = trueup("policy", arguments[0], "acme", *arguments[1:])

    assert outcome.returncode != 0
    assert answer in said(outcome)
    assert "Traceback" not in said(outcome)


def test_policies_are_listed_set_for_whom_they_are_for_taken_away_and_remembered(trueup: Run, database: str) -> None:
    # given an MSP with a company and a resource
    engine = make_engine(database, "test")
    msp_id = add_msp(engine)
    h.append(engine, msp_id, [h.discovered(h.odin("100234", company="501"))])
    h.project(engine, msp_id)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO setup.connections VALUES ('acme', 'odin', 'odin', '{}', '{}', 1, now())"))
    engine.dispose()
    assert "Nothing was ever decided" in said(trueup("policy", "history", "acme"))

    # when
    done = [
        trueup("policy", "set", "acme", "decrease_effective", "today"),
        trueup("policy", "set", "acme", "decrease_effective", "next_period", "--company", "501", "--product", "100234"),
        trueup("policy", "unset", "acme", "decrease_effective"),
    ]
    shown, past = trueup("policy", "list", "acme"), trueup("policy", "history", "acme", "--last", "2")

    # then
    assert [outcome.returncode for outcome in (*done, shown, past)] == [0] * 5, said(past)
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines() if "decrease_effective" in line]
    assert "│ decrease_effective │ all │ next_period │ next_period │" in lines[0]
    assert "company 501 (Company 501), resource 100234 (Resource 100234) │ next_period │" in lines[1]
    assert "Version 3, saved by operator" in shown.stdout
    history = [" ".join(line.split()) for line in past.stdout.splitlines() if "decrease_effective" in line]
    assert len(history) == 2
    assert history[0].endswith("│ operator │ decrease_effective │ all │ today │ - │")
    assert history[1].endswith("resource 100234 (Resource 100234) │ - │ next_period │")


def test_missing_settings_are_named() -> None:
    outcome = command({})("doctor")
    assert outcome.returncode != 0
    assert "TRUEUP_DATABASE_URL is not set" in said(outcome)
    assert "TRUEUP_RABBITMQ_URL is not set" in said(outcome)


@pytest.mark.parametrize(
    "arguments", [["doctor"], ["msp", "add", "a", "--name", "A", "--time-zone", "UTC"], ["migrate"]]
)
def test_a_database_that_cannot_be_reached_is_told_with_what_to_do(trueup: Run, arguments: list[str]) -> None:
    url = f"postgresql://someone:canary@127.0.0.1:{free_port()}/nowhere"
    outcome = trueup(*arguments, TRUEUP_DATABASE_URL=url)
    assert outcome.returncode != 0
    assert "Is it running, and is TRUEUP_DATABASE_URL right?" in said(outcome)
    assert "canary" not in said(outcome)
    assert "Traceback" not in said(outcome)


def test_a_database_without_tables_is_told_to_be_migrated(trueup: Run, empty_database: str) -> None:
    add = ["msp", "add", "acme", "--name", "A", "--time-zone", "UTC"]
    assert "trueup migrate" in said(trueup(*add, TRUEUP_DATABASE_URL=empty_database))
    assert "trueup migrate" in said(trueup("doctor", TRUEUP_DATABASE_URL=empty_database))
    assert trueup("migrate", TRUEUP_DATABASE_URL=empty_database).returncode == 0
    assert trueup(*add, TRUEUP_DATABASE_URL=empty_database).returncode == 0


def test_a_database_that_cannot_hold_every_name_is_refused(trueup: Run, postgres: Postgres) -> None:
    # given
    postgres.execute("CREATE DATABASE {} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0", "narrow")

    # when
    outcome = trueup("migrate", TRUEUP_DATABASE_URL=postgres.database_url("narrow"))

    # then
    postgres.execute("DROP DATABASE {} WITH (FORCE)", "narrow")
    assert outcome.returncode != 0
    assert "the database keeps text as SQL_ASCII" in said(outcome)


@pytest.mark.rabbitmq
def test_the_doctor_says_which_parts_are_not_running(trueup: Run) -> None:
    outcome = trueup("doctor")
    assert outcome.returncode == 1
    assert "start the poller" in outcome.stdout
    assert "start the psa_writer" in outcome.stdout
    assert "column" not in outcome.stdout
    assert "Traceback" not in said(outcome)


@pytest.mark.rabbitmq
def test_the_doctor_says_that_the_broker_is_away(trueup: Run) -> None:
    outcome = trueup("doctor", TRUEUP_RABBITMQ_URL=f"amqp://guest:canary@127.0.0.1:{free_port()}/")
    assert outcome.returncode == 1
    assert "is TRUEUP_RABBITMQ_URL right?" in outcome.stdout
    assert "canary" not in said(outcome)


@pytest.mark.rabbitmq
def test_a_silent_service_is_named(trueup: Run) -> None:
    # given
    trueup("msp", "add", "acme", "--name", "A", "--time-zone", "UTC")

    # when
    outcome = trueup("failures", "retry", "acme", "some-request")

    # then
    assert outcome.returncode != 0
    assert "the service psa_writer does not answer: is it running?" in said(outcome)
    assert "Traceback" not in said(outcome)


def test_a_replay_until_a_past_day_or_place_leaves_the_living_rows_and_lets_reports_be_asked_as_of_then(
    trueup: Run, database: str, tmp_path: Path
) -> None:
    # given: four licences, and twelve since the next day
    engine = make_engine(database, "test")
    names, msp_id = h.odin(), add_msp(engine, "acme")
    h.append(engine, msp_id, [h.discovered(names, "4")], recorded_at=datetime(2026, 6, 30, 12, tzinfo=UTC))
    h.append(engine, msp_id, [h.counted(names, "4", "12")], recorded_at=datetime(2026, 7, 1, 12, tzinfo=UTC))
    h.project(engine, msp_id)
    engine.dispose()

    # when
    until_day = trueup("replay", "--msp", "acme", "--until", "2026-06-30")
    until_place = trueup("replay", "resources", "--msp", "acme", "--until", "2")

    # then
    for outcome, place in ((until_day, 1), (until_place, 2)):
        assert outcome.returncode == 0, said(outcome)
        assert f"can be asked as of position {place}." in outcome.stdout
    counts = {as_of: exported_counts(trueup, tmp_path, as_of) for as_of in ("2026-06-30", "2", "")}
    assert counts == {"2026-06-30": ["4.00"], "2": ["12.00"], "": ["12.00"]}


def exported_counts(trueup: Run, folder: Path, as_of: str) -> list[str]:
    file = folder / f"as-of-{as_of}.csv"
    outcome = trueup(
        "export", "subscriptions", "--msp", "acme", "--out", str(file), *(["--as-of", as_of] if as_of else [])
    )
    assert outcome.returncode == 0, said(outcome)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return [row["Count"] for row in csv.DictReader(lines)]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--until", "2"], "--until goes with --msp"),
        (["--msp", "acme", "--until", "2", "--dry-run"], "without --dry-run"),
        (["--msp", "acme", "--until", "June"], "neither a day such as 2026-06-30 nor a place in the log"),
        (["--msp", "acme", "--until", "2"], "has positions up to 0"),
        (["nonsense", "--msp", "acme", "--until", "0"], "is no read model"),
    ],
)
def test_a_replay_until_nowhere_is_refused(trueup: Run, database: str, arguments: list[str], why: str) -> None:
    engine = make_engine(database, "test")
    add_msp(engine, "acme")
    engine.dispose()

    outcome = trueup("replay", *arguments)

    assert outcome.returncode != 0
    assert why in said(outcome)
    assert "Traceback" not in said(outcome)


def test_the_doctor_says_that_a_file_of_breached_passwords_is_none(trueup: Run, tmp_path: Path) -> None:
    outcome = trueup("doctor", TRUEUP_BREACHED_PASSWORDS=str(tmp_path / "none"))

    assert f"{tmp_path}/none cannot be read" in said(outcome)
    assert "download it again" in said(outcome)


def test_the_operator_forgets_whom_the_provider_says_a_user_is(trueup: Run, database: str) -> None:
    engine = make_engine(database, "test")
    user = add_user(engine, add_msp(engine), "ada@acme.example", Role.ADMIN)
    with engine.begin() as connection:
        known = "INSERT INTO people.identities VALUES ('https://login.example', 'ada-1', :user, now())"
        connection.execute(text(known), {"user": user})

    done, again = (trueup("user", "unlink", " ADA@acme.example") for _ in range(2))

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM people.identities")) == 0
    engine.dispose()
    assert done.returncode == 0, said(done)
    assert (again.returncode, "never signed in by single sign-on" in said(again)) == (1, True)


def test_who_has_lost_app_and_recovery_codes_is_let_in_by_the_operator(trueup: Run, database: str) -> None:
    engine = make_engine(database, "test")
    user = add_user(engine, add_msp(engine), "ada@acme.example", Role.ADMIN)
    with engine.begin() as connection:
        codes.Codes(PRIVATE).begin(connection, user)
        connection.execute(text("UPDATE people.codes SET on_since = now()"))

    done, again = (trueup("user", "reset-codes", "acme", " ADA@acme.example") for _ in range(2))

    assert done.returncode == 0, said(done)
    assert "ada@acme.example signs in by its password alone" in said(done)
    with engine.connect() as connection:
        assert not codes.are_on(connection, user)
    engine.dispose()
    assert again.returncode == 1
    assert "no one-time codes on" in said(again)
    unknown = trueup("user", "reset-codes", "acme", "nobody@acme.example")
    assert (unknown.returncode, "trueup user list acme" in said(unknown)) == (1, True)
