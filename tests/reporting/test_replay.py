"""Read models rebuilt from the log beside the living ones: equal, swapped at once, and safe to kill and start again."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from sqlalchemy import Engine, event, text

from domain.events import Event
from domain.keys import MspId
from plumbing.catch_up import Reactor
from plumbing.database import make_engine
from services.reporting import replay as rebuilding
from services.reporting.projections import READ_MODELS
from services.reporting.replay import NotReplayable, Progress, ReplayRunning, checksums, replay
from tests.msps import add_msp
from tests.reporting import history as h
from tests.reporting.test_projections import HISTORIES, fresh_msp, many

pytestmark = pytest.mark.postgres
A, P = h.odin("a"), h.psa("p")
STORY = [h.discovered(A), h.linked(A, P), h.requested(A, P, "q1"), h.failed(A, P, "q1"), h.posted(A, P, "q1")]


@many
@given(happened=HISTORIES)
def test_rebuilt_rows_equal_the_living_ones_byte_for_byte(engine: Engine, happened: list[Event]) -> None:
    msp_id = fresh_msp(engine)
    for start in range(0, len(happened), 7):
        h.append(engine, msp_id, happened[start : start + 7])
        h.project(engine, msp_id, batch=4)
    living = h.everything(engine, msp_id)

    outcomes = replay(engine, ["all"], msp_id)

    assert all(outcome.equal and outcome.swapped for outcome in outcomes)
    assert h.everything(engine, msp_id, generation=1) == living
    assert h.everything(engine, msp_id) == living


def test_replay_tells_how_far_it_is(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    told: list[Progress] = []

    replay(engine, ["resources"], msp_id, told.append, batch=2)

    assert [(step.position, step.head) for step in told] == [(2, 5), (4, 5), (5, 5)]


def test_replay_leaves_nothing_of_the_old_generation(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    h.project(engine, msp_id)
    living = h.everything(engine, msp_id)

    replay(engine, ["all"])
    replay(engine, ["all"])

    assert h.everything(engine, msp_id) == living
    with engine.connect() as connection:
        for model in READ_MODELS.values():
            for table in model.tables:
                found = connection.scalars(text(f"SELECT DISTINCT generation FROM {table.fullname}")).all()
                assert set(found) <= {2}
        assert connection.scalar(text("SELECT count(*) FROM reporting.rebuilds")) == 0
        assert connection.scalar(text("SELECT count(*) FROM reporting.positions WHERE consumer LIKE '%@%'")) == 0


def test_new_events_are_folded_into_the_new_generation(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    h.project(engine, msp_id)
    replay(engine, ["all"])

    h.append(engine, msp_id, [h.counted(A, "4", "12")])
    h.project(engine, msp_id)

    assert [row["count"] for row in h.rows(engine, "resources", msp_id, generation=1)] == [12]


def test_rows_that_were_damaged_are_told_and_mended(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    h.project(engine, msp_id)
    with engine.begin() as connection:
        connection.execute(text("UPDATE reporting.resources SET count = 99"))

    (outcome,) = replay(engine, ["resources"], msp_id)

    assert outcome.equal is False
    assert h.rows(engine, "resources", msp_id)[0]["count"] == 4


def test_a_trial_compares_and_leaves_the_living_rows(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    h.project(engine, msp_id)
    with engine.begin() as connection:
        connection.execute(text("UPDATE reporting.resources SET count = 99"))

    (outcome,) = replay(engine, ["resources"], msp_id, swap=False)

    assert (outcome.equal, outcome.swapped) == (False, False)
    assert h.rows(engine, "resources", msp_id)[0]["count"] == 99
    assert h.rows(engine, "resources", msp_id, generation=1) == []


def test_living_rows_that_are_behind_are_replaced_by_rows_at_the_head(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY[:1])
    h.project(engine, msp_id)
    h.append(engine, msp_id, [h.counted(A, "4", "12")])

    (outcome,) = replay(engine, ["resources"], msp_id)

    assert (outcome.equal, outcome.position) == (True, 2)
    h.project(engine, msp_id)
    assert h.rows(engine, "resources", msp_id)[0]["count"] == 12


def test_a_reactor_is_refused(engine: Engine, msp_id: MspId) -> None:
    reactor = Reactor("reconciler", "reconciler", ("RelationSet",), lambda *_: None)

    with pytest.raises(NotReplayable, match="reactor"):
        replay(engine, [reactor], msp_id)
    with pytest.raises(NotReplayable, match="there are all, adjustments"):
        replay(engine, ["reconciler"], msp_id)


def test_two_rebuilds_of_one_read_model_do_not_mix(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    refused: list[Exception] = []

    def again(_: Progress) -> None:
        try:
            replay(engine, ["resources"], msp_id)
        except ReplayRunning as error:
            refused.append(error)

    replay(engine, ["resources"], msp_id, again)

    assert len(refused) == 1


def test_a_rebuild_begun_by_other_statements_begins_anew(
    engine: Engine, msp_id: MspId, monkeypatch: pytest.MonkeyPatch
) -> None:
    h.append(engine, msp_id, STORY)
    stop_after_two_slices(engine, msp_id, monkeypatch)
    with engine.begin() as connection:
        connection.execute(text("UPDATE reporting.resources SET count = 99"))
        connection.execute(text("UPDATE reporting.rebuilds SET fingerprint = 'older'"))
    first: list[Progress] = []

    replay(engine, ["resources"], msp_id, first.append, batch=1)

    assert first[0].position == 1
    assert h.rows(engine, "resources", msp_id)[0]["count"] == 4


def test_a_rebuild_that_was_stopped_goes_on_where_it_was(
    engine: Engine, msp_id: MspId, monkeypatch: pytest.MonkeyPatch
) -> None:
    h.append(engine, msp_id, STORY)
    stop_after_two_slices(engine, msp_id, monkeypatch)
    first: list[Progress] = []

    replay(engine, ["resources"], msp_id, first.append, batch=1)

    assert first[0].position == 3


def stop_after_two_slices(engine: Engine, msp_id: MspId, monkeypatch: pytest.MonkeyPatch) -> None:
    class PowerCut(BaseException):
        pass

    def cut(step: Progress) -> None:
        if step.position == 2:
            raise PowerCut

    with pytest.raises(PowerCut):
        replay(engine, ["resources"], msp_id, cut, batch=1)


def test_events_that_arrive_meanwhile_are_in_the_new_generation(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    h.project(engine, msp_id)

    def meanwhile(step: Progress) -> None:
        if step.position < 20:
            h.append(engine, msp_id, [h.counted(A, None, str(step.position))])

    (outcome,) = replay(engine, ["resources"], msp_id, meanwhile, batch=1)

    assert outcome.equal
    h.project(engine, msp_id)
    (row,) = h.rows(engine, "resources", msp_id)
    with engine.connect() as connection:
        newest = connection.scalar(text("SELECT payload ->> 'count' FROM log.events ORDER BY position DESC LIMIT 1"))
    assert str(row["count"]) == newest


def test_an_event_that_is_folded_just_before_the_swap_is_in_the_new_generation(
    engine: Engine, msp_id: MspId, database: str
) -> None:
    h.append(engine, msp_id, STORY)
    h.project(engine, msp_id)
    other = make_engine(database, "other")
    rung: list[int] = []

    def ring(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "SET LOCAL lock_timeout = '30s'" in statement and not rung:
            rung.append(h.append(other, msp_id, [h.counted(A, "4", "12")]))
            h.project(other, msp_id)

    event.listen(engine, "before_cursor_execute", ring)
    (outcome,) = replay(engine, ["resources"], msp_id)
    event.remove(engine, "before_cursor_execute", ring)
    other.dispose()

    assert (rung, outcome.position, outcome.equal) == ([6], 6, True)
    h.project(engine, msp_id)
    assert h.rows(engine, "resources", msp_id, generation=1)[0]["count"] == 12


def test_msps_are_rebuilt_side_by_side(engine: Engine, msp_id: MspId) -> None:
    other = add_msp(engine, "other")
    for each in (msp_id, other):
        h.append(engine, each, STORY)
    both = threading.Barrier(2, timeout=30)

    outcomes = replay(engine, ["resources"], progress=once_each(both.wait), workers=2)

    assert {outcome.msp_id for outcome in outcomes} == {msp_id, other}


def once_each(act: Callable[[], object]) -> Callable[[Progress], None]:
    seen: set[MspId] = set()

    def told(step: Progress) -> None:
        if step.msp_id not in seen:
            seen.add(step.msp_id)
            act()

    return told


def test_a_checksum_differs_when_one_byte_does(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    h.project(engine, msp_id)
    with engine.begin() as connection:
        before = checksums(connection, READ_MODELS["resources"], msp_id)
        connection.execute(text("UPDATE reporting.resources SET unit = 'licences'"))
        assert checksums(connection, READ_MODELS["resources"], msp_id) != before


def test_a_replay_appends_nothing_and_puts_no_work(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, STORY)
    count = text("SELECT (SELECT count(*) FROM log.events), (SELECT count(*) FROM queue.outbox)")
    with engine.connect() as connection:
        before = connection.execute(count).one()

    rebuilding.replay(engine, ["all"])

    with engine.connect() as connection:
        assert connection.execute(count).one() == before
