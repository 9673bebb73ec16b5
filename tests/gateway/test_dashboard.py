"""The first page's cards say what their reports say, money by currency, of one MSP only."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from domain.money import Money
from tests.gateway.serving import Answering, gateway
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import role_url

pytestmark = [pytest.mark.postgres]
QUERY = """query($msp: String! = "acme", $context: Psa) { dashboard(mspId: $msp, context: $context) {
  unlinked { rows pricePerMonth { amount currency } } held { rows unitChange } failed { rows oldestAt topKind }
  drift { rows moneyPerMonth { amount currency } } posted { rows since unitChange moneySecured { amount currency } }
  leakTrend { date notBilled { amount currency } overBilled { amount currency } }
  close { psaConnectionId period dueOn state red amber checks }
  firstSteps { key done } } }"""
CHECKLIST = """query($period: String!) { closeChecklist(mspId: "acme", psaConnectionId: "autotask", period: $period) {
  red amber dueOn state } }"""
REPORTS = """{
  unlinked(mspId: "acme") { totals { rows pricePerMonth { amount currency } } }
  heldAdjustments(mspId: "acme") { totals { rows unitChange } }
  drift(mspId: "acme", filter: {kind: {in: ["edited_by_hand", "both", "probable_double_post"]}}) {
    totals { rows moneyPerMonth { amount currency } } }
  adjustments(mspId: "acme", filter: {adjustmentDate: {from: "%s"}}) {
    totals { rows unitChange proratedPrice { amount currency } } } }"""
A, B, C = h.odin("a"), h.odin("b", subscription="2"), h.odin("c", subscription="3")
P, Q, R = h.psa("p"), h.psa("q"), h.psa("r")


@pytest.fixture
def lived(engine: Engine) -> MspId:
    """One MSP with something on every card: posted last year and just now, held, failed, edited by hand, unlinked twice."""
    msp_id = add_msp(engine)
    euro = {"unit_price": Money(Decimal("3.00"), "EUR")}
    h.append(
        engine,
        msp_id,
        [
            *(h.subscription(names) for names in (A, B, C)),
            h.discovered(A, "12"),
            h.discovered(B, "2"),
            h.discovered(C, "2", **euro),
            *(h.product(each) for each in (P, Q, R)),
            h.linked(A, P),
            h.units(P, 4),
            h.requested(A, P, "q1"),
            h.posted(A, P, "q1", 8),
            h.units(P, 13),
            h.units(Q, 5),
            h.held(B, Q, "q2"),
            h.failed(C, R, "q3"),
        ],
    )
    h.append(engine, msp_id, [h.posted(A, P, "q4", -3)], occurred_at=datetime.now(UTC))
    h.project(engine, msp_id)
    return msp_id


@pytest.fixture
def own_gateway(database: str) -> Iterator[Answering]:
    with gateway(role_url(database, "trueup_gateway")) as answering:
        yield answering


def test_each_card_says_what_its_report_says(lived: MspId, own_gateway: Answering) -> None:
    # when
    said = own_gateway.data(QUERY)["dashboard"]
    reports = own_gateway.data(REPORTS % said["posted"]["since"])

    # then
    totals = {name: report["totals"] for name, report in reports.items()}
    assert said["unlinked"] == totals["unlinked"]
    assert [money["currency"] for money in said["unlinked"]["pricePerMonth"]] == ["EUR", "USD"]
    assert said["held"] == totals["heldAdjustments"]
    assert said["held"]["rows"] == 1
    assert said["drift"] == totals["drift"]
    secured = totals["adjustments"].pop("proratedPrice")
    posted = {name: said["posted"][name] for name in ("rows", "unitChange")}
    assert (posted, said["posted"]["moneySecured"]) == (totals["adjustments"], secured)
    assert (said["posted"]["rows"], said["posted"]["unitChange"]) == (1, "-3")
    assert (said["failed"]["rows"], said["failed"]["topKind"]) == (1, "unreachable")
    assert datetime.fromisoformat(said["failed"]["oldestAt"]) == h.BEGAN + timedelta(minutes=17)


def connect(engine: Engine, *connection_ids: str) -> None:
    with engine.begin() as connection:
        for connection_id in connection_ids:
            connection.execute(
                text("INSERT INTO setup.connections VALUES ('acme', :id, 'autotask', '{}', '{}', 1, now())"),
                {"id": connection_id},
            )


def test_a_context_leaves_what_is_of_other_psas_out_of_the_cards(
    lived: MspId, own_gateway: Answering, engine: Engine
) -> None:
    # given what happened in a PSA that has no connection of the kind
    whole = own_gateway.data(QUERY)["dashboard"]
    none = own_gateway.data(QUERY, context="AUTOTASK")["dashboard"]
    assert [none[name]["rows"] for name in ("held", "failed", "drift", "posted")] == [0] * 4
    assert none["unlinked"] == whole["unlinked"]
    assert (none["close"], none["leakTrend"][-1]["overBilled"]) == ([], [])

    # when
    connect(engine, "autotask")

    # then
    assert own_gateway.data(QUERY, context="AUTOTASK")["dashboard"] == own_gateway.data(QUERY)["dashboard"]
    h.append(engine, lived, [h.poll_failed()])
    h.project(engine, lived)
    of_all, of_one = (own_gateway.data(QUERY, context=psa)["dashboard"]["failed"] for psa in (None, "AUTOTASK"))
    assert (of_all["rows"], of_one["rows"]) == (2, 1)


def test_the_trend_of_leaks_ends_with_what_the_cards_say(lived: MspId, own_gateway: Answering) -> None:
    said = own_gateway.data(QUERY)["dashboard"]

    trend = said["leakTrend"]
    assert len(trend) == 30
    assert trend == sorted(trend, key=lambda day: day["date"])
    assert trend[-1]["notBilled"] == said["unlinked"]["pricePerMonth"]


def test_the_close_at_hand_says_what_the_checklist_says(lived: MspId, own_gateway: Answering, engine: Engine) -> None:
    connect(engine, "autotask")

    (found,) = own_gateway.data(QUERY)["dashboard"]["close"]

    checklist = own_gateway.data(CHECKLIST, period=found["period"])["closeChecklist"]
    assert {name: found[name] for name in checklist} == checklist
    assert (found["psaConnectionId"], found["checks"]) == ("autotask", 11)
    assert found["red"] > 0


def test_a_checklist_is_of_the_only_connection_unless_there_are_several(
    lived: MspId, own_gateway: Answering, engine: Engine
) -> None:
    query = """{ closeChecklist(mspId: "acme", context: AUTOTASK, period: "2026-03") { psaConnectionId } }"""
    assert own_gateway.refusal(query)["code"] == "NO_SUCH_CONNECTION"

    connect(engine, "autotask")
    assert own_gateway.data(query)["closeChecklist"] == {"psaConnectionId": "autotask"}

    connect(engine, "second")
    refused = own_gateway.refusal(query)
    assert refused["code"] == "WHICH_CONNECTION"
    assert "autotask, second" in refused["message"]


def test_first_steps_are_done_one_after_the_other(lived: MspId, own_gateway: Answering, engine: Engine) -> None:
    def steps(msp: str) -> dict[str, bool]:
        return {step["key"]: step["done"] for step in own_gateway.data(QUERY, msp=msp)["dashboard"]["firstSteps"]}

    fresh = add_msp(engine, "fresh")
    assert steps(fresh) == {"CONFIGURE": False, "MAP": False, "FOLLOW": False}

    with engine.begin() as connection:
        for kind in ("odin", "autotask"):
            connection.execute(
                text("INSERT INTO setup.connections VALUES ('fresh', :kind, :kind, '{}', '{}', 1, now())"),
                {"kind": kind},
            )
    assert steps(fresh) == {"CONFIGURE": True, "MAP": False, "FOLLOW": False}
    assert steps(lived) == {"CONFIGURE": False, "MAP": True, "FOLLOW": True}


def test_another_msp_sees_nothing_of_it(lived: MspId, own_gateway: Answering, engine: Engine) -> None:
    said = own_gateway.data(QUERY, msp=add_msp(engine, "other"))["dashboard"]

    assert [said[name]["rows"] for name in ("unlinked", "held", "failed", "drift", "posted")] == [0] * 5
    assert (said["failed"]["oldestAt"], said["failed"]["topKind"], said["unlinked"]["pricePerMonth"]) == (
        None,
        None,
        [],
    )
    assert own_gateway.refusal(QUERY, msp="nobody")["code"] == "NO_SUCH_MSP"
