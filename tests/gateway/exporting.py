"""An MSP with hostile names and two currencies -> its exports, made in this process as the gateway's role makes them."""

import csv
import io
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from domain.keys import MspId
from gateway.exports.making import Making, wish
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from services.reporting.queries import REPORTS
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import Postgres, role_url

ZONE = "America/New_York"
CLOCK = FrozenClock(datetime(2026, 3, 29, 2, tzinfo=UTC))
HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2.00",
    "@SUM(A1:A9)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    'a "quoted", name',
    "two\nlines\r\nthree",
    "\ufeffmark",
    "\u202eright to left שלום",
    "half;=of,it",
    "_x0041_ \x01\x1f",
    "\\N",
    "\ufffe\uffff",
    "'already",
    "Größe ✓ 🙂",
    "plain",
    "%s %(x)s",
)


def _told(engine: Engine) -> MspId:
    """An MSP with hostile names, two currencies, unknown counts, and posts around midnight of its time zone."""
    msp_id = add_msp(engine, time_zone=ZONE)
    events: list[Any] = []
    for number in range(44):
        names = h.odin(str(number), subscription=str(number % 9), company=str(number % 4))
        names["resource_name"] = HOSTILE[number % len(HOSTILE)]
        names["company_name"] = HOSTILE[-(number % 4) - 1]
        cost = None if number % 5 == 0 else h.Money(Decimal(number) / 8, "EUR" if number % 3 else "USD")
        count = None if number % 7 == 0 else str(Decimal(number) / (1 if number % 2 else 1000))
        events += [h.subscription(names, period=None if number % 6 == 0 else "1 month")]
        events += [h.discovered(names, count, unit_cost=cost, unit=None if number % 4 else "licence")]
        product = h.psa(str(number))
        if number % 2:
            events += [h.product(product), h.linked(names, product, f"r{number}")]
        if number % 3 == 0:
            request = f"q{number}"
            events += [h.requested(names, product, request), h.posted(names, product, request, number - 20)]
        if number % 11 == 0:
            events += [h.failed(names, product, f"f{number}")]
    for hour, event in enumerate(events):
        h.append(engine, msp_id, [event], occurred_at=datetime(2026, 3, 1 + hour // 24, hour % 24, 30, tzinfo=UTC))
    h.project(engine, msp_id)
    return msp_id


@pytest.fixture(scope="module")
def reading(postgres: Postgres, migrated_template: str) -> Iterator[Engine]:
    """A told database as the gateway's role reads it; the tests of the module share it."""
    name = f"exports_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    owner = make_engine(postgres.database_url(name), "test")
    _told(owner)
    owner.dispose()
    engine = make_engine(role_url(postgres.database_url(name), "trueup_gateway"), "test")
    yield engine
    engine.dispose()
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


def export(engine: Engine, report: str, file_format: str, *given: tuple[str, str]) -> bytes:
    """The file that the parameters ask for, whole."""
    pieces: list[bytes] = []
    asked = [("msp", "acme"), *given] if REPORTS[report].model else given
    Making(engine, wish(engine, CLOCK, REPORTS[report], file_format, asked, "mara"), _no_service).run(pieces.append)
    return b"".join(pieces)


def _no_service(**asked: Any) -> dict[str, Any]:
    raise AssertionError(f"no service is asked here: {asked}")


def lines_of(file: bytes) -> list[list[str]]:
    """The lines of a CSV file, the headings first."""
    # A line of one empty cell is an empty line.
    return [line or [""] for line in csv.reader(io.StringIO(file.decode("utf-8-sig"), newline=""))]
