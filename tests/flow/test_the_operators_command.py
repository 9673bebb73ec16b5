"""The operator's command on a running house: everything it says it does, it does."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.reporting.projections import READ_MODELS
from tests.flow.test_the_way_of_a_change import linked
from tests.house import House, MspHouse
from tests.waiting import wait_for

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]
ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def trueup(house: House) -> Run:
    settings = {
        "TRUEUP_DATABASE_URL": house.url,
        "TRUEUP_RABBITMQ_URL": house.rabbitmq_url,
        "TRUEUP_POLLER_PUBLIC_KEY": house.keys["poller"][1],
        "TRUEUP_PSA_WRITER_PUBLIC_KEY": house.keys["psa_writer"][1],
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "deploy.cli", *arguments],
            cwd=ROOT,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_connections_are_tried_step_by_step(trueup: Run, msp: MspHouse) -> None:
    msp.add_line("Repair and Wear", "Exchange Online (Plan 1)", 1)
    for connection in ("odin", "autotask"):
        outcome = trueup("connection", "test", msp.msp_id, connection)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        assert "FAIL" not in outcome.stdout
        assert outcome.stdout.count("ok  ") >= 3


def test_a_wrong_psa_password_is_tried_once_by_the_house_and_once_by_each_person_who_asks(
    trueup: Run, msp: MspHouse, tmp_path: Path
) -> None:
    # given
    (tmp_path / "password").write_text("wrong")
    secret = f"--secret-file=password={tmp_path / 'password'}"
    trueup("connection", "set", msp.msp_id, "autotask", "--kind", "autotask", secret)
    wait_for(lambda: msp.events("CatalogueReadFailed", kind="unauthorised"), 60, what="the house to try and to stop")
    assert msp.psa.calls.count(outcome="unauthorised") == 1

    # when
    outcome = trueup("connection", "test", msp.msp_id, "autotask")

    # then
    assert outcome.returncode == 1
    assert "FAIL sign-in" in outcome.stdout
    assert msp.psa.calls.count(outcome="unauthorised") == 2


def test_relations_leave_as_csv_and_come_back_into_another_msp_with_a_reason_for_each_refused_row(
    trueup: Run, msp: MspHouse, tmp_path: Path
) -> None:
    # given
    linked(msp, count=8, units=8)
    file = tmp_path / "relations.csv"

    # when
    exported = trueup("relations", "export", msp.msp_id, "--output", str(file))
    again = trueup("relations", "import", msp.msp_id, str(file))
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    rows.append(rows[0] | {"psa_product_id": "999999"})
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    foreseen = trueup("relations", "import", msp.msp_id, str(file), "--dry-run")
    with_a_bad_row = trueup("relations", "import", msp.msp_id, str(file))

    # then
    assert "1 relations written" in exported.stdout, exported.stderr
    assert "1 of 1 relations are set; 0 were refused." in again.stdout, again.stderr
    assert with_a_bad_row.returncode == 1
    assert "1 of 2 relations would be set; 1 would be refused." in foreseen.stdout, foreseen.stderr
    assert "1 of 2 relations are set; 1 were refused." in with_a_bad_row.stdout
    assert foreseen.stderr == with_a_bad_row.stderr
    assert with_a_bad_row.stderr.startswith("line 3: ")


def test_polls_and_catalogues_are_read_now(trueup: Run, msp: MspHouse) -> None:
    line = msp.add_line("Repair and Wear", "Exchange Online (Plan 1)", 1)
    polls = msp.count_of("PollCompleted")

    assert trueup("poll", msp.msp_id).returncode == 0
    assert trueup("catalogue", msp.msp_id).returncode == 0

    wait_for(lambda: msp.count_of("PollCompleted") > polls, 60)
    wait_for(lambda: msp.events("PsaProductObserved", psa_product_id=str(line)), 60)


def test_a_large_change_is_listed_and_goes_out_when_a_person_releases_it(trueup: Run, msp: MspHouse) -> None:
    # given
    resource, line, _ = linked(msp, count=4, units=4)
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 304)
    msp.poll()
    wait_for(lambda: msp.events("AdjustmentParked", kind="large_change"), 60)

    # when
    wait_for(lambda: "large_change" in trueup("failures", "list", msp.msp_id).stdout, 60, every=1)
    retried = trueup("failures", "retry", msp.msp_id, "--all")
    released = trueup("failures", "retry", msp.msp_id, "--all", "--release")

    # then
    assert released.returncode == 0, released.stderr
    assert "1 of 1 adjustments are tried again now." in retried.stdout + released.stdout
    msp.quiet()
    assert msp.units(line) == 304
    assert [each.unit_change for each in msp.ledger(line)] == [300]
    wait_for(lambda: "Nothing is stuck." in trueup("failures", "list", msp.msp_id).stdout, 60, every=1)


def test_reports_are_rebuilt_equal_while_the_house_runs(trueup: Run, msp: MspHouse) -> None:
    # given
    linked(msp, count=8, units=1)

    # when
    tried = trueup("replay", "--msp", msp.msp_id, "--dry-run")
    rebuilt = trueup("replay", "--msp", msp.msp_id)

    # then
    for outcome in (tried, rebuilt):
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        assert "NOT EQUAL" not in outcome.stdout
        assert outcome.stdout.count("equal to the living rows") == len(READ_MODELS)
    assert "none swapped in" in tried.stdout
    assert f"{len(READ_MODELS)} rebuilt and swapped in." in rebuilt.stdout


def test_the_doctor_finds_nothing_wrong_with_a_healthy_house(trueup: Run, msp: MspHouse) -> None:
    linked(msp, count=8, units=1)
    outcome = wait_for(lambda: _healthy(trueup("doctor")), 60, every=1, what="the doctor to be content")
    assert "has seen every event" in outcome


def _healthy(outcome: subprocess.CompletedProcess[str]) -> str:
    findings = [line for line in outcome.stdout.splitlines() if line.startswith("FAIL")]
    # Other tests of the run leave MSPs behind whose password they spoilt on purpose.
    return outcome.stdout if all("stopped:" in line for line in findings) else ""
