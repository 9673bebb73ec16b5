"""A large slice of a rebuild is held by type and read by all its read models: the rows are those that the log itself gives."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event, text

from domain import upcasters
from domain.events import ResourceCountChanged
from domain.keys import MspId
from plumbing import event_log
from plumbing.catch_up import Slice
from services.reporting import read_model, slices
from services.reporting.projections import READ_MODELS
from services.reporting.replay import ReplayRunning, ReplayStopped, replay
from tests.bench.life import life
from tests.msps import add_msp
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
EVENTS, LINKS = 1_000, 20


@pytest.fixture(autouse=True)
def held_from_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_model, "HELD_FROM", read_model.LARGE_SLICE)


@pytest.fixture
def lived(engine: Engine, msp_id: MspId) -> MspId:
    """An MSP whose living rows were folded from the log in place."""
    fill(engine, msp_id, 1)
    h.project(engine, msp_id)
    return msp_id


def fill(engine: Engine, msp_id: MspId, seed: int) -> None:
    told = {"recorded_at": h.BEGAN, "recorded_by": "test", "correlation_id": "c"}
    with engine.begin() as connection:
        event_log.append(connection, msp_id, list(life(seed, LINKS, EVENTS)), **told)


@contextmanager
def heard(engine: Engine, words: str) -> Iterator[list[str]]:
    """The statements with these words in them."""
    found: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if words in statement:
            found.append(statement)

    event.listen(engine, "before_cursor_execute", hear)
    yield found
    event.remove(engine, "before_cursor_execute", hear)


def test_a_slice_is_held_once_for_all_read_models_and_gives_the_same_rows(engine: Engine, lived: MspId) -> None:
    living = h.everything(engine, lived)

    with heard(engine, "INSERT INTO pg_temp.held_events") as held:
        outcomes = replay(engine, ["all"], lived, workers=1, batch=500)

    assert len(held) == 2
    assert all(outcome.equal and outcome.swapped for outcome in outcomes)
    assert h.everything(engine, lived) == living


def test_a_held_slice_is_never_taken_for_another(engine: Engine, lived: MspId) -> None:
    other = add_msp(engine, "other")
    fill(engine, other, 2)
    h.project(engine, other)

    outcomes = replay(engine, ["all"], workers=1) + replay(engine, ["all"], workers=2)

    assert {outcome.msp_id for outcome in outcomes} == {lived, other}
    assert all(outcome.equal for outcome in outcomes)


def test_what_was_held_is_gone_with_its_transaction_or_the_next_slice(engine: Engine, lived: MspId) -> None:
    part = Slice(lived, 0, EVENTS)
    count = text("SELECT count(*) FROM pg_temp.held_events")
    with engine.connect() as connection:
        with connection.begin():
            slices.hold(connection, part)
            assert connection.scalar(count) == EVENTS
        with connection.begin():
            assert connection.scalar(count) == 0
            slices.hold(connection, part)
            assert connection.scalar(count) == EVENTS
            slices.hold(connection, Slice(lived, 0, 300))
            assert connection.scalar(count) == 300


def test_an_older_version_in_a_held_slice_is_taken_up(
    engine: Engine, lived: MspId, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = ResourceCountChanged.version
    monkeypatch.setitem(
        upcasters.STEPS, (ResourceCountChanged.type, version), lambda payload: payload | {"count": "77"}
    )
    monkeypatch.setattr(ResourceCountChanged, "version", version + 1)

    replay(engine, ["counts"], lived, workers=1)
    in_place = h.everything(engine, lived)["counts"]
    with heard(engine, "INSERT INTO pg_temp.held_events") as held:
        replay(engine, ["all"], lived, workers=1)

    assert held
    assert h.everything(engine, lived)["counts"] == in_place
    assert any(row["count"] == 77 for row in h.rows(engine, "counts", lived))


def test_one_that_cannot_be_rebuilt_does_not_keep_the_others(
    engine: Engine, lived: MspId, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = READ_MODELS["ledger"]
    monkeypatch.setitem(broken.__dict__, "statements", ("SELECT 1 / 0",))

    with pytest.raises(ReplayStopped, match=f"ledger of {lived}"):
        replay(engine, ["all"], lived, workers=1)

    assert swapped(engine, lived) == set(READ_MODELS) - {"ledger"}


def test_one_that_is_rebuilt_elsewhere_does_not_keep_the_others(engine: Engine, lived: MspId) -> None:
    with engine.connect() as elsewhere:
        name = f"{READ_MODELS['ledger'].consumer}@{lived}"
        elsewhere.execute(text("SELECT pg_advisory_lock(hashtextextended(:name, 7427))"), {"name": name})

        with pytest.raises(ReplayRunning, match=f"ledger of {lived}"):
            replay(engine, ["all"], lived, workers=2)

    assert swapped(engine, lived) == set(READ_MODELS) - {"ledger"}


def swapped(engine: Engine, msp_id: MspId) -> set[str]:
    query = text("SELECT model FROM reporting.generations WHERE msp_id = :msp_id AND generation = 1")
    with engine.connect() as connection:
        return set(connection.scalars(query, {"msp_id": msp_id}))
