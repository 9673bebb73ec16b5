"""Groups for charts: their keys, labels, sums and shares hold all rows of the filter, however few groups are shown."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from domain.keys import MspId
from domain.money import Money
from services.reporting.queries import REPORTS, BadQuestion, Grouping, Kind, Question, Step, read_groups, read_page
from tests.msps import add_msp
from tests.reporting import history as h
from tests.reporting.test_projections import many

pytestmark = pytest.mark.postgres
P = h.psa("p")


def eur(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def grouped(engine: Engine, report: str, msp_id: MspId, by: str, **more: Any) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return read_groups(connection, REPORTS[report], msp_id, Grouping(by, **more))


def bought(engine: Engine, msp_id: MspId, *resources: tuple[str, str, str | None, Money | None]) -> None:
    """Resources as (id, company, count, unit cost)."""
    told: list[Any] = []
    for name, company, count, cost in resources:
        names = h.odin(name, subscription=f"s{name}", company=company)
        told += [h.subscription(names), h.discovered(names, count, unit_cost=cost, unit_price=None)]
    h.append(engine, msp_id, told)
    h.project(engine, msp_id)


def test_an_empty_report_has_no_groups(engine: Engine, msp_id: MspId) -> None:
    assert grouped(engine, "subscriptions", msp_id, "company_id") == []


def test_licences_per_company_the_heaviest_first_and_the_rest_as_other(engine: Engine, msp_id: MspId) -> None:
    bought(
        engine,
        msp_id,
        ("a", "1", "10", h.usd("2")),
        ("b", "2", "30", h.usd("1")),
        ("c", "2", "10", eur("3")),
        ("d", "3", "5", h.usd("1")),
        ("e", "4", None, None),
    )

    groups = grouped(engine, "subscriptions", msp_id, "company_id", first=2)

    assert groups == [
        {
            "key": "2",
            "label": "Company 2",
            "other": False,
            "rows": 2,
            "share": Decimal("0.727273"),
            "count": "40",
            "cost_per_month": [{"amount": "30.00", "currency": "EUR"}, {"amount": "30.00", "currency": "USD"}],
            "price_per_month": [],
        },
        {
            "key": "1",
            "label": "Company 1",
            "other": False,
            "rows": 1,
            "share": Decimal("0.181818"),
            "count": "10",
            "cost_per_month": [{"amount": "20.00", "currency": "USD"}],
            "price_per_month": [],
        },
        {
            "key": None,
            "label": "Other",
            "other": True,
            "rows": 2,
            "share": Decimal("0.090909"),
            "count": "5",
            "cost_per_month": [{"amount": "5.00", "currency": "USD"}],
            "price_per_month": [],
        },
    ]


def test_rows_without_a_value_are_a_group_that_is_not_other(engine: Engine, msp_id: MspId) -> None:
    bought(engine, msp_id, ("a", "1", "1", h.usd("2")))

    (group,) = grouped(engine, "subscriptions", msp_id, "psa_product_id")

    assert (group["key"], group["label"], group["other"], group["rows"]) == (None, None, False, 1)


def test_without_licences_nothing_has_a_share(engine: Engine, msp_id: MspId) -> None:
    bought(engine, msp_id, ("a", "1", None, None))

    (group,) = grouped(engine, "subscriptions", msp_id, "company_id")

    assert (group["share"], group["count"], group["cost_per_month"]) == (None, "0", [])


def test_the_columns_own_filter_is_left_out_when_asked(engine: Engine, msp_id: MspId) -> None:
    bought(engine, msp_id, ("a", "1", "1", None), ("b", "2", "2", None), ("c", "2", "9", None))
    wanted = {"company_id": {"in": ["1"]}, "count": {"lte": Decimal(5)}}

    chosen = grouped(engine, "subscriptions", msp_id, "company_id", filter=wanted)
    among = grouped(engine, "subscriptions", msp_id, "company_id", filter=wanted, ignore_own_filter=True)

    assert [(g["key"], g["rows"]) for g in chosen] == [("1", 1)]
    assert [(g["key"], g["rows"]) for g in among] == [("2", 1), ("1", 1)]


@pytest.mark.parametrize(
    ("step", "keys"),
    [
        (None, [("2026-03-01", 2), ("2026-02-28", 1), (None, 1)]),
        (Step.WEEK, [("2026-02-23", 3), ("2026-01-26", 1)]),
        (Step.MONTH, [("2026-03-01", 2), ("2026-02-01", 1), (None, 1)]),
    ],
)
def test_days_weeks_and_months_are_those_of_the_time_zone_and_the_newest_are_kept(
    engine: Engine, step: Step | None, keys: list[tuple[str | None, int]]
) -> None:
    east = add_msp(engine, "east", "Pacific/Kiritimati")  # fourteen hours ahead
    moments = [
        datetime(2026, 1, 31, 9, tzinfo=UTC),  # there: Saturday, 31 January
        datetime(2026, 2, 28, 9, tzinfo=UTC),
        datetime(2026, 2, 28, 10, tzinfo=UTC),  # there: Sunday, 1 March
        datetime(2026, 2, 28, 12, tzinfo=UTC),
    ]
    for number, moment in enumerate(moments):
        h.append(engine, east, [h.posted(h.odin(), P, f"q{number}")], occurred_at=moment)
    h.project(engine, east)

    for column in ("adjustment_date", "posted_at"):
        groups = grouped(engine, "adjustments", east, column, first=2, step=step)
        assert [(g["key"], g["rows"]) for g in groups] == keys
        assert sum(g["share"] for g in groups) == 1


@pytest.mark.parametrize(
    ("grouping", "why"),
    [
        ({"by": "no_such"}, "no column"),
        ({"by": "unit_cost"}, "money"),
        ({"by": "company_id", "step": Step.WEEK}, "no day"),
        ({"by": "company_id", "first": 0}, "1 to 300"),
        ({"by": "company_id", "first": 301}, "1 to 300"),
        ({"by": "company_id", "filter": {"no_such": {"in": ["a"]}}}, "no column"),
    ],
)
def test_a_bad_grouping_is_refused_with_what_can_be_asked(
    engine: Engine, msp_id: MspId, grouping: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadQuestion, match=why):
        grouped(engine, "subscriptions", msp_id, **grouping)


@pytest.mark.parametrize("report", REPORTS)
def test_every_report_is_grouped_by_every_column_but_money(engine: Engine, msp_id: MspId, report: str) -> None:
    a, q = h.odin("a"), h.psa("q")
    h.append(engine, msp_id, [h.discovered(a), h.linked(a, P), h.posted(a, P, "q1"), h.failed(a, q, "q2")])
    h.project(engine, msp_id)
    with engine.connect() as connection:
        page = read_page(connection, REPORTS[report], msp_id, Question())
    for name, column in REPORTS[report].columns.items():
        if column.kind is Kind.MONEY:
            continue
        groups = grouped(engine, report, msp_id, name)
        assert sum(group["rows"] for group in groups) == page.total_count


RESOURCES = st.tuples(
    st.sampled_from("123"),
    st.sampled_from([None, "0", "1", "2.5", "40"]),
    st.sampled_from([None, h.usd("1.333"), h.usd("2"), eur("0.105")]),
)


@many
@given(resources=st.lists(RESOURCES, max_size=10), first=st.integers(1, 4), by=st.sampled_from(["company_id", "count"]))
def test_groups_hold_all_that_the_totals_hold(
    engine: Engine, resources: list[tuple[str, str | None, Money | None]], first: int, by: str
) -> None:
    with engine.connect() as connection:
        msp_id = add_msp(engine, f"g{connection.scalar(text('SELECT count(*) FROM setup.msps'))}")
    bought(engine, msp_id, *((f"r{n}", *one) for n, one in enumerate(resources)))

    groups = grouped(engine, "subscriptions", msp_id, by, first=first)

    with engine.connect() as connection:
        totals = read_page(connection, REPORTS["subscriptions"], msp_id, Question()).totals
    assert totals is not None
    assert sum(group["rows"] for group in groups) == totals["rows"]
    assert sum(Decimal(group["count"]) for group in groups) == Decimal(totals["count"])
    summed: dict[str, Decimal] = {}
    for money in (money for group in groups for money in group["cost_per_month"]):
        summed[money["currency"]] = summed.get(money["currency"], Decimal(0)) + Decimal(money["amount"])
    assert summed == {money["currency"]: Decimal(money["amount"]) for money in totals["cost_per_month"]}
    assert len(groups) <= first + 1
    assert [group["other"] for group in groups] == sorted(group["other"] for group in groups)
    if Decimal(totals["count"]):
        assert sum(group["share"] for group in groups) == 1
        assert all(group["share"] >= 0 for group in groups)


def test_one_msp_is_never_grouped_with_another(engine: Engine, msp_id: MspId) -> None:
    bought(engine, msp_id, ("a", "1", "1", None))
    other = add_msp(engine, "other")

    assert all(grouped(engine, name, other, "resource_id") == [] for name in ("subscriptions", "unlinked", "linked"))
