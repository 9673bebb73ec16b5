"""A marketplace read whole once more, nothing changed -> P13: what finding that costs, against COPY of the same rows to staging."""

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from itertools import islice

import psycopg2
from sqlalchemy import Engine

from domain.keys import CompanyId, ResourceId, SubscriptionId
from domain.money import Money
from plumbing.database import make_engine
from services.poller import known
from services.poller.known import ReadPrints
from services.poller.known_model import known_after
from services.poller.place import Place
from services.poller.sources.port import Resource, Snapshot, SubscriptionRow
from tests.bench.append import MSP
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.names import FIRST_MOMENT, RESOURCES, odin_names
from tests.bench.turns import in_turns
from tests.bench.written import rows_written

P13 = Goal("P13", "unchanged poll", "COPY of the same rows to staging alone", "s", 4.0, 3.0, at_most=True)
P13_ROWS = Goal("P13", "rows written when nothing changed", "", "rows", 0, 0, at_most=True)
PLACE = Place(MSP, odin_names(0).connection_id)


def unchanged(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """200,000 resource rows of 66,667 subscriptions (quick: a tenth), known already just so."""
    snapshots = list(islice(_snapshots(), (20_000 if quick else 200_000) // RESOURCES + 1))
    staged = "".join(_lines(snapshots))
    with ground.database() as url:
        engine = make_engine(url, "bench", statement_seconds=600)
        _know(engine, snapshots)
        engine.dispose()
        before = rows_written(url)
        ours, limits = in_turns(rounds, lambda: _find(engine, snapshots), lambda: _stage(url, staged))
        engine.dispose()
        written = rows_written(url) - before
        engine.dispose()
    notes = [
        "found in one go here; in the house for each 50 subscriptions, as fast as the marketplace lets them be read",
        "beside it a poll notes for each subscription that it was read (read_at): one narrow row each, not counted here",
    ]
    return [Measured(P13, ours, limits, notes), Measured(P13_ROWS, [written])]


def _find(engine: Engine, snapshots: Sequence[Snapshot]) -> float:
    """The prints of all reads and one join, as the poller does for each batch."""
    begun = time.perf_counter()
    prints = {each.row.subscription_id: known.snapshot_print(each) for each in snapshots}
    with engine.connect() as connection:
        found = known.differing(connection, PLACE, prints)
    assert not found
    return time.perf_counter() - begun


def _stage(url: str, staged: str) -> float:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            """CREATE TEMP TABLE staging (subscription_id text, company_id text, resource_id text, name text,
                   count numeric, cost numeric, cost_currency text, price numeric, price_currency text, mpn text,
                   vendor text)"""
        )
        lines = io.StringIO(staged)
        begun = time.perf_counter()
        cursor.copy_expert("COPY staging FROM STDIN", lines)
        connection.commit()
        return time.perf_counter() - begun


def _know(engine: Engine, snapshots: Sequence[Snapshot]) -> None:
    for start in range(0, len(snapshots), 5_000):
        some = snapshots[start : start + 5_000]
        prints = {each.row.subscription_id: ReadPrints("", known.snapshot_print(each)) for each in some}
        with engine.begin() as connection:
            known.put_subscriptions(
                connection, PLACE, [known_after(None, each, FIRST_MOMENT) for each in some], prints, {}
            )
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE poller.subscriptions, poller.resources")


def _snapshots() -> Iterator[Snapshot]:
    number = 0
    while True:
        names = odin_names(number * RESOURCES)
        row = SubscriptionRow(
            SubscriptionId(names.subscription_id),
            CompanyId(names.company_id),
            names.subscription_name,
            "active",
            False,
            "1 month",
            "1 year",
            FIRST_MOMENT.date(),
            FIRST_MOMENT.date(),
            FIRST_MOMENT.date(),
            True,
        )
        yield Snapshot(row, tuple(_resource(number * RESOURCES + place) for place in range(RESOURCES)))
        number += 1


def _resource(link: int) -> Resource:
    names = odin_names(link)
    cost, price = Money(Decimal("3.4000"), "USD"), Money(Decimal("5.2500"), "USD")
    return Resource(
        ResourceId(names.resource_id), names.resource_name, Decimal(link % 40), cost, price, f"MPN-{link}", "V", None
    )


def _lines(snapshots: Sequence[Snapshot]) -> Iterator[str]:
    for each in snapshots:
        for part in each.resources or ():
            yield (
                f"{each.row.subscription_id}\t{each.row.company_id}\t{part.resource_id}\t{part.name}\t{part.count}\t"
                f"3.4000\tUSD\t5.2500\tUSD\t{part.mpn}\t{part.vendor}\n"
            )
