"""A filled log -> P4, P5 and P15: how fast read models are rebuilt from it, against one bare INSERT ... SELECT of the events."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from plumbing.database import make_engine
from services.reporting.projections import READ_MODELS
from tests.bench.baseline import pbase
from tests.bench.generate import fill_logs
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.turns import Child

P4 = Goal("P4", "rebuild of all read models, one connection", "PBASE of each", "events/s", 0.80, 1.0)
P4_EACH = Goal("P4", "rebuild of each read model by itself", "PBASE", "events/s", 0.80, 1.0)
P4_TWO = Goal("P4", "rebuild of all read models, two connections", "twice PBASE", "events/s", 0.75, 0.95)
P5 = Goal("P5", "rebuild of 1 M events on 2 cores", "", "s", 15.0, 6.0, at_most=True)
P5_MEMORY = Goal("P5", "peak memory of our process in it", "", "MB", 150.0, 80.0, at_most=True)
P15 = Goal("P15", "rebuild of a log of 10 M events", "the same, 1 M events", "events/s", 0.70, 0.90)


def against_bare(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """P4: a log of 200,000 events (quick: 50,000) of one MSP, of which no read model has read anything yet. The events of a
    model are those of the types that it knows. By itself a read model shares no slice with others."""
    with filled(ground, 50_000 if quick else 200_000) as source:
        each = [_by_model(ground, source) for _ in range(rounds)]
        one = [_rebuild(ground, source, workers=1)["seconds"] for _ in range(rounds)]
        two = [_rebuild(ground, source)["seconds"] for _ in range(rounds)]
    folded = sum(count for count, _, _ in each[0].values())
    bare = [folded / sum(limit for _, limit, _ in models.values()) for models in each]
    ours = [folded / sum(seconds for _, _, seconds in models.values()) for models in each]
    notes = [
        f"{name}: {count / seconds:,.0f}/s of {count:,} events, {limit / seconds:.2f} of PBASE"
        for name, (count, limit, seconds) in each[-1].items()
    ]
    return [
        Measured(P4, [folded / seconds for seconds in one], bare),
        Measured(P4_TWO, [folded / seconds for seconds in two], [2 * limit for limit in bare]),
        Measured(P4_EACH, ours, bare, notes),
    ]


def a_million(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """P5: 1 M events of 10 MSPs (quick: of one of them, and the time is multiplied by ten)."""
    events, msps, times = (100_000, 1, 10) if quick else (1_000_000, 10, 1)
    with filled(ground, events, msps) as source:
        found = [_rebuild(ground, source) for _ in range(rounds)]
        size = _mean_payload(source)
    notes = [f"{events:,} events of {size:.0f} bytes" + f", seconds multiplied by {times}" * quick]
    return [
        Measured(P5, [each["seconds"] * times for each in found], [], notes),
        Measured(P5_MEMORY, [each["megabytes"] for each in found]),
    ]


def ten_million(ground: Ground, _rounds: int, *, quick: bool) -> list[Measured]:
    """P15: 10 M events of one MSP against 1 M (quick: 100,000 against 10,000), once each. Making them takes longest."""
    rates = []
    for events in (100_000, 10_000) if quick else (10_000_000, 1_000_000):
        with filled(ground, events) as source:
            rates.append([events / _rebuild(ground, source)["seconds"]])
    return [Measured(P15, *rates)]


@contextmanager
def filled(ground: Ground, events: int, msps: int = 1) -> Iterator[str]:
    """The URL of a database with logs of so many events, vacuumed, so that nothing has to be tidied up while one measures."""
    with ground.database() as url:
        engine = make_engine(url, "bench", statement_seconds=600)
        fill_logs(engine, events, msps)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE log.events")
        engine.dispose()
        yield url


def _by_model(ground: Ground, source: str) -> Mapping[str, tuple[int, float, float]]:
    """For each read model: how many events, the seconds of PBASE, our seconds."""
    with ground.copy(source) as url, Child("tests.bench.rebuild_process", url) as child:
        return {
            name: (*pbase(url, model.types), child.ask(names=[name], workers=1)["seconds"])
            for name, model in READ_MODELS.items()
        }


def _rebuild(ground: Ground, source: str, workers: int = 2) -> Mapping[str, float]:
    with ground.copy(source) as url, Child("tests.bench.rebuild_process", url) as child:
        return child.ask(names=["all"], workers=workers)


def _mean_payload(url: str) -> float:
    engine = make_engine(url, "bench")
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT avg(length(payload::text)) FROM log.events").scalar_one()
    engine.dispose()
    return float(found)
