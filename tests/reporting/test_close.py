"""The checklist of a month: each check turns by its cause, is accepted for as many rows as it had, and is kept at sign-off."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, event, text

from domain.events import Event
from domain.keys import MspId
from domain.money import Money
from domain.months import Month
from plumbing.row_security import of_msp
from services.reporting.queries import CHECKS, REPORTS, Door, Question, door_of, read_checklist, read_page
from tests.reporting import history as h
from tests.reporting.closing import (
    ALL_GREEN,
    MARCH,
    NOW,
    A,
    B,
    C,
    P,
    check,
    checklist,
    connect,
    decide,
    ending,
    states,
    tell,
)

pytestmark = pytest.mark.postgres
HELD_BACK = (h.counted(A, "12", "13"), h.requested(A, P, "q2", 13))


@pytest.fixture
def acme(engine: Engine, msp_id: MspId) -> MspId:
    """An MSP whose March has nothing against it."""
    connect(engine, msp_id)
    tell(engine, msp_id, *ALL_GREEN)
    return msp_id


def test_a_month_with_nothing_against_it_is_green_but_for_what_is_done_by_hand(engine: Engine, acme: MspId) -> None:
    found = checklist(engine, acme)

    assert states(found) == {"invoiced": "open"}
    assert [one.check for one in found.checks] == [*CHECKS, "invoiced"]
    assert [one.step for one in found.checks] == [1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4]
    assert (found.state, found.exceptions, found.psa_kind) == ("open", 0, "autotask")


CAUSES: dict[str, tuple[str, Sequence[Event], str]] = {
    "a resource that is not linked": ("unlinked", (h.discovered(B, "2"),), "red"),
    "a company of which nothing is linked": ("companies", (h.discovered(C, "2"),), "red"),
    "a poll that failed": ("fresh", (h.poll_failed(),), "red"),
    "a catalogue that could not be read": ("fresh", (h.catalogue_failed(),), "red"),
    "an agreement that ends a day early": ("agreements", (ending(date(2026, 3, 30)),), "red"),
    "an agreement that is gone": ("agreements", (h.gone("agreement", "7"),), "red"),
    "an adjustment on its way": ("reconciled", HELD_BACK, "amber"),
    "an adjustment that failed": ("failed", (*HELD_BACK, h.failed(A, P, "q2")), "amber"),
    "a plan that was refused": ("failed", (h.refused(A, P),), "amber"),
    "an adjustment that is parked": ("parked", (*HELD_BACK, h.parked(A, P, "q2")), "red"),
    "an adjustment that is held": ("held", (*HELD_BACK, h.held(A, P, "q2")), "red"),
    "an adjustment that was refused": (
        "reconciled",
        (*HELD_BACK, h.held(A, P, "q2"), h.declined(A, P, "q2")),
        "amber",
    ),
    "units that somebody edited": ("drifted", (h.units(P, 15),), "amber"),
    "a product without a price": ("unpriced", (h.product(P, None),), "amber"),
    "a resource without a cost": ("unpriced", (h.costed(A, None, "4"),), "amber"),
    "a relation that is frozen": ("frozen", (h.frozen(A, P),), "amber"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_check_turns_by_its_cause_and_its_door_leads_to_as_many_rows(
    engine: Engine, acme: MspId, cause: str
) -> None:
    key, happened, state = CAUSES[cause]
    tell(engine, acme, *happened)

    found = check(engine, acme, key)
    assert (found.state, found.rows) == (state, 1)
    door = door_of(found, "autotask", None)
    assert shown(engine, acme, door) == 1


def shown(engine: Engine, msp_id: MspId, door: Door | None) -> int | None:
    assert door is not None
    with engine.connect() as connection:
        asked = Question(filter=door.filter, at=door.at)
        return read_page(connection, REPORTS[door.report], msp_id, asked).total_count


@pytest.mark.parametrize(
    "cause", ["an adjustment that failed", "an adjustment that is parked", "an adjustment that is held"]
)
def test_what_failed_or_is_held_is_not_counted_as_on_its_way_too(engine: Engine, acme: MspId, cause: str) -> None:
    key, happened, state = CAUSES[cause]
    tell(engine, acme, *happened)

    assert states(checklist(engine, acme)) == {key: state, "invoiced": "open"}


@pytest.mark.parametrize(
    "harmless",
    [
        h.discovered(B, "2", usage_based=True),
        h.discovered(C, "2", usage_based=True),
        ending(date(2026, 3, 31)),
        h.agreement(h.psa("q", agreement="8")),
        dataclasses.replace(h.agreement(h.psa("q", agreement="8")), end_date=date(2026, 1, 31)),
        h.disappeared(A),
    ],
    ids=[
        "billed by use",
        "all billed by use",
        "ends with the month",
        "another agreement",
        "an ended one that nothing feeds",
        "ended",
    ],
)
def test_what_stands_in_the_way_of_no_invoice_turns_no_check_of_steps_1_and_2(
    engine: Engine, acme: MspId, harmless: Event
) -> None:
    tell(engine, acme, harmless)

    assert {check.check for check in checklist(engine, acme).checks if check.step < 3 and check.rows} == set()


def test_what_is_excluded_turns_no_check_until_it_is_included_again(engine: Engine, acme: MspId) -> None:
    tell(engine, acme, h.discovered(C, "2"), h.excluded(C))
    assert states(checklist(engine, acme)) == {"invoiced": "open"}

    tell(engine, acme, h.included(C))
    assert states(checklist(engine, acme)) == {"unlinked": "red", "companies": "red", "invoiced": "open"}


def test_unlinked_resources_are_told_with_their_price_by_currency_and_their_oldest(engine: Engine, acme: MspId) -> None:
    yearly = h.odin("c", subscription="3")
    euro = Money(Decimal("12.00"), "EUR")
    tell(engine, acme, h.subscription(B), h.subscription(yearly, period="1 year"))
    tell(engine, acme, h.discovered(B, "3", unit_price=h.usd("4.00")), h.discovered(yearly, "2", unit_price=euro))

    found = check(engine, acme, "unlinked")

    assert found.rows == 2
    assert found.money == (Money(Decimal("2.00"), "EUR"), Money(Decimal("12.00"), "USD"))
    assert found.oldest_at == h.BEGAN + timedelta(minutes=len(ALL_GREEN) + 3)
    assert (found.ids, found.names) == ((), ())


def test_companies_and_agreements_are_named(engine: Engine, acme: MspId) -> None:
    tell(engine, acme, h.discovered(C, "2"), ending(date(2026, 3, 1)))

    assert check(engine, acme, "companies").names == ("Company 9",)
    assert check(engine, acme, "agreements").names == ("Agreement 7",)


def test_each_side_tells_when_it_was_read_and_what_we_did_is_as_new_as_now(engine: Engine, acme: MspId) -> None:
    polled, read = h.BEGAN + timedelta(minutes=1), h.BEGAN + timedelta(minutes=11)

    found = {one.check: one.read_at for one in checklist(engine, acme).checks}

    assert (found["unlinked"], found["agreements"], found["drifted"], found["held"]) == (polled, read, polled, NOW)


def test_calls_that_the_psa_answered_tell_that_it_was_read_though_it_had_no_news(engine: Engine, acme: MspId) -> None:
    calls = dataclasses.replace(h.calls_counted("query"), connection_id="autotask", since=h.BEGAN + timedelta(hours=1))
    tell(engine, acme, calls)

    assert check(engine, acme, "agreements").read_at == h.BEGAN + timedelta(hours=1, seconds=300)


def test_a_marketplace_that_was_not_read_whole_for_a_day_is_not_fresh(engine: Engine, acme: MspId) -> None:
    polled = h.BEGAN + timedelta(minutes=1)

    assert check(engine, acme, "fresh", now=polled + timedelta(hours=24)).state == "green"
    late = check(engine, acme, "fresh", now=polled + timedelta(hours=24, seconds=1))
    assert (late.state, late.names) == ("red", ("odin",))


def test_a_side_that_was_never_read_is_not_fresh_and_has_no_age(engine: Engine, msp_id: MspId) -> None:
    connect(engine, msp_id)

    found = check(engine, msp_id, "fresh")
    assert (found.state, found.names, found.read_at) == ("red", ("autotask", "odin"), None)


def test_without_a_marketplace_nothing_is_fresh(engine: Engine, msp_id: MspId) -> None:
    connect(engine, msp_id, ("autotask", "autotask"))
    tell(engine, msp_id, h.units(P, 1))

    assert check(engine, msp_id, "fresh").names == ("no marketplace connection",)


def test_a_read_model_that_cannot_go_on_is_not_fresh(engine: Engine, acme: MspId) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE reporting.positions SET stopped_at = now() WHERE consumer = 'reporting.failures'")
        )

    assert check(engine, acme, "fresh").names == ("reporting.failures",)


def test_another_psa_connection_has_a_close_of_its_own(engine: Engine, acme: MspId) -> None:
    connect(engine, acme, ("second", "autotask"))
    tell(engine, acme, *HELD_BACK, h.parked(A, P, "q2"), h.units(h.psa("z") | {"psa_connection_id": "second"}, 1))

    with engine.connect() as connection:
        second = read_checklist(connection, acme, "second", MARCH, NOW)
        nowhere = read_checklist(connection, acme, "odin", MARCH, NOW)
    assert second is not None
    assert states(second) == {"invoiced": "open"}
    assert nowhere is None


def test_an_accepted_check_tells_who_and_why_and_holds_for_as_many_rows_as_it_had(engine: Engine, acme: MspId) -> None:
    tell(engine, acme, h.discovered(B, "2"))
    decide(engine, acme, [h.check_accepted(rows=1)])
    accepted = check(engine, acme, "unlinked")
    tell(engine, acme, h.discovered(h.odin("d"), "2"))
    more = check(engine, acme, "unlinked")

    assert (accepted.state, accepted.accepted_by, accepted.accepted_at) == ("accepted", "mara", NOW)
    assert accepted.reason == "Trial licences."
    assert (more.state, more.rows, more.accepted_by) == ("red", 2, None)


def test_what_was_accepted_for_one_month_is_not_for_another(engine: Engine, acme: MspId) -> None:
    tell(engine, acme, h.discovered(B, "2"))
    decide(engine, acme, [h.check_accepted(rows=1)])

    assert check(engine, acme, "unlinked", month=Month.parse("2026-04")).state == "red"


def test_a_signed_off_month_is_its_record_whatever_happens_after(engine: Engine, acme: MspId) -> None:
    told = checklist(engine, acme).checks[:-1]
    decide(engine, acme, [h.signed_off("2026-03", *told, position=11)])
    before = checklist(engine, acme)
    tell(engine, acme, h.discovered(B, "2"), h.discovered(C, "2"), h.units(P, 99), h.poll_failed())
    after = checklist(engine, acme, now=NOW + timedelta(days=40))

    assert after == dataclasses.replace(before, frozen=True)
    assert (after.state, after.position, after.checked_at, after.checks[:-1]) == ("signed_off", 11, NOW, told)
    assert after.standing.signed_off is not None
    assert after.standing.signed_off.by == "mara"


def test_the_doors_of_a_record_lead_to_the_rows_as_they_were_then(engine: Engine, acme: MspId) -> None:
    tell(engine, acme, h.discovered(B, "2"))
    found = check(engine, acme, "unlinked")

    assert door_of(found, "autotask", 12) == Door("unlinked", {"usage_based": {"in": [False]}}, 12)


def test_a_reopened_month_is_live_again_and_not_invoiced_any_more(engine: Engine, acme: MspId) -> None:
    decide(engine, acme, [h.signed_off("2026-03", position=11), h.invoiced()])
    invoiced = checklist(engine, acme)
    decide(engine, acme, [h.reopened()])
    tell(engine, acme, h.discovered(B, "2"))
    again = checklist(engine, acme)

    assert (invoiced.state, invoiced.checks[-1].state) == ("invoiced", "green")
    assert (again.state, states(again)) == ("open", {"unlinked": "red", "invoiced": "open"})
    assert again.standing.reopened is not None


def test_the_freeze_begins_so_many_hours_before_the_month_ends_where_the_msp_is(engine: Engine, acme: MspId) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE setup.msps SET time_zone = 'Europe/Berlin'"))
    usual = checklist(engine, acme)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO setup.policies VALUES (:msp, 'freeze_hours', '48', 1, now())"), {"msp": acme}
        )
    longer = checklist(engine, acme)

    assert (usual.due_on, usual.freeze_from) == (date(2026, 4, 1), datetime(2026, 3, 31, 16, tzinfo=UTC))
    assert longer.freeze_from == datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert (usual.frozen, checklist(engine, acme, now=longer.freeze_from).frozen) == (False, True)


def test_the_whole_checklist_is_one_round_trip(engine: Engine, acme: MspId) -> None:
    asked: list[str] = []
    with engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", lambda _c, _cu, statement, *_: asked.append(statement))
        read_checklist(connection, acme, "autotask", MARCH, NOW)

    assert len(asked) == 1


def test_the_gateway_may_read_the_checklist_and_may_not_write_what_was_decided(engine: Engine, acme: MspId) -> None:
    with of_msp(engine, acme).begin() as connection:
        connection.execute(text("SET LOCAL ROLE trueup_gateway"))
        assert read_checklist(connection, acme, "autotask", MARCH, NOW) is not None
        may = "SELECT has_table_privilege('reporting.close_acts', 'INSERT')"
        assert connection.scalar(text(may)) is False
