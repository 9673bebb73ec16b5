"""A file of a past place in the log, or of a past day, is byte for byte the one that was exported then, whatever came later."""

from datetime import UTC, datetime
from typing import Any

import pytest
from graphene.utils.str_converters import to_camel_case
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from domain.events import Event
from domain.keys import MspId
from gateway.exports.making import Making, wish
from plumbing.clock import FrozenClock
from services.reporting.queries import REPORTS, Report
from services.reporting.sides import drop_sides, make_side, models_of
from tests.reporting import history as h
from tests.reporting.test_projections import HAPPENINGS, HISTORIES, fresh_msp, many

pytestmark = pytest.mark.postgres
PAST = [report for report in REPORTS.values() if models_of(report)]
THAT_DAY, THE_NEXT = (datetime(2026, 3, day, 12, tzinfo=UTC) for day in (28, 29))


def file_of(engine: Engine, report: Report, msp_id: MspId, now: datetime, **asked: str) -> bytes:
    """The CSV that a person gets at that moment, with every column; sides are made as the service makes them."""
    columns = ",".join(map(to_camel_case, report.columns))
    given = [("msp", msp_id), ("cols", columns), *asked.items()]

    def made(*, msp_id: str, report: str, position: int) -> dict[str, Any]:
        make_side(engine, models_of(REPORTS[report]), MspId(msp_id), position, h.CLOCK)
        return {"refusal": ""}

    pieces: list[bytes] = []
    Making(engine, wish(engine, FrozenClock(now), report, "csv", given, "mara"), made).run(pieces.append)
    return b"".join(pieces)


@settings(many, max_examples=6)
@given(happened=HISTORIES, later=st.lists(HAPPENINGS, min_size=1, max_size=20), data=st.data())
def test_an_as_of_file_is_the_one_that_was_exported_then(
    engine: Engine, happened: list[Event], later: list[Event], data: st.DataObject
) -> None:
    # given: every report, exported when the log stood there
    msp_id = fresh_msp(engine)
    position = h.append(engine, msp_id, happened, recorded_at=THAT_DAY)
    h.project(engine, msp_id)
    then = {report.name: file_of(engine, report, msp_id, THAT_DAY) for report in PAST}

    # when: history goes on
    h.append(engine, msp_id, later, recorded_at=THE_NEXT)
    h.project(engine, msp_id, batch=data.draw(st.sampled_from([5, 1000])))

    # then
    asked = {"place": {"asOf": str(position)}, "day": {"asOf": "2026-03-28"}, "page": {"position": str(position)}}
    for way, parameters in asked.items():
        now = {report.name: file_of(engine, report, msp_id, THE_NEXT, **parameters) for report in PAST}
        assert now == then, way
        drop_sides(engine, [model for report in PAST for model in models_of(report)], msp_id)


def test_history_that_goes_on_changes_every_file_but_those_of_the_past(engine: Engine) -> None:
    msp_id = fresh_msp(engine)
    a, p = h.odin("a"), h.psa("p")
    begun = [h.discovered(a), h.linked(a, p), h.requested(a, p, "q1"), h.failed(a, p, "q1")]
    position = h.append(engine, msp_id, begun, recorded_at=THAT_DAY)
    h.project(engine, msp_id)
    then = {report.name: file_of(engine, report, msp_id, THAT_DAY) for report in PAST}
    renewed = [h.renewed(a, "9"), h.discovered(h.odin("a", "9"), "5"), h.cleared(a, p)]
    h.append(engine, msp_id, [h.posted(a, p, "q1"), *renewed], recorded_at=THE_NEXT)
    h.project(engine, msp_id)

    now = {report.name: file_of(engine, report, msp_id, THE_NEXT) for report in PAST}
    past = {report.name: file_of(engine, report, msp_id, THE_NEXT, asOf=str(position)) for report in PAST}

    assert past == then
    assert {"adjustments", "failures", "linked", "unlinked", "subscriptions"} <= {n for n in now if now[n] != then[n]}
