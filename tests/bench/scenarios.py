"""Loads that a house may meet -> S1 to S3: a year in a minute, a stream that everything falls on, a rebuild under fire."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from statistics import median

from sqlalchemy import Engine

from deploy.up.house import as_role
from domain.keys import MspId
from plumbing import event_log
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.together import catch_up_together
from services.reporting.projections import READ_MODELS
from services.reporting.replay import replay
from tests.bench.append import MSP, add_log
from tests.bench.arriving import arriving, at
from tests.bench.exporting import peak
from tests.bench.generate import count_changes, fill_logs
from tests.bench.goals import Goal, Measured
from tests.bench.ground import ROLE_PASSWORD, Ground
from tests.bench.lag import running
from tests.bench.names import FIRST_MOMENT
from tests.bench.turns import Child
from tests.gateway.serving import Answering, gateway

YEAR = Goal("S1", "a year of 40 MSPs: appended, folded as it came, rebuilt", "", "s", 60, 30, at_most=True)
YEAR_SAME = Goal("S1", "read models of which rebuilt and living rows differ", "", "", 0, 0, at_most=True)
HOT = Goal("S2", "hot link: appending its last tenth", "its first tenth", "ms each", 1.2, 1.05, at_most=True)
FIRE = Goal("S3", "a report's page while its rows are rebuilt, p99", "the same without", "ms", 2.0, 1.2, at_most=True)
FIRE_MISSED = Goal("S3", "read models in which an event is missing then", "", "", 0, 0, at_most=True)
PROJECTIONS = [model.living() for model in READ_MODELS.values()]
_PAGE = """query Page($msp: String!) { subscriptions(mspId: $msp, first: 50) { totalCount
    edges { node { companyName subscriptionName resourceName count unitCost { amount currency } } } } }"""


def year(ground: Ground, _rounds: int, *, quick: bool) -> list[Measured]:
    """S1: 1 M events of 40 MSPs (quick: 100,000 of 4, and the time is multiplied by ten), read models kept up after each
    5,000, all of them rebuilt then. Making the events is not counted."""
    events, msps, times = (100_000, 4, 10) if quick else (1_000_000, 40, 1)
    appended = folded = 0.0
    with ground.database() as url:
        engine = make_engine(url, "bench", statement_seconds=600)

        def fold(msp_id: MspId, _: int, seconds: float) -> None:
            nonlocal appended, folded
            begun = time.perf_counter()
            catch_up_together(engine, PROJECTIONS, msp_id, Clock())
            appended, folded = appended + seconds, folded + time.perf_counter() - begun

        fill_logs(engine, events, msps, appended=fold)
        engine.dispose()
        with Child("tests.bench.rebuild_process", url) as child:
            rebuilt = child.ask(names=["all"], workers=2)
    rates = ", ".join(
        f"{what} {events / seconds:,.0f} events/s"
        for what, seconds in (("appended", appended), ("folded as they came", folded), ("rebuilt", rebuilt["seconds"]))
    )
    whole = (appended + folded + rebuilt["seconds"]) * times
    notes = [rates, f"the process that rebuilt them: {rebuilt['megabytes']:.0f} MB at most"]
    return [Measured(YEAR, [whole], [], notes), Measured(YEAR_SAME, [rebuilt["unequal"]])]


def hot_link(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """S2: 10,000 events of one stream (quick: 2,000), one a commit. The disk is not waited for: it would hide what grows."""
    events = 2_000 if quick else 10_000
    last, first = [], []
    for _ in range(rounds):
        with ground.database() as url:
            engine = make_engine(url, "bench")
            add_log(engine, MSP)
            taken = _append_each(engine, events)
            engine.dispose()
        first.append(median(taken[: events // 10]))
        last.append(median(taken[-events // 10 :]))
    return [Measured(HOT, last, first)]


def under_fire(ground: Ground, _rounds: int, *, quick: bool) -> list[Measured]:
    """S3: an MSP of 100,000 events (quick: 20,000) to which 200 a second are added; all of its read models are rebuilt
    while a page of its subscriptions is read over and over. Afterwards a trial rebuild compares every row."""
    with ground.database() as url, ground.vhost() as vhost, ExitStack() as stack:
        engine = make_engine(url, "bench", statement_seconds=600)
        (msp_id,) = fill_logs(engine, 20_000 if quick else 100_000, 1)
        catch_up_together(engine, PROJECTIONS, msp_id, Clock())
        pids = stack.enter_context(running(url, vhost, "relay", "reporting"))
        reader = stack.enter_context(gateway(as_role(url, "trueup_gateway", ROLE_PASSWORD), vhost, LOG_LEVEL="WARNING"))
        with arriving(url, [msp_id], 200, 10 if quick else 40) as stream:
            quiet = _read_for(reader, msp_id, _after(3 if quick else 10))
            with Child("tests.bench.rebuild_process", url) as child:
                child.tell(names=["all"], workers=1)
                busy = _read_for(reader, msp_id, child.has_answered)
                swapped = child.answer()
            stream.lags()
        memory = ", ".join(f"{name} {peak(pid):.0f}" for name, pid in {**pids, "gateway": reader.process.pid}.items())
        again = replay(engine, ["all"], msp_id, swap=False, workers=1)
        engine.dispose()
    note = f"{len(busy)} pages in a rebuild of {swapped['seconds']:.1f} s, {len(quiet)} before it"
    most = f"MB at most: {memory}, the process that rebuilt them {swapped['megabytes']:.0f}"
    missing = sum(not outcome.equal for outcome in again)
    p99 = [[at(0.99, sorted(times)) * 1000] for times in (busy, quiet)]
    return [Measured(FIRE, *p99, [note, most]), Measured(FIRE_MISSED, [missing])]


def _append_each(engine: Engine, events: int) -> Sequence[float]:
    """The milliseconds of each append."""
    (change,) = count_changes(1, 1, 1)
    taken = []
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET synchronous_commit = off")
        for version in range(1, events + 1):
            begun = time.perf_counter()
            event_log.append(
                connection,
                MSP,
                [replace(change, stream_version=version)],
                recorded_at=FIRST_MOMENT,
                recorded_by="bench",
                correlation_id="bench",
            )
            taken.append((time.perf_counter() - begun) * 1000)
    return taken


def _read_for(reader: Answering, msp_id: MspId, over: Callable[[], bool]) -> list[float]:
    """The seconds of each page."""
    taken = []
    while not over():
        begun = time.perf_counter()
        reader.data(_PAGE, msp=msp_id)
        taken.append(time.perf_counter() - begun)
    return taken


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end
