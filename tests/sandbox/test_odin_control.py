"""The sandbox ODIN from outside: its control API, its page, its state file and its command."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import requests
from click.testing import CliRunner

from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.odin import BadStateFile, odin_sandbox
from deploy.sandbox.odin.__main__ import main
from tests.sandbox.odin_reader import Reader, ids
from tests.waiting import wait_for

KEY = {"subscription_id": "1000823", "product_id": "100234"}


@pytest.fixture(scope="module")
def sandbox():
    with odin_sandbox(companies=12) as first:
        yield first


@pytest.fixture
def odin(sandbox):
    return sandbox.add_account(f"msp-{len(sandbox.sandbox.all) + 1}", companies=6)


@pytest.fixture
def control(odin):
    """(verb, path, body) -> the control API's answer for the test's account."""

    def call(verb, path, body=None, status=200):
        address = f"{odin.sandbox.address}/control/{path}"
        answer = requests.request(verb, address, params={"account": odin.name}, json=body, timeout=5)
        assert answer.status_code == status, answer.text
        return answer.json()

    return call


def test_an_account_is_told_with_all_that_a_poller_needs(sandbox):
    [first, *_] = requests.get(f"{sandbox.sandbox.address}/control/accounts", timeout=5).json()

    assert first == {
        "name": "msp-1",
        "url": sandbox.url,
        "user": sandbox.user,
        "password": sandbox.password,
        "secret": sandbox.secret,
        "marketplace": "us",
        "active": True,
    }


def test_an_account_can_be_added_with_a_world_of_its_own(sandbox, control):
    name = f"added-{len(sandbox.sandbox.all)}"

    added = control("POST", "accounts", {"name": name, "seed": 7, "companies": 3})

    token = requests.post(
        f"{added['url']}token",
        auth=(added["user"], added["password"]),
        headers={"X-Subscription-Key": added["secret"]},
        json={"marketplace": added["marketplace"]},
        timeout=5,
    )
    assert token.status_code == 200
    assert len(sandbox.sandbox.named(name).companies) == 3
    assert "already" in control("POST", "accounts", {"name": name}, status=400)["error"]


def test_an_act_changes_the_books_and_stands_in_the_ledger(odin, control):
    control("POST", "acts", {"do": "set_count", **KEY, "count": "12"})
    new_id = control("POST", "acts", {"do": "renew", "subscription_id": "1000823"})["result"]

    assert odin.count(new_id, "100234") == 12
    assert [(line["field"], line["old"], line["new"]) for line in control("GET", "ledger")] == [
        ("count", "8", "12"),
        ("renewed", "1000823", new_id),
    ]
    books = control("GET", "books")
    [shown] = [each for each in books["subscriptions"] if each["subscription_id"] == new_id]
    assert shown["resources"][0]["count"] == "12"
    assert len(books["companies"]) == 6


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"do": "drop_tables"}, 400, "set_count"),
        ({}, 400, "set_count"),
        ({"do": "_settle"}, 400, "no act"),
        ({"do": "set_count", **KEY}, 400, "count"),
        ({"do": "set_count", **KEY, "count": 9.5}, 400, "exact"),
        ({"do": "set_count", **KEY, "count": "many"}, 400, ""),
        ({"do": "set_count", **KEY, "count": -1}, 400, "below zero"),
        ({"do": "set_count", "subscription_id": "9", "product_id": "1", "count": 1}, 404, "subscription 9"),
    ],
)
def test_an_act_that_cannot_be_done_says_why_and_changes_nothing(odin, control, body, status, words):
    assert words in control("POST", "acts", body, status=status)["error"]
    assert odin.ledger == ()


def test_a_body_that_is_not_json_and_an_unknown_account_are_refused(odin):
    acts = f"{odin.sandbox.address}/control/acts"

    assert requests.post(acts, data="{", timeout=5).status_code == 400
    assert requests.get(f"{odin.sandbox.address}/control/books?account=nobody", timeout=5).status_code == 404
    assert requests.get(acts, timeout=5).status_code == 405


def test_switches_are_read_and_set(odin, control):
    assert control("PATCH", "switches", {"quantity_as": "text", "calls_per_minute": 60})["quantity_as"] == "text"
    assert control("GET", "switches")["calls_per_minute"] == 60
    assert odin.switches.calls_per_minute == 60
    assert "Invalid enum value" in control("PATCH", "switches", {"quantity_as": "roman"}, status=400)["error"]
    assert "no_such" in control("PATCH", "switches", {"no_such": 1}, status=400)["error"]


def test_faults_are_set_seen_and_cleared(odin, control):
    control("POST", "faults", {"kind": "error_504", "path": "/subscriptions/", "calls": 3})
    assert [fault["kind"] for fault in control("GET", "faults")] == ["error_504"]
    with Reader(odin) as reader:
        assert reader.ask("subscriptions/1000823").status_code == 504
        control("DELETE", "faults")
        assert reader.ask("subscriptions/1000823").status_code == 200
        assert [call["fault"] for call in control("GET", "calls")] == ["", "error_504", ""]
    control("DELETE", "calls")
    assert control("GET", "calls") == []
    assert "error_504" in control("POST", "faults", {"kind": "gremlin"}, status=400)["error"]


def test_a_sequel_can_be_set_from_outside(odin, control):
    control("POST", "sequels", {"path": "/orders?", "calls": 1, "act": {"do": "set_count", **KEY, "count": 9}})
    with Reader(odin) as reader:
        first = reader.read("orders", limit=3)
        assert reader.read("orders", limit=3, offset=3)["data"][0]["id"] == ids(first)[-1]
    control("POST", "sequels", {"path": "/orders", "act": {"do": "nothing"}}, status=400)


def test_the_clock_is_read_set_and_moved_on():
    with odin_sandbox(companies=1) as odin:
        clock = f"{odin.sandbox.address}/control/clock"

        requests.post(clock, json={"set": "2026-08-01T00:00:00Z"}, timeout=5).raise_for_status()
        requests.post(clock, json={"advance_seconds": 86400}, timeout=5).raise_for_status()
        now = datetime.fromisoformat(requests.get(clock, timeout=5).json()["now"])

        assert timedelta() <= now - datetime(2026, 8, 2, tzinfo=UTC) < timedelta(minutes=1)
        assert requests.post(clock, json={"set": "2026-08-01T00:00:00"}, timeout=5).status_code == 400
        assert requests.post(clock, json={}, timeout=5).status_code == 400


def test_the_page_shows_the_books_and_nothing_in_a_name_becomes_markup(sandbox):
    page = requests.get(f"{sandbox.sandbox.address}/", timeout=5)

    assert page.status_code == 200
    assert "<img" not in page.text
    assert "Pixel <img src=x onerror=alert(1)> Studio Ltd" in unescape(page.text)
    assert "Repair and Wear" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_the_page_changes_a_count_by_hand(odin):
    address = odin.sandbox.address
    fields = {"do": "set_count", **KEY, "count": "12"}

    page = requests.post(f"{address}/forms/act?account={odin.name}", data=fields, timeout=5)

    assert page.url == f"{address}/?account={odin.name}"
    assert odin.count("1000823", "100234") == 12
    assert 'name="count" value="12"' in page.text


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("act", {"do": "set_count", **KEY, "count": "a <b>lot</b>"}),
        ("act", {"do": "set_count", **KEY, "count": "-5"}),
        ("act", {"do": "no such"}),
        ("fault", {"kind": "gremlin", "calls": "1"}),
        ("fault", {"kind": "reset", "calls": "often"}),
        ("clock", {"advance_seconds": "later"}),
        ("switch", {"switch": "quantity_as", "value": '"roman"'}),
        ("switch", {"switch": "quantity_as", "value": "text"}),
    ],
)
def test_a_form_that_cannot_be_done_says_so_on_the_page(odin, form, fields):
    page = requests.post(f"{odin.sandbox.address}/forms/{form}?account={odin.name}", data=fields, timeout=5)

    assert page.status_code == 400
    assert "Not done:" in page.text
    assert "<b>" not in page.text
    assert odin.ledger == ()


def test_the_pages_other_forms_do_what_they_say(odin):
    forms = f"{odin.sandbox.address}/forms"
    account = {"account": odin.name}

    requests.post(f"{forms}/fault", params=account, data={"kind": "reset", "path": "/orders", "calls": "2"}, timeout=5)
    assert [(fault.kind, fault.path, fault.calls) for fault in odin.faults.waiting] == [("reset", "/orders", 2)]
    requests.post(f"{forms}/no-faults", params=account, timeout=5)
    assert odin.faults.waiting == ()
    requests.post(f"{forms}/switch", params=account, data={"switch": "quantity_as", "value": '"text"'}, timeout=5)
    assert odin.switches.quantity_as == "text"
    before = odin.clock.now()
    requests.post(f"{forms}/clock", params=account, data={"advance_seconds": "60"}, timeout=5)
    assert odin.clock.now() - before >= timedelta(seconds=60)


def test_the_page_of_an_unknown_account_says_so(sandbox):
    page = requests.get(f"{sandbox.sandbox.address}/?account=<b>", timeout=5)

    assert page.status_code == 404
    assert "<b>" not in page.text


def test_a_restarted_sandbox_goes_on_from_its_state_file(tmp_path):
    state_file = tmp_path / "odin.json"
    with odin_sandbox(companies=4, state_file=state_file) as odin:
        odin.clock.advance(timedelta(days=3))
        odin.set_count("1000823", "100234", 12)
        odin.set_cost("1000823", "100234", "3.5512")
        open_order = odin.order_change("1000823", "100234", -2, at_renewal=True)
        odin.switch(quantity_as="text")
        odin.show("1000823", "", "status", '"frozen"')
        odin.add_account("msp-2").vanish("1000823")
        before = (odin.ledger, odin.orders, odin.subscriptions, odin.companies, odin.switches, odin.secret)
        day = odin.clock.today()

    with odin_sandbox(seed=99, companies=1, state_file=state_file) as odin, Reader(odin) as reader:
        assert (odin.ledger, odin.orders, odin.subscriptions, odin.companies, odin.switches, odin.secret) == before
        assert odin.clock.today() == day
        assert odin.order(open_order).status == "processing"
        assert reader.product()["quantity"] == "12.0"
        assert reader.read("subscriptions/1000823")["status"] == "frozen"
        assert "1000823" not in {each.subscription_id for each in odin.sandbox.named("msp-2").subscriptions}
        odin.set_count("1000823", "100234", 13)
        assert len({order.order_id for order in odin.orders}) == len(odin.orders)


def test_a_file_that_is_no_state_file_is_refused_and_left_alone(tmp_path):
    state_file = tmp_path / "odin.json"
    state_file.write_text('{"something": "else"}')

    with pytest.raises(BadStateFile, match="delete it"), odin_sandbox(state_file=state_file):
        pass
    assert state_file.read_text() == '{"something": "else"}'


@pytest.fixture
def command(tmp_path):
    """Runs `python -m deploy.sandbox.odin` with arguments and gives the process; ends it with SIGTERM."""
    running = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.sandbox.odin", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=10)


def test_the_command_serves_until_it_is_stopped_and_changes_keep_coming(command, tmp_path):
    state = str(tmp_path / "odin.json")
    process = command("--port", "0", "--state", state, "--companies", "3", "--changes-every", "0.1")
    address = process.stdout.readline().split()[3].rstrip("/")

    def ledger():
        return requests.get(f"{address}/control/ledger", timeout=5).json()

    wait_for(lambda: len(ledger()) >= 2, seconds=10, what="two changes")
    switches = requests.get(f"{address}/control/switches", timeout=5).json()
    assert (switches["calls_per_minute"], switches["calls_per_day"]) == (60, 5000)
    assert "Gateway URL" in process.stdout.readline()

    process.terminate()
    assert process.wait(timeout=10) == 0
    with odin_sandbox(state_file=tmp_path / "odin.json") as odin:
        assert len(odin.ledger) >= 2
        assert len(odin.companies) == 3


def test_the_command_says_what_to_do_when_it_cannot_start(sandbox, tmp_path):
    taken = sandbox.sandbox.address.rsplit(":", 1)[1]
    broken = tmp_path / "broken.json"
    broken.write_text("not json")

    for arguments, words in (
        (("--port", taken), "choose another --port"),
        (("--port", "0", "--state", str(broken)), "delete it"),
        (("--port", "0", "--companies", "0"), "at least one company"),
        (("--port", "0", "--state", "/no/such/folder/odin.json"), "/no/such/folder"),
    ):
        said = CliRunner().invoke(main, arguments)
        assert said.exit_code == 1
        assert words in said.output
        assert "Traceback" not in said.output


def test_the_command_explains_itself():
    said = CliRunner().invoke(main, ["--help"]).output

    assert all(f"--{option}" in said for option in ("port", "state", "seed", "companies", "changes-every", "latency"))


def test_a_shared_clock_moves_for_all_who_share_it():
    clock = SandboxClock()
    with odin_sandbox(companies=1, clock=clock) as odin:
        clock.advance(timedelta(days=2))
        assert odin.clock.today() == clock.today()
