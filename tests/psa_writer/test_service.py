"""The service as real processes: work from its queues, its timer, its answers to calls, and three replicas at once."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from domain.events import AdjustmentPosted, AdjustmentRequested, RelationSet
from tests.house import House, MspHouse, running_house
from tests.servers import Postgres, Rabbitmq, fresh_database, fresh_vhost
from tests.waiting import wait_for
from tests.world import World, odin, psa

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]


@pytest.fixture(scope="module")
def house(postgres: Postgres, rabbitmq: Rabbitmq, migrated_template: str) -> Iterator[House]:
    with (
        fresh_database(postgres, migrated_template) as url,
        fresh_vhost(rabbitmq) as vhost,
        running_house(url, vhost, ("relay", "psa_writer")) as running,
    ):
        yield running


@pytest.fixture
def msp(house: House) -> MspHouse:
    return house.add_msp()


def ask(house: House, msp: MspHouse, line: int, units: int) -> str:
    """The id of a wish for units of a linked product."""
    contract = msp.psa.database.engine.line(line).contract_id
    names = {
        **vars(odin(resource_id=f"r{line}")),
        **vars(psa(psa_agreement_id=str(contract), psa_product_id=str(line))),
    }
    request_id = uuid4().hex
    relation = RelationSet(**names, relation_id=f"relation-{line}", followed_from=None, hold_first=False, score=None)
    wish = AdjustmentRequested(
        **names,
        request_id=request_id,
        target_units=units,
        target_unit_cost=None,
        target_unit_price=None,
        hold_first=False,
        reason="count changed",
        causes=(),
    )
    World(house.engine, msp.msp_id).append((f"relation/{line}", relation), (f"request/autotask/{line}", wish))
    return request_id


def test_a_new_connection_has_its_catalogue_read_by_itself(house: House, msp: MspHouse) -> None:
    line = msp.add_line("Contoso", "Hosted mail", 4)

    [product] = wait_for(lambda: msp.events("PsaProductObserved", psa_product_id=str(line)), 60, what="the catalogue")

    assert product["psa_product_name"] == "Hosted mail"
    assert [event["psa_customer_name"] for event in msp.events("PsaCustomerObserved")][-1] == "Contoso"


def test_what_the_brake_holds_is_approved_by_two_people_by_calls(house: House) -> None:
    # given
    msp = house.add_msp(brake=True)
    msp.decide("freeze_hours", "0")
    line = msp.add_line("Contoso", "Hosted mail", 4)
    request = ask(house, msp, line, 400)
    wait_for(lambda: msp.events("AdjustmentHeld", request_id=request), 60, what="the hold")

    def approve(actor: str) -> list[bool]:
        given = {"items": [{"request_id": request, "target_units": 400, "units_before": 4}], "effective": "as_planned"}
        answer = house.ask(
            "psa_writer", "approve", msp_id=msp.msp_id, comment="", operation_id=uuid4().hex, actor=actor, **given
        )
        return [result["ok"] for result in answer["results"]]

    # when
    refused = house.ask("psa_writer", "retry", msp_id=msp.msp_id, request_ids=[request], actor="maria")
    approved = [approve("maria"), approve("maria"), approve("jo")]

    # then
    assert refused["results"][0]["refusal"]["code"] == "held"
    assert approved == [[True], [False], [True]]
    wait_for(lambda: msp.events("AdjustmentPosted", request_id=request), 60, what="the post")
    assert msp.units(line) == 400


def test_a_preview_and_a_test_of_the_connection_are_answered(house: House, msp: MspHouse) -> None:
    line = msp.add_line("Contoso", "Hosted mail", 4)
    wish = {
        "psa_connection_id": "autotask",
        "psa_agreement_id": str(msp.psa.database.engine.line(line).contract_id),
        "psa_product_id": str(line),
        "target_units": 12,
    }

    shown = house.ask("psa_writer", "preview", msp_id=msp.msp_id, wishes=[wish])
    tested = house.ask("psa_writer", "test_connection", msp_id=msp.msp_id, connection_id="autotask")
    unknown = house.ask("psa_writer", "test_connection", msp_id=msp.msp_id, connection_id="none")

    assert [change["unit_change"] for change in shown["rows"][0]["changes"]] == [8]
    assert all(step["ok"] for step in tested["steps"])
    assert tested["steps"]
    assert unknown["refusal"]["code"] == "unknown"


def test_a_silent_psa_ends_its_test_long_before_it_would_end_a_post(house: House, msp: MspHouse) -> None:
    # Longer than whoever asks waits here.
    msp.psa.faults.script("time_out", "getThresholdAndUsageInfo", seconds=90)

    tested = house.ask("psa_writer", "test_connection", msp_id=msp.msp_id, connection_id="autotask")

    assert [(step["step"], step["ok"]) for step in tested["steps"]] == [("zone", True), ("sign-in", False)]


def test_three_replicas_at_once_share_the_work_and_double_nothing(house: House) -> None:
    # given three writers, and wishes of several MSPs that keep coming
    for replica in (2, 3):
        house.start("psa_writer", replica).wait_until_ready()
    msps = [house.add_msp() for _ in range(4)]
    lines = {msp.msp_id: [msp.add_line(f"C{n}", f"S{n}", 4) for n in range(6)] for msp in msps}

    # when
    for units in (6, 9, 12):
        for msp in msps:
            for line in lines[msp.msp_id]:
                ask_again(house, msp, line, units)

    # then
    for msp in msps:
        wait_for(msp.settled, 120, what="the posts")
        told = sorted(
            (event.psa_product_id, event.effective_date, event.unit_change)
            for event in World(house.engine, msp.msp_id).happened(AdjustmentPosted)
        )
        assert told == sorted((str(each.line_id), each.effective_date, each.unit_change) for each in msp.psa.ledger())
        assert {sum(each.unit_change for each in msp.psa.ledger(line)) for line in lines[msp.msp_id]} == {8}
        assert msp.psa.oracle() == []


def ask_again(house: House, msp: MspHouse, line: int, units: int) -> None:
    """A newer wish supersedes the older one, as reconciler's do."""
    from domain.events import AdjustmentSuperseded

    world = World(house.engine, msp.msp_id)
    before = [e for e in world.happened(AdjustmentRequested) if e.psa_product_id == str(line)]
    request_id = ask(house, msp, line, units)
    if before:
        event = AdjustmentSuperseded(
            request_id=before[-1].request_id,
            superseded_by=request_id,
            psa_connection_id=before[-1].psa_connection_id,
            psa_product_id=str(line),
            reason="count changed",
        )
        world.append((f"request/autotask/{line}", event))


def test_writers_that_end_in_order_have_told_of_every_call(house: House, msp: MspHouse) -> None:
    # given
    msp.add_line("Contoso", "Hosted mail", 4)
    wait_for(lambda: msp.events("PsaProductObserved"), 60, what="the catalogue")
    assert msp.events("CallsCounted") == []

    # when
    for part in house.parts.values():
        if part.name == "psa_writer":
            assert part.process.stop() == 0

    # then
    told = [each for event in msp.events("CallsCounted") for each in event["endpoints"]]
    counted = sum(each["calls"] for each in told if each["endpoint"] != "getZoneInfo Zone")  # as Autotask counts
    assert counted == msp.psa.calls.count() > 0
