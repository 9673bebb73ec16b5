"""Names of read models -> the same read models built anew from the log, beside the living ones, compared and swapped in.

A new generation of rows grows in the same tables under the next generation number, where no reader looks. When it has
caught up, one short transaction holds both positions, folds what is missing, compares the two and makes the new one the
living one; a reader sees the old rows before and the new rows after, never a gap. Then the old rows are removed.

Killed half way, it is simply started again: it goes on where it was, or begins anew when the statements have changed
since. A Reactor is never replayed: what it did in the outside world cannot be done again.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from domain.keys import MspId
from plumbing import event_log
from plumbing.catch_up import Consumer, Projection, Reactor, Slice
from plumbing.clock import Clock
from plumbing.together import catch_up_together
from services.reporting.projections import READ_MODELS
from services.reporting.read_model import ReadModel, fold, living_generation

log = logging.getLogger(__name__)
BATCH = 100_000
REMOVED_AT_ONCE = 20_000
# Statements that read a slice in place pass over all of it; putting it into tables takes as long as so many of them.
READS_TO_HOLD = 4
# Events that arrive during the swap's own work: so many are folded under the lock, more are caught up with first.
FOLDED_UNDER_LOCK = 1_000
SWAP_TRIES = 20


class NotReplayable(Exception):
    """Only read models are replayed. A reactor acts on events in the outside world, which cannot be done again."""


class ReplayRunning(Exception):
    """Someone else is rebuilding this read model for this MSP right now: wait until that ends."""


class ReplayStopped(Exception):
    """An event cannot be folded; the living rows stay as they were."""


@dataclass(frozen=True)
class Progress:
    """How far the rebuild of one read model of one MSP is: positions folded, of so many, at so many a second."""

    model: str
    msp_id: MspId
    position: int
    head: int
    per_second: float


@dataclass(frozen=True)
class Rebuilt:
    """The outcome for one read model of one MSP. equal: whether living and new rows were the same, byte for byte (None:
    not compared, since the living ones had stopped); swapped: whether readers see the new rows now."""

    model: str
    msp_id: MspId
    position: int
    rows: int
    equal: bool | None
    swapped: bool


Told = Callable[[Progress], None]


def replay(
    engine: Engine,
    names: Sequence[str | ReadModel | Consumer],
    msp: MspId | None = None,
    progress: Told | None = None,
    *,
    swap: bool = True,
    workers: int | None = None,
    batch: int = BATCH,
    clock: Clock | None = None,
) -> list[Rebuilt]:
    """What became of each named read model ("all": every one) of each MSP, or of the given one. So many workers (default:
    one a core) take MSP by MSP, each over one connection that works, one that holds its locks, and a third when an event
    cannot be taken: three a worker must fit in the engine's pool. swap=False compares and leaves the living rows.
    NotReplayable, UnknownMsp; once all others are done ReplayRunning, ReplayStopped. For a plain process: it may take
    minutes."""
    told = progress or (lambda _: None)
    workers = workers or os.cpu_count() or 1
    models = chosen_models(names)
    heads = _heads(engine) if msp is None else {msp: 1}
    # A log that is more than a worker's share is read by all of them, each for some of the read models.
    share = sum(heads.values()) / workers
    jobs = [
        (msp_id, part)
        for msp_id, head in heads.items()
        for part in (_parts(models, workers) if head > share / 2 else [models])
    ]

    def one(job: tuple[MspId, Sequence[ReadModel]]) -> list[Rebuilt]:
        return _rebuild(engine, *job, told, batch, clock or Clock(), swap=swap)

    with ThreadPoolExecutor(workers, thread_name_prefix="replay") as pool:
        outcomes = {(done.msp_id, done.model): done for some in pool.map(one, jobs) for done in some}
    return [outcomes[msp_id, model.name] for msp_id in heads for model in models]


def _parts(models: Sequence[ReadModel], workers: int) -> list[Sequence[ReadModel]]:
    """Those that take long stand first: dealt out, every part takes about as long."""
    return [part for place in range(workers) if (part := models[place::workers])]


def chosen_models(names: Sequence[str | ReadModel | Consumer]) -> list[ReadModel]:
    """The read models with these names ("all": every one), each once. NotReplayable."""
    chosen: list[ReadModel] = []
    for name in names:
        if isinstance(name, Reactor):
            raise NotReplayable(f"{name.name} is a reactor: it acts on events, and that cannot be done again")
        if isinstance(name, ReadModel):
            chosen.append(name)
        elif name == "all":
            chosen.extend(READ_MODELS.values())
        else:
            wanted = name.name.removeprefix("reporting.") if isinstance(name, Projection) else name
            if wanted not in READ_MODELS:
                raise NotReplayable(f"{wanted!r} is no read model: there are all, {', '.join(READ_MODELS)}")
            chosen.append(READ_MODELS[wanted])
    return list(dict.fromkeys(chosen))


def _heads(engine: Engine) -> dict[MspId, int]:
    """The longest logs first, so that the cores end together."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT msp_id, position FROM log.heads ORDER BY position DESC, msp_id"))
        return {MspId(row.msp_id): row.position for row in rows}


def _rebuild(
    engine: Engine, msp_id: MspId, models: Sequence[ReadModel], told: Told, batch: int, clock: Clock, *, swap: bool
) -> list[Rebuilt]:
    """The outcomes of all that could be rebuilt; then ReplayRunning or ReplayStopped for one that could not."""
    outcomes: list[Rebuilt] = []
    faults: list[Exception] = []
    with _alone(engine, models, msp_id) as free:
        faults += [
            ReplayRunning(f"{m.name} of {msp_id} is being rebuilt by another process") for m in models if m not in free
        ]
        begun = {model: _begin(engine, model, msp_id, clock) for model in free}
        _catch_up(engine, msp_id, begun, batch, told, clock)
        for model, generation in begun.items():
            try:
                outcomes.append(_end(engine, model, msp_id, generation, batch, told, clock, swap=swap))
            except ReplayStopped as fault:
                faults.append(fault)
    if faults:
        raise faults[0]
    return outcomes


def _end(
    engine: Engine,
    model: ReadModel,
    msp_id: MspId,
    generation: int,
    batch: int,
    told: Told,
    clock: Clock,
    *,
    swap: bool,
) -> Rebuilt:
    for _ in range(SWAP_TRIES):
        _refuse_stopped(engine, model, msp_id, generation)
        _renew_statistics(engine, model, msp_id, generation)
        outcome = _finish(engine, model, msp_id, generation, swap=swap)
        if outcome is not None:
            _remove_others(engine, model, msp_id)
            return outcome
        _catch_up(engine, msp_id, {model: generation}, batch, told, clock)
    raise ReplayStopped(f"{model.name} of {msp_id}: events arrive faster than they can be folded; run it again later")


@contextmanager
def _alone(engine: Engine, models: Sequence[ReadModel], msp_id: MspId) -> Iterator[list[ReadModel]]:
    """Those of the read models that nobody else rebuilds for the MSP; the locks die with the process that holds them."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def asked(what: str, model: ReadModel) -> bool:
            call = text(f"SELECT {what}(hashtextextended(:name, 7427))")
            return bool(connection.scalar(call, {"name": f"{model.consumer}@{msp_id}"}))

        free = [model for model in models if asked("pg_try_advisory_lock", model)]
        try:
            yield free
        finally:
            for model in free:
                asked("pg_advisory_unlock", model)


def _begin(engine: Engine, model: ReadModel, msp_id: MspId, clock: Clock) -> int:
    """The generation to build: the one that a killed rebuild has left, when it was folded by the same statements."""
    with engine.begin() as connection:
        event_log.head(connection, msp_id)
        living = living_generation(connection, model, msp_id)
        begun = connection.execute(
            text("SELECT generation, fingerprint FROM reporting.rebuilds WHERE model = :model AND msp_id = :msp_id"),
            {"model": model.name, "msp_id": msp_id},
        ).first()
    if begun is not None and tuple(begun) == (living + 1, model.fingerprint):
        return living + 1
    _remove_others(engine, model, msp_id)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO reporting.rebuilds VALUES (:model, :msp_id, :generation, :fingerprint, :now)"),
            {
                "model": model.name,
                "msp_id": msp_id,
                "generation": living + 1,
                "fingerprint": model.fingerprint,
                "now": clock.now(),
            },
        )
    return living + 1


def _catch_up(
    engine: Engine, msp_id: MspId, begun: Mapping[ReadModel, int], batch: int, told: Told, clock: Clock
) -> None:
    """Brings the generations to the head of the log, all of them slice by slice."""
    held = sum(model.reads for model in begun) >= READS_TO_HOLD
    plain = {model.beside(generation, batch, held=held): model for model, generation in begun.items()}
    began = time.monotonic()
    with engine.connect() as connection:
        first = {each.name: _position(connection, each.name, msp_id)[0] for each in plain}

    def tell(each: Projection, position: int, head: int) -> None:
        rate = (position - first[each.name]) / max(time.monotonic() - began, 1e-6)
        told(Progress(plain[each].name, msp_id, position, head, rate))

    if plain:
        catch_up_together(engine, list(plain), msp_id, clock, tell)


def _refuse_stopped(engine: Engine, model: ReadModel, msp_id: MspId, generation: int) -> None:
    with engine.connect() as connection:
        position, reason = _position(connection, model.beside(generation, BATCH).name, msp_id)
    if reason is not None:
        raise ReplayStopped(f"{model.name} of {msp_id} stopped after position {position}: {reason}")


def _renew_statistics(engine: Engine, model: ReadModel, msp_id: MspId, generation: int) -> None:
    """So that the first report after the swap is planned for the rows that there are, and not by what was there before."""
    for table in model.tables:
        new = f"(SELECT count(*) FROM {table.fullname} WHERE msp_id = :msp_id AND generation = :generation)"
        with engine.begin() as connection:
            # A tenth of the usual sample: it is for the first reports only, autovacuum takes a whole one soon.
            connection.execute(text("SET LOCAL default_statistics_target = 10; SET LOCAL synchronous_commit = off"))
            values = {"name": table.name, "msp_id": msp_id, "generation": generation}
            connection.execute(text(f"SELECT reporting.renew_statistics(:name, {new})"), values)


def _finish(engine: Engine, model: ReadModel, msp_id: MspId, generation: int, *, swap: bool) -> Rebuilt | None:
    """The outcome, after both generations stood still at one position; None when too many events came in between."""
    beside = model.beside(generation, BATCH).name
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = '30min'; SET LOCAL lock_timeout = '30s'"))
        living_at = _held(connection, model.consumer, msp_id)
        beside_at = _held(connection, beside, msp_id)
        if living_at - beside_at > FOLDED_UNDER_LOCK:
            return None
        old = living_generation(connection, model, msp_id)
        position = max(living_at, beside_at)
        fold(connection, model, Slice(msp_id, beside_at, position), generation)
        equal = _compare(connection, model, msp_id, (old, generation), Slice(msp_id, living_at, position))
        rows = _count(connection, model, msp_id, generation)
        if swap:
            _swap(connection, model, msp_id, generation, position)
        _forget(connection, model, msp_id)
    if equal is False:
        log.warning("rebuilt rows differ", extra={"model": model.name, "msp_id": msp_id, "position": position})
    log.info("rebuilt", extra={"model": model.name, "msp_id": msp_id, "rows": rows, "position": position})
    return Rebuilt(model.name, msp_id, position, rows, equal, swap)


def _compare(
    connection: Connection, model: ReadModel, msp_id: MspId, pair: tuple[int, int], missing: Slice
) -> bool | None:
    """Whether the living rows, brought to the same position, are those of the new generation."""
    if missing.upto - missing.after > FOLDED_UNDER_LOCK:
        return None
    try:
        with connection.begin_nested() as savepoint:
            fold(connection, model, missing, pair[0])
            equal = _checksums(connection, model, msp_id, pair[0]) == _checksums(connection, model, msp_id, pair[1])
            # The living position does not move here: without a swap its own projection folds these events.
            savepoint.rollback()
            return equal
    except OperationalError:
        raise
    except Exception:
        log.warning("living rows cannot be compared", extra={"model": model.name, "msp_id": msp_id}, exc_info=True)
        return None


def _swap(connection: Connection, model: ReadModel, msp_id: MspId, generation: int, position: int) -> None:
    connection.execute(
        text(
            """INSERT INTO reporting.generations (model, msp_id, generation) VALUES (:model, :msp_id, :generation)
               ON CONFLICT (model, msp_id) DO UPDATE SET generation = excluded.generation"""
        ),
        {"model": model.name, "msp_id": msp_id, "generation": generation},
    )
    connection.execute(
        text(
            """UPDATE reporting.positions SET position = :position, stopped_at = NULL, stopped_reason = NULL
               WHERE consumer = :consumer AND msp_id = :msp_id"""
        ),
        {"consumer": model.consumer, "msp_id": msp_id, "position": position},
    )


def _forget(connection: Connection, model: ReadModel, msp_id: MspId) -> None:
    """No rebuild is under way any more; _remove_others takes the rows that nobody reads."""
    connection.execute(
        text("DELETE FROM reporting.rebuilds WHERE model = :model AND msp_id = :msp_id"),
        {"model": model.name, "msp_id": msp_id},
    )
    connection.execute(
        text("DELETE FROM reporting.positions WHERE msp_id = :msp_id AND starts_with(consumer, :beside)"),
        {"beside": f"{model.consumer}@", "msp_id": msp_id},
    )


def _remove_others(engine: Engine, model: ReadModel, msp_id: MspId) -> None:
    """Removes what is neither of the living generation nor of a side, some thousand rows a transaction."""
    with engine.begin() as connection:
        living = living_generation(connection, model, msp_id)
        _forget(connection, model, msp_id)
    for table in model.tables:
        remove = text(
            f"""DELETE FROM {table.fullname} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table.fullname}
                WHERE msp_id = :msp_id AND (generation >= 0 AND generation < :living OR generation > :living) LIMIT :at_once))"""
        )
        removed = REMOVED_AT_ONCE
        while removed == REMOVED_AT_ONCE:
            with engine.begin() as connection:
                values = {"msp_id": msp_id, "living": living, "at_once": REMOVED_AT_ONCE}
                removed = connection.execute(remove, values).rowcount


def checksums(connection: Connection, model: ReadModel, msp_id: MspId) -> list[tuple[int, int]]:
    """For each table of the read model: how many living rows the MSP has, and a sum over every byte of them."""
    return _checksums(connection, model, msp_id, living_generation(connection, model, msp_id))


def _count(connection: Connection, model: ReadModel, msp_id: MspId, generation: int) -> int:
    parts = " UNION ALL ".join(
        f"SELECT count(*) AS n FROM {table.fullname} WHERE msp_id = :msp_id AND generation = :generation"
        for table in model.tables
    )
    values = {"msp_id": msp_id, "generation": generation}
    return int(connection.scalar(text(f"SELECT sum(n) FROM ({parts}) parts"), values) or 0)


def _checksums(connection: Connection, model: ReadModel, msp_id: MspId, generation: int) -> list[tuple[int, int]]:
    found = []
    for table in model.tables:
        columns = ", ".join(column.name for column in table.columns if column.name != "generation")
        row = connection.execute(
            text(
                f"""SELECT count(*), coalesce(sum(hashtextextended(ROW({columns})::text, 0)), 0)
                    FROM {table.fullname} t WHERE msp_id = :msp_id AND generation = :generation"""
            ),
            {"msp_id": msp_id, "generation": generation},
        ).one()
        found.append((int(row[0]), int(row[1])))
    return found


def _position(connection: Connection, consumer: str, msp_id: MspId) -> tuple[int, str | None]:
    row = connection.execute(
        text(
            "SELECT position, stopped_reason FROM reporting.positions WHERE consumer = :consumer AND msp_id = :msp_id"
        ),
        {"consumer": consumer, "msp_id": msp_id},
    ).first()
    return (0, None) if row is None else (row.position, row.stopped_reason)


def _held(connection: Connection, consumer: str, msp_id: MspId) -> int:
    """The position of a consumer, held until the transaction ends, so that nobody folds meanwhile."""
    key = {"consumer": consumer, "msp_id": msp_id}
    connection.execute(
        text(
            "INSERT INTO reporting.positions (consumer, msp_id, position) VALUES (:consumer, :msp_id, 0)"
            " ON CONFLICT DO NOTHING"
        ),
        key,
    )
    query = "SELECT position FROM reporting.positions WHERE consumer = :consumer AND msp_id = :msp_id FOR UPDATE"
    return int(connection.scalar(text(query), key) or 0)
