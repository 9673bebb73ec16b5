"""The read models -> answers for the gateway and the operator's command: reporting's published interface.

Every function reads what the role trueup_gateway may read, and reads one MSP's rows only; deadLetters alone are the whole
installation's.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from domain.keys import MspId
from plumbing.event_log import UnknownMsp
from services.reporting import dashboard, sides
from services.reporting.called import calls_by_endpoint, calls_by_time, put_off
from services.reporting.closing.checklist import Act, Checklist, close_stream, read_checklist
from services.reporting.closing.checks import CHECKS, Door, State, door_of
from services.reporting.feeds import CLOSE, WATCHED, feeds, newest_of_types
from services.reporting.finding import FOUND_KINDS, MOST_FOUND, find
from services.reporting.groups import MOST_GROUPS, Grouping, Step, read_groups
from services.reporting.leaks import leak_trend
from services.reporting.lineage.asking import Lineage
from services.reporting.naming import company_names, resource_names
from services.reporting.paging import Page, read_page
from services.reporting.past import counts_since
from services.reporting.pulse import Phase, pulse
from services.reporting.question import MOST_ROWS, QUESTIONS, BadQuestion, NoSuchSide, Question, check
from services.reporting.reading_marks import bell_kinds, mark_read, unread
from services.reporting.reports import REPORTS
from services.reporting.reports.columns import Column, Kind, Order, Report
from services.reporting.shown_before import adjustment_at, counts_read_at, open_requests_of
from services.reporting.tree import company_branch

__all__ = [
    "CHECKS",
    "CLOSE",
    "FOUND_KINDS",
    "MOST_FOUND",
    "MOST_GROUPS",
    "MOST_ROWS",
    "QUESTIONS",
    "REPORTS",
    "WATCHED",
    "Act",
    "BadQuestion",
    "Checklist",
    "Column",
    "Door",
    "Grouping",
    "Kind",
    "Lineage",
    "NoSuchSide",
    "Order",
    "Page",
    "Phase",
    "Question",
    "Report",
    "State",
    "Step",
    "UnknownMsp",
    "adjustment_at",
    "bell_kinds",
    "calls_by_endpoint",
    "calls_by_time",
    "check",
    "close_stream",
    "company_branch",
    "company_names",
    "counts_read_at",
    "counts_since",
    "dashboard",
    "door_of",
    "feeds",
    "find",
    "has_side",
    "held_of",
    "leak_trend",
    "mark_read",
    "newest_of_types",
    "open_failures_of",
    "open_requests_of",
    "position_at_end_of",
    "pulse",
    "put_off",
    "question_of",
    "read_checklist",
    "read_groups",
    "read_page",
    "relations_of",
    "resource_names",
    "settings_of",
    "side_progress",
    "unread",
]


def relations_of(connection: Connection, msp_id: MspId) -> list[dict[str, str]]:
    """All live relations of the MSP with ids and names of both sides, by company, subscription and resource."""
    return _all(connection, msp_id, "relations", {"state": {"in": ["live"]}})


def settings_of(connection: Connection, msp_id: MspId) -> dict[str, dict[str, Any]]:
    """{relation id: its row of the report linked} of the relations for which something was settled."""
    rows = _all(connection, msp_id, "linked", {"included": {"is_empty": False}})
    return {row["relation_id"]: row for row in rows}


def open_failures_of(connection: Connection, msp_id: MspId) -> list[dict[str, Any]]:
    """What is stuck for the MSP: open and parked failures, the oldest last. request_id is null for polls and readings."""
    return _all(connection, msp_id, "failures", {"state": {"in": ["open", "parked"]}})


def question_of(connection: Connection, msp_id: MspId, question_id: str) -> dict[str, Any] | None:
    """A question with its candidates, each {id, name, evidence}, as they were told; None when there is none of this id."""
    row = connection.execute(
        text(
            """SELECT question_id, kind, connection_id, subject_id, subject_name, customer_name, state, candidates
               FROM reporting.questions WHERE msp_id = :msp_id AND question_id = :question_id
               AND generation = (SELECT reporting.living_generation('questions', :msp_id))"""
        ),
        {"msp_id": msp_id, "question_id": question_id},
    ).first()
    return dict(row._mapping) if row else None


def held_of(connection: Connection, msp_id: MspId) -> list[dict[str, Any]]:
    """What the brake holds for the MSP, the oldest first."""
    return _all(connection, msp_id, "held_adjustments", {})


def _all(
    connection: Connection, msp_id: MspId, report: str, wanted: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        question = Question(filter=wanted, first=MOST_ROWS, after=after, wanted=frozenset())
        page = read_page(connection, REPORTS[report], msp_id, question)
        rows += page.rows
        if not page.has_next:
            return rows
        after = page.cursors[-1]


_END_OF_DAY = """
WITH RECURSIVE day AS (
    SELECT h.position AS head, timezone(m.time_zone, CAST(CAST(:day AS date) + 1 AS timestamp)) AS ended_at
    FROM log.heads h JOIN setup.msps m USING (msp_id) WHERE h.msp_id = :msp_id
), search AS (
    SELECT CAST(0 AS bigint) AS low, head AS high FROM day
    UNION ALL
    SELECT CASE WHEN before THEN middle ELSE low END, CASE WHEN before THEN high ELSE middle - 1 END
    FROM (
        SELECT low, high, (low + high + 1) / 2 AS middle, (
            SELECT e.recorded_at < day.ended_at FROM log.events e, day
            WHERE e.msp_id = :msp_id AND e.position = (low + high + 1) / 2
        ) AS before
        FROM search WHERE low < high
    ) halved
)
SELECT low FROM search WHERE low = high
"""


def position_at_end_of(connection: Connection, msp_id: MspId, day: date) -> int:
    """The position of the last event that was recorded before the day ended in the MSP's time zone; 0: none was. Found by
    halving the log: moments of recording rise with positions, but for seconds. UnknownMsp."""
    found = connection.scalar(text(_END_OF_DAY), {"msp_id": msp_id, "day": day})
    if found is None:
        raise UnknownMsp(msp_id)
    return int(found)


def has_side(connection: Connection, msp_id: MspId, report: str, position: int) -> bool:
    """Whether the report, by its name, can be read as of the position right now: Question(at=position). When not, the
    service makes it: rpc reporting.side(msp_id, report, position)."""
    return report in REPORTS and sides.has_side(connection, sides.models_of(REPORTS[report]), msp_id, position)


def side_progress(connection: Connection, msp_id: MspId, report: str, position: int) -> tuple[int, int] | None:
    """How many positions are folded for the report as of the position, and of how many; None: nobody has asked for it."""
    return sides.progress_of(connection, sides.models_of(REPORTS[report]), msp_id, position)
