"""(a report, an MSP, a past position) -> a side: the rows of that report as they were then, kept a while beside the living ones.

A side is a generation of each read model that the report's rows come from, folded from the log up to one position and no
further. Generations of sides are below zero, so they never meet those of rebuilds. What was begun and not ended, because
the process died, is taken up by whoever asks next; two that make the same side take turns at its slices.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from sqlalchemy import Connection, Engine, Table, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import visitors

from domain.codec import UnknownEvent
from domain.keys import MspId
from plumbing import event_log
from plumbing.catch_up import PASSING, Slice, has_events
from plumbing.clock import Clock
from services.reporting.projections import READ_MODELS
from services.reporting.read_model import ReadModel, fold
from services.reporting.reports.columns import Report

log = logging.getLogger(__name__)
BATCH = 50_000
# Positions of which an MSP may have sides at once, and for how long after they were last asked for.
KEPT = 4
UNUSED = timedelta(days=1)
Told = Callable[[ReadModel, int], None]


class NoSide(Exception):
    """The report cannot be shown as of this position; the message says why."""


def models_of(report: Report) -> tuple[ReadModel, ...]:
    """Every read model that rows of the report come from; none: the report has no past."""
    rows = select(*(column.expression for column in report.columns.values())).select_from(report.source)
    tables = {t for t in visitors.iterate(rows.where(report.condition)) if isinstance(t, Table)}
    return tuple(model for model in READ_MODELS.values() if tables & set(model.tables))


def has_side(connection: Connection, models: Sequence[ReadModel], msp_id: MspId, position: int) -> bool:
    """Whether each of the read models can be read as of the position, folded as it is folded today."""
    found = connection.execute(
        text(
            """SELECT model, fingerprint FROM reporting.sides
               WHERE msp_id = :msp_id AND position = :position AND folded = position"""
        ),
        {"msp_id": msp_id, "position": position},
    )
    there = {(row.model, row.fingerprint) for row in found}
    return bool(models) and all((model.name, model.fingerprint) in there for model in models)


def progress_of(
    connection: Connection, models: Sequence[ReadModel], msp_id: MspId, position: int
) -> tuple[int, int] | None:
    """How many positions are folded, and of how many, all of the read models together; None: nobody has asked for it."""
    found = connection.execute(
        text("SELECT model, folded, fingerprint FROM reporting.sides WHERE msp_id = :msp_id AND position = :position"),
        {"msp_id": msp_id, "position": position},
    )
    folded = {(row.model, row.fingerprint): row.folded for row in found}
    there = [folded[key] for model in models if (key := (model.name, model.fingerprint)) in folded]
    return (sum(there), len(models) * position) if there else None


def make_side(
    engine: Engine,
    models: Sequence[ReadModel],
    msp_id: MspId,
    position: int,
    clock: Clock,
    told: Told = lambda *_: None,
    batch: int = BATCH,
) -> None:
    """Brings each of the read models to the position, beside the living ones; what stands there already is kept. Sides of
    positions that were asked for longer ago than those of KEPT others may go. NoSide, UnknownMsp."""
    with engine.connect() as connection:
        head = event_log.head(connection, msp_id)
    if not models:
        raise NoSide("this report is not folded from an MSP's log, so it has no past")
    if not 0 <= position <= head:
        raise NoSide(f"the log of {msp_id} has positions up to {head}, so there is nothing as of {position}")
    for model in models:
        _begin(engine, model, msp_id, position, clock)
        while (folded := _fold_next(engine, model, msp_id, position, batch)) is not None:
            told(model, folded)
    _release(engine, f"{_BEYOND} AND msp_id = :msp_id", {"msp_id": msp_id, "kept": KEPT})


def drop_sides(engine: Engine, models: Sequence[ReadModel], msp_id: MspId, position: int | None = None) -> int:
    """How many sides of the read models went: those of one position, or all of the MSP."""
    where = "msp_id = :msp_id AND model = ANY(:models) AND (CAST(:at AS bigint) IS NULL OR position = :at)"
    gone = _release(engine, where, {"msp_id": msp_id, "models": [model.name for model in models], "at": position})
    remove_released(engine)
    return gone


def drop_unused(engine: Engine, clock: Clock) -> None:
    """Lets go the sides that nobody has asked for in a day, and removes the rows of those that were let go."""
    _release(engine, "asked_at < :since", {"since": clock.now() - UNUSED})
    remove_released(engine)


def remove_released(engine: Engine) -> None:
    """Removes the rows of sides that may no longer be read. A side is one transaction: nobody waits for its rows."""
    while True:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '30min'"))
            side = connection.execute(
                text(
                    """SELECT model, msp_id, generation FROM reporting.sides WHERE position IS NULL
                       LIMIT 1 FOR UPDATE SKIP LOCKED"""
                )
            ).first()
            if side is None:
                return
            key = {"msp_id": side.msp_id, "generation": side.generation}
            for table in READ_MODELS[side.model].tables if side.model in READ_MODELS else ():
                connection.execute(
                    text(f"DELETE FROM {table.fullname} WHERE msp_id = :msp_id AND generation = :generation"), key
                )
            connection.execute(
                text(
                    """DELETE FROM reporting.sides
                       WHERE model = :model AND msp_id = :msp_id AND generation = :generation"""
                ),
                key | {"model": side.model},
            )


_BEYOND = """position NOT IN (SELECT position FROM reporting.sides WHERE msp_id = :msp_id AND position IS NOT NULL
    GROUP BY position ORDER BY max(asked_at) DESC, position DESC LIMIT :kept)"""


def _release(engine: Engine, where: str, values: dict[str, object]) -> int:
    """From here on no statement finds these sides, so their rows can be removed without a reader missing some."""
    with engine.begin() as connection:
        return connection.execute(
            text(f"UPDATE reporting.sides SET position = NULL WHERE position IS NOT NULL AND {where}"), values
        ).rowcount


def _begin(engine: Engine, model: ReadModel, msp_id: MspId, position: int, clock: Clock) -> None:
    key = {"model": model.name, "msp_id": msp_id, "position": position, "fingerprint": model.fingerprint}
    outdated = "model = :model AND msp_id = :msp_id AND position = :position AND fingerprint <> :fingerprint"
    _release(engine, outdated, key)
    with engine.begin() as connection:
        # Released ones count too: their rows may still stand under their number.
        connection.execute(
            text(
                """INSERT INTO reporting.sides (model, msp_id, generation, position, folded, fingerprint, asked_at)
                   SELECT :model, :msp_id, coalesce(min(generation), 0) - 1, :position, 0, :fingerprint, :now
                   FROM reporting.sides WHERE model = :model AND msp_id = :msp_id
                   ON CONFLICT (model, msp_id, position) DO UPDATE SET asked_at = excluded.asked_at"""
            ),
            key | {"now": clock.now()},
        )


def _fold_next(engine: Engine, model: ReadModel, msp_id: MspId, position: int, batch: int) -> int | None:
    """The position up to which one more slice was folded; None when none was left."""
    key = {"model": model.name, "msp_id": msp_id, "position": position}
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '10min'"))
        side = connection.execute(
            text(
                """SELECT generation, folded FROM reporting.sides
                   WHERE model = :model AND msp_id = :msp_id AND position = :position FOR UPDATE"""
            ),
            key,
        ).first()
        if side is None:
            raise NoSide(f"{msp_id} was asked for other days meanwhile: ask again")
        if side.folded == position:
            return None
        part = Slice(msp_id, side.folded, min(side.folded + batch, position))
        _fold_or_refuse(connection, model, part, side.generation)
        connection.execute(
            text(
                """UPDATE reporting.sides SET folded = :folded
                   WHERE model = :model AND msp_id = :msp_id AND position = :position"""
            ),
            key | {"folded": part.upto},
        )
        return part.upto


def _fold_or_refuse(connection: Connection, model: ReadModel, part: Slice, generation: int) -> None:
    try:
        if has_events(connection, model.types, part):
            fold(connection, model, part, generation)
    except PASSING:
        raise
    except (SQLAlchemyError, UnknownEvent) as fault:
        log.error("a side cannot be made", extra={"model": model.name, "msp_id": part.msp_id}, exc_info=fault)
        raise NoSide(
            f"{model.name} of {part.msp_id} cannot be folded between {part.after} and {part.upto}: {fault}"
        ) from fault
