"""Counts with the time for which they held: no gap, no overlap, and on any past day what the resource was on that day."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from sqlalchemy import Engine, text

from domain.events import Event
from domain.keys import MspId
from plumbing.catch_up import Slice
from services.reporting.past import counts_at
from services.reporting.projections import READ_MODELS
from services.reporting.queries import REPORTS, Question, read_page
from services.reporting.replay import replay
from tests.reporting import history as h
from tests.reporting.test_projections import HISTORIES, fresh_msp, many, one_slice

pytestmark = pytest.mark.postgres
A, P = h.odin("a"), h.psa("p")
SAME = ("status", "count", "unit_cost", "unit_cost_currency", "unit_price", "unit_price_currency")
LINK = ("relation_id", "psa_connection_id", "psa_product_id")


def ranges(engine: Engine, msp_id: MspId, *happened: Event) -> list[dict[str, Any]]:
    h.append(engine, msp_id, happened)
    h.project(engine, msp_id)
    return sorted(h.rows(engine, "counts", msp_id), key=lambda row: (row["resource_key"], row["from_position"]))


def test_a_count_holds_until_the_next_one(engine: Engine, msp_id: MspId) -> None:
    found = ranges(engine, msp_id, h.discovered(A, "4"), h.counted(A, "4", "12"), h.costed(A, "3.50", None))

    assert [(r["from_position"], r["to_position"], r["count"], r["unit_cost"]) for r in found] == [
        (1, 2, 4, 3.4),
        (2, 3, 12, 3.4),
        (3, None, 12, 3.5),
    ]
    assert [r["valid_from"] for r in found[1:]] == [r["valid_to"] for r in found[:-1]]


def test_what_changes_nothing_begins_no_range(engine: Engine, msp_id: MspId) -> None:
    again = (h.renamed(A, "New"), h.counted(A, "4", "4"), h.cleared(A, P), h.discovered(A, "4"))

    assert len(ranges(engine, msp_id, h.discovered(A, "4"), *again)) == 1


def test_a_range_says_to_what_the_resource_was_linked(engine: Engine, msp_id: MspId) -> None:
    found = ranges(engine, msp_id, h.discovered(A, "4"), h.linked(A, P), h.cleared(A, P))

    assert [(r["relation_id"], r["psa_product_id"]) for r in found] == [(None, None), ("r1", "p"), (None, None)]


def test_a_renewal_ends_the_old_resource_and_names_the_subscription_that_the_new_one_went_on_from(
    engine: Engine, msp_id: MspId
) -> None:
    new = h.odin("a", subscription="9")

    found = ranges(engine, msp_id, h.discovered(A, "4"), h.discovered(new, "4"), h.renewed(A, to="9"))

    assert [(r["subscription_id"], r["status"], r["count"]) for r in found] == [
        ("1000823", "active", 4),
        ("1000823", "ended", 0),
        ("9", "active", 4),
    ]
    assert [(r["subscription_id"], r["previous_subscription_id"]) for r in h.rows(engine, "renewals", msp_id)] == [
        ("9", "1000823")
    ]


def test_a_clock_that_was_set_back_makes_no_range_that_ends_before_it_begins(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(A, "4")])
    h.append(engine, msp_id, [h.counted(A, "4", "5")], occurred_at=h.BEGAN - timedelta(days=1))

    first, second = ranges(engine, msp_id)
    assert first["valid_from"] == first["valid_to"] == second["valid_from"]


def test_what_changed_nothing_has_no_say_in_when_the_next_range_begins(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(A, "4")])
    h.append(engine, msp_id, [h.renamed(A, "Another")], occurred_at=h.BEGAN + timedelta(days=2))
    h.append(engine, msp_id, [h.counted(A, "4", "5")], occurred_at=h.BEGAN + timedelta(days=1))

    while one_slice(engine, READ_MODELS["counts"], msp_id, 1):
        pass
    (at_once,) = replay(engine, ["counts"], msp_id)

    assert at_once.equal
    assert [row["valid_from"][:10] for row in ranges(engine, msp_id)] == ["2026-03-01", "2026-03-02"]


@many
@given(happened=HISTORIES)
def test_at_every_position_the_range_that_holds_it_is_the_resource_as_it_was_then(
    engine: Engine, happened: list[Event]
) -> None:
    msp_id = fresh_msp(engine)
    h.append(engine, msp_id, happened)
    while one_slice(engine, READ_MODELS["counts"], msp_id, 7):
        pass
    found = ranges(engine, msp_id)

    assert_whole(found)
    later = fresh_msp(engine)
    h.append(engine, later, happened)
    for position in range(1, len(happened) + 1):
        one_slice(engine, READ_MODELS["resources"], later, 1)
        resources = {
            row["resource_key"].split("/", 1)[1]: {name: row[name] for name in SAME + LINK}
            for row in h.rows(engine, "resources", later)
        }
        then = {
            row["resource_key"].split("/", 1)[1]: {name: row[name] for name in SAME + LINK}
            for row in found
            if row["from_position"] <= position < (row["to_position"] or len(happened) + 1)
        }
        assert then == resources


def assert_whole(found: list[dict[str, Any]]) -> None:
    """Of each resource the ranges follow one another without gap or overlap, and only the last is open."""
    for row, after in pairwise([*found, None]):
        if after is not None and after["resource_key"] == row["resource_key"]:
            assert (row["to_position"], row["valid_to"]) == (after["from_position"], after["valid_from"])
        else:
            assert (row["to_position"], row["valid_to"]) == (None, None)


def test_the_cost_of_one_event_does_not_grow_with_the_ranges(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(h.odin(str(n), subscription=str(n % 50)), "1") for n in range(3000)])
    h.append(engine, msp_id, [h.counted(h.odin(str(n), subscription=str(n % 50)), "1", "2") for n in range(3000)])
    h.project(engine, msp_id)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    h.append(
        engine, msp_id, [h.counted(h.odin("7", subscription="7"), "2", "3"), h.renewed(h.odin(subscription="8"), "9")]
    )

    rows_read = text("SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables")
    with engine.begin() as connection:
        before = connection.scalar(rows_read)
        READ_MODELS["counts"].living().fold(connection, Slice(msp_id, 6000, 6002))
        # One count, and the sixty resources of the renewed subscription.
        assert connection.scalar(rows_read) - before < 500


def test_the_report_leaves_out_what_was_replaced_in_the_same_moment_and_names_the_renewed_subscription(
    engine: Engine, msp_id: MspId
) -> None:
    new = h.odin("a", subscription="9")
    h.append(engine, msp_id, [h.discovered(new, "4"), h.counted(new, "4", "5")], occurred_at=h.BEGAN)
    h.append(engine, msp_id, [h.renewed(A, to="9")])
    h.project(engine, msp_id)

    with engine.connect() as connection:
        (row,) = read_page(connection, REPORTS["counts"], msp_id, Question()).rows
    assert (row["count"], row["valid_from"], row["valid_to"]) == (5, h.BEGAN, None)
    assert (row["renewed_from"], row["resource_name"]) == ("1000823", "Resource a")


def test_what_a_resource_counted_at_a_moment_is_found_by_one_step_into_an_index(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(A, "0")])
    h.append(engine, msp_id, [h.counted(A, None, str(n)) for n in range(1, 2000)])
    h.project(engine, msp_id)
    rows_read = text("SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables")

    with engine.connect() as connection:
        before = connection.scalar(rows_read)
        newest = counts_at(connection, msp_id, [h.key(A), "unknown"], h.BEGAN + timedelta(minutes=2000, seconds=30))
        assert connection.scalar(rows_read) - before < 10
        earlier = counts_at(connection, msp_id, [h.key(A)], h.BEGAN + timedelta(minutes=13, seconds=1))
        too_early = counts_at(connection, msp_id, [h.key(A)], h.BEGAN)

    assert {key: row["count"] for key, row in newest.items()} == {h.key(A): 1999}
    assert earlier[h.key(A)]["count"] == 12
    assert too_early == {}
