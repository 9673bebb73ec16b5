"""The reporting service and the relay as they run -> P7: how far read models are behind commits; S4: how they catch up."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from deploy.up.house import as_role
from domain.keys import MspId
from plumbing.database import make_engine
from services.reporting.projections import READ_MODELS
from tests.bench.arriving import arriving, at
from tests.bench.exporting import peak
from tests.bench.generate import fill_logs
from tests.bench.goals import Goal, Measured
from tests.bench.ground import ROLE_PASSWORD, Ground
from tests.house import Part
from tests.msps import add_msp
from tests.waiting import wait_for

P7 = Goal("P7", "from commit to read models at 500 events/s, p99", "", "ms", 1_000, 250, at_most=True)
S4 = Goal("S4", "catching up with a backlog while 500 events/s arrive", "what arrives", "events/s", 10, 50)
RATE = 500
LIVE = [MspId(f"live-{number}") for number in range(10)]


def from_commit(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """P7: for 60 s (quick: 10) 500 events/s of 10 MSPs, five a commit; reporting and relay as processes, RabbitMQ between."""
    seconds = 10 if quick else 60
    found = []
    for _ in range(rounds):
        with ground.database() as url, ground.vhost() as vhost:
            _add(url, LIVE)
            with running(url, vhost, "relay", "reporting"), arriving(url, LIVE, RATE, seconds) as stream:
                rising = stream.lags()
                found.append((at(0.5, rising) * 1000, at(0.99, rising) * 1000, RATE * seconds / stream.seconds))
    notes = [f"p50 {found[-1][0]:.0f} ms; {found[-1][2]:,.0f} events/s did arrive"]
    return [Measured(P7, [p99 for _, p99, _ in found], [], notes)]


def slow_reader(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """S4: reporting starts after ten minutes' events (quick: one minute's) of 5 MSPs, while 10 other MSPs go on as in P7."""
    backlog = RATE * (60 if quick else 600)
    found, notes = [], []
    for _ in range(rounds):
        with ground.database() as url, ground.vhost() as vhost, running(url, vhost, "relay"):
            engine = make_engine(url, "bench", statement_seconds=600)
            late = fill_logs(engine, backlog, 5)
            engine.dispose()
            _add(url, LIVE)
            with running(url, vhost, "reporting") as pids, arriving(url, LIVE, RATE, 10 if quick else 60) as stream:
                seconds = _until_read(url, late)
                rising = stream.lags()
                found.append(backlog / seconds)
                notes = [
                    f"the other MSPs meanwhile and after: p50 {at(0.5, rising):.2f} s, p99 {at(0.99, rising):.2f} s",
                    f"reporting: {peak(pids['reporting']):.0f} MB at most",
                ]
    return [Measured(S4, found, [RATE] * len(found), notes)]


@contextmanager
def running(url: str, vhost: str, *names: str, **more: str) -> Iterator[dict[str, int]]:
    """The named processes, ready: {name: process id}. more: settings, without TRUEUP_."""
    with ExitStack() as stack:
        started: dict[str, int] = {}
        for name in names:
            module, arguments = ("deploy.run_relay", ()) if name == "relay" else ("deploy.run_service", (name,))
            settings = {
                "TRUEUP_DATABASE_URL": as_role(url, f"trueup_{name}", ROLE_PASSWORD),
                "TRUEUP_RABBITMQ_URL": vhost,
                "TRUEUP_LOG_LEVEL": "WARNING",
                **{f"TRUEUP_{setting}": value for setting, value in more.items()},
            }
            part = Part(name, module, arguments, settings)
            stack.callback(part.process.kill)
            part.wait_until_ready()
            assert part.process.popen is not None
            started[name] = part.process.popen.pid
        yield started


def _add(url: str, msps: Sequence[MspId]) -> None:
    engine = make_engine(url, "bench")
    for msp_id in msps:
        add_msp(engine, msp_id)
    engine.dispose()


def _until_read(url: str, msps: Sequence[MspId]) -> float:
    """The seconds until every read model of the MSPs stands at the head."""
    engine = make_engine(url, "bench")
    begun = time.perf_counter()

    def read() -> bool:
        with engine.connect() as connection:
            done = connection.exec_driver_sql(
                """SELECT count(*) FROM reporting.positions p JOIN log.heads h USING (msp_id, position)
                   WHERE msp_id = ANY(%(msps)s)""",
                {"msps": list(msps)},
            ).scalar_one()
        return bool(done >= len(msps) * len(READ_MODELS))

    wait_for(read, 280, 0.1, "the read models of the late MSPs")
    engine.dispose()
    return time.perf_counter() - begun
