"""A client that knows nothing but the text of the schema turns the pages of 20,000 rows, either way, while rows are added."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from domain.keys import MspId
from tests.gateway.serving import Answering, gateway
from tests.gateway.turning import SCHEMA, paged_reports
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import role_url

pytestmark = [pytest.mark.postgres]
ROWS = 20_000
REPORTS = paged_reports(SCHEMA.read_text("utf-8"))


def turned(
    answering: Answering, msp_id: str, between: Callable[[], object] = lambda: None, *, backward: bool
) -> list[str]:
    """The keys of all rows in the order in which they were met; between: called after every fourth page."""
    met: list[str] = []
    pages = REPORTS["subscriptions"]().turn(answering.data, msp_id, backward=backward)
    for number, rows in enumerate(pages, 1):
        met += [row["resourceKey"] for row in rows]
        if number % 4 == 0:
            between()
    return met


@pytest.fixture
def many(engine: Engine) -> MspId:
    """An MSP with 20,000 resources of 200 companies."""
    msp_id = add_msp(engine)
    for start in range(0, ROWS, 5000):
        each = range(start, start + 5000)
        h.append(engine, msp_id, [h.discovered(h.odin(f"r{n:05}", str(n // 5), f"{n * 7 % 200:03}")) for n in each])
    h.project(engine, msp_id)
    return msp_id


@pytest.fixture
def answering(database: str, many: MspId) -> Iterator[Answering]:
    with gateway(role_url(database, "trueup_gateway")) as made:
        yield made


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_no_row_is_met_twice_or_missed_while_rows_are_added(
    answering: Answering, engine: Engine, many: MspId, *, backward: bool
) -> None:
    added: list[str] = []

    def add() -> None:
        names = h.odin(f"new{len(added)}", f"n{len(added)}", f"{len(added) * 13 % 200:03}")
        h.append(engine, many, [h.discovered(names)])
        h.project(engine, many)
        added.append(h.key(names))

    met = turned(answering, many, add, backward=backward)

    assert len(met) == len(set(met))
    there = {h.key(h.odin(f"r{n:05}", str(n // 5), f"{n * 7 % 200:03}")) for n in range(ROWS)}
    assert there <= set(met) <= there | set(added)
    assert len(added) >= ROWS // 400 - 1
    assert set(met) & set(added), "some were added ahead of the reader, and met"


def test_read_backward_the_rows_are_those_read_forward_in_reverse(answering: Answering, many: MspId) -> None:
    assert turned(answering, many, backward=True) == turned(answering, many, backward=False)[::-1]


@pytest.mark.parametrize("report", REPORTS)
def test_the_schema_alone_says_how_the_pages_of_a_report_are_asked_for(served: Answering, report: str) -> None:
    ways = [list(REPORTS[report]().turn(served.data, "acme", backward=way, at_once=1)) for way in (False, True)]

    assert ways[0] == ways[1][::-1]
