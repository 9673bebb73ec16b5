"""Read models of many rows -> P11 and S8: CSV through the gateway, against COPY of the same query, and what memory it takes."""

import time
from contextlib import closing
from pathlib import Path

import psycopg2
import requests

from gateway.exports.headings import usual_columns
from services.reporting.exporting import Export, _statement
from services.reporting.queries import REPORTS
from tests.bench.append import MSP
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.reports import serving
from tests.bench.turns import in_turns
from tests.gateway.serving import TOKEN, Answering

P11 = Goal("P11", "CSV with formula guard over HTTP", "COPY TO of the same query", "rows/s", 0.40, 0.70)
S8 = Goal("S8", "memory the gateway takes for an export", "", "MB", 16, 4, at_most=True)


def csv(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """The adjustment log, a million rows (quick: 50,000) with its usual columns, in its usual order."""
    rows = 50_000 if quick else 1_000_000
    with serving(ground, rows) as (url, answering):
        # One small file first: what is loaded once is not what rows take.
        _exported(answering, "&f.position=1")
        before = forget_peak(answering.process.pid)
        ours, limits = in_turns(rounds, lambda: rows / _exported(answering), lambda: rows / _copied(url))
        highest = peak(answering.process.pid)
    note = f"{before:.0f} MB before, {highest:.0f} MB at most while {rows:,} rows went out"
    return [Measured(P11, ours, limits), Measured(S8, [max(0.0, highest - before)], [], [note])]


def _exported(answering: Answering, more: str = "") -> float:
    address = f"{answering.url}/export/adjustments.csv?msp={MSP}{more}"
    begun = time.perf_counter()
    with requests.get(address, headers={"authorization": f"Bearer {TOKEN}"}, stream=True, timeout=300) as answer:
        answer.raise_for_status()
        for _ in answer.iter_content(1024 * 1024):
            pass
    return time.perf_counter() - begun


def _copied(url: str) -> float:
    report = REPORTS["adjustments"]
    export = Export(report, MSP, usual_columns(report), {}, (*report.order,))
    statement, values = _statement(export, lambda _, value: value)
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        query = cursor.mogrify(statement, values).decode()
        begun = time.perf_counter()
        with Path("/dev/null").open("wb") as nowhere:
            cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv)", nowhere)
        return time.perf_counter() - begun


def forget_peak(pid: int) -> float:
    """The megabytes that a process of Linux has now; from here on its peak counts anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak(pid)


def peak(pid: int) -> float:
    """The most megabytes that it had since."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
