"""An MSP's links, all as they should be -> P12: how fast reconciler finds that, against one bare join of its three tables."""

import time

from sqlalchemy import Engine, text

from plumbing.clock import Clock
from plumbing.database import make_engine
from services.reconciler.replan import replan
from tests.bench.append import MSP, add_log
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.names import RESOURCES, SUBSCRIPTIONS
from tests.bench.turns import in_turns
from tests.bench.written import rows_written

P12 = Goal("P12", "full re-plan, nothing to ask for", "one bare join of the three tables", "links/s", 0.60, 0.90)

_FILL = (
    """INSERT INTO reconciler.resources
       SELECT :msp_id, concat_ws('/', :msp_id, 'odin', c, s, 100000 + n), 'odin', c, 'Company ' || c, s,
              'Subscription ' || s, 100000 + n, 'Microsoft 365 Business Premium', false, 1 + n % 40, 3.4000, 'USD', 1
       FROM (SELECT n, (1000000 + n / :resources)::text AS s,
                    (1200000000 + n / (:resources * :subscriptions))::text AS c
             FROM generate_series(0, :links - 1) AS n) AS link""",
    """INSERT INTO reconciler.relations
       SELECT msp_id, resource_key, md5(resource_key), 'autotask', 'p' || resource_id FROM reconciler.resources""",
    """INSERT INTO reconciler.products
       SELECT msp_id, 'autotask', 'p' || resource_id, resource_name, company_id, company_name, subscription_id,
              subscription_name, 1, 'USD', 1, 1, md5(resource_id), false, count, 3.4000, 'USD'
       FROM reconciler.resources""",
    "ANALYZE reconciler.resources, reconciler.relations, reconciler.products",
)
_JOIN = """SELECT count(*) FROM reconciler.relations l
           JOIN reconciler.resources r USING (msp_id, resource_key)
           JOIN reconciler.products p USING (msp_id, psa_connection_id, psa_product_id)
           WHERE l.msp_id = :msp_id"""


def replanning(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """200,000 links (quick: 20,000), one resource a product."""
    links = 20_000 if quick else 200_000
    with ground.database() as url:
        engine = make_engine(url, "bench", statement_seconds=600)
        _fill(engine, links)
        _replan(engine)  # once for both: everything is in memory now
        engine.dispose()
        before = rows_written(url)
        ours, limits = in_turns(rounds, lambda: links / _replan(engine), lambda: links / _join(engine))
        engine.dispose()
        written = rows_written(url) - before
        one_percent = _change_and_replan(engine, links // 100)
        engine.dispose()
    notes = [
        f"rows written in {rounds} re-plans: {written}",
        f"with 1 % of the counts changed, asking for {links // 100:,} products included: {one_percent:.1f} s",
    ]
    return [Measured(P12, ours, limits, notes)]


def _fill(engine: Engine, links: int) -> None:
    add_log(engine, MSP)
    with engine.begin() as connection:
        for statement in _FILL:
            parameters = {"msp_id": MSP, "links": links, "resources": RESOURCES, "subscriptions": SUBSCRIPTIONS}
            connection.execute(text(statement), parameters)


def _replan(engine: Engine, expected: int = 0) -> float:
    begun = time.perf_counter()
    events = replan(engine, MSP, Clock())
    seconds = time.perf_counter() - begun
    assert events == expected, f"{events} events instead of {expected}"
    return seconds


def _join(engine: Engine) -> float:
    begun = time.perf_counter()
    with engine.connect() as connection:
        connection.scalar(text(_JOIN), {"msp_id": MSP})
    return time.perf_counter() - begun


def _change_and_replan(engine: Engine, changed: int) -> float:
    with engine.begin() as connection:
        connection.execute(
            text(
                """UPDATE reconciler.resources SET count = count + 1
                   WHERE msp_id = :msp_id AND resource_id::integer < 100000 + :changed"""
            ),
            {"msp_id": MSP, "changed": changed},
        )
    return _replan(engine, changed)
