"""(a table, rows) -> the rows in the table, by primary key; a row that is there already, just so, is not written again."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, TextClause, text
from sqlalchemy.dialects import postgresql


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the rows in one statement: a column of values each, thirty times as fast as a statement a row. Each row gives
    the same columns; columns that are not given keep their value. No two rows may have the same primary key."""
    if rows:
        names = tuple(rows[0])
        connection.execute(_statement(table, names), {name: [row[name] for row in rows] for name in names})


@cache
def _statement(table: Table, names: tuple[str, ...]) -> TextClause:
    keys = [column.name for column in table.primary_key]
    given = [name for name in names if name not in keys]
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    values = ", ".join(f"CAST(:{name} AS {table.c[name].type.compile(dialect=dialect)}[])" for name in names)
    return text(
        f"""INSERT INTO {table.fullname} AS kept ({", ".join(names)}) SELECT * FROM unnest({values})
            ON CONFLICT ({", ".join(keys)}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in given)}
            WHERE ({", ".join(f"kept.{name}" for name in given)})
                  IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in given)})"""
    )
