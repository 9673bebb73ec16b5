"""Where an export ends: one snapshot, one sheet, a client that takes nothing, one that left while the database still sorts."""

import asyncio
import io
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import openpyxl
import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.exports import serving, workbook
from gateway.exports.making import Making, Stopped, wish
from services.reporting.exporting import Export, snapshot
from services.reporting.queries import REPORTS, Order
from tests.gateway.exporting import CLOCK, export, reading
from tests.gateway.serving import Answering
from tests.gateway.test_exports_http import asking, at_work, crowd, crowded
from tests.reporting import history as h
from tests.waiting import wait_for

__all__ = ["crowd", "crowded", "reading"]
pytestmark = pytest.mark.postgres


def test_position_sums_and_rows_are_of_one_moment(engine: Engine, told: MspId) -> None:
    asked = Export(REPORTS["unlinked"], told, ("resource_id",), {}, (Order("resource_id"),))

    with snapshot(engine, "UTC", 60) as one:
        before = one.standing(asked, totals=True)
        h.append(engine, told, [h.discovered(h.odin("new"))])
        h.project(engine, told)
        rows = [row for some in one.rows(asked) for row in some]
        pieces: list[bytes] = []
        one.write_csv(asked, pieces.append)

    assert (before.position, before.row_count) == (9, 2)
    assert rows == [("b",), ("c",)]
    assert b"".join(pieces) == b"b\nc\n"


def test_more_rows_than_a_sheet_holds_are_refused(reading: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MOST_ROWS", 20)

    with pytest.raises(Refusal) as refused:
        export(reading, "subscriptions", "xlsx")

    assert refused.value.code == "TOO_MANY_ROWS"
    assert export(reading, "subscriptions", "csv")


def test_what_a_cell_cannot_hold_is_shortened_or_written_as_text(tmp_path: Path) -> None:
    columns = REPORTS["subscriptions"].columns
    chosen = [(columns[name], [name]) for name in ("resource_name", "renewal_date", "count")]
    rows = [("x" * 40_000, date(1899, 12, 31), Decimal("-0.5")), ("=1+1", date(1900, 1, 1), None)]

    workbook.write_workbook(tmp_path / "book.xlsx", "Subscriptions", chosen, [rows], {}, [])

    head, first, second = openpyxl.load_workbook(tmp_path / "book.xlsx").worksheets[0].iter_rows()
    assert [cell.value for cell in head] == ["resource_name", "renewal_date", "count"]
    assert first[0].value == "x" * 32_766 + "…"
    assert [cell.value for cell in first[1:]] == ["1899-12-31", -0.5]
    assert (second[0].value, second[0].data_type, second[0].quotePrefix) == ("=1+1", "s", True)
    assert second[1].is_date


def test_a_workbook_is_read_back_whole_from_what_was_put(reading: Engine) -> None:
    book = openpyxl.load_workbook(io.BytesIO(export(reading, "psa_products", "xlsx")))

    assert book.worksheets[0].title == "Psa products"


def making_of(engine: Engine) -> Making:
    asked = wish(engine, CLOCK, REPORTS["subscriptions"], "csv", [("msp", "acme")], "mara")
    return Making(engine, asked, lambda **_: {})


def test_an_export_that_was_stopped_before_it_began_reads_nothing(reading: Engine) -> None:
    making = making_of(reading)
    pieces: list[bytes] = []

    making.stop()

    with pytest.raises(Stopped):
        making.run(pieces.append)
    assert not pieces


def test_a_client_that_takes_nothing_more_is_given_up(crowded: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "STALLED_SECONDS", 0.2)
    sent: list[Any] = []

    async def stay() -> dict[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError

    async def take_two(message: Any) -> None:
        sent.append(message)
        if len(sent) > 2:
            await asyncio.sleep(3600)

    async def run() -> None:
        await serving.Sending("c").send(making_of(crowded), anyio.CapacityLimiter(1), stay, take_two)

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert len(sent) == 3


def test_a_client_that_leaves_before_the_first_byte_ends_what_the_database_does_for_it(
    crowd: Answering, crowded: Engine
) -> None:
    with crowded.begin() as connection:
        connection.execute(text("LOCK TABLE reporting.resources IN ACCESS EXCLUSIVE MODE"))
        with asking(crowd, "subscriptions.csv?msp=acme"):
            wait_for(lambda: at_work(crowded), what="the export to wait for the table")
        # Long before the lock is given up by itself.
        wait_for(lambda: not at_work(crowded), 2, what="the export to end")
