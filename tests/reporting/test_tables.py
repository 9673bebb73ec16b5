"""The migration ends in the tables that tables.py describes."""

import pytest
from sqlalchemy import Engine, MetaData, inspect
from sqlalchemy.dialects import postgresql

from services.reporting.tables import metadata

pytestmark = pytest.mark.postgres


def shape(found: MetaData) -> dict[str, object]:
    return {
        table.name: (
            [(c.name, c.type.compile(dialect=postgresql.dialect()), c.nullable) for c in table.columns],
            sorted(c.name for c in table.primary_key),
        )
        for table in found.tables.values()
    }


def test_the_migration_ends_in_the_described_tables(engine: Engine) -> None:
    found = MetaData(schema="reporting")
    found.reflect(engine)

    assert shape(found) == shape(metadata)
    assert inspect(engine).get_view_names("reporting") == []
