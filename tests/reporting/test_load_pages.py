"""However long a report is, its next page and the one before are read from where they begin, and whether there are others too."""

import pytest
from sqlalchemy import Connection, Engine, text

from services.reporting.paging import Page
from services.reporting.queries import REPORTS, Question, read_page
from tests.bench.report_rows import fill_adjustments

pytestmark = pytest.mark.postgres
ROWS = 30_000
READ = text("SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname = 'adjustments'")


def turned(connection: Connection, **where: object) -> tuple[Page, int]:
    """A page of 100, and how many rows of the log were read for it."""
    before = connection.scalar(READ)
    page = read_page(connection, REPORTS["adjustments"], "bench", Question(wanted=frozenset(), **where))
    return page, connection.scalar(READ) - before


def test_a_page_in_either_direction_costs_what_it_shows(engine: Engine, database: str) -> None:
    fill_adjustments(database, ROWS)
    with engine.connect() as connection:
        newest, _ = turned(connection, first=100)
        second, read_forward = turned(connection, first=100, after=newest.cursors[-1])
        oldest, _ = turned(connection, last=100)
        before, read_backward = turned(connection, last=100, before=oldest.cursors[0])

    assert (second.has_previous, second.has_next, before.has_previous, before.has_next) == (True, True, True, True)
    assert [row["position"] for row in second.rows] == list(range(ROWS - 100, ROWS - 200, -1))
    assert [row["position"] for row in before.rows] == list(range(200, 100, -1))
    assert max(read_forward, read_backward) < 250
