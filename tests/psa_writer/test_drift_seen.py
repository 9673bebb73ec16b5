"""A hand in the sandbox Autotask -> the drift that reporting shows, through the real writer, SOAP and the log."""

from datetime import timedelta
from typing import Any

import pytest

from services.psa_writer.catalogue import read_catalogue
from services.reporting.queries import REPORTS, Question, read_page
from tests.psa_writer.writing import AUTOTASK, TODAY, Writing
from tests.reporting import history
from tests.world import count_changed, discovered, odin

pytestmark = pytest.mark.postgres


def drift(writing: Writing) -> dict[str, Any]:
    """The row of the only linked product, after the PSA was read again."""
    read_catalogue(writing.writer(), writing.msp_id, AUTOTASK)
    history.project(writing.engine, writing.msp_id)
    with writing.engine.connect() as connection:
        (row,) = read_page(connection, REPORTS["drift"], writing.msp_id, Question()).rows
    return row


def three(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["count"], row["ledger_units"], row["psa_units"], row["kind"]


def linked_at_12(writing: Writing) -> int:
    """A product brought from 4 to 12 units by the writer."""
    line = writing.add_product(4)
    writing.world.append(discovered(odin(resource_id=f"r{line}"), "12"))
    writing.request(line, 12)
    writing.work()
    return line


def test_what_a_hand_did_in_the_psa_is_edited_by_hand_after_the_next_reading(writing: Writing) -> None:
    # given
    line = linked_at_12(writing)
    assert three(drift(writing)) == (12, 12, 12, "equal")

    # when
    writing.wait(3600)
    writing.desk.edit_units(line, 13, TODAY)

    # then
    row = drift(writing)
    assert three(row) == (12, 12, 13, "edited_by_hand")
    assert row["since"] == writing.clock.now()
    assert (row["money_per_month"]["amount"], row["money_per_month"]["currency"]) == (10, "USD")


def test_our_change_taken_twice_is_probably_a_double_post(writing: Writing) -> None:
    line = linked_at_12(writing)
    drift(writing)

    writing.desk.edit_units(line, 20, TODAY)

    assert three(drift(writing)) == (12, 12, 20, "probable_double_post")


def test_a_fall_that_waits_for_the_next_period_is_scheduled_and_equal_once_it_has_come(writing: Writing) -> None:
    # given a fall, which by policy counts from the next period
    line = linked_at_12(writing)
    drift(writing)
    resource = odin(resource_id=f"r{line}")
    writing.world.append(count_changed(resource, "9"))
    writing.request(line, 9)
    writing.work()

    # when, then
    assert three(drift(writing)) == (9, 12, 12, "scheduled")
    writing.wait(timedelta(days=22).total_seconds())
    assert three(drift(writing)) == (9, 9, 9, "equal")
