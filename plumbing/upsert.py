"""(a table, rows) -> the rows in the table, by primary key; a row that is there already, just so, is not written again."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, or_
from sqlalchemy.dialects.postgresql import insert


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the rows, a thousand a statement. Each gives the same columns; columns that are not given keep their value. No
    two rows may have the same primary key."""
    if not rows:
        return
    statement = insert(table)
    given = [table.c[name] for name in rows[0] if not table.c[name].primary_key]
    changed = or_(*(column.is_distinct_from(statement.excluded[column.name]) for column in given))
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={column.name: statement.excluded[column.name] for column in given},
            where=changed,
        ),
        list(rows),
    )
