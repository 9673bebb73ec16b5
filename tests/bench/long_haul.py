"""The read side under mixed load for half an hour -> S10: what grows that should not: memory, open files, connections, dead rows.

Events arrive and are folded, pages are turned, files are exported, past days are asked for, people listen, webhooks go out and
now and then everything is rebuilt, all at once. Each figure is held against what it was after the first third of the time:
until then pools fill, plans are prepared and allocators grow to what so much at once needs.
"""

import base64
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import psutil
from sqlalchemy import Engine

from deploy.up.house import as_role
from domain.notifications import KINDS, Rule
from gateway.rules import Rules
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.secrets import new_key_pair
from services.reporting.replay import replay
from tests.bench.arriving import arriving
from tests.bench.goals import Goal, Measured
from tests.bench.ground import ROLE_PASSWORD, Ground
from tests.bench.lag import running
from tests.bench.mixed_load import MSPS, mixed_load
from tests.gateway.serving import gateway
from tests.msps import add_msp
from tests.reporting.receiving import Receiver, receiver
from tests.waiting import wait_for

SLOPE = Goal("S10", "long haul: memory of the process that grows most", "", "MB/min", 1.0, 0.2, at_most=True)
MORE = Goal("S10", "long haul: open files and connections more than after a third", "", "", 0, 0, at_most=True)
DEAD = Goal("S10", "long haul: dead rows for each living one, at the end", "", "", 1.0, 0.3, at_most=True)
FAILED = Goal("S10", "long haul: what was asked for and failed", "", "", 0, 0, at_most=True)
TWICE = Goal("S10", "long haul: webhooks doubled or missing", "", "", 0, 0, at_most=True)
SAME = Goal("S10", "long haul: read models of which rebuilt and living rows differ", "", "", 0, 0, at_most=True)
RATE = 50
LOOK_SECONDS = 5
_SECRET = "whsec_" + base64.b64encode(b"a secret of the bench alone").decode()
_CONNECTIONS = """SELECT replace(application_name, 'trueup ', ''), count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND starts_with(application_name, 'trueup ') GROUP BY 1"""
_ROWS = """SELECT coalesce(sum(n_live_tup), 0)::float, coalesce(sum(n_dead_tup), 0)::float,
        coalesce(sum(autovacuum_count), 0)::float, sum(pg_total_relation_size(relid))::float / 1048576
    FROM pg_stat_user_tables WHERE schemaname = 'reporting'"""
_UNSENT = "SELECT count(*) FROM reporting.deliveries WHERE state = 'waiting'"
_SENT = "SELECT delivery_id FROM reporting.deliveries WHERE state = 'sent'"


@dataclass
class Seen:
    """What was seen of one process, look by look: minutes since the beginning, megabytes resident, open files, and its
    connections to PostgreSQL."""

    minutes: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)

    def slope(self) -> float:
        """Megabytes a minute after the first third: the straight line that fits best."""
        minutes, megabytes = (each[len(each) // 3 :] for each in (self.minutes, self.megabytes))
        middle, level = sum(minutes) / len(minutes), sum(megabytes) / len(megabytes)
        spread = sum((minute - middle) ** 2 for minute in minutes)
        return sum((m - middle) * (mb - level) for m, mb in zip(minutes, megabytes, strict=True)) / spread

    def more(self) -> int:
        """How many more files and connections it had at most in the last third than in the second."""
        return sum(max(0, _most(each, 2) - _most(each, 1)) for each in (self.files, self.connections))

    def line(self, name: str) -> str:
        """The figures in words."""
        third = len(self.minutes) // 3
        return (
            f"{name}: {self.slope():+.2f} MB/min, {self.megabytes[third]:.0f} -> {self.megabytes[-1]:.0f} MB, at most"
            f" {max(self.megabytes):.0f}; most files {_most(self.files, 1)} -> {_most(self.files, 2)}; most connections"
            f" {_most(self.connections, 1)} -> {_most(self.connections, 2)}"
        )


def long_haul(ground: Ground, _rounds: int, *, quick: bool) -> list[Measured]:
    """S10: 50 events/s of 5 MSPs for 30 minutes (quick: 3), on a PostgreSQL that vacuums by itself."""
    return haul(ground, 3 if quick else 30)


def haul(ground: Ground, minutes: float) -> list[Measured]:
    """The figures after so many minutes."""
    private, public = new_key_pair()
    with (
        Ground(ground.given, autovacuum=True) as own,
        own.database() as url,
        own.vhost() as vhost,
        ExitStack() as stack,
    ):
        hook = stack.enter_context(receiver())
        engine = make_engine(url, "bench", statement_seconds=600)
        stack.callback(engine.dispose)
        for msp_id in MSPS:
            add_msp(engine, msp_id)
            rules = Rules(engine, Clock(), "bench", public, private_addresses=True)
            rules.save(msp_id, None, Rule(kinds=tuple(KINDS), channel="webhook", target=hook.url), _SECRET, "rule")
        more = {"PRIVATE_KEY": private, "PRIVATE_ADDRESSES": "true"}
        pids = stack.enter_context(running(url, vhost, "relay", "reporting", **more))
        reader = stack.enter_context(gateway(as_role(url, "trueup_gateway", ROLE_PASSWORD), vhost, LOG_LEVEL="WARNING"))
        stream = stack.enter_context(arriving(url, MSPS, RATE, minutes * 60, look_every=0.1))
        with mixed_load(url, reader) as acts:
            seen, rows = _watched(engine, {**pids, "gateway": reader.process.pid}, minutes)
        stream.lags()
        wait_for(lambda: _scalars(engine, _UNSENT) == [0], 120, 0.5, "the deliveries")
        wrong = _doubled_or_missing(engine, hook)
        unequal = sum(outcome.equal is False for outcome in replay(engine, ["all"], swap=False, workers=1))
    third, (living, dead, vacuums, size) = rows[len(rows) // 3], rows[-1]
    tables = f"read models: {third[0]:,.0f} -> {living:,.0f} rows, {third[3]:.0f} -> {size:.0f} MB"
    return [
        Measured(SLOPE, [max(each.slope() for each in seen.values())], [], [e.line(n) for n, e in seen.items()]),
        Measured(MORE, [sum(each.more() for each in seen.values())]),
        Measured(DEAD, [dead / max(1, living)], [], [f"{tables}; autovacuum came {vacuums:,.0f} times"]),
        Measured(FAILED, [len(acts.faults)], [], [acts.line(), *acts.faults[:5]]),
        Measured(TWICE, [wrong], [], [f"{len(hook.calls):,} webhooks"]),
        Measured(SAME, [unequal]),
    ]


def _watched(engine: Engine, pids: Mapping[str, int], minutes: float) -> tuple[dict[str, Seen], list[Sequence[Any]]]:
    """What was seen of each process, and (living rows, dead rows, autovacuums, MB) of the read models, look by look."""
    processes = {name: psutil.Process(pid) for name, pid in pids.items()}
    seen: dict[str, Seen] = {name: Seen() for name in pids}
    rows: list[Sequence[Any]] = []
    begun = time.monotonic()
    while (passed := (time.monotonic() - begun) / 60) < minutes:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connected = dict(connection.exec_driver_sql(_CONNECTIONS).all())
            rows.append(connection.exec_driver_sql(_ROWS).one())
        for name, process in processes.items():
            seen[name].minutes.append(passed)
            seen[name].megabytes.append(process.memory_info().rss / 2**20)
            seen[name].files.append(process.num_fds())
            seen[name].connections.append(connected.get(name, 0))
        time.sleep(LOOK_SECONDS)
    return seen, rows


def _most(values: Sequence[int], third: int) -> int:
    """The highest of the first (0), second or last third."""
    length = len(values) // 3
    return max(values[third * length : (third + 1) * length] or values)


def _doubled_or_missing(engine: Engine, hook: Receiver) -> int:
    """How many deliveries the receiver did not take exactly once."""
    taken = Counter(hook.ids())
    sent = _scalars(engine, _SENT)
    return sum(taken[one] != 1 for one in {*chain(sent, taken)})


def _scalars(engine: Engine, query: str) -> Sequence[Any]:
    with engine.connect() as connection:
        return connection.exec_driver_sql(query).scalars().all()
