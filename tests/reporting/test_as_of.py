"""Reports as of a past day or position: a side holds what the living report showed when the log stood there."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from domain.events import Event
from domain.keys import MspId
from plumbing.event_log import UnknownMsp
from services.reporting import sides
from services.reporting.projections import READ_MODELS
from services.reporting.queries import REPORTS, NoSuchSide, Question, has_side, position_at_end_of, read_page
from services.reporting.replay import replay
from services.reporting.sides import NoSide, drop_sides, drop_unused, make_side, models_of
from tests.msps import add_msp
from tests.reporting import history as h
from tests.reporting.test_projections import HISTORIES, fresh_msp, many

pytestmark = pytest.mark.postgres
A, P = h.odin("a"), h.psa("p")
STORY = [h.discovered(A), h.linked(A, P), h.requested(A, P, "q1"), h.failed(A, P, "q1"), h.posted(A, P, "q1")]
PAST = [name for name in REPORTS if models_of(REPORTS[name])]
ALL = list(READ_MODELS.values())
RESOURCES = [READ_MODELS["resources"]]


def shown(engine: Engine, msp_id: MspId, name: str, at: int | None = None) -> list[dict[str, Any]]:
    """All rows of a report and what is said of them as a whole."""
    with engine.connect() as connection:
        page = read_page(connection, REPORTS[name], msp_id, Question(first=100, at=at))
    assert not page.has_next
    return [*page.rows, {"totals": page.totals, "position": page.position, "recorded_at": page.recorded_at}]


def counts(engine: Engine, msp_id: MspId, at: int | None = None) -> list[Any]:
    return [row["count"] for row in shown(engine, msp_id, "subscriptions", at)[:-1]]


@many
@given(happened=HISTORIES, data=st.data())
def test_every_report_as_of_a_position_is_the_living_one_as_it_was_there(
    engine: Engine, happened: list[Event], data: st.DataObject
) -> None:
    # given: reports read when the log stood at some position
    msp_id = fresh_msp(engine)
    position = data.draw(st.integers(1, len(happened)))
    h.append(engine, msp_id, happened[:position])
    h.project(engine, msp_id)
    then = {name: shown(engine, msp_id, name) for name in PAST}

    # when: more happens
    h.append(engine, msp_id, happened[position:])
    h.project(engine, msp_id)
    make_side(engine, ALL, msp_id, position, h.CLOCK, batch=data.draw(st.sampled_from([3, 1000])))

    # then
    assert {name: shown(engine, msp_id, name, position) for name in PAST} == then


def test_a_report_names_every_read_model_that_its_rows_come_from() -> None:
    assert {model.name for model in models_of(REPORTS["linked"])} == {"resources", "psa"}
    assert {model.name for model in models_of(REPORTS["adjustments"])} == {"adjustments", "held"}
    assert models_of(REPORTS["dead_letters"]) == ()


def test_without_a_side_a_past_report_is_refused_and_not_empty(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    h.project(engine, msp_id)
    with pytest.raises(NoSuchSide):
        shown(engine, msp_id, "linked", 3)

    make_side(engine, RESOURCES, msp_id, 3, h.CLOCK)

    with engine.connect() as connection:
        assert has_side(connection, msp_id, "unlinked", 3)
        assert not has_side(connection, msp_id, "linked", 3)
    with pytest.raises(NoSuchSide):
        shown(engine, msp_id, "linked", 3)


def test_before_the_first_event_a_report_is_empty(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    make_side(engine, RESOURCES, msp_id, 0, h.CLOCK)
    assert counts(engine, msp_id, 0) == []


@pytest.mark.parametrize("position", [-1, 6])
def test_a_position_that_the_log_has_not_is_refused(engine: Engine, msp_id: MspId, position: int) -> None:
    h.append(engine, msp_id, STORY)
    with pytest.raises(NoSide, match="positions up to 5"):
        make_side(engine, ALL, msp_id, position, h.CLOCK)


def test_a_side_stays_as_it_is_while_living_rows_and_rebuilds_go_on(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    make_side(engine, ALL, msp_id, 1, h.CLOCK)
    before = {name: shown(engine, msp_id, name, 1) for name in PAST}

    h.append(engine, msp_id, [h.counted(A, "4", "12")])
    h.project(engine, msp_id)
    replay(engine, ["all"], msp_id)
    replay(engine, ["all"], msp_id)

    assert {name: shown(engine, msp_id, name, 1) for name in PAST} == before
    assert counts(engine, msp_id, 1) == [4]
    assert counts(engine, msp_id) == [12]


def test_a_side_that_was_begun_is_taken_up_where_it_was(
    engine: Engine, msp_id: MspId, monkeypatch: pytest.MonkeyPatch
) -> None:
    h.append(engine, msp_id, STORY)

    class PowerCut(BaseException):
        pass

    def cut(_: object, folded: int) -> None:
        if folded == 2:
            raise PowerCut

    with pytest.raises(PowerCut):
        make_side(engine, RESOURCES, msp_id, 4, h.CLOCK, cut, batch=1)
    with engine.connect() as connection:
        assert not has_side(connection, msp_id, "subscriptions", 4)
    folded: list[int] = []

    make_side(engine, RESOURCES, msp_id, 4, h.CLOCK, lambda _, upto: folded.append(upto), batch=1)

    assert folded == [3, 4]


def test_a_side_folded_by_other_statements_is_made_anew(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    make_side(engine, RESOURCES, msp_id, 4, h.CLOCK)
    with engine.begin() as connection:
        connection.execute(text("UPDATE reporting.sides SET fingerprint = 'older'"))
        connection.execute(text("UPDATE reporting.resources SET count = 99"))
        assert not has_side(connection, msp_id, "subscriptions", 4)

    make_side(engine, RESOURCES, msp_id, 4, h.CLOCK)

    assert counts(engine, msp_id, 4) == [4]


def test_sides_of_a_few_positions_are_kept_those_last_asked_for(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    for position in (1, 2, 3, 4, 1, 5):
        make_side(engine, RESOURCES, msp_id, position, h.CLOCK)

    with engine.connect() as connection:
        kept = [at for at in range(1, 6) if has_side(connection, msp_id, "subscriptions", at)]
    assert kept == [1, 3, 4, 5]
    drop_unused(engine, h.CLOCK)
    assert generations(engine) == {-1, -3, -4, -5}


def test_a_side_that_nobody_asked_for_in_a_day_goes_with_its_rows(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    h.project(engine, msp_id)
    make_side(engine, RESOURCES, msp_id, 1, h.CLOCK)
    make_side(engine, RESOURCES, msp_id, 2, h.CLOCK)
    with engine.begin() as connection:
        connection.execute(text("UPDATE reporting.sides SET asked_at = now() - interval '25 hours' WHERE position = 1"))

    drop_unused(engine, h.CLOCK)

    assert generations(engine) == {0, -2}


def test_sides_can_be_dropped_by_hand(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    for position in (1, 2, 3):
        make_side(engine, RESOURCES, msp_id, position, h.CLOCK)

    assert drop_sides(engine, ALL, msp_id, 2) == 1
    assert generations(engine) == {-1, -3}
    assert drop_sides(engine, ALL, msp_id) == 2
    assert generations(engine) == set()


def generations(engine: Engine) -> set[int]:
    with engine.connect() as connection:
        return set(connection.scalars(text("SELECT DISTINCT generation FROM reporting.resources")))


def test_a_poison_event_refuses_the_side_with_its_place(
    engine: Engine, msp_id: MspId, monkeypatch: pytest.MonkeyPatch
) -> None:
    h.append(engine, msp_id, STORY)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE log.events DISABLE TRIGGER append_only"))
        connection.execute(text("UPDATE log.events SET version = 9 WHERE position = 1"))
    with pytest.raises(NoSide, match="ResourceDiscovered version 9"):
        make_side(engine, RESOURCES, msp_id, 2, h.CLOCK)
    assert sides.KEPT > 1


@pytest.mark.parametrize(
    ("zone", "day", "position"),
    [
        ("UTC", date(2026, 3, 1), 2),
        ("UTC", date(2026, 3, 2), 3),
        ("UTC", date(2026, 2, 28), 0),
        ("UTC", date(2027, 1, 1), 4),
        ("America/New_York", date(2026, 3, 1), 3),
        ("Pacific/Auckland", date(2026, 3, 1), 1),
    ],
)
def test_a_day_ends_where_the_msp_is(engine: Engine, zone: str, day: date, position: int) -> None:
    msp_id = add_msp(engine, "there", zone)
    for moment in ("2026-03-01T08:00", "2026-03-01T23:59:59", "2026-03-02T00:00", "2026-03-03T08:00"):
        h.append(
            engine, msp_id, [h.counted(A, "4", "5")], recorded_at=datetime.fromisoformat(moment).replace(tzinfo=UTC)
        )

    with engine.connect() as connection:
        assert position_at_end_of(connection, msp_id, day) == position


def test_the_end_of_a_day_is_found_in_a_log_of_any_length(engine: Engine, msp_id: MspId) -> None:
    for number in range(40):
        moment = datetime(2026, 3, 1 + number // 4, 8, tzinfo=UTC)
        h.append(engine, msp_id, [h.counted(A, "4", "5")], recorded_at=moment)
    with engine.connect() as connection:
        found = [position_at_end_of(connection, msp_id, date(2026, 3, 1 + day)) for day in range(11)]
        assert found == [*range(4, 41, 4), 40]
        with pytest.raises(UnknownMsp):
            position_at_end_of(connection, MspId("nobody"), date(2026, 3, 1))
