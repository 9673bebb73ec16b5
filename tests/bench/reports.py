"""Read models of many rows -> P10 and S8: what a GraphQL page costs over HTTP, against bare SQL and orjson of the same page."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import orjson
import psycopg2

from deploy.up.house import as_role
from tests.bench.append import MSP
from tests.bench.goals import Goal, Measured
from tests.bench.ground import ROLE_PASSWORD, Ground
from tests.bench.report_rows import fill_adjustments
from tests.bench.turns import in_turns
from tests.gateway.serving import Answering, gateway

P10 = Goal("P10", "GraphQL page of 100 rows x 14 fields", "SQL and orjson of the same page", "ms", 15, 10, at_most=True)
S8 = Goal("S8", "a page of 10,000 rows is refused", "", "ms", 20, 5, at_most=True)
TIMES = 30
_PAGE = """query Page($first: Int) { adjustments(mspId: "bench", first: $first) {
    edges { node { position requestId connectionId companyId companyName subscriptionName resourceName psaCustomerName
        psaAgreementName psaProductName postedAt unitChange unitsBefore unitsAfter } }
    pageInfo { hasNextPage endCursor } } }"""
_SAME = """SELECT position, request_id, connection_id, company_id, company_name, subscription_name, resource_name,
    psa_customer_name, psa_agreement_name, psa_product_name, posted_at, unit_change, units_before, units_after
    FROM reporting.adjustments WHERE msp_id = %s AND generation = 0 ORDER BY posted_at DESC, position DESC LIMIT 100"""
_WHOLES = {
    "totals": "{ totals { rows unitChange proratedCost { amount currency } } }",
    "groups by company": "{ groups(by: COMPANY_ID) { key label rows share } }",
    "groups by month": "{ groups(by: ADJUSTMENT_DATE, step: MONTH) { key rows unitChange } }",
}


def pages(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """Of 100,000 and of a million rows (quick: 10,000), through a gateway process and its HTTP."""
    return [one for rows in ((10_000,) if quick else (100_000, 1_000_000)) for one in _pages(ground, rounds, rows)]


@contextmanager
def serving(ground: Ground, rows: int) -> Iterator[tuple[str, Answering]]:
    """The URL of a database with so many adjustments, and a gateway that shows them."""
    with ground.database() as url:
        fill_adjustments(url, rows)
        with gateway(as_role(url, "trueup_gateway", ROLE_PASSWORD), LOG_LEVEL="ERROR") as answering:
            yield url, answering


def _pages(ground: Ground, rounds: int, rows: int) -> Iterator[Measured]:
    with serving(ground, rows) as (url, answering), closing(psycopg2.connect(url)) as connection:
        ours, limits = in_turns(
            rounds,
            lambda: _milliseconds(lambda: answering.data(_PAGE, first=100)),
            lambda: _milliseconds(lambda: _bare(connection)),
        )
        notes = ["HTTP within the gateway's time"]
        for name, wanted in _WHOLES.items():
            query = f'{{ adjustments(mspId: "{MSP}") {wanted} }}'
            notes.append(f"{name}: {_milliseconds(lambda query=query: answering.data(query), 5):.0f} ms")
        yield Measured(replace(P10, what=f"{P10.what}, of {rows:,}"), ours, limits, notes)
        refused = [_milliseconds(lambda: answering.refusal(_PAGE, first=10_000)) for _ in range(rounds)]
        yield Measured(S8, refused)


def _bare(connection: Any) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute(_SAME, [MSP])
        names = [column.name for column in cursor.description]
        page = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    connection.rollback()
    assert len(page) == 100
    return orjson.dumps(page)


def _milliseconds(ask: Callable[[], object], times: int = TIMES) -> float:
    """The median of so many, after one that is not counted."""
    ask()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - begun) * 1000)
    return median(taken)
