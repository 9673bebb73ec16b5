"""Scenario 8: a page of 10,000 rows is refused before anything is read; a file of as many rows as one likes is not kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine, text

from domain.keys import MspId
from tests.bench.exporting import forget_peak, peak
from tests.bench.report_rows import fill_adjustments
from tests.gateway.serving import TOKEN, Answering, gateway
from tests.servers import Postgres, role_url

pytestmark = [pytest.mark.postgres]
PAGE = """query($first: Int, $after: String, $asOf: Past) {
    subscriptions(mspId: "acme", first: $first, after: $after, asOf: $asOf) { edges { node { resourceName } } } }"""
ROWS, FEW = 300_000, 30_000
MOST_MEGABYTES = 8


@pytest.fixture
def without_database(own: Answering, engine: Engine, database: str, postgres: Postgres) -> Iterator[Answering]:
    """A gateway of which every statement fails."""
    name = database.rsplit("/", 1)[1]
    with engine.connect() as kept:
        postgres.execute("ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
        kept.execute(
            text(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE usename = 'trueup_gateway' AND datname = current_database()"""
            )
        )
        yield own
        postgres.execute("ALTER DATABASE {} ALLOW_CONNECTIONS true", name)


@pytest.mark.parametrize("as_of", [None, "3", "2026-03-01"])
def test_a_page_of_10000_rows_is_refused_before_anything_is_read(
    without_database: Answering, as_of: str | None
) -> None:
    read = without_database.refusal(PAGE, first=100, asOf=as_of)
    big = without_database.refusal(PAGE, first=10_000, asOf=as_of)
    foreign = without_database.refusal(PAGE, first=100, after="elsewhere", asOf=as_of)

    assert read["code"] == "UNAVAILABLE"
    assert (big["code"], big["message"]) == ("BAD_QUESTION", "a page has 1 to 100 rows, not 10000")
    assert big["fix"] == "Change the filter, order or page that was asked for."
    assert (foreign["code"], foreign["fix"]) == ("BAD_QUESTION", big["fix"])


def test_no_side_is_made_for_a_page_that_is_refused(own: Answering, engine: Engine, told: MspId) -> None:
    assert own.refusal(PAGE, first=10_000, asOf="3")["code"] == "BAD_QUESTION"

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM reporting.sides")) == 0


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is read from Linux")
def test_a_file_takes_no_more_memory_however_many_rows_it_has(database: str) -> None:
    fill_adjustments(database, ROWS)
    with gateway(role_url(database, "trueup_gateway")) as answering:
        exported(answering, FEW)
        before = forget_peak(answering.process.pid)

        size = exported(answering, ROWS)

        grown = peak(answering.process.pid) - before
    assert size > 3 * MOST_MEGABYTES * 2**20
    assert grown < MOST_MEGABYTES


def exported(answering: Answering, rows: int) -> int:
    """The bytes of a CSV of the first so many rows."""
    asked = f"{answering.url}/export/adjustments.csv?msp=bench&f.position=lte:{rows}"
    with requests.get(asked, headers={"authorization": f"Bearer {TOKEN}"}, stream=True, timeout=120) as answer:
        answer.raise_for_status()
        size = lines = 0
        for piece in answer.iter_content(64 * 1024):
            size, lines = size + len(piece), lines + piece.count(b"\n")
    assert lines == rows + 1
    return size
