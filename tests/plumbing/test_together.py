"""Many projections of one MSP in one pass: the same guarantees as each by itself, for a fraction of the round trips."""

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import OperationalError

from domain.keys import MspId
from plumbing.catch_up import Projection, Slice, catch_up, stopped
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.event_log import UnknownMsp
from plumbing.together import catch_up_together
from tests.msps import add_msp
from tests.plumbing.test_event_log import append, count_changed

pytestmark = pytest.mark.postgres
CLOCK = Clock()
NAMES = ("one", "two", "three")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "test", pool_size=10)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE reporting.seen (consumer text, position bigint)"))
    yield engine
    engine.dispose()


def noting(name: str, refused: str = "") -> Callable[[Connection, Slice], None]:
    def fold(connection: Connection, part: Slice) -> None:
        connection.execute(
            text(
                """INSERT INTO reporting.seen SELECT :name, position FROM log.events
                   WHERE msp_id = :msp_id AND position > :after AND position <= :upto
                   AND (payload->>'resource_name' <> :refused OR 1 / (position - position) = 1)"""
            ),
            {"name": name, "refused": refused, "msp_id": part.msp_id, "after": part.after, "upto": part.upto},
        )

    return fold


def projection(
    name: str, types: tuple[str, ...] = ("ResourceCountChanged",), refused: str = "", batch: int = 3
) -> Projection:
    return Projection(f"reporting.{name}", "reporting", types, noting(name, refused), batch)


ALL = [projection(name) for name in NAMES]


def seen(engine: Engine, name: str) -> list[int]:
    with engine.connect() as connection:
        query = text("SELECT position FROM reporting.seen WHERE consumer = :name ORDER BY position")
        return list(connection.scalars(query, {"name": name}))


def positions(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {row.consumer: row.position for row in connection.execute(text("SELECT * FROM reporting.positions"))}


def test_every_event_is_folded_once_by_each_whatever_position_it_had(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, *(count_changed(number, 1) for number in range(4)))
    catch_up(engine, ALL[0], msp_id, CLOCK)
    append(engine, msp_id, *(count_changed(number, 2) for number in range(4)))

    assert catch_up_together(engine, ALL, msp_id, CLOCK) == 4 + 8 + 8
    assert [seen(engine, name) for name in NAMES] == [list(range(1, 9))] * 3
    assert set(positions(engine).values()) == {8}
    assert catch_up_together(engine, ALL, msp_id, CLOCK) == 0


def test_who_knows_no_event_of_the_slice_moves_without_folding(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))
    catch_up_together(engine, [projection("one"), projection("two", ("MspAdded",))], msp_id, CLOCK)

    assert (seen(engine, "one"), seen(engine, "two")) == ([1], [])
    assert positions(engine) == {"reporting.one": 1, "reporting.two": 1}


def test_the_round_trips_of_a_bell_do_not_grow_with_the_projections(engine: Engine) -> None:
    msp_id = add_msp(engine)
    idle = [projection(f"idle{number}", ("MspAdded",)) for number in range(20)]
    append(engine, msp_id, count_changed(1, 1))
    catch_up_together(engine, [*ALL, *idle], msp_id, CLOCK)
    append(engine, msp_id, count_changed(1, 2))
    said: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _1, _2, statement, *_: said.append(statement))

    catch_up_together(engine, [*ALL, *idle], msp_id, CLOCK)

    # held, three folds, moved; then a last look
    assert len(said) == 6


def test_e7_a_poison_event_stops_the_one_that_cannot_take_it_at_that_event(engine: Engine) -> None:
    msp_id = add_msp(engine)
    sick = [projection("one"), projection("two", refused="poison"), projection("three")]
    append(engine, msp_id, count_changed(1, 1), count_changed(2, 1, "poison"), count_changed(3, 1))

    catch_up_together(engine, sick, msp_id, CLOCK)

    assert positions(engine) == {"reporting.one": 3, "reporting.two": 1, "reporting.three": 3}
    (halt,) = stopped(engine, "reporting")
    assert (halt.consumer, halt.position) == ("reporting.two", 1)
    assert "division by zero" in halt.reason

    # when: more arrives, then a release that can take the event
    append(engine, msp_id, count_changed(4, 1))
    catch_up_together(engine, sick, msp_id, CLOCK)
    assert positions(engine) == {"reporting.one": 4, "reporting.two": 1, "reporting.three": 4}
    catch_up_together(engine, ALL, msp_id, CLOCK)
    assert seen(engine, "two") == [1, 2, 3, 4]
    assert stopped(engine, "reporting") == []


def test_e8_an_event_of_a_newer_version_stops_those_that_know_its_type(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))
    append(engine, msp_id, count_changed(2, 1))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE log.events DISABLE TRIGGER append_only"))
        connection.execute(text("UPDATE log.events SET version = 9 WHERE position = 2"))

    catch_up_together(engine, [projection("one"), projection("two", ("MspAdded",))], msp_id, CLOCK)

    assert positions(engine) == {"reporting.one": 1, "reporting.two": 2}
    assert "ResourceCountChanged version 9 at position 2" in stopped(engine, "reporting")[0].reason


def test_who_is_held_elsewhere_is_left_alone_and_the_others_go_on(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))
    catch_up_together(engine, ALL, msp_id, CLOCK)
    append(engine, msp_id, count_changed(2, 1))

    with engine.begin() as connection:
        connection.execute(text("SELECT FROM reporting.positions WHERE consumer = 'reporting.two' FOR UPDATE"))
        catch_up_together(engine, ALL, msp_id, CLOCK)
        assert positions(engine) == {"reporting.one": 2, "reporting.two": 1, "reporting.three": 2}
    catch_up_together(engine, ALL, msp_id, CLOCK)
    assert set(positions(engine).values()) == {2}


def test_e3_passes_at_once_fold_each_event_once(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, *(count_changed(number, 1) for number in range(100)))

    threads = [threading.Thread(target=catch_up_together, args=(engine, ALL, msp_id, CLOCK)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [seen(engine, name) for name in NAMES] == [list(range(1, 101))] * 3


def test_what_arrives_while_one_folds_is_folded_by_it(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))
    told: list[int] = []

    def slow(connection: Connection, part: Slice) -> None:
        told.append(part.upto)
        if len(told) == 1:
            append(engine, msp_id, count_changed(2, 1))
            assert catch_up_together(engine, [late], msp_id, CLOCK) == 0

    late = Projection("reporting.late", "reporting", ("ResourceCountChanged",), slow)
    catch_up_together(engine, [late], msp_id, CLOCK)
    assert told == [1, 2]


def test_a_database_fault_is_not_held_against_the_event_and_leaves_nothing(engine: Engine) -> None:
    msp_id = add_msp(engine)
    append(engine, msp_id, count_changed(1, 1))

    def cut(connection: Connection, _: Slice) -> None:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(OperationalError):
        catch_up_together(
            engine, [projection("one"), Projection("reporting.cut", "reporting", ALL[0].types, cut)], msp_id, CLOCK
        )
    assert stopped(engine, "reporting") == []
    assert seen(engine, "one") == []


def test_an_msp_without_a_log_is_told(engine: Engine) -> None:
    with pytest.raises(UnknownMsp):
        catch_up_together(engine, ALL, MspId("nobody"), CLOCK)
