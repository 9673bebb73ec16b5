"""A month is looked at, its exceptions accepted, signed off once, opened again and invoiced, all through a real gateway."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import requests

from tests.gateway.closes import CHECKLIST, EDITED, UNLINKED, House, a_house
from tests.gateway.listening import listening
from tests.gateway.serving import TOKEN
from tests.reporting import history as h
from tests.reporting.closing import A, C, P
from tests.reporting.test_close import CAUSES
from tests.servers import Postgres

pytestmark = pytest.mark.postgres
TRIAL = "Trial licences."


@pytest.fixture(scope="module")
def house(postgres: Postgres, migrated_template: str) -> Iterator[House]:
    with a_house(postgres, migrated_template) as opened:
        yield opened


def test_a_month_with_nothing_against_it_is_all_green_and_says_how_old_it_is(house: House) -> None:
    found = house.msp().checklist()

    assert (found["state"], found["green"], found["amber"], found["red"], found["accepted"]) == ("OPEN", 10, 0, 0, 0)
    assert [one["state"] for one in found["checks"]] == ["GREEN"] * 10 + ["OPEN"]
    assert (found["position"], found["signedOff"], found["invoiced"], found["reopened"]) == ("12", None, None, None)
    assert found["checks"][0]["readAt"].endswith("Z")
    assert found["freezeFrom"].endswith("T18:00:00Z")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"msp": "nobody"}, "NO_SUCH_MSP"),
        ({"psa": "odin"}, "NO_SUCH_CONNECTION"),
        ({"psa": "a\0b"}, "BAD_REQUEST"),
        ({"period": "2018-7"}, "BAD_PERIOD"),
        ({"period": "2018-13"}, "BAD_PERIOD"),
        ({"period": "9999-12"}, "BAD_PERIOD"),
    ],
)
def test_a_close_that_there_is_not_is_refused(house: House, given: dict[str, str], code: str) -> None:
    asked = {"msp": house.msp().msp_id, "period": house.period} | given

    assert house.answering.refusal(CHECKLIST, **asked)["code"] == code


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if "catalogue" not in cause])
def test_the_link_of_a_check_leads_to_its_rows(house: House, cause: str) -> None:
    key, happened, state = CAUSES[cause]
    msp = house.msp()
    msp.tell(*happened)

    found = msp.check(key)
    report, query = found["link"]["report"], found["link"]["query"]
    url = f"{house.answering.url}/export/{report}.csv?msp={msp.msp_id}&{query}"
    lines = requests.get(url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30).text.splitlines()

    assert (found["state"], found["rows"]) == (state.upper(), 1)
    assert len(lines) == 2, lines


def test_an_id_with_signs_of_its_own_still_leads_to_its_rows(house: House) -> None:
    msp = house.msp()
    msp.tell(h.discovered(h.odin("x", company="1,2~&\\ü"), "1"), h.discovered(C, "1"))

    link = msp.check("companies")["link"]
    url = f"{house.answering.url}/export/unlinked.csv?msp={msp.msp_id}&{link['query']}"
    lines = requests.get(url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30).text.splitlines()

    assert len(lines) == 3, lines


def test_a_red_check_stands_in_the_way_until_it_is_accepted_with_a_reason(house: House) -> None:
    msp = house.msp()
    msp.tell(UNLINKED)

    blocked = msp.act("signOffClose", reason="I want to.")
    without = msp.refused("acceptCheck", check="unlinked", reason="  ")
    msp.does("acceptCheck", check="unlinked", reason=TRIAL)
    msp.does("signOffClose")

    assert blocked["refusal"]["code"] == "RED_CHECKS"
    assert "Unlinked resources (1)" in blocked["refusal"]["message"]
    assert without == "REASON_MISSING"
    found = msp.checklist()
    assert (found["state"], found["signedOff"]["by"], found["signedOff"]["exceptions"]) == ("SIGNED_OFF", "operator", 1)
    unlinked = found["checks"][0]
    assert (unlinked["state"], unlinked["acceptedBy"], unlinked["reason"]) == ("ACCEPTED", "operator", TRIAL)
    assert unlinked["link"]["query"] == f"f.usageBased=false&asOf={found['position']}"


def test_what_is_accepted_is_red_again_when_there_is_more_of_it(house: House) -> None:
    msp = house.msp()
    msp.tell(UNLINKED)
    msp.does("acceptCheck", check="unlinked", reason=TRIAL)
    msp.tell(h.discovered(h.odin("d"), "1"))

    assert msp.refused("signOffClose") == "RED_CHECKS"


def test_an_amber_check_is_signed_off_with_a_reason_only(house: House) -> None:
    msp = house.msp()
    msp.tell(EDITED)

    assert msp.refused("signOffClose") == "REASON_MISSING"
    msp.does("signOffClose", reason="Corrected by hand.")
    found = msp.checklist()
    assert (found["signedOff"]["reason"], found["signedOff"]["exceptions"], found["amber"]) == (
        "Corrected by hand.",
        1,
        1,
    )


@pytest.mark.parametrize(
    ("check", "code"), [("unlinked", "NOTHING_TO_ACCEPT"), ("invoiced", "NO_SUCH_CHECK"), ("nothing", "NO_SUCH_CHECK")]
)
def test_only_a_check_that_is_not_green_can_be_accepted(house: House, check: str, code: str) -> None:
    assert house.msp().refused("acceptCheck", check=check, reason=TRIAL) == code


def test_a_reason_that_cannot_be_kept_is_refused(house: House) -> None:
    msp = house.msp()

    assert msp.refused("signOffClose", reason="x" * 1001) == "BAD_REASON"
    assert msp.checklist()["state"] == "OPEN"


def test_of_many_who_sign_at_once_one_does(house: House) -> None:
    msp = house.msp()

    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda _: msp.act("signOffClose"), range(8)))

    assert sum(row["ok"] for row in rows) == 1
    assert {row["refusal"]["code"] for row in rows if not row["ok"]} == {"ALREADY_SIGNED_OFF"}
    assert len(msp.events("CloseSignedOff")) == 1


def test_two_who_accept_different_checks_at_once_both_do(house: House) -> None:
    msp = house.msp()
    msp.tell(UNLINKED, EDITED)

    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda key: msp.act("acceptCheck", check=key, reason=TRIAL), ["unlinked", "drifted"]))

    assert [row["ok"] for row in rows] == [True, True]
    assert msp.checklist()["accepted"] == 2


def test_the_same_operation_acts_once_however_often_and_however_fast_it_is_sent(house: House) -> None:
    msp = house.msp()

    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda _: msp.act("signOffClose", operation="once"), range(4)))
    late = msp.act("signOffClose", operation="once")

    assert all(row["ok"] for row in [*rows, late])
    assert len(msp.events("CloseSignedOff")) == 1


def test_a_signed_off_month_takes_no_more_exceptions_and_stays_as_it_was(house: House) -> None:
    msp = house.msp()
    msp.does("signOffClose")
    before = msp.checklist()
    msp.tell(UNLINKED, EDITED, h.poll_failed())

    assert msp.refused("acceptCheck", check="unlinked", reason=TRIAL) == "ALREADY_SIGNED_OFF"
    assert msp.checklist() == before


def test_a_month_is_reopened_with_a_reason_and_signed_off_anew(house: House) -> None:
    msp = house.msp()
    assert msp.refused("reopenClose", reason="Too early.") == "NOT_SIGNED_OFF"
    msp.does("signOffClose")
    msp.does("markInvoiced")
    assert msp.refused("reopenClose", reason="") == "REASON_MISSING"

    msp.does("reopenClose", reason="A contract was missing.")
    msp.tell(EDITED)
    reopened = msp.checklist()
    msp.does("signOffClose", reason="Corrected.")

    assert (reopened["state"], reopened["amber"], reopened["invoiced"]) == ("OPEN", 1, None)
    assert reopened["reopened"]["reason"] == "A contract was missing."
    assert [len(event["checks"]) for event in msp.events("CloseSignedOff")] == [10, 10]
    assert msp.checklist()["signedOff"]["reason"] == "Corrected."


def test_a_month_is_invoiced_once_and_only_when_it_is_signed_off(house: House) -> None:
    msp = house.msp()
    assert msp.refused("markInvoiced") == "NOT_SIGNED_OFF"
    msp.does("signOffClose")
    msp.does("markInvoiced")
    assert msp.refused("markInvoiced") == "ALREADY_INVOICED"

    found = msp.checklist()
    assert (found["state"], found["invoiced"]["by"], found["checks"][-1]["state"]) == ("INVOICED", "operator", "GREEN")


def test_a_month_that_has_not_begun_is_not_signed_off(house: House) -> None:
    later = f"{datetime.now(UTC).year + 1}-12"

    assert house.msp().refused("signOffClose", period=later, reason="Early.") == "NOT_BEGUN"


def test_a_month_is_decided_on_while_the_read_models_lag_and_says_as_of_which_position(house: House) -> None:
    msp = house.msp()
    h.append(house.engine, msp.msp_id, [UNLINKED], occurred_at=datetime.now(UTC))
    msp.does("signOffClose")

    found = msp.checklist()
    assert (found["signedOff"]["position"], found["checks"][0]["rows"]) == ("12", 0)


def test_what_was_decided_is_told_in_the_reports_of_acts_and_of_activity(house: House) -> None:
    msp = house.msp()
    msp.tell(UNLINKED)
    msp.does("acceptCheck", check="unlinked", reason=TRIAL)
    msp.does("signOffClose")
    msp.tell()

    answer = house.answering.data(
        """query($msp: String!) {
          closeActs(mspId: $msp, filter: {act: {in: ["signed_off"]}}) { edges { node { period actedBy exceptions } } }
          activities(mspId: $msp, first: 2) { edges { node { action actor actorKind reason changes } } } }""",
        msp=msp.msp_id,
    )

    (signed,) = (edge["node"] for edge in answer["closeActs"]["edges"])
    assert signed == {"period": house.period, "actedBy": "operator", "exceptions": 1}
    newest, before = (edge["node"] for edge in answer["activities"]["edges"])
    assert (newest["action"], newest["actor"], newest["actorKind"]) == ("close_signed_off", "operator", "person")
    assert (before["reason"], before["changes"]) == (TRIAL, "unlinked: red → accepted; rows: – → 1")


def test_whoever_watches_the_close_is_told_when_something_of_it_may_be_another(house: House) -> None:
    msp = house.msp()
    watch = "subscription($msp: String!) { reportChanged(mspId: $msp, report: CLOSE) { report position } }"

    with listening(house.answering) as listener:
        listener.subscribe(watch, msp=msp.msp_id)
        assert listener.data() == {"report": "CLOSE", "position": "12"}
        msp.tell(EDITED)
        assert listener.data()["position"] == "13"
        msp.does("signOffClose", reason="Corrected by hand.")
        msp.tell()
        assert listener.data()["position"] == "14"


def test_the_names_of_what_feeds_a_check_are_those_of_the_moment(house: House) -> None:
    msp = house.msp()
    msp.tell(h.discovered(C, "1"), h.counted(A, "12", "13"), h.requested(A, P, "q2", 13), h.failed(A, P, "q2"))

    assert msp.check("companies")["names"] == ["Company 9"]
    assert msp.check("failed")["nextTryAt"] == "2026-03-01T08:01:00Z"
