"""Questions to the reports: filter and order on every column, pages walked by key both ways, totals, how new the rows are."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from domain.keys import MspId
from plumbing.row_security import of_msp
from services.reporting.queries import (
    QUESTIONS,
    REPORTS,
    BadQuestion,
    Kind,
    Order,
    Page,
    Question,
    held_of,
    open_failures_of,
    pulse,
    read_page,
    relations_of,
)
from services.reporting.replay import replay
from tests.msps import add_msp
from tests.reporting import history as h
from tests.reporting.test_projections import many

pytestmark = pytest.mark.postgres
A, B, C = h.odin("a"), h.odin("b", subscription="2"), h.odin("c", subscription="3", company="9")
P, Q = h.psa("p"), h.psa("q")
SAMPLES: dict[Kind, Any] = {
    Kind.ID: "a",
    Kind.TEXT: "a",
    Kind.NUMBER: Decimal(4),
    Kind.WHOLE: 4,
    Kind.POSITION: 4,
    Kind.MONEY: Decimal("3.4"),
    Kind.DATE: date(2026, 3, 1),
    Kind.MOMENT: datetime(2026, 3, 1, tzinfo=UTC),
    Kind.DAY: date(2026, 3, 1),
    Kind.FLAG: True,
}


@pytest.fixture
def told(engine: Engine, msp_id: MspId) -> MspId:
    """An MSP with something in every report."""
    h.append(
        engine,
        msp_id,
        [
            h.subscription(A, period="1 year"),
            h.discovered(A, "4", unit_cost=h.usd("12.00")),
            h.discovered(B, None, unit_cost=None),
            h.discovered(C, "12"),
            h.customer(P),
            h.agreement(P),
            h.product(P),
            h.units(P, 3),
            h.linked(A, P),
            h.requested(A, P, "q1"),
            h.posted(A, P, "q1", -2),
            h.held(C, Q, "q2"),
            h.shadowed(C, Q, "q3"),
            h.poll_failed(),
            h.calls_counted("GET /orders"),
            h.check_accepted(),
        ],
    )
    h.project(engine, msp_id)
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.notification_rules VALUES
                   ('acme', 'r1', '{held}', 'digest', 'a@example.com', 8, NULL, 0, 1, 'o', now(), now(), 'mara', NULL)"""
            )
        )
        connection.execute(
            text(
                """INSERT INTO reporting.deliveries (delivery_id, msp_id, rule_id, occasion, channel, target,
                   subject_line, body, upto, state, attempts, made_at) VALUES ('d1', 'acme', 'r1', 'digest/2026-03-01', 'digest',
                   'a@example.com', 'Nothing to tell', '', 14, 'empty', 0, now())"""
            )
        )
    return msp_id


def ask(engine: Engine, report: str, msp_id: str, **question: Any) -> Page:
    with engine.connect() as connection:
        return read_page(connection, REPORTS[report], msp_id, Question(**question))


def test_a_report_of_nothing_is_empty_and_says_so(engine: Engine, msp_id: MspId) -> None:
    page = ask(engine, "unlinked", msp_id)

    assert (page.rows, page.total_count, page.has_next, page.has_previous) == ([], 0, False, False)
    assert page.totals == {"rows": 0, "count": "0", "cost_per_month": [], "price_per_month": []}
    assert page.position is None


def test_linked_and_unlinked_share_out_the_active_resources(engine: Engine, told: MspId) -> None:
    linked, unlinked = ask(engine, "linked", told), ask(engine, "unlinked", told)

    assert [row["resource_id"] for row in linked.rows] == ["a"]
    assert [row["resource_id"] for row in unlinked.rows] == ["b", "c"]
    assert linked.rows[0]["units"] == 3
    assert linked.rows[0]["psa_unit_price"] == {"amount": Decimal("5.00"), "currency": "USD"}
    assert unlinked.totals is not None
    assert unlinked.totals["count"] == "12"


def test_the_psa_name_of_today_is_shown_for_a_linked_resource(engine: Engine, told: MspId) -> None:
    h.append(engine, told, [h.product(P | {"psa_product_name": "New name"})])
    h.project(engine, told)

    assert ask(engine, "linked", told).rows[0]["psa_product_name"] == "New name"


def test_a_cost_per_month_takes_the_billing_period_into_account(engine: Engine, told: MspId) -> None:
    page = ask(engine, "subscriptions", told)

    per_month = {row["resource_id"]: row["cost_per_month"] for row in page.rows}
    assert per_month == {"a": {"amount": Decimal("4.00"), "currency": "USD"}, "b": None, "c": None}
    assert page.totals is not None
    assert page.totals["cost_per_month"] == [{"amount": "4.00", "currency": "USD"}]


def test_currencies_are_never_summed_together(engine: Engine, msp_id: MspId) -> None:
    euro = h.Money(Decimal("2.00"), "EUR")
    h.append(engine, msp_id, [h.subscription(A), h.discovered(A, "1"), h.discovered(h.odin("z"), "3", unit_cost=euro)])
    h.project(engine, msp_id)

    totals = ask(engine, "subscriptions", msp_id).totals
    assert totals is not None
    assert [money["currency"] for money in totals["cost_per_month"]] == ["EUR", "USD"]


def test_as_of_says_the_position_of_the_rows(engine: Engine, told: MspId) -> None:
    page = ask(engine, "adjustments", told)

    assert page.position == 16
    assert page.recorded_at is not None


@pytest.mark.parametrize("report", REPORTS)
def test_every_column_can_be_ordered_by_and_filtered_and_a_page_is_found_by_its_cursor(
    engine: Engine, told: MspId, report: str
) -> None:
    if report == "excluded":
        h.append(engine, told, [h.excluded(B)])
        h.project(engine, told)
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO queue.dead_letters (queue, cause, body, attempts, died_at)
                   VALUES ('poller.polls', 'broken', '\\xff00', 6, now())"""
            )
        )
        connection.execute(
            text("INSERT INTO setup.connections VALUES (:m, 'autotask', 'autotask', '{}', '{}', 1, now())"), {"m": told}
        )
    for column in REPORTS[report].columns.values():
        for falling in (False, True):
            order = [Order(column.name, falling)]
            page = ask(engine, report, told, order=order)
            assert page.rows
            beyond = ask(engine, report, told, order=order, first=5, after=page.cursors[0])
            assert beyond.rows == page.rows[1:6]
            back = ask(engine, report, told, order=order, last=5, before=page.cursors[-1])
            assert back.rows == page.rows[:-1][-5:]
        for word in QUESTIONS[column.kind]:
            sample = True if word == "is_empty" else SAMPLES[column.kind]
            value = [sample] if word in ("in", "not_in") else sample
            found = ask(engine, report, told, filter={column.name: {word: value}})
            assert found.total_count == len(found.rows)


def test_filters_narrow_and_combine(engine: Engine, told: MspId) -> None:
    def ids(**wanted: Any) -> list[str]:
        return [row["resource_id"] for row in ask(engine, "subscriptions", told, filter=wanted).rows]

    assert ids(count={"gte": Decimal(5)}) == ["c"]
    assert ids(count={"is_empty": True}) == ["b"]
    assert ids(company_name={"contains": "1200"}, count={"is_empty": False}) == ["a"]
    assert ids(resource_id={"in": ["a", "c"]}, count={"lte": Decimal(4)}) == ["a"]
    assert ids(resource_name={"contains": "%"}) == []
    assert ids(usage_based={"in": [True]}) == []


def test_an_adjustment_date_is_a_day_in_the_time_zone_of_the_msp(engine: Engine) -> None:
    east = add_msp(engine, "east", "Pacific/Kiritimati")
    h.append(engine, east, [h.posted(A, P, "q1")], occurred_at=datetime(2026, 2, 28, 12, tzinfo=UTC))
    h.project(engine, east)

    def found(**day: date) -> int | None:
        return ask(engine, "adjustments", east, filter={"adjustment_date": day}).total_count

    assert ask(engine, "adjustments", east).rows[0]["adjustment_date"] == date(2026, 3, 1)
    assert found(**{"from": date(2026, 3, 1), "to": date(2026, 3, 1)}) == 1
    assert found(to=date(2026, 2, 28)) == 0


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ({"first": 101}, "1 to 100 rows"),
        ({"first": 0}, "1 to 100 rows"),
        ({"first": 5, "last": 5}, "not both"),
        ({"after": "x", "before": "y"}, "not both"),
        ({"after": "!!"}, "begin again"),
        ({"order": [Order("no_such")]}, "no column"),
        ({"filter": {"no_such": {"in": ["a"]}}}, "no column"),
        ({"filter": {"count": {"contains": "a"}}}, "cannot be filtered"),
        ({"columns": ["no_such"]}, "no columns"),
        ({"order": [Order(n) for n in ("count", "unit", "vendor", "mpn")]}, "at most 3"),
    ],
)
def test_a_bad_question_is_refused_with_what_can_be_asked(
    engine: Engine, told: MspId, question: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadQuestion, match=why):
        ask(engine, "subscriptions", told, **question)


def test_a_cursor_of_another_order_is_refused(engine: Engine, told: MspId) -> None:
    cursor = ask(engine, "subscriptions", told).cursors[0]

    with pytest.raises(BadQuestion, match="this order"):
        ask(engine, "subscriptions", told, order=[Order("count")], after=cursor)


def test_a_damaged_cursor_is_refused_and_not_an_error(engine: Engine, told: MspId) -> None:
    import base64

    damaged = base64.urlsafe_b64encode(b'["count,resource_key","many","x"]').decode()

    with pytest.raises(BadQuestion, match="cannot be read"):
        ask(engine, "subscriptions", told, order=[Order("count")], after=damaged)


def walk(engine: Engine, msp_id: MspId, order: list[Order], size: int, *, backward: bool, between: Any) -> list[str]:
    """The resource ids of all pages, in the order in which they were met."""
    met: list[str] = []
    cursor = None
    while True:
        where = {"last": size, "before": cursor} if backward else {"first": size, "after": cursor}
        page = ask(engine, "subscriptions", msp_id, order=order, wanted=frozenset(), **where)
        ids = [row["resource_id"] for row in page.rows]
        met += reversed(ids) if backward else ids
        if not (page.has_previous if backward else page.has_next):
            return met
        cursor = page.cursors[0 if backward else -1]
        between()


ORDERS = st.lists(
    st.builds(Order, st.sampled_from(["count", "company_name", "unit_cost", "vendor", "first_seen_at"]), st.booleans()),
    min_size=1,
    max_size=3,
    unique_by=lambda key: key.name,
)


@many
@given(
    counts=st.lists(st.sampled_from([None, "1", "2", "2.0", "3"]), min_size=1, max_size=12),
    order=ORDERS,
    size=st.integers(1, 4),
    backward=st.booleans(),
    added=st.lists(st.sampled_from([None, "0", "2", "9"]), max_size=6),
)
def test_pages_walked_either_way_meet_every_row_once_while_rows_are_added(
    engine: Engine, counts: list[str | None], order: list[Order], size: int, *, backward: bool, added: list[str | None]
) -> None:
    with engine.connect() as connection:
        number = connection.scalar(text("SELECT count(*) FROM setup.msps"))
    msp_id = add_msp(engine, f"walk{number}")
    h.append(engine, msp_id, [h.discovered(h.odin(str(n), company=str(n % 3)), c) for n, c in enumerate(counts)])
    h.project(engine, msp_id)
    coming = iter(enumerate(added))

    def add_one() -> None:
        for n, count in coming:
            h.append(engine, msp_id, [h.discovered(h.odin(f"new{n}", company=str(n % 3)), count)])
            h.project(engine, msp_id)
            return

    met = walk(engine, msp_id, order, size, backward=backward, between=add_one)

    assert len(met) == len(set(met))
    assert {name for name in met if not name.startswith("new")} == {str(n) for n in range(len(counts))}
    whole = [row["resource_id"] for row in ask(engine, "subscriptions", msp_id, order=order, first=100).rows]
    assert [name for name in whole if name in met] == (met[::-1] if backward else met)


def test_one_msp_never_sees_the_rows_of_another(engine: Engine, told: MspId) -> None:
    other = add_msp(engine, "other")

    for name in REPORTS.keys() - {"dead_letters"}:
        page = ask(engine, name, other)
        assert (page.rows, page.total_count) == ([], 0)


def test_the_gateway_may_read_but_not_write(engine: Engine, told: MspId) -> None:
    with of_msp(engine, told).connect() as connection:
        connection.execute(text("SET ROLE trueup_gateway"))
        for report in REPORTS.values():
            read_page(connection, report, told, Question())
        assert pulse(connection, told, h.CLOCK.now()) is not None
        with pytest.raises(Exception, match="permission denied"):
            connection.execute(text("DELETE FROM reporting.resources"))


def test_the_command_gets_live_relations_open_failures_and_what_is_held(engine: Engine, told: MspId) -> None:
    with engine.connect() as connection:
        (relation,) = relations_of(connection, told)
        failures = open_failures_of(connection, told)
        held = held_of(connection, told)

    assert (relation["resource_id"], relation["psa_product_id"]) == ("a", "p")
    assert [failure["request_id"] for failure in failures] == [None]
    assert [row["request_id"] for row in held] == ["q2"]


def test_the_pulse_tells_position_lag_and_what_stopped(engine: Engine, told: MspId) -> None:
    h.append(engine, told, [h.poll_failed()])
    with engine.begin() as connection:
        connection.execute(
            text(
                """UPDATE reporting.positions SET stopped_at = now(), stopped_reason = 'an unknown event'
                   WHERE consumer = 'reporting.psa'"""
            )
        )
        beat = pulse(connection, told, h.CLOCK.now())
        nobody = pulse(connection, MspId("nobody"), h.CLOCK.now())

    assert beat is not None
    assert (beat["head"], beat["open"], beat["failed"], beat["held"]) == (17, 0, 1, 1)
    lag = {consumer["name"]: (consumer["lag"], consumer["stopped_reason"]) for consumer in beat["consumers"]}
    assert lag["reporting.psa"] == (1, "an unknown event")
    assert lag["reporting.failures"] == (1, None)
    assert nobody is None


def test_pages_go_on_over_a_rebuild(engine: Engine, told: MspId) -> None:
    first = ask(engine, "subscriptions", told, first=1)
    replay(engine, ["all"], told)

    assert ask(engine, "subscriptions", told, after=first.cursors[0]).total_count == 3
    assert [row["resource_id"] for row in ask(engine, "subscriptions", told, after=first.cursors[0]).rows] == ["b", "c"]
