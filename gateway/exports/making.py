"""(what was asked for, a snapshot) -> its file: what HTTP and the operator's command have in common."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from sqlalchemy import Engine

from domain.keys import MspId
from gateway.errors import BadSetup, Refusal
from gateway.exports.asked import Asked, asked, in_words, order_in_words
from gateway.exports.headings import headings
from gateway.exports.workbook import most_rows, write_workbook
from gateway.schema.as_of import position_of
from gateway.set_up import setup_msp
from plumbing.clock import Clock
from plumbing.row_security import of_msp
from services.reporting.exporting import Export, Snapshot, Standing, snapshot
from services.reporting.queries import Column, Report, has_side

LONGEST_SECONDS = 600
_BYTE_ORDER_MARK = "\ufeff"
_PIECE_BYTES = 64 * 1024
# What the service reporting answers when it is asked for a side: called with msp_id, report and position.
MakeSide = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class Wish:
    """An export, its MSP's time zone, who asks for it and when. day: that the rows are of, in that time zone."""

    asked: Asked
    time_zone: str
    by: str
    day: date
    asked_at: str

    @property
    def file_name(self) -> str:
        """Such as trueup-unlinked-autotask-2018-07-28.csv."""
        report = self.asked.export.report.name.replace("_", "-")
        parts = ("trueup", report, self.asked.context, self.day.isoformat())
        return f"{'-'.join(part for part in parts if part)}.{self.asked.format}"


def wish(
    engine: Engine, clock: Clock, report: Report, file_format: str, given: Iterable[tuple[str, str]], by: str
) -> Wish:
    """What the parameters ask for. Refusal BAD_PARAMETER or NO_SUCH_MSP."""
    parameters = list(given)
    msp_id = next((value for name, value in parameters if name == "msp"), "")
    time_zone = _time_zone(engine, msp_id) if report.model and msp_id else "UTC"
    today = clock.today(time_zone)
    wanted = asked(report, file_format, parameters, lambda: today)
    if wanted.as_of is not None:
        with of_msp(engine, msp_id).connect() as connection:
            position = position_of(connection, MspId(msp_id), wanted.as_of)
        wanted = replace(wanted, position=position)
    day = wanted.as_of if isinstance(wanted.as_of, date) else today
    return Wish(wanted, time_zone, by, day, clock.now().astimezone(UTC).isoformat(timespec="seconds"))


class Stopped(Exception):
    """Nobody waits for the export any more."""


class _StandsElsewhere(Exception):
    """The rows stand at another position now than they did on the page."""


class Making:
    """The file of one wish under way: run in one thread, stopped by any other."""

    def __init__(self, engine: Engine, wish: Wish, make_side: MakeSide) -> None:
        self.wish = wish
        self._make_side = make_side
        self.standing: Standing | None = None
        self._engine, self._lock = engine, Lock()
        self._snapshot: Snapshot | None = None
        self._stopped = False

    def run(self, put: Callable[[bytes], object]) -> None:
        """Puts the file, in pieces, the first only when the first rows are there; whatever put raises ends it.

        Refusal NO_SUCH_POSITION when the rows cannot be had as they stood on the page, TOO_MANY_ROWS for a workbook;
        BadQuestion; Stopped; whatever make_side raises.
        """
        export = self.wish.asked.export
        try:
            self._put_file(export, put)
        except _StandsElsewhere:
            self._have_side(export)
            self._put_file(replace(export, at=self.wish.asked.position), put)

    def stop(self) -> None:
        """Ends it at once, also what the database does for it."""
        with self._lock:
            self._stopped = True
            if self._snapshot is not None:
                self._snapshot.cancel()

    def _have_side(self, export: Export) -> None:
        position = self.wish.asked.position
        assert position is not None  # noqa: S101 rows can stand elsewhere only than where they should
        with of_msp(self._engine, export.msp_id).connect() as connection:
            if has_side(connection, MspId(export.msp_id), export.report.name, position):
                return
        answer = self._make_side(msp_id=export.msp_id, report=export.report.name, position=position)
        if answer["refusal"]:
            fix = "Read the page again and export it then, or leave the parameter position out."
            raise Refusal(
                "NO_SUCH_POSITION", f"The rows cannot be exported as of position {position}: {answer['refusal']}.", fix
            )

    def _put_file(self, export: Export, put: Callable[[bytes], object]) -> None:
        with TemporaryDirectory(prefix="trueup-export-") as folder:
            book = Path(folder) / "report.xlsx"
            with snapshot(of_msp(self._engine, export.msp_id), self.wish.time_zone, LONGEST_SECONDS) as open_snapshot:
                self._under_way(open_snapshot)
                try:
                    self._read(open_snapshot, export, put, book)
                finally:
                    self._under_way(None)
            # A workbook is sent when the database is no longer needed.
            if self.wish.asked.format == "xlsx":
                with book.open("rb") as file:
                    while piece := file.read(_PIECE_BYTES):
                        put(piece)

    def _under_way(self, snapshot: Snapshot | None) -> None:
        """From when until when stop reaches the database. Stopped: a connection that was reached is not used again."""
        with self._lock:
            self._snapshot = snapshot
            if self._stopped:
                raise Stopped

    def _read(self, open_snapshot: Snapshot, export: Export, put: Callable[[bytes], object], book: Path) -> None:
        self.standing = standing = open_snapshot.standing(export, totals=self.wish.asked.format == "xlsx")
        if self.wish.asked.position not in (None, standing.position):
            raise _StandsElsewhere
        if self.wish.asked.format == "csv":
            heads = io.StringIO()
            csv.writer(heads, lineterminator="\n").writerow(head for _, says in _columns(self.wish) for head in says)
            open_snapshot.write_csv(export, put, (_BYTE_ORDER_MARK + heads.getvalue()).encode())
        else:
            _refuse_too_many(standing)
            write_workbook(
                book,
                export.report.name.replace("_", " ").capitalize(),
                _columns(self.wish),
                self._until_stopped(open_snapshot.rows(export)),
                standing.totals or {},
                _about(self.wish, standing),
            )

    def _until_stopped(self, rows: Iterator[list[tuple[Any, ...]]]) -> Iterator[list[tuple[Any, ...]]]:
        for some in rows:
            if self._stopped:
                raise Stopped
            yield some


def _refuse_too_many(standing: Standing) -> None:
    most = most_rows(sum(len(t) if isinstance(t, list) else 1 for t in (standing.totals or {}).values()))
    if standing.row_count is not None and standing.row_count > most:
        raise Refusal(
            "TOO_MANY_ROWS",
            f"A workbook holds at most {most:,} rows; these are {standing.row_count:,}.",
            "Export them as CSV, or filter them.",
        )


def _columns(wish: Wish) -> list[tuple[Column, list[str]]]:
    """The columns with their headings. A workbook's moments have no time zone of their own: the heading names it."""
    report = wish.asked.export.report
    time_zone = wish.time_zone if wish.asked.format == "xlsx" else ""
    chosen = [report.columns[name] for name in wish.asked.export.columns]
    return [(column, headings(report, column, time_zone)) for column in chosen]


def _about(wish: Wish, found: Standing) -> list[tuple[str, str | int]]:
    """What the workbook says of itself, line by line."""
    export = wish.asked.export
    recorded = "" if found.recorded_at is None else found.recorded_at.astimezone(UTC).isoformat(timespec="seconds")
    return [
        ("Report", export.report.name),
        ("MSP", export.msp_id),
        *(("Filter", line) for line in in_words(export)),
        ("Order", order_in_words(export)),
        ("Rows", found.row_count or 0),
        ("Log position", "none" if found.position is None else found.position),
        ("Recorded at", recorded),
        ("Time zone", wish.time_zone),
        ("Exported at", wish.asked_at),
        ("Exported by", wish.by),
    ]


def _time_zone(engine: Engine, msp_id: str) -> str:
    with of_msp(engine, msp_id).connect() as connection:
        try:
            return setup_msp(connection, MspId(msp_id)).time_zone
        except BadSetup as error:
            raise Refusal("NO_SUCH_MSP", f"There is no MSP {msp_id!r}.", "Add it with `trueup msp add`.") from error
