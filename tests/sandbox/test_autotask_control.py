"""The sandbox's control API, page, state file, seeded world and command line."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from deploy.sandbox.autotask import Desk, autotask_sandbox
from deploy.sandbox.autotask.faults import PASSING, FaultKind
from deploy.sandbox.autotask.records import Contract, Line, Service
from deploy.sandbox.autotask.seeding import seed_database
from deploy.sandbox.clock import SandboxClock
from tests.sandbox.autotask_client import Client

JULY_11 = date(2026, 7, 11)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def psa() -> Iterator[Desk]:
    with autotask_sandbox() as desk:
        desk.clock.set(datetime(2026, 7, 11, 9, tzinfo=UTC))
        yield desk


def ask(psa: Desk, path: str, given: dict[str, Any] | None = None, method: str = "") -> Any:
    answer = requests.request(
        method or ("POST" if given is not None else "GET"), f"{psa.base_url}/control/{path}", json=given, timeout=10
    )
    return answer.json() if answer.ok else (answer.status_code, answer.json()["error"])


def make_line(psa: Desk) -> int:
    account = ask(psa, "accounts", {"name": "Repair and Wear"})["account_id"]
    days = {"start": "2026-01-01", "end": "2026-12-31"}
    contract = ask(psa, "contracts", {"account_id": account, **days})["contract_id"]
    amounts = {"units": 5, "unit_cost": "3.40", "unit_price": "10.00"}
    return ask(psa, "lines", {"contract_id": contract, "service_name": "Exchange Online", **amounts})["line_id"]


# The control API


def test_the_page_is_served_and_knows_every_fault(psa: Desk) -> None:
    page = requests.get(psa.base_url, timeout=5)

    assert page.headers["content-type"].startswith("text/html")
    assert all(f'"{kind}"' in page.text for kind in FaultKind.__args__)
    assert set(PASSING) < set(FaultKind.__args__)


def test_the_ledger_shows_prorated_transactions_and_the_contracts_their_rows(psa: Desk) -> None:
    line = make_line(psa)
    Client(psa).adjust(line, 7)

    (entry,) = ask(psa, "ledger")
    ((shown,),) = [each["lines"] for each in ask(psa, "contracts")]

    assert (entry["account"], entry["service"], entry["unit_change"]) == ("Repair and Wear", "Exchange Online", 7)
    assert (entry["proration_cost"], entry["proration_price"], entry["prorated"]) == ("16.1226", "47.4194", True)
    assert (shown["units"], len(shown["rows"])) == (12, 13)


def test_units_edited_by_hand_are_drift_and_not_in_the_clients_ledger(psa: Desk) -> None:
    line = make_line(psa)

    ask(psa, "units", {"line_id": line, "units": 9, "on": "2026-07-20"})

    assert psa.units(line, date(2026, 7, 20)) == 9
    assert psa.ledger(line) == []
    assert [each.unit_change for each in psa.ledger(line, by_hand=True)] == [4]
    assert ask(psa, "oracle") == []


def test_approve_and_post_is_a_button(psa: Desk) -> None:
    line = make_line(psa)

    ask(psa, "approve", {})

    assert len(ask(psa, "billing-items")) == 7
    assert psa.rows(line)[6].approved_at == psa.billing_items()[6].posted_at


def test_clock_switches_limits_faults_and_access_can_be_set(psa: Desk) -> None:
    ask(psa, "clock", {"set": "2026-08-01T00:00:00Z"})
    ask(psa, "clock", {"advance_days": 2})
    ask(psa, "switches", {"mid_period_row": "change"})
    ask(psa, "limits", {"neighbour": 17})
    ask(psa, "faults", {"kind": "bad_gateway", "operation": "query"})
    ask(psa, "access", {"do": "change_zone"})

    assert psa.clock.today() == date(2026, 8, 3)
    assert ask(psa, "switches")["now"]["mid_period_row"] == "change"
    assert ask(psa, "limits")["used"] == 17
    assert psa.zone_url.endswith("/zone2/ATServices/1.6/atws.asmx")
    assert [Client(psa).query("Account").status for _ in range(2)] == [502, 200]
    ask(psa, "faults", {"rate": 1, "seed": 1, "kinds": ["empty"]})
    assert Client(psa).query("Account").body == b""
    ask(psa, "faults", method="DELETE")
    assert ask(psa, "faults") == {"scripted": [], "rate": 0.0}
    counts = {each["outcome"]: each["calls"] for each in ask(psa, "calls")["counts"]}
    assert (counts["answered"], counts["bad_gateway after"]) == (1, 1)


def test_databases_are_added_and_named(psa: Desk) -> None:
    added = ask(psa, "databases", {"name": "Second MSP", "seed": 3})

    assert [each["name"] for each in ask(psa, "databases")] == ["Sandbox MSP", "Second MSP"]
    assert added["url"] == psa.url
    assert len(ask(psa, "contracts?database=Second%20MSP")) >= 24
    assert ask(psa, "contracts") == []
    assert ask(psa, "ledger?database=Third") == (400, "there is no database 'Third'; there are Sandbox MSP, Second MSP")


@pytest.mark.parametrize(
    ("path", "given", "said"),
    [
        ("switches", {"mid_period_row": "delta"}, "switch mid_period_row may be 'total' or 'change', not 'delta'"),
        ("limits", {"threads": "many"}, "the limit threads is a number from 0 up, not 'many'"),
        ("limits", {"speed": 1}, "there is no limit 'speed'"),
        ("faults", {"kind": "explosion"}, "there is no fault 'explosion'"),
        ("units", {"line_id": 1, "units": 2}, "there is no contract service 1"),
        ("units", {"units": 2}, "'line_id' is missing or unknown"),
        ("access", {"do": "fly"}, "access can change_zone"),
        ("lines", {"contract_id": 1}, "missing"),
        ("contracts", {"account_id": 9, "start": "2026-01-01", "end": "2026-02-01"}, "AccountID"),
        ("clock", {"set": "noon"}, "Invalid isoformat string"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(psa: Desk, path: str, given: dict, said: str) -> None:
    status, error = ask(psa, path, given)

    assert status == 400
    assert said in error


def test_a_float_is_no_amount(psa: Desk) -> None:
    contract = psa.add_contract(psa.add_account("A"), date(2026, 1, 1), date(2026, 12, 31), "half_yearly")

    with pytest.raises(TypeError, match="never a float"):
        psa.add_line(contract, "Backup", 1, 1.5, "2")


# State, world, command line


def test_a_restarted_sandbox_knows_everything(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "autotask.sqlite"
    clock = SandboxClock(timedelta(days=-100))
    with autotask_sandbox(state=state, clock=clock) as psa:
        line = make_line(psa)
        other = psa.add_tenant("Second MSP")
        psa.clock.set(datetime(2026, 7, 11, 9, tzinfo=UTC))
        ask(psa, "switches", {"same_date": "duplicate"})
        Client(psa).adjust(line, 7, AdjustedUnitCost="4.00")
        psa.remove_line(psa.add_line(psa.ledger()[0].contract_id, "Backup", 1, "1", "2"))
        psa.approve_and_post(JULY_11)
        other.change_zone()
        other.set_password("the new one")
        before = psa.backup()

    with autotask_sandbox(state=state) as psa:
        assert psa.backup() == before
        assert psa.clock.today() == JULY_11
        assert (psa.units(line, JULY_11), psa.unit_cost(line)) == (12, Decimal("4.00"))
        assert "duplicate data" in Client(psa).adjust(line, 7).errors[0]
        assert psa.add_line(psa.ledger()[0].contract_id, "Archive", 1, "1", "2") == line + 2
        second = Desk(psa.installation, psa.installation.databases["Second MSP"], psa.base_url)
        assert Client(second, password="the new one").query("Account").entities[0]["AccountName"] == "Second MSP"


def test_what_was_not_kept_is_not_in_the_state_file_either(tmp_path: Path) -> None:
    with autotask_sandbox(state=tmp_path / "state") as psa:
        psa.clock.set(datetime(2026, 7, 11, 9, tzinfo=UTC))
        line = make_line(psa)
        psa.faults.script("empty", "create", when="before")
        Client(psa).adjust(line, 7)

    with autotask_sandbox(state=tmp_path / "state") as psa:
        assert psa.ledger() == []
        assert psa.units(line, JULY_11) == 5


def test_the_seeded_world_stands_in_the_database_with_its_example(psa: Desk) -> None:
    world = seed_database(psa, seed=1)

    books = psa.database.books
    services = {each.id: each.name for each in books.all(Service)}
    example = next(each for each in books.all(Line) if services[each.service_id] == "Exchange Online (Plan 1)")
    assert psa.units(example.id, psa.clock.today()) == 1
    assert len(books.all(Line)) == len(world.contract_services)
    assert {each.contract_type for each in books.all(Contract)} == {each.contract_type for each in world.contracts}
    assert psa.oracle() == []


def test_the_command_serves_the_world_and_keeps_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.sandbox.autotask", "--port", "0", "--seed", "1", "--companies", "3"]
    shown = []
    for _ in range(2):
        served = subprocess.Popen(
            [*command, "--state", str(tmp_path / "state")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ},
        )
        url = served.stdout.readline().split()[-1]
        contracts = requests.get(url.replace("/atservices/1.6/atws.asmx", "/control/contracts"), timeout=10).json()
        shown.append([(each["id"], len(each["lines"])) for each in contracts])
        served.send_signal(signal.SIGTERM)
        served.communicate(timeout=20)
        assert served.returncode == 0

    assert len(shown[0]) >= 3
    assert shown[0] == shown[1]


def run_command(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "deploy.sandbox.autotask", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return run.returncode, run.stderr


def test_the_command_says_what_to_do_when_it_cannot_serve(psa: Desk, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database at all, but long enough to look like one to nobody" * 20)

    taken = run_command("--port", psa.base_url.rpartition(":")[2])
    foreign = run_command("--port", "0", "--state", str(tmp_path / "notes.txt"))

    for (code, told), advice in ((taken, "choose another --port"), (foreign, "name another --state")):
        assert code == 1
        assert advice in told
        assert "Traceback" not in told
