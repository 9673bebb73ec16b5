"""Any passing fault at any call, before or after its effect, while counts go up and down -> once faults stop, all is level."""

from random import Random

import pytest

from domain.events import AdjustmentParked, AdjustmentPosted
from tests.psa_writer.writing import Writing

# What leaves no trace that would need a person: a double delivery, and a yes without an effect, are rows of their own.
KINDS = (
    "reset", "cut_off", "bad_gateway", "unavailable", "gateway_timeout", "empty", "truncated", "control_character",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_whatever_goes_wrong_on_the_way_each_change_is_posted_once_and_units_end_at_the_target(
    writing: Writing, seed: int
) -> None:
    # given products of several agreements, and an Autotask that fails at one call of five
    random = Random(seed)
    writing.desk.switches.set(
        mid_period_row=random.choice(["total", "change"]),
        row_end=random.choice(["day_before", "effective_date"]),
        same_date=random.choice(["accepted", "duplicate"]),
        reply_id=random.choice(["real", "null"]),
    )
    agreements = [writing.add_agreement() for _ in range(3)]
    lines = [writing.add_product(random.randint(3, 9), random.choice(agreements), f"S{n}") for n in range(8)]
    targets: dict[int, int] = {}
    writing.desk.faults.at_random(0.2, seed, KINDS)
    writers = [writing.writer(), writing.writer()]

    # when counts change and time goes by
    for _ in range(14):
        for line in random.sample(lines, random.randint(0, 4)):
            targets[line] = random.randint(1, 14)
            writing.request(line, targets[line])
        for _ in range(random.randint(1, 6)):
            writing.work(random.choice(writers))
            writing.wait(random.choice([5, 40, 200]))
        writing.wait(random.choice([0, 86_400]))
    writing.desk.faults.clear()
    writing.settle(1800)

    # then
    assert set(writing.states().values()) <= {"done", "superseded"}
    assert [event.message for event in writing.told(AdjustmentParked)] == []
    told = sorted((e.psa_product_id, e.effective_date, e.unit_change) for e in writing.told(AdjustmentPosted))
    ledger = sorted((str(e.line_id), e.effective_date, e.unit_change) for e in writing.desk.ledger())
    assert told == ledger
    last = max((day for _, day, _ in ledger), default=writing.clock.today("UTC"))
    assert {line: writing.units(line, last) for line in targets} == targets
    assert writing.desk.oracle() == []
