"""The tables in code and those that the migration makes are the same."""

from sqlalchemy import inspect

from plumbing.database import make_engine
from services.psa_writer.tables import METADATA


def test_the_migration_ends_in_the_tables_that_the_code_names(database: str) -> None:
    # given
    engine = make_engine(database, "test")

    # when
    found = inspect(engine)
    made = {
        table: {
            (column["name"], column["type"].compile(engine.dialect), column["nullable"])
            for column in found.get_columns(table, "psa_writer")
        }
        for table in found.get_table_names("psa_writer")
    }
    keys = {table: found.get_pk_constraint(table, "psa_writer")["constrained_columns"] for table in made}
    engine.dispose()

    # then
    tables = METADATA.tables.values()
    assert made == {
        table.name: {(c.name, c.type.compile(engine.dialect), bool(c.nullable)) for c in table.columns}
        for table in tables
    }
    assert keys == {table.name: [c.name for c in table.primary_key.columns] for table in tables}
