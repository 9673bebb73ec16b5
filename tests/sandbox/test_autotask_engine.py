"""The sandbox's adjustment engine: periods, rows, prorations, the ledger, and each switch."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import domain.periods
from deploy.sandbox.autotask.billing import approve_and_post
from deploy.sandbox.autotask.books import Books
from deploy.sandbox.autotask.engine import Engine, Origin, Refused, Wish
from deploy.sandbox.autotask.oracle import violations
from deploy.sandbox.autotask.periods import PeriodType, billing_periods
from deploy.sandbox.autotask.records import Account, Adjustment, BillingItem, Contract, Line, Note, Service
from deploy.sandbox.autotask.switches import Switches, choices
from deploy.sandbox.autotask.unit_rows import seen

API = Origin("api@msp.example", 1)
LINE = 8001
CONTRACT = 29730000
SERVICE = 1201
ALWAYS = date.max


def make_engine(units: int = 5, start: date = date(2026, 1, 1), period: str = "monthly", **switches: object) -> Engine:
    """One contract with one line: unit cost 3.40, unit price 10.00."""
    settings_ = Switches()
    settings_.set(**switches)
    engine = Engine(Books(), settings_, lambda: datetime(2026, 7, 11, 9, tzinfo=UTC))
    engine.add_account(Account(29683500, "Repair and Wear"))
    engine.add_contract(Contract(CONTRACT, 29683500, "Cloud", start, date(2026, 12, 31), PeriodType(period)))
    engine.add_service(Service(SERVICE, "Exchange Online", PeriodType(period), Decimal("3.40"), Decimal("10.00")))
    cost, price = Decimal("3.40"), Decimal("10.00")
    engine.add_line(Line(LINE, CONTRACT, SERVICE, start, units, cost, price, cost, price, price))
    return engine


def adjust(engine: Engine, day: date, change: int | str = 0, **more: object) -> Adjustment:
    wish: dict[str, object] = {"line_id": LINE, **more}
    return engine.adjust(Wish(day, Decimal(change), **wish), API)  # type: ignore[arg-type]


def spans(engine: Engine, line_id: int = LINE, today: date = ALWAYS) -> list[tuple[date, date, int]]:
    return [(row.start, row.end, row.units) for row in seen(engine.rows(line_id), engine.switches, today)]


# Periods


def test_a_monthly_contract_has_a_row_for_each_month() -> None:
    rows = make_engine().rows(LINE)

    assert [(row.start, row.end) for row in rows[:2]] == [
        (date(2026, 1, 1), date(2026, 1, 31)),
        (date(2026, 2, 1), date(2026, 2, 28)),
    ]
    assert len(rows) == 12


def test_a_contract_of_the_31st_is_clipped_in_short_months_and_comes_back_to_the_31st() -> None:
    periods = billing_periods(date(2027, 12, 31), date(2028, 4, 15), PeriodType.MONTHLY)

    assert [(each.start, each.end) for each in periods] == [
        (date(2027, 12, 31), date(2028, 1, 30)),
        (date(2028, 1, 31), date(2028, 2, 28)),
        (date(2028, 2, 29), date(2028, 3, 30)),
        (date(2028, 3, 31), date(2028, 4, 15)),
    ]


@pytest.mark.parametrize(("period", "count"), [("monthly", 24), ("quarterly", 8), ("semi-annual", 4), ("yearly", 2)])
def test_two_years_have_as_many_periods_as_the_type_says(period: str, count: int) -> None:
    periods = billing_periods(date(2026, 3, 15), date(2028, 3, 14), PeriodType(period))

    assert len(periods) == count
    assert periods[-1].end == date(2028, 3, 14)


@given(st.dates(date(2020, 1, 1), date(2032, 12, 31)), st.integers(0, 1500), st.sampled_from(PeriodType))
def test_the_sandbox_and_trueup_count_the_same_periods(start: date, days: int, period: PeriodType) -> None:
    end = start + timedelta(days=days)
    name = "half_yearly" if period == "semi-annual" else period.value

    ours = domain.periods.periods(start, domain.periods.PeriodType(name), end)

    theirs = billing_periods(start, end, PeriodType(name))
    assert [(each.first_day, each.last_day) for each in ours] == [(each.start, each.end) for each in theirs]


# Adjusting


def test_seven_more_on_the_11th_of_july_are_prorated_to_47_4194() -> None:
    engine = make_engine()

    adjustment = adjust(engine, date(2026, 7, 11), 7)

    assert adjustment.proration_price == Decimal("47.4194")
    assert adjustment.proration_cost == Decimal("16.1226")
    assert adjustment.prorated


def test_a_change_inside_a_period_splits_its_row_and_changes_all_later_ones() -> None:
    engine = make_engine()

    adjust(engine, date(2026, 7, 11), 7)

    july = [each for each in spans(engine) if each[0].month == 7]
    assert july == [(date(2026, 7, 1), date(2026, 7, 10), 5), (date(2026, 7, 11), date(2026, 7, 31), 12)]
    assert [engine.units(LINE, day) for day in (date(2026, 6, 30), date(2026, 8, 1), date(2026, 12, 31))] == [5, 12, 12]


def test_row_totals_are_units_times_amount_times_their_share_of_the_period() -> None:
    engine = make_engine()

    adjust(engine, date(2026, 7, 11), 7)

    first, second = [row for row in engine.rows(LINE) if row.start.month == 7]
    assert (first.price, second.price) == (Decimal("16.1290"), Decimal("81.2903"))
    assert second.cost == Decimal("27.6387")


def test_a_change_at_a_period_start_changes_the_row_and_is_not_prorated() -> None:
    engine = make_engine()
    rows_before = {row.id for row in engine.rows(LINE)}

    adjustment = adjust(engine, date(2026, 8, 1), -2)

    assert not adjustment.prorated
    assert {row.id for row in engine.rows(LINE)} == rows_before
    assert [engine.units(LINE, day) for day in (date(2026, 7, 31), date(2026, 8, 1))] == [5, 3]


def test_an_increase_keeps_a_decrease_that_is_already_scheduled() -> None:
    engine = make_engine(units=10)
    adjust(engine, date(2026, 8, 1), -2)

    adjust(engine, date(2026, 7, 11), 1)

    assert [engine.units(LINE, day) for day in (date(2026, 7, 11), date(2026, 8, 1))] == [11, 9]


def test_a_cost_alone_changes_the_cost_of_the_line_and_of_the_days_from_then_on() -> None:
    engine = make_engine()

    adjustment = adjust(engine, date(2026, 7, 11), unit_cost=Decimal("4.00"))

    assert engine.line(LINE).unit_cost == Decimal("4.00")
    assert engine.units(LINE, date(2026, 7, 11)) == 5
    assert adjustment.proration_cost == Decimal("2.0323")
    assert adjustment.proration_price == 0


def test_a_price_changes_what_is_billed_and_leaves_the_list_price() -> None:
    engine = make_engine()

    adjust(engine, date(2026, 8, 1), unit_price=Decimal("11.00"))

    line = engine.line(LINE)
    assert (line.unit_price, line.adjusted_price) == (Decimal("10.00"), Decimal("11.00"))


def test_a_contract_and_service_without_a_line_begin_one_on_that_day() -> None:
    engine = make_engine()
    engine.add_service(Service(1202, "Backup", PeriodType.MONTHLY, Decimal(2), Decimal(5)))

    adjustment = adjust(engine, date(2026, 7, 11), 3, line_id=None, contract_id=CONTRACT, service_id=1202)

    assert adjustment.line_id != LINE
    assert spans(engine, adjustment.line_id)[0] == (date(2026, 7, 11), date(2026, 7, 31), 3)
    assert engine.units(adjustment.line_id, date(2026, 7, 10)) == 0


def test_a_service_is_on_a_contract_twice_only_when_that_is_allowed() -> None:
    engine = make_engine()
    pair = {"line_id": None, "contract_id": CONTRACT, "service_id": SERVICE}

    same = adjust(engine, date(2026, 7, 11), 1, **pair)
    second = adjust(engine, date(2026, 7, 12), 1, allow_repeat=True, **pair)

    assert same.line_id == LINE
    assert second.line_id != LINE
    with pytest.raises(Refused, match="more than once"):
        adjust(engine, date(2026, 7, 13), 1, **pair)


@pytest.mark.parametrize(
    ("day", "change", "more", "text"),
    [
        (date(2026, 7, 11), 1, {"line_id": 9}, "required field ContractServiceID"),
        (date(2026, 7, 11), 1, {"line_id": None, "contract_id": 1, "service_id": SERVICE}, "required field ContractID"),
        (date(2026, 7, 11), 1, {"line_id": None, "contract_id": CONTRACT}, "required field ServiceID"),
        (date(2026, 7, 11), 1, {"contract_id": 7}, "does not belong"),
        (date(2025, 12, 31), 1, {}, "effectiveDate must be between"),
        (date(2027, 1, 1), 1, {}, "effectiveDate must be between"),
        (date(2026, 7, 11), "1.5", {}, "must be an integer"),
        (date(2026, 7, 11), -6, {}, "negative"),
    ],
)
def test_what_a_rule_forbids_is_refused_and_changes_nothing(
    day: date, change: int | str, more: dict, text: str
) -> None:
    engine = make_engine()
    before = spans(engine)

    with pytest.raises(Refused, match=text):
        adjust(engine, day, change, **more)

    assert spans(engine) == before
    assert engine.books.all(Adjustment) == []


def test_a_decrease_below_a_later_scheduled_one_is_refused() -> None:
    engine = make_engine(units=5)
    adjust(engine, date(2026, 9, 1), -4)

    with pytest.raises(Refused, match="negative"):
        adjust(engine, date(2026, 7, 11), -2)


def test_a_contract_that_is_not_recurring_takes_no_adjustment() -> None:
    engine = make_engine()
    engine.add_contract(replace(engine.contract(CONTRACT), contract_type=1))

    with pytest.raises(Refused, match="Recurring"):
        adjust(engine, date(2026, 7, 11), 1)


def test_an_adjustment_leaves_a_contract_note_of_its_user() -> None:
    engine = make_engine()

    adjust(engine, date(2026, 7, 11), 7)

    (note,) = engine.books.children(Note, CONTRACT)
    assert "+7" in note.description


# Switches


def test_rows_may_hold_the_change_only_and_still_sum_to_the_units() -> None:
    engine = make_engine(mid_period_row="change")

    adjust(engine, date(2026, 7, 11), 7)
    adjust(engine, date(2026, 7, 21), -2)

    july = [each for each in spans(engine) if each[0].month == 7]
    assert july == [
        (date(2026, 7, 1), date(2026, 7, 31), 5),
        (date(2026, 7, 11), date(2026, 7, 31), 7),
        (date(2026, 7, 21), date(2026, 7, 31), -2),
    ]
    assert [each[2] for each in spans(engine) if each[0].month == 8] == [10]


def test_a_cut_row_may_end_on_the_effective_date() -> None:
    engine = make_engine(row_end="effective_date")

    adjust(engine, date(2026, 7, 11), 7)

    assert (date(2026, 7, 1), date(2026, 7, 11), 5) in spans(engine)
    assert (date(2026, 7, 11), date(2026, 7, 31), 12) in spans(engine)


def test_rows_made_late_appear_when_their_period_begins_or_an_adjustment_is_dated_into_it() -> None:
    engine = make_engine(future_rows="made_late")
    july = date(2026, 7, 11)
    assert [each[0].month for each in spans(engine, today=july)] == [1, 2, 3, 4, 5, 6, 7]

    adjust(engine, date(2026, 9, 1), 1)

    assert [each[0].month for each in spans(engine, today=july)] == [1, 2, 3, 4, 5, 6, 7, 9]


@pytest.mark.parametrize(
    ("same_date", "refused_days"),
    [
        ("accepted", []),
        ("duplicate_mid_period", [date(2026, 7, 11)]),
        ("duplicate", [date(2026, 7, 11), date(2026, 8, 1)]),
    ],
)
def test_a_second_adjustment_on_one_date_is_taken_or_refused(same_date: str, refused_days: list[date]) -> None:
    engine = make_engine(same_date=same_date)
    for day in (date(2026, 7, 11), date(2026, 8, 1)):
        adjust(engine, day, 1)

        if day in refused_days:
            with pytest.raises(Refused, match="duplicate data into contract_service_period"):
                adjust(engine, day, 1)
        else:
            adjust(engine, day, 1)


def test_a_date_in_a_posted_period_is_taken_refused_or_moved() -> None:
    taken, refused, moved = (make_engine(posted_period=each) for each in ("accepted", "refused", "moved"))
    for engine in (taken, refused, moved):
        approve_and_post(engine, date(2026, 7, 31))

    adjust(taken, date(2026, 7, 11), 7)
    adjust(moved, date(2026, 7, 11), 7)
    with pytest.raises(Refused, match="approved and posted"):
        adjust(refused, date(2026, 7, 11), 7)

    assert taken.units(LINE, date(2026, 7, 11)) == 12
    assert moved.units(LINE, date(2026, 7, 31)) == 5
    assert moved.units(LINE, date(2026, 8, 1)) == 12


def test_a_change_below_zero_may_be_cut_down_to_zero() -> None:
    engine = make_engine(below_zero="clamped")

    adjustment = adjust(engine, date(2026, 7, 11), -9)

    assert adjustment.unit_change == -5
    assert engine.units(LINE, date(2026, 7, 11)) == 0


def test_contract_notes_may_be_off() -> None:
    engine = make_engine(contract_notes=False)

    adjust(engine, date(2026, 7, 11), 1)

    assert engine.books.all(Note) == []


def test_a_switch_that_does_not_exist_is_refused_with_the_ones_that_do() -> None:
    with pytest.raises(ValueError, match="mid_period_row"):
        Switches().set(rows="total")
    with pytest.raises(ValueError, match="'total' or 'change'"):
        Switches().set(mid_period_row="delta")
    with pytest.raises(ValueError, match="contract_notes"):
        Switches().set(contract_notes=1)


# Approve & Post, the contract's end, hand edits


def test_approve_and_post_bills_the_period_and_the_proration_to_two_places() -> None:
    engine = make_engine()
    adjustment = adjust(engine, date(2026, 7, 11), 7)

    items = [each for each in approve_and_post(engine, date(2026, 7, 31)) if each.item_date.month == 7]

    period, proration = items
    assert (period.total, period.our_cost) == (Decimal("50.00"), Decimal("17.00"))
    assert (proration.total, proration.our_cost, proration.adjustment_id) == (
        Decimal("47.42"),
        Decimal("16.12"),
        adjustment.id,
    )
    assert all(row.approved_at for row in engine.rows(LINE) if row.start.month == 7)
    assert not any(row.approved_at for row in engine.rows(LINE) if row.start.month == 8)


def test_approving_twice_bills_nothing_twice() -> None:
    engine = make_engine()
    adjust(engine, date(2026, 7, 11), 7)
    approve_and_post(engine, date(2026, 7, 31))

    assert approve_and_post(engine, date(2026, 7, 31)) == []


def test_a_change_in_a_posted_period_is_billed_as_a_proration_next_time() -> None:
    engine = make_engine()
    approve_and_post(engine, date(2026, 7, 31))

    adjust(engine, date(2026, 7, 1), 1)

    assert [(each.total, each.period_row_id) for each in approve_and_post(engine, date(2026, 7, 31))] == [
        (Decimal("10.00"), None)
    ]


def test_cutting_the_end_of_a_contract_deletes_what_lies_behind() -> None:
    engine = make_engine()
    scheduled = adjust(engine, date(2026, 11, 1), 4)

    engine.set_contract_end(CONTRACT, date(2026, 9, 15))

    assert spans(engine)[-1] == (date(2026, 9, 1), date(2026, 9, 15), 5)
    assert engine.books.get(Adjustment, scheduled.id).undone
    assert violations(engine) == []


def test_a_longer_contract_carries_the_last_units_on() -> None:
    engine = make_engine()
    adjust(engine, date(2026, 12, 10), 2)

    engine.set_contract_end(CONTRACT, date(2027, 2, 28))

    assert engine.units(LINE, date(2027, 2, 28)) == 7
    assert violations(engine) == []


def test_units_set_by_hand_are_in_the_ledger_as_such_and_no_switch_hinders_them() -> None:
    engine = make_engine(same_date="duplicate", posted_period="refused")
    adjust(engine, date(2026, 7, 11), 1)

    edit = engine.set_units_by_hand(LINE, 9, date(2026, 7, 11))

    assert engine.units(LINE, date(2026, 7, 11)) == 9
    assert edit.by_hand
    assert edit.unit_change == 3
    assert engine.set_units_by_hand(LINE, 9, date(2026, 7, 11)) is None


def test_the_days_of_a_removed_line_are_gone_and_the_ledger_still_tells_its_adjustments() -> None:
    engine = make_engine()
    adjust(engine, date(2026, 7, 11), 1)

    engine.remove_line(LINE)

    assert engine.books.get(Line, LINE) is None
    assert engine.units(LINE, date(2026, 7, 11)) == 0
    assert [each.undone for each in engine.books.all(Adjustment)] == ["the line was removed"]


# Transactions and the oracle


def test_what_fails_in_a_transaction_leaves_nothing_of_what_went_before() -> None:
    engine = make_engine()
    before = spans(engine)

    def adjust_well_and_badly() -> None:
        with engine.books.transaction():
            adjust(engine, date(2026, 7, 11), 1)
            adjust(engine, date(2027, 7, 11), 1)

    with pytest.raises(Refused):
        adjust_well_and_badly()

    assert spans(engine) == before
    assert engine.books.all(Adjustment) == engine.books.all(Note) == engine.books.all(BillingItem) == []


def test_the_oracle_names_two_adjustments_on_one_date() -> None:
    engine = make_engine()
    for day in (date(2026, 7, 11), date(2026, 8, 1)):
        adjust(engine, day, 1)
        adjust(engine, day, 1)

    assert [(each.kind, each.day) for each in violations(engine)] == [
        ("same_date", date(2026, 7, 11)),
        ("same_date_at_period_start", date(2026, 8, 1)),
    ]


def test_the_oracle_names_rows_prorations_and_units_that_do_not_add_up() -> None:
    engine = make_engine()
    adjustment = adjust(engine, date(2026, 7, 11), 7)
    january, february, march, *_ = engine.rows(LINE)
    with engine.books.transaction():
        engine.books.put(replace(adjustment, proration_price=Decimal("47.42")))
        engine.books.put(replace(january, units=6))
        engine.books.put(replace(february, cost=Decimal(1)))
        engine.books.drop(march)

    assert {each.kind for each in violations(engine)} == {"proration_off", "units_off", "row_total_off"}


DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 31))
CHANGES = st.tuples(DAYS, st.integers(-6, 9), st.none() | st.decimals("0.01", 99, places=4), st.booleans())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(CHANGES, max_size=8),
    st.sampled_from(PeriodType),
    st.dates(date(2025, 11, 28), date(2026, 1, 1)),
    st.sampled_from(choices()["mid_period_row"]),
)
def test_whatever_is_adjusted_rows_and_prorations_agree_with_the_ledger_on_every_day(
    changes: list, period: PeriodType, start: date, rows: str
) -> None:
    engine = make_engine(units=3, start=start, period=period, mid_period_row=rows)
    expected = dict.fromkeys(DAYS_OF_2026, 3)

    for day, change, cost, post in changes:
        try:
            adjust(engine, day, change, unit_cost=cost)
        except Refused:
            assert min(units for each, units in expected.items() if each >= day) + change < 0
        else:
            expected = {each: units + change * (each >= day) for each, units in expected.items()}
        if post:
            approve_and_post(engine, day)

    shown = seen(engine.rows(LINE), engine.switches, ALWAYS)
    for day, units in expected.items():
        covering = [row.units for row in shown if row.start <= day <= row.end]
        assert sum(covering) == units == engine.units(LINE, day)
    assert [each for each in violations(engine) if not each.kind.startswith("same_date")] == []


@settings(max_examples=40, deadline=None)
@given(st.lists(CHANGES, max_size=6), st.sampled_from(PeriodType))
def test_what_is_billed_in_a_year_is_what_the_rows_come_to(changes: list, period: PeriodType) -> None:
    engine = make_engine(units=50, period=period)
    for day, change, cost, post in sorted(changes, key=lambda each: each[0]):
        adjust(engine, day, change, unit_cost=cost, unit_price=cost)
        if post:
            approve_and_post(engine, day)

    approve_and_post(engine, date(2026, 12, 31))

    items, rows = engine.books.all(BillingItem), engine.rows(LINE)
    rounding = Decimal("0.005") * len(items) + Decimal("0.0001") * len(rows)
    if all(not post for *_, post in changes):
        assert abs(sum(item.total for item in items) - sum(row.price for row in rows)) <= rounding
    assert len({item.period_row_id for item in items if item.period_row_id}) == len({row.period for row in rows})


DAYS_OF_2026 = [date.fromordinal(date(2026, 1, 1).toordinal() + number) for number in range(365)]
