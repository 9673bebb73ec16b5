"""(a consumer, its position, the log) -> its rows and its new position, in one transaction: exactly once inside the database.

A Projection folds a slice of the log into rows and may be replayed at any time. A Reactor decides something and appends
events or does work in the outside world: it is never replayed, and the type says so.

One consumer works on one MSP in one place at a time: the row of its position is the lock. Whoever finds it locked goes
away; whoever held it looks again after its commit, so an event that was rung in between is never overlooked.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from domain.codec import UnknownEvent
from domain.envelope import Envelope
from domain.events import EVENT_TYPES
from domain.keys import MspId
from plumbing import event_log, metrics
from plumbing.clock import Clock
from plumbing.stops import tell_stops

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slice:
    """The events of one MSP at positions (after, upto]."""

    msp_id: MspId
    after: int
    upto: int


@dataclass(frozen=True)
class Projection:
    """Folds the events of the named types into rows of its schema. May be replayed. fold must be SQL over the slice."""

    name: str
    schema: str
    types: tuple[str, ...]
    fold: Callable[[Connection, Slice], None]
    batch: int = 20_000


@dataclass(frozen=True)
class Reactor:
    """Decides on the events of the named types, appends events and puts work into the outbox. Never replayed. follows: the
    name of a projection of the same schema whose rows it reads, so it goes no further than that one ("": none)."""

    name: str
    schema: str
    types: tuple[str, ...]
    react: Callable[[Connection, MspId, list[Envelope]], None]
    batch: int = 500
    follows: str = ""


Consumer = Projection | Reactor

# Faults that say nothing about the event: the message is tried again later.
PASSING = (OperationalError, InterfaceError, PoolExhausted, event_log.StreamMoved)


@dataclass(frozen=True)
class Stopped:
    """A consumer that cannot go on for one MSP, and why."""

    consumer: str
    msp_id: MspId
    position: int
    since: datetime
    reason: str


def catch_up(
    engine: Engine, consumer: Consumer, msp_id: MspId, clock: Clock, told: Callable[[int], None] = lambda _: None
) -> int:
    """The number of positions passed until the consumer stood at the head of the MSP's log; told hears it after each
    commit. An event it cannot take stops it for this MSP only: that is stored, shown by health, told by the next sweep, and
    tried again at the next bell or sweep."""
    passed = 0
    size = consumer.batch
    while True:
        try:
            step = _one_batch(engine, consumer, msp_id, size)
        except (*PASSING, event_log.UnknownMsp):
            raise
        except Exception as fault:  # noqa: BLE001 whatever the event did to the consumer, other MSPs must go on
            if size > 1:
                size = max(1, size // 10)
                continue
            _stop(engine, consumer, msp_id, fault, clock)
            return passed
        if step == 0:
            return passed
        passed += step
        told(passed)
        size = min(consumer.batch, size * 10)


def read_to_head(engine: Engine, consumer: Consumer, msp_id: MspId, clock: Clock, seconds: float = 10) -> bool:
    """Whether the consumer has read the log to where it ended when this was called: another replica may be at it this moment,
    and is waited for, for so long."""
    with engine.connect() as connection:
        head = event_log.head(connection, msp_id)
    position = text(f"SELECT position FROM {consumer.schema}.positions WHERE consumer = :name AND msp_id = :msp_id")
    deadline = time.monotonic() + seconds
    while True:
        catch_up(engine, consumer, msp_id, clock)
        with engine.connect() as connection:
            stands = connection.scalar(position, {"name": consumer.name, "msp_id": msp_id}) or 0
        if stands >= head:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def sweep(engine: Engine, consumers: Sequence[Consumer], clock: Clock) -> int:
    """Catches up wherever a consumer of the service lags, as after a lost bell; answers how many positions were passed.
    First it tells of those that have stopped or gone on: whoever rings while it holds a position for that is heard after."""
    (schema,) = {consumer.schema for consumer in consumers}
    tell_stops(engine, schema, [consumer.name for consumer in consumers], clock)
    passed = 0
    for consumer in consumers:
        with engine.connect() as connection:
            lagging = connection.scalars(text(_LAGGING.format(schema=schema)), {"consumer": consumer.name}).all()
        for msp_id in lagging:
            passed += catch_up(engine, consumer, msp_id, clock)
    return passed


def behind(engine: Engine, consumers: Sequence[Consumer], msps: Sequence[MspId]) -> set[MspId]:
    """Those of the MSPs for which some consumer has not read the log to its head, or which have no log. The consumers are
    those of one service, with their positions in one schema."""
    (schema,) = {consumer.schema for consumer in consumers}
    given = {"consumers": [consumer.name for consumer in consumers], "msps": list(msps)}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return set(connection.scalars(text(_BEHIND.format(schema=schema)), given))


def stopped(engine: Engine, schema: str) -> list[Stopped]:
    """The consumers of a schema that cannot go on, by MSP."""
    query = f"""SELECT consumer, msp_id, position, stopped_at, stopped_reason FROM {schema}.positions
                WHERE stopped_at IS NOT NULL ORDER BY consumer, msp_id"""
    with engine.connect() as connection:
        return [Stopped(*row) for row in connection.execute(text(query))]


_LAGGING = """
SELECT h.msp_id FROM log.heads h
LEFT JOIN {schema}.positions p ON p.msp_id = h.msp_id AND p.consumer = :consumer
WHERE h.position > coalesce(p.position, 0) ORDER BY h.position - coalesce(p.position, 0)
"""
_BEHIND = """
SELECT m.msp_id FROM unnest(CAST(:msps AS text[])) AS m (msp_id) LEFT JOIN log.heads h USING (msp_id)
WHERE h.msp_id IS NULL OR EXISTS (
    SELECT FROM unnest(CAST(:consumers AS text[])) AS c (consumer)
    LEFT JOIN {schema}.positions p ON p.msp_id = m.msp_id AND p.consumer = c.consumer
    WHERE coalesce(p.position, 0) < h.position)
"""
_CONTENTS = """SELECT type, version, min(position) FROM log.events
               WHERE msp_id = :msp_id AND position > :after AND position <= :upto AND type = ANY(:types)
               GROUP BY type, version"""
_BEGIN = """INSERT INTO {schema}.positions (consumer, msp_id, position) VALUES (:consumer, :msp_id, 0)
            ON CONFLICT DO NOTHING"""
_LAG = """SELECT h.position AS head, p.position FROM log.heads h
          LEFT JOIN {schema}.positions p ON p.msp_id = h.msp_id AND p.consumer = :consumer WHERE h.msp_id = :msp_id"""
_AT = "SELECT position FROM {schema}.positions WHERE consumer = :consumer AND msp_id = :msp_id"
_LOCK = """SELECT position FROM {schema}.positions WHERE consumer = :consumer AND msp_id = :msp_id
           FOR UPDATE SKIP LOCKED"""
_MOVE = """UPDATE {schema}.positions SET position = :upto, stopped_at = NULL, stopped_reason = NULL
           WHERE consumer = :consumer AND msp_id = :msp_id"""
# Not at the head: another replica, of a newer release, may have taken the event meanwhile.
_STOP = """UPDATE {schema}.positions SET stopped_at = coalesce(stopped_at, :now), stopped_reason = :reason
           WHERE consumer = :consumer AND msp_id = :msp_id
           AND position < (SELECT h.position FROM log.heads h WHERE h.msp_id = :msp_id)"""


def _one_batch(engine: Engine, consumer: Consumer, msp_id: MspId, size: int) -> int:
    key = {"consumer": consumer.name, "msp_id": msp_id}
    if not _lags(engine, consumer, key):
        return 0
    with engine.begin() as connection:
        position = connection.scalar(text(_LOCK.format(schema=consumer.schema)), key)
        upto = event_log.head(connection, msp_id)
        if isinstance(consumer, Reactor) and consumer.follows:
            leader = key | {"consumer": consumer.follows}
            upto = min(upto, connection.scalar(text(_AT.format(schema=consumer.schema)), leader) or 0)
        if position is None or position >= upto:
            return 0
        upto = min(upto, position + size)
        if isinstance(consumer, Projection):
            if has_events(connection, consumer.types, Slice(msp_id, position, upto)):
                consumer.fold(connection, Slice(msp_id, position, upto))
        else:
            events = event_log.read(connection, msp_id, position, upto, consumer.types)
            if events:
                consumer.react(connection, msp_id, events)
        connection.execute(text(_MOVE.format(schema=consumer.schema)), key | {"upto": upto})
    metrics.positions_passed.labels(consumer.name).inc(upto - position)
    return int(upto - position)


def _lags(engine: Engine, consumer: Consumer, key: dict[str, str]) -> bool:
    """Whether there is something to do, asked without the lock: the last look of whoever held it turns nobody away. The
    row of a new consumer is made here and stands before it is locked, or a second replica would wait for it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        found = connection.execute(text(_LAG.format(schema=consumer.schema)), key).first()
        if found is None:
            raise event_log.UnknownMsp(key["msp_id"])
        if found.position is None:
            connection.execute(text(_BEGIN.format(schema=consumer.schema)), key)
        return bool(found.head > (found.position or 0))


def has_events(connection: Connection, types: Sequence[str], part: Slice) -> bool:
    """Whether the slice has events of the types. UnknownEvent when a newer program wrote one of them."""
    values = {"msp_id": part.msp_id, "after": part.after, "upto": part.upto, "types": list(types)}
    found = connection.execute(text(_CONTENTS), values).all()
    for event_type, version, position in found:
        if version > EVENT_TYPES[event_type].version:
            raise UnknownEvent(f"{event_type} version {version} at position {position}")
    return bool(found)


def _stop(engine: Engine, consumer: Consumer, msp_id: MspId, fault: Exception, clock: Clock) -> None:
    reason = f"{type(fault).__name__}: {fault}"[:2000]
    log.error("consumer stopped", extra={"consumer": consumer.name, "msp_id": msp_id, "reason": reason}, exc_info=fault)
    metrics.consumers_stopped.labels(consumer.name).inc()
    with engine.begin() as connection:
        key = {"consumer": consumer.name, "msp_id": msp_id}
        connection.execute(text(_BEGIN.format(schema=consumer.schema)), key)
        connection.execute(text(_STOP.format(schema=consumer.schema)), key | {"now": clock.now(), "reason": reason})
