"""judge_outcome: rows before, what was sent, rows now -> applied, not applied, or someone else edited."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.autotask.engine import Engine
from domain.money import Money
from services.psa_writer.judge_outcome import Evidence, Judgement, Sent, Verdict, judge_outcome
from tests.psa_writer.engine_rows import END, LINE, START, adjust, make_engine, rows_of

DAY = date(2026, 7, 11)
AUGUST = date(2026, 8, 1)
SINCE, UNTIL = date(2026, 7, 1), date(2026, 8, 7)


def read(engine: Engine) -> Evidence:
    return Evidence(rows_of(engine, DAY, SINCE, UNTIL), Money(engine.line(LINE).unit_cost, "USD"))


def judge(before: Evidence, sent: Sent, engine: Engine, calibration="total", *, replied: bool = False) -> Judgement:
    return judge_outcome(before, sent, read(engine), SINCE, UNTIL, calibration, replied=replied)


@pytest.mark.parametrize("row_end", ["day_before", "effective_date"])
def test_a_change_that_landed_is_applied(row_end: str) -> None:
    engine = make_engine(4, row_end=row_end)
    before = read(engine)
    adjust(engine, DAY, 8)

    found = judge(before, Sent({DAY: 8}, None), engine)

    assert found.verdict == Verdict.APPLIED
    assert "12" in found.seen


def test_rows_as_before_mean_that_it_was_not_applied() -> None:
    engine = make_engine(4)

    assert judge(read(engine), Sent({DAY: 8}, None), engine).verdict == Verdict.NOT_APPLIED


def test_rows_as_before_contradict_nothing_but_a_reply() -> None:
    engine = make_engine(4)

    assert judge(read(engine), Sent({DAY: 8}, None), engine, replied=True).verdict == Verdict.NOT_APPLIED


def test_an_edit_by_hand_on_top_of_ours_is_an_edit() -> None:
    engine = make_engine(4)
    before = read(engine)
    adjust(engine, DAY, 8)
    engine.set_units_by_hand(LINE, 9, DAY + timedelta(2))

    assert judge(before, Sent({DAY: 8}, None), engine).verdict == Verdict.EDITED


def test_an_edit_by_hand_instead_of_ours_is_an_edit() -> None:
    engine = make_engine(4)
    before = read(engine)
    engine.set_units_by_hand(LINE, 9, DAY)

    assert judge(before, Sent({DAY: 8}, None), engine).verdict == Verdict.EDITED


def test_a_change_that_was_delivered_twice_is_told_as_doubled() -> None:
    engine = make_engine(4)
    before = read(engine)
    adjust(engine, DAY, 8)
    adjust(engine, DAY, 8)

    assert judge(before, Sent({DAY: 8}, None), engine).verdict == Verdict.DOUBLED


def test_a_date_that_the_psa_moved_by_a_day_is_told_as_misdated() -> None:
    engine = make_engine(4)
    before = read(engine)
    adjust(engine, DAY - timedelta(1), 8)

    assert judge(before, Sent({DAY: 8}, None), engine).verdict == Verdict.MISDATED


def test_two_dates_of_one_plan_are_judged_together() -> None:
    engine = make_engine(10)
    before = read(engine)
    adjust(engine, AUGUST, 2)
    adjust(engine, DAY, 2)
    assert judge(before, Sent({DAY: 2, AUGUST: 2}, None), engine).verdict == Verdict.APPLIED

    half = make_engine(10)
    adjust(half, DAY, 2)

    assert judge(before, Sent({DAY: 2, AUGUST: 2}, None), half).verdict == Verdict.EDITED


def test_a_row_that_was_invoiced_meanwhile_is_no_edit() -> None:
    from deploy.sandbox.autotask.billing import approve_and_post

    engine = make_engine(4)
    before = read(engine)
    approve_and_post(engine, DAY)

    assert judge(before, Sent({DAY: 8}, None), engine).verdict == Verdict.NOT_APPLIED


# Costs


def test_a_cost_alone_is_applied_when_it_shows() -> None:
    engine = make_engine(5)
    before = read(engine)
    adjust(engine, DAY, 0, Decimal("4.00"))

    assert judge(before, Sent({DAY: 0}, Money(Decimal("4"), "USD")), engine).verdict == Verdict.APPLIED


def test_a_cost_alone_that_does_not_show_was_not_applied_unless_the_psa_said_so() -> None:
    engine = make_engine(5)
    sent = Sent({DAY: 0}, Money(Decimal("4"), "USD"))

    assert judge(read(engine), sent, engine).verdict == Verdict.NOT_APPLIED
    assert judge(read(engine), sent, engine, replied=True).verdict == Verdict.APPLIED


# Calibration


@pytest.mark.parametrize("rows", ["total", "change"])
def test_the_first_change_inside_a_period_shows_how_the_psa_keeps_rows(rows: str) -> None:
    engine = make_engine(4, mid_period_row=rows)
    before = read(engine)
    adjust(engine, DAY, 8)

    found = judge(before, Sent({DAY: 8}, None), engine, "unknown")

    assert (found.verdict, found.calibration) == (Verdict.APPLIED, rows)


def test_a_change_at_a_period_start_shows_nothing_about_rows() -> None:
    engine = make_engine(4)
    before = read(engine)
    adjust(engine, AUGUST, -1)

    found = judge(before, Sent({AUGUST: -1}, None), engine, "unknown")

    assert (found.verdict, found.calibration) == (Verdict.APPLIED, "unknown")


def test_a_change_from_zero_units_shows_nothing_about_rows() -> None:
    engine = make_engine(0)
    before = read(engine)
    adjust(engine, DAY, 8)

    assert judge(before, Sent({DAY: 8}, None), engine, "unknown").calibration == "unknown"


# Random histories

DAYS = st.integers(0, 364).map(lambda number: START + timedelta(number))


@settings(max_examples=200, deadline=None)
@given(
    units=st.integers(5, 20),
    history=st.lists(st.tuples(DAYS, st.integers(-3, 9)), max_size=4),
    sent=st.dictionaries(DAYS, st.integers(-2, 9).filter(bool), min_size=1, max_size=2),
    rows=st.sampled_from(["total", "change"]),
    row_end=st.sampled_from(["day_before", "effective_date"]),
    landed=st.sampled_from(["no", "yes", "twice"]),
)
def test_whatever_the_rows_were_a_post_is_judged_as_what_it_was(units, history, sent, rows, row_end, landed) -> None:
    engine = make_engine(units + 20, mid_period_row=rows, row_end=row_end)
    for day, change in history:
        adjust(engine, day, change)
    before = Evidence(rows_of(engine, DAY), None)
    for _ in range({"no": 0, "yes": 1, "twice": 2}[landed]):
        for day, change in sent.items():
            adjust(engine, day, change)

    found = judge_outcome(
        before, Sent(sent, None), Evidence(rows_of(engine, DAY), None), START, END, rows, replied=False
    )

    expected = {"no": Verdict.NOT_APPLIED, "yes": Verdict.APPLIED, "twice": Verdict.DOUBLED}
    assert found.verdict == expected[landed]
