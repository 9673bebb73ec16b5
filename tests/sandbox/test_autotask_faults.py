"""The sandbox's limits and faults: what is refused or delayed, and what is lost before or after its effect is kept."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import requests
from lxml import etree

from deploy.sandbox.autotask import Desk, autotask_sandbox
from tests.sandbox.autotask_client import Client, query_text, where
from tests.waiting import wait_for

CREATE = ("create", "ContractServiceAdjustment")
JULY_11 = date(2026, 7, 11)


@pytest.fixture(scope="module")
def served() -> Iterator[Desk]:
    with autotask_sandbox() as desk:
        desk.clock.set(datetime(2026, 7, 11, 9, tzinfo=UTC))
        yield desk


@pytest.fixture
def psa(served: Desk, request: pytest.FixtureRequest) -> Desk:
    """An empty database of its own, on the one server of this module."""
    return served.add_tenant(request.node.name)


@pytest.fixture
def client(psa: Desk) -> Client:
    return Client(psa)


@pytest.fixture
def line(psa: Desk) -> int:
    contract = psa.add_contract(psa.add_account("Repair and Wear"), date(2026, 1, 1), date(2026, 12, 31))
    return psa.add_line(contract, "Exchange Online (Plan 1)", 5, "3.40", "10.00")


# Limits


def test_an_hour_used_up_by_a_neighbour_is_refused_until_time_has_passed(psa: Desk, client: Client) -> None:
    psa.limits.latency_scale = 0
    psa.limits.threshold, psa.limits.neighbour = 10, 8

    answers = [client.query("Account") for _ in range(3)]

    assert [each.status for each in answers] == [200, 200, 500]
    assert "threshold of 10 requests" in answers[2].text("faultstring")
    assert psa.calls.count("query", outcome="refused") == 1
    psa.limits.neighbour = 7
    assert client.query("Account").status == 200
    assert client.query("Account").status == 500
    psa.clock.advance(timedelta(minutes=61))
    assert client.query("Account").status == 200


@pytest.mark.parametrize(("used", "delay"), [(0, 0.0), (4998, 0.0), (4999, 0.5), (7498, 0.5), (7499, 1.0)])
def test_the_delay_grows_with_the_part_of_the_hour_that_is_used(psa: Desk, used: int, delay: float) -> None:
    psa.limits.neighbour = used

    assert psa.limits.count_request() == delay


def test_a_fourth_call_at_once_on_one_entity_is_refused_and_one_on_another_is_not(psa: Desk, client: Client) -> None:
    psa.faults.script("time_out", times=3)
    running = [client.begin("query", query_text("Account")) for _ in range(3)]
    wait_for(lambda: psa.calls.count("query", "Account") == 3)

    refused = client.query("account")
    other = client.query("Contract")
    for each in running:
        each.close()

    assert (refused.status, other.status) == (500, 200)
    assert "thread threshold of 3 threads" in refused.text("faultstring")
    wait_for(lambda: client.query("Account").status == 200)


def test_a_refusal_may_have_status_429(psa: Desk, client: Client) -> None:
    psa.switches.set(refusal_status=429)
    psa.limits.threads = 0

    assert client.query("Account").status == 429


def test_bad_logins_in_a_row_lock_the_user_even_for_the_right_password(psa: Desk, client: Client) -> None:
    wrong = Client(psa, password="wrong")
    for _ in range(4):
        assert wrong.query("Account").status == 401
    assert client.query("Account").status == 200

    for _ in range(5):
        assert wrong.query("Account").status == 401

    locked = client.query("Account")
    assert "The user account has been locked." in locked.text("faultstring")
    assert psa.calls.count(outcome="unauthorised") == 9
    psa.unlock()
    assert client.query("Account").status == 200


# Faults of one call


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["time_out", "reset", "cut_off"])
def test_a_broken_line_hides_whether_the_adjustment_is_kept(
    psa: Desk, client: Client, line: int, kind: str, when: str
) -> None:
    psa.faults.script(kind, *CREATE, when=when)

    with pytest.raises(requests.RequestException):
        client.adjust(line, 7, timeout=0.5)

    assert len(psa.ledger(line)) == (1 if when == "after" else 0)
    assert psa.units(line, JULY_11) == (12 if when == "after" else 5)
    assert psa.calls.count(*CREATE, f"{kind} {when}") == 1
    assert client.adjust(line, 1, "2026-07-12").code == "1"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("bad_gateway", 502),
        ("unavailable", 503),
        ("gateway_timeout", 504),
        ("empty", 200),
        ("truncated", 200),
        ("control_character", 200),
    ],
)
def test_an_answer_that_is_no_xml_hides_it_as_well(
    psa: Desk, client: Client, line: int, kind: str, status: int, when: str
) -> None:
    psa.faults.script(kind, *CREATE, when=when)

    answer = client.adjust(line, 7)

    assert answer.status == status
    with pytest.raises(etree.XMLSyntaxError):
        _ = answer.root
    assert len(psa.ledger(line)) == (1 if when == "after" else 0)


def test_a_truncated_answer_looks_like_success_to_a_forgiving_parser(psa: Desk, client: Client, line: int) -> None:
    psa.faults.script("truncated", *CREATE, when="before")

    body = client.adjust(line, 7).body

    assert body.endswith(b"<ReturnCode>1</Retu")
    assert etree.fromstring(body, etree.XMLParser(recover=True)).findtext(".//{*}ReturnCode") == "1"


@pytest.mark.parametrize(
    ("kind", "after"), [("unknown_field_middle", "AdjustedPrice"), ("unknown_field_end", "UnitCost")]
)
def test_a_field_that_no_description_has_may_come_in_an_entity(
    psa: Desk, client: Client, line: int, kind: str, after: str
) -> None:
    psa.faults.script(kind, "query")

    (found,) = client.query("ContractService").entities

    names = list(found)
    assert names[names.index("AddedSinceYesterday") - 1] == after
    assert found["UnitCost"] == "3.40"


def test_an_answer_may_come_byte_by_byte(psa: Desk, client: Client, line: int) -> None:
    psa.faults.script("trickle", "query", seconds=0.001)

    assert client.query("ContractService").entities[0]["id"] == str(line)


def test_a_late_commit_loses_the_answer_and_takes_effect_afterwards(psa: Desk, client: Client, line: int) -> None:
    psa.faults.script("late_commit", *CREATE, seconds=0.3)

    with pytest.raises(requests.ConnectionError):
        client.adjust(line, 7)

    assert psa.ledger(line) == []
    wait_for(lambda: psa.units(line, JULY_11) == 12, seconds=5)
    assert len(psa.ledger(line)) == 1


def test_a_request_may_be_delivered_twice(psa: Desk, client: Client, line: int) -> None:
    psa.faults.script("duplicated", *CREATE)

    assert client.adjust(line, 7).code == "1"

    assert [each.unit_change for each in psa.ledger(line)] == [7, 7]
    assert [each.kind for each in psa.oracle()] == ["same_date"]


def test_a_restored_backup_forgets_a_post_and_the_ledger_tells_so(psa: Desk, client: Client, line: int) -> None:
    psa.faults.script("forget", *CREATE)

    assert client.adjust(line, 7).code == "1"

    assert psa.units(line, JULY_11) == 5
    assert [each.undone for each in psa.ledger(line)] == ["an older backup was restored"]
    assert client.query("ContractNote").entities == []
    assert psa.oracle() == []


def test_a_backup_can_be_taken_and_restored(psa: Desk, client: Client, line: int) -> None:
    backup = psa.backup()
    client.adjust(line, 7)
    psa.approve_and_post(date(2026, 7, 31))

    psa.restore(backup)

    assert psa.units(line, JULY_11) == 5
    assert psa.billing_items() == []
    assert client.adjust(line, 1).code == "1"
    assert psa.units(line, JULY_11) == 6


# Faults that last


def test_a_database_that_moves_answers_401_until_its_zone_is_asked_for_again(
    psa: Desk, client: Client, line: int
) -> None:
    client.url = psa.zone_url
    psa.faults.script("zone_change", *CREATE)

    assert client.adjust(line, 7).status == 401
    assert client.adjust(line, 7).status == 401

    client.url = psa.url
    client.url = client.call("getZoneInfo", f"<UserName>{psa.user}</UserName>").text("URL")
    assert "/zone2/" in client.url
    assert client.adjust(line, 7).code == "1"
    assert len(psa.ledger()) == 1


def test_an_expired_password_is_401_until_it_is_set(psa: Desk, client: Client) -> None:
    psa.faults.script("password_expired")

    assert client.query("Account").status == 401
    assert client.query("Account").status == 401

    psa.set_password("the new one")
    assert client.query("Account").status == 200


def test_without_rights_rows_vanish_and_writes_are_refused(psa: Desk, client: Client, line: int) -> None:
    psa.faults.script("rights_cut", "query", "ContractServiceUnit")

    empty = client.query("ContractServiceUnit")

    assert (empty.code, empty.entities) == ("1", [])
    assert "adequate permissions" in client.adjust(line, 7).errors[0]
    assert "adequate permissions" in client.write("create", "Account", {"AccountName": "A", "AccountType": 1}).errors[0]
    assert "No matching records found." in client.write("update", "ContractService", {"id": line}).errors[0]
    psa.give_rights()
    assert client.adjust(line, 7).code == "1"


# Scripts and chances


def test_a_fault_strikes_only_the_calls_it_is_meant_for_and_as_often_as_told(
    psa: Desk, client: Client, line: int
) -> None:
    psa.faults.script("bad_gateway", "query", "ContractServiceUnit", times=2)

    statuses = [
        client.query(each).status
        for each in ("Account", "ContractServiceUnit", "ContractServiceUnit", "ContractServiceUnit")
    ]

    assert statuses == [200, 502, 502, 200]


def test_the_same_seed_draws_the_same_faults(psa: Desk, client: Client) -> None:
    def outcomes() -> list[str]:
        psa.calls.clear()
        psa.faults.at_random(0.5, seed=7, kinds=("bad_gateway", "empty"))
        for _ in range(12):
            client.query("Account")
        return [each.outcome for each in psa.calls]

    first = outcomes()
    assert first == outcomes()
    assert {"answered", "bad_gateway before"} <= set(first)
    psa.faults.clear()
    assert client.query("Account").status == 200


def test_a_fault_that_does_not_exist_is_refused(psa: Desk) -> None:
    with pytest.raises(ValueError, match="late_commit"):
        psa.faults.script("explosion")
    with pytest.raises(ValueError, match="before or after"):
        psa.faults.script("reset", when="during")


# Databases apart


def test_two_databases_share_ids_and_nothing_else(psa: Desk, client: Client, line: int) -> None:
    other = psa.add_tenant("Another MSP")
    contract = other.add_contract(other.add_account("Its customer"), date(2026, 1, 1), date(2026, 12, 31))
    same_id = other.add_line(contract, "Backup", 2, "1.00", "2.00")
    psa.limits.latency_scale = 0
    psa.limits.threshold = 1

    assert same_id == line
    client.adjust(line, 7)

    assert other.ledger() == []
    assert other.units(line, JULY_11) == 2
    assert Client(other).query("Account", where("id", "greaterthan", 0)).entities[0]["AccountName"] == "Its customer"
    assert Client(other, code=psa.tracking_identifier).query("Account").code == "-1"
    assert client.query("Account").status == 500
    assert Client(other).query("Account").status == 200


def test_a_user_that_is_taken_is_refused(psa: Desk) -> None:
    with pytest.raises(ValueError, match="choose other names"):
        psa.add_tenant("Yet another", user=psa.user)
