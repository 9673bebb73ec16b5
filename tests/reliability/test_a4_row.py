"""Row A4: the writer is killed by SIGKILL at each named step of the protocol, and started again -> each adjustment once.

The service runs as a real process with relay, RabbitMQ and PostgreSQL against the sandbox Autotask over HTTP.
"""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from domain.events import AdjustmentPosted, AdjustmentRequested, RelationSet
from gateway.pausing import Pausing
from plumbing.clock import Clock
from tests.house import House, MspHouse, Part, running_house
from tests.servers import Postgres, Rabbitmq, fresh_database, fresh_vhost, role_url
from tests.waiting import wait_for
from tests.world import World, odin, psa

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.rabbitmq]

STEPS = ("plan", "lease", "read", "mark", "send", "reply", "record")
# Short spans, so that a lease runs out and an outcome is decided within the test.
SPANS = {
    "TRUEUP_LEASE_SECONDS": "2",
    "TRUEUP_SEND_WITHIN_SECONDS": "2",
    "TRUEUP_OUTCOME_MARGIN_SECONDS": "1",
    "TRUEUP_SECOND_LOOK_SECONDS": "1",
}


@pytest.fixture(scope="module")
def house(postgres: Postgres, rabbitmq: Rabbitmq, migrated_template: str) -> Iterator[House]:
    with (
        pytest.MonkeyPatch.context() as environment,
        fresh_database(postgres, migrated_template) as url,
        fresh_vhost(rabbitmq) as vhost,
    ):
        for name, value in SPANS.items():
            environment.setenv(name, value)
        with running_house(url, vhost, ("relay",)) as running:
            yield running


@pytest.fixture
def msp(house: House) -> Iterator[MspHouse]:
    yield house.add_msp()
    for part in house.all_parts:
        if "writer" in part.name:
            part.process.kill()


def ask_for_twelve(house: House, msp: MspHouse, products: int = 3) -> list[int]:
    """Linked products with four units, each wanted to have twelve."""
    lines = [msp.add_line(f"Customer {number}", f"Service {number}", 4) for number in range(products)]
    wishes: list[tuple[str, object]] = []
    for line in lines:
        contract = msp.psa.database.engine.line(line).contract_id
        names = {
            **vars(odin(resource_id=f"r{line}")),
            **vars(psa(psa_agreement_id=str(contract), psa_product_id=str(line))),
        }
        relation = RelationSet(
            **names, relation_id=f"relation-{line}", followed_from=None, hold_first=False, score=None
        )
        wish = AdjustmentRequested(
            **names,
            request_id=uuid4().hex,
            target_units=12,
            target_unit_cost=None,
            target_unit_price=None,
            hold_first=False,
            reason="count changed",
            causes=(),
        )
        wishes += [(f"relation/{line}", relation), (f"request/autotask/{line}", wish)]
    World(house.engine, msp.msp_id).append(*wishes)
    return lines


def dying_writer(house: House, step: str) -> Part:
    """A writer that is killed at the step."""
    environment = {
        "TRUEUP_DATABASE_URL": role_url(house.url, "trueup_psa_writer"),
        "TRUEUP_RABBITMQ_URL": house.rabbitmq_url,
        "TRUEUP_PRIVATE_KEY": house.keys["psa_writer"][0],
        "TRUEUP_PRIVATE_ADDRESSES": "true",
        "TRUEUP_SWEEP_SECONDS": "1",
    }
    part = Part(f"writer dying at {step}", "tests.reliability.dying_writer", (step,), environment)
    house.ended.append(part)
    return part


def check_once(house: House, msp: MspHouse, lines: list[int]) -> None:
    wait_for(lambda: len(msp.events("AdjustmentPosted")) >= len(lines) and msp.settled(), 90, what="the posts")
    told = World(house.engine, msp.msp_id).happened(AdjustmentPosted)
    assert sorted((event.psa_product_id, event.unit_change) for event in told) == [(str(line), 8) for line in lines]
    assert [(each.line_id, each.unit_change) for each in msp.psa.ledger()] == [(line, 8) for line in lines]
    assert [msp.units(line) for line in lines] == [12] * len(lines)
    assert msp.psa.oracle() == []


@pytest.mark.parametrize("step", STEPS)
def test_a4_killed_at_a_named_step_and_started_again_each_adjustment_is_posted_once(
    house: House, msp: MspHouse, step: str
) -> None:
    # given a writer that dies at the step
    lines = ask_for_twelve(house, msp)
    dying = dying_writer(house, step)
    assert dying.process.wait(60) == -9, dying.process.output[-3000:]

    # when
    house.start("psa_writer")

    # then
    check_once(house, msp, lines)


@pytest.mark.parametrize("step", ["read", "mark", "send", "reply"])
def test_a4_killed_after_it_was_approved_what_the_brake_held_is_posted_once(
    house: House, msp: MspHouse, step: str
) -> None:
    # given a change that mode approve holds, and that a person has approved while no writer runs
    msp.decide("mode", "approve")
    lines = ask_for_twelve(house, msp, products=1)
    holding = house.start("psa_writer")
    [held] = wait_for(lambda: msp.events("AdjustmentHeld"), 60, what="the hold")
    seen = {name: held[name] for name in ("request_id", "target_units", "units_before")}
    given = {"items": [seen], "effective": "as_planned", "comment": "", "operation_id": "o1", "actor": "anna"}
    posting = Pausing(house.engine, Clock(), "mara")
    posting.pause(msp.msp_id, "p1", "a test")
    answer = house.ask("psa_writer", "approve", msp_id=msp.msp_id, **given)
    assert answer["results"][0]["ok"]
    holding.process.kill()

    # when a writer dies at the step, and another one is started
    posting.resume(msp.msp_id, "p2")
    dying = dying_writer(house, step)
    assert dying.process.wait(60) == -9, dying.process.output[-3000:]
    house.start("psa_writer")

    # then
    check_once(house, msp, lines)
    assert len(msp.events("AdjustmentHeld")) == len(msp.events("AdjustmentApproved")) == 1


def test_a4_killed_while_the_psa_holds_its_answer_each_adjustment_is_posted_once(house: House, msp: MspHouse) -> None:
    lines = ask_for_twelve(house, msp)
    msp.psa.faults.script("time_out", "create", when="after", seconds=60)
    writer = house.start("psa_writer")
    wait_for(lambda: len(msp.psa.ledger()) == len(lines), 60, what="the effect")

    writer.process.kill()
    house.start("psa_writer")

    check_once(house, msp, lines)


def test_a4_killed_at_every_step_one_after_the_other_each_adjustment_is_posted_once(
    house: House, msp: MspHouse
) -> None:
    lines = ask_for_twelve(house, msp)
    for step in ("mark", "send", "reply"):
        dying = dying_writer(house, step)
        wait_for(lambda: not dying.process.running or msp.settled(), 60, what=f"death at {step}")  # noqa: B023
        dying.process.kill()

    house.start("psa_writer")

    check_once(house, msp, lines)
