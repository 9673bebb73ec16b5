"""What was posted and what changed is summed by the day on which it was, in the MSP's time zone."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from domain.events import Event
from domain.keys import MspId
from domain.money import Money
from plumbing.catch_up import _one_batch
from services.reporting.projections import READ_MODELS
from services.reporting.queries import REPORTS, Grouping, Question, Step, read_groups, read_page
from services.reporting.replay import replay
from tests.msps import add_msp
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
A, P = h.odin("a"), h.psa("p")


def told(engine: Engine, msp_id: MspId, at: datetime, *happened: Event) -> None:
    h.append(engine, msp_id, list(happened), occurred_at=at)
    h.project(engine, msp_id)


def days(engine: Engine, msp_id: MspId, connection_id: str = "autotask") -> list[dict[str, Any]]:
    wanted = {"connection_id": {"in": [connection_id]}}
    with engine.connect() as connection:
        return read_page(connection, REPORTS["days"], msp_id, Question(wanted)).rows


def test_a_day_on_which_nothing_was_posted_has_no_row(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, h.BEGAN, h.poll_completed(), h.failed(A, P, "q1"))

    assert days(engine, msp_id) == []


def test_posts_of_a_day_are_summed_up_and_down_with_their_money(engine: Engine, msp_id: MspId) -> None:
    told(engine, msp_id, h.BEGAN, h.posted(A, P, "q1", 8, prorated_price=h.usd("40.10")))
    told(engine, msp_id, h.BEGAN, h.posted(A, P, "q2", -3, prorated_cost=None, prorated_price=h.usd("-15")))

    (row,) = days(engine, msp_id)
    assert (row["day"], row["adjustments"], row["units_up"], row["units_down"]) == (date(2026, 3, 1), 2, 8, 3)
    assert (row["unit_change"], row["count_changes"]) == (5, 0)
    assert (row["prorated_cost"]["amount"], row["prorated_price"]["amount"]) == (Decimal("27.20"), Decimal("25.10"))


def test_a_day_ends_at_midnight_of_the_msps_time_zone(engine: Engine) -> None:
    msp_id = add_msp(engine, "west", time_zone="America/Los_Angeles")
    for hour in (6, 8):
        told(engine, msp_id, datetime(2026, 3, 2, hour, tzinfo=UTC), h.posted(A, P, f"q{hour}"))

    assert [row["day"] for row in days(engine, msp_id)] == [date(2026, 3, 2), date(2026, 3, 1)]


def test_currencies_are_never_summed_and_an_adjustment_counts_once(engine: Engine, msp_id: MspId) -> None:
    euro = Money(Decimal("9.00"), "EUR")
    told(
        engine,
        msp_id,
        h.BEGAN,
        h.posted(A, P, "q1", 8, prorated_price=euro),
        h.posted(A, P, "q2", 1, prorated_cost=None),
    )

    found = {row["currency"]: row for row in days(engine, msp_id)}
    assert {code: row["adjustments"] for code, row in found.items()} == {"EUR": 1, "USD": 0, None: 1}
    assert (found["EUR"]["prorated_cost"], found["USD"]["prorated_price"]) == (None, None)
    assert found["USD"]["prorated_cost"]["amount"] == Decimal("27.20")
    assert (found[None]["units_up"], found[None]["prorated_price"]) == (1, None)


def test_changes_in_odin_are_counted_at_their_marketplace_connection(engine: Engine, msp_id: MspId) -> None:
    told(
        engine, msp_id, h.BEGAN, h.discovered(A, "4"), h.counted(A, "4", "5"), h.counted(A, "5", "6"), h.disappeared(A)
    )

    (row,) = days(engine, msp_id, "odin")
    assert (row["resources_found"], row["count_changes"], row["resources_gone"], row["adjustments"]) == (1, 2, 1, 0)
    assert (row["currency"], row["prorated_price"]) == (None, None)


def test_days_are_grouped_by_month(engine: Engine, msp_id: MspId) -> None:
    for month, day in ((3, 1), (3, 31), (4, 1)):
        told(
            engine,
            msp_id,
            datetime(2026, month, day, 12, tzinfo=UTC),
            h.posted(A, P, f"q{month}{day}", prorated_price=h.usd("10")),
        )

    with engine.connect() as connection:
        groups = read_groups(connection, REPORTS["days"], msp_id, Grouping("day", step=Step.MONTH))
    assert [(group["key"], group["adjustments"], group["prorated_price"]) for group in groups] == [
        ("2026-04-01", "1", [{"amount": "10", "currency": "USD"}]),
        ("2026-03-01", "2", [{"amount": "20", "currency": "USD"}]),
    ]


def test_however_the_log_is_cut_and_when_it_is_rebuilt_the_sums_are_the_same(engine: Engine) -> None:
    happened = [h.discovered(A, "1"), h.disappeared(A), h.discovered(A, "2"), h.counted(A, "2", "3")]
    happened += [h.counted(A, "3", "4"), h.posted(A, P, "q1", 3), h.posted(A, P, "q2", -4), h.disappeared(A)]
    happened += [h.posted(A, P, f"p{n}", n, prorated_price=h.usd(f"{n}.10")) for n in range(3)]
    found = []
    for size in (1, 3, 50):
        msp_id = add_msp(engine, f"msp{size:06}")
        h.append(engine, msp_id, happened)
        while _one_batch(engine, READ_MODELS["days"].living(), msp_id, size):
            pass
        found.append(h.everything(engine, msp_id)["days"])

    replay(engine, ["days"], msp_id)
    assert found == [h.everything(engine, msp_id)["days"]] * 3
