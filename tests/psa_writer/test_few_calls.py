"""How many calls the PSA sees: they fall with the size of the batch (P14: at most 0.06 an adjustment for a thousand, aim 0.03)."""

from datetime import date

import pytest

from domain.events import AdjustmentPosted, CallsCounted
from plumbing import event_log
from tests.psa_writer.writing import AUTOTASK, Writing


@pytest.mark.parametrize("falling", [0, 3])
def test_a_thousand_products_that_change_at_once_cost_few_calls_each(writing: Writing, falling: int) -> None:
    # given a thousand linked products on two hundred agreements that began on many different days; of ten `falling` fall
    lines = []
    for number in range(200):
        agreement = writing.add_agreement(start=date(2026, 1, 1 + number % 28))
        lines += [writing.add_product(4, agreement, f"Service {place}") for place in range(5)]
    writing.request_many([(line, 3 if place % 10 < falling else 6) for place, line in enumerate(lines)])

    # when
    writing.work()

    # then
    assert len(writing.told(AdjustmentPosted)) == len(writing.desk.ledger()) == 1000
    calls = writing.desk.calls.count() - writing.desk.calls.count("getZoneInfo")
    print(f"{calls / 1000} calls an adjustment, {falling} of 10 falling: {writing.desk.calls.totals()}")
    assert calls / 1000 <= 0.06
    assert writing.desk.oracle() == []


def test_nothing_due_costs_no_call(writing: Writing) -> None:
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.work()
    writing.desk.calls.clear()

    writing.settle(3600, step=60)

    assert writing.desk.calls.count() == 0


def test_every_call_that_the_psa_sees_is_told_by_endpoint(writing: Writing) -> None:
    # given
    line = writing.add_product(4)
    writing.request(line, 12)
    writing.work()

    # when
    writing.calls.tell(writing.engine, writing.clock, "psa_writer", after_seconds=0)

    # then
    with writing.engine.connect() as connection:
        head = event_log.head(connection, writing.msp_id)
        [told] = event_log.read(connection, writing.msp_id, 0, head, [CallsCounted.type])
    assert (told.event.connection_id, told.recorded_by) == (AUTOTASK, "psa_writer")
    calls = {each.endpoint: each.calls for each in told.event.endpoints}
    assert calls.pop("getZoneInfo Zone") == 1  # the sandbox, as Autotask, does not count it
    assert sum(calls.values()) == writing.desk.calls.count()
    assert calls["create ContractServiceAdjustment"] == 1
