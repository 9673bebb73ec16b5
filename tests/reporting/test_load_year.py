"""Scenario 1: a year of 40 MSPs, folded as it comes and then rebuilt: nothing missed, nothing doubled, nothing another's."""

from collections.abc import Iterator
from itertools import islice
from random import Random

import pytest
from sqlalchemy import Engine, text

from domain import events as e
from domain.envelope import NewEvent
from domain.keys import MspId
from plumbing import event_log
from plumbing.together import catch_up_together
from services.reporting.projections import READ_MODELS
from services.reporting.queries import REPORTS, Question, read_page
from services.reporting.replay import replay
from tests.bench.life import life
from tests.msps import add_msp
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
MSPS, EVENTS_EACH, LINKS = 40, 500, 20
PROJECTIONS = [model.living() for model in READ_MODELS.values()]
# Of so many every row is compared by itself as well; of the others only what replay says of them.
COMPARED = 3


def parts(events: Iterator[NewEvent], chance: Random) -> Iterator[list[NewEvent]]:
    """As they come: now one, now some, now more than the statements for small slices take."""
    while some := list(islice(events, chance.choice((1, 40, 150, 250)))):
        yield some


def test_a_year_of_40_msps_is_folded_as_it_comes_and_rebuilt_to_the_same_rows(engine: Engine) -> None:
    # given
    lives: dict[MspId, list[NewEvent]] = {}
    for number in range(MSPS):
        msp_id = add_msp(engine, f"msp-{number}")
        lives[msp_id] = list(life(number, LINKS, EVENTS_EACH))
    coming = {msp_id: parts(iter(lived), Random(msp_id)) for msp_id, lived in lives.items()}

    # when
    while coming:
        for msp_id in list(coming):
            some = next(coming[msp_id], None)
            if some is None:
                del coming[msp_id]
                continue
            told = {"recorded_at": h.BEGAN, "recorded_by": "test", "correlation_id": "c"}
            with engine.begin() as connection:
                event_log.append(connection, msp_id, some, **told)
            catch_up_together(engine, PROJECTIONS, msp_id, h.CLOCK)
    living = {msp_id: h.everything(engine, msp_id) for msp_id in list(lives)[:COMPARED]}
    outcomes = replay(engine, ["all"], workers=2)

    # then
    assert gap_free(engine) == set(lives)
    for msp_id, lived in lives.items():
        adjustments, relations = (whole(engine, msp_id, name) for name in ("adjustments", "relations"))
        changes = [each.event.unit_change for each in lived if isinstance(each.event, e.AdjustmentPosted)]
        assert (adjustments["rows"], adjustments["unit_change"]) == (len(changes), str(sum(changes)))
        assert relations["rows"] == sum(isinstance(each.event, e.RelationSet) for each in lived)
    assert len(outcomes) == MSPS * len(READ_MODELS)
    assert all(outcome.equal and outcome.swapped for outcome in outcomes)
    assert {msp_id: h.everything(engine, msp_id) for msp_id in living} == living


def gap_free(engine: Engine) -> set[str]:
    """The MSPs whose positions go from 1 to the head, and that all read models have read to there."""
    with engine.connect() as connection:
        found = connection.execute(
            text(
                """SELECT msp_id FROM log.heads h JOIN (
                     SELECT msp_id, count(*) AS n, min(position) AS low, max(position) AS high FROM log.events GROUP BY 1
                   ) e USING (msp_id)
                   WHERE (low, high, n) = (1, h.position, h.position) AND n = :each AND NOT EXISTS (
                     SELECT FROM reporting.positions p WHERE p.msp_id = h.msp_id AND p.position <> h.position)"""
            ),
            {"each": EVENTS_EACH},
        )
        return set(found.scalars())


def whole(engine: Engine, msp_id: MspId, report: str) -> dict[str, object]:
    """The totals of a report."""
    with engine.connect() as connection:
        totals = read_page(connection, REPORTS[report], msp_id, Question(first=1)).totals
    assert totals is not None
    return totals
