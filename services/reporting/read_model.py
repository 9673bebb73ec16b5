"""(a slice of the log, the SQL of a read model, a generation) -> the rows of that generation, brought up to date.

The same statements fold one new event and a rebuild of ten million; slices.py says where they read the events.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import resources as package_files

import orjson
from sqlalchemy import Connection, Table, text

from domain.events import EVENT_TYPES
from domain.keys import MspId
from plumbing.catch_up import Projection, Slice
from services.reporting.slices import BESIDE, HELD, IN_PLACE, hold, put_beside
from services.reporting.tables import METADATA

# A plan is chosen by the size of the slice, not by estimates: those of a young or a skewed table would read a whole read
# model for one event, or compare 20,000 events with 20,000 in nested loops.
LARGE_SLICE = 200
# Fewer events are passed over sooner than they are put into tables.
HELD_FROM = 5_000
_FOR_SMALL = (
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off;"
    " SET LOCAL plan_cache_mode = force_generic_plan"
)
_FOR_LARGE = (
    "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off; SET LOCAL work_mem = '64MB';"
    # A slice stands in one place of the log, the rows of a generation in few: no look at those of all other MSPs.
    " SET LOCAL random_page_cost = 1"
)

_NUMBERS = {"msp_id": "$1", "after": "$2", "upto": "$3", "types": "$4", "generation": "$5"}
_VALUE = re.compile(rf"(?<!:):({'|'.join(_NUMBERS)})\b")


@dataclass(frozen=True)
class ReadModel:
    """One report's rows: tables, the events they are folded from, and the statements that fold a slice."""

    name: str
    tables: tuple[Table, ...]
    types: tuple[str, ...]

    @cached_property
    def statements(self) -> tuple[str, ...]:
        """The SQL of projections/<name>.sql, one text a statement; {events} stands for the slice."""
        written = (package_files.files("services.reporting.projections") / f"{self.name}.sql").read_text("utf-8")
        return tuple(_filled(part) for part in re.split(r";\n", written) if part.strip())

    @property
    def reads(self) -> int:
        """How often its statements read a slice."""
        return sum(statement.count("{events}") for statement in self.statements)

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the same log could be folded into other rows: a rebuild begun otherwise is begun anew."""
        versions = {name: EVENT_TYPES[name].version for name in self.types}
        return hashlib.sha256(orjson.dumps([self.statements, versions])).hexdigest()

    @property
    def consumer(self) -> str:
        """The name under which the living generation keeps its position."""
        return f"reporting.{self.name}"

    def living(self) -> Projection:
        """The projection that keeps the living generation up to date."""
        return Projection(self.consumer, "reporting", self.types, partial(_fold_living, self))

    def beside(self, generation: int, batch: int, *, held: bool = False) -> Projection:
        """The projection that builds another generation, which nobody reads yet. held: for many statements that read one
        slice in one transaction."""
        name = f"{self.consumer}@{generation}"
        fold_it = partial(_fold_generation, self, generation, held=held)
        return Projection(name, "reporting", self.types, fold_it, batch)


def living_generation(connection: Connection, model: ReadModel, msp_id: MspId) -> int:
    """The generation that readers see; 0 until the model was first rebuilt for the MSP."""
    query = text("SELECT generation FROM reporting.generations WHERE model = :model AND msp_id = :msp_id")
    return int(connection.scalar(query, {"model": model.name, "msp_id": msp_id}) or 0)


def fold(connection: Connection, model: ReadModel, part: Slice, generation: int | None) -> None:
    """Folds the slice into the rows of the generation (None: the living one), in the caller's transaction."""
    beside = put_beside(connection, part, model.types)
    if part.upto - part.after <= LARGE_SLICE and not beside:
        _fold_prepared(connection, model, part, generation)
        return
    if generation is None:
        generation = living_generation(connection, model, part.msp_id)
    _fold_planned(connection, model, part, generation, BESIDE if beside else IN_PLACE)


def _fold_planned(connection: Connection, model: ReadModel, part: Slice, generation: int, source: str) -> None:
    values = {
        "msp_id": part.msp_id,
        "after": part.after,
        "upto": part.upto,
        "types": list(model.types),
        "generation": generation,
    }
    connection.execute(text(_FOR_LARGE if part.upto - part.after > LARGE_SLICE else _FOR_SMALL))
    for statement in model.statements:
        connection.execute(text(statement.replace("{events}", source)), values)


def _fold_prepared(connection: Connection, model: ReadModel, part: Slice, generation: int | None) -> None:
    """In one round trip, by statements that this connection has planned before: planning them costs several times what
    folding one event does."""
    names = [f"fold_{model.fingerprint[:24]}_{number}" for number in range(len(model.statements))]
    prepared: set[str] = connection.info.setdefault("prepared folds", set())
    for name, statement in zip(names, model.statements, strict=True):
        if name not in prepared:
            numbered = _VALUE.sub(lambda found: _NUMBERS[found[1]], statement.replace("{events}", IN_PLACE))
            # Doubled for the driver: the % of LIKE is no place for a value.
            plain = numbered.replace("%", "%%")
            connection.exec_driver_sql(f"PREPARE {name} (text, bigint, bigint, text[], integer) AS {plain}")
            prepared.add(name)
    living = "reporting.living_generation(%(model)s, %(msp_id)s)"
    given = f"(%(msp_id)s, %(after)s, %(upto)s, %(types)s, {living if generation is None else '%(generation)s'})"
    connection.exec_driver_sql(
        ";".join([_FOR_SMALL, *(f"EXECUTE {name} {given}" for name in names)]),
        {
            "model": model.name,
            "msp_id": part.msp_id,
            "after": part.after,
            "upto": part.upto,
            "types": list(model.types),
            "generation": generation,
        },
    )


def _fold_living(model: ReadModel, connection: Connection, part: Slice) -> None:
    # The position's row is locked by now, so the generation cannot be swapped until this transaction has ended.
    fold(connection, model, part, None)


def _fold_generation(model: ReadModel, generation: int, connection: Connection, part: Slice, *, held: bool) -> None:
    # Nobody reads these rows before they are swapped in, and that commit waits for the disk for all before it.
    connection.execute(text("SET LOCAL synchronous_commit = off"))
    if held and part.upto - part.after > HELD_FROM:
        hold(connection, part)
        _fold_planned(connection, model, part, generation, HELD)
    else:
        fold(connection, model, part, generation)


def _filled(statement: str) -> str:
    """The statement with {table.columns} and {table.upsert} written out from tables.py."""
    for table in METADATA.tables.values():
        key = [column.name for column in table.primary_key]
        rest = [column.name for column in table.columns if column.name not in key]
        overwrite = ", ".join(f"{name} = excluded.{name}" for name in rest)
        statement = statement.replace(f"{{{table.name}.columns}}", ", ".join(c.name for c in table.columns))
        statement = statement.replace(
            f"{{{table.name}.upsert}}", f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {overwrite}"
        )
    return statement
