"""The migrations end in the tables that tables.py of mapping and reconciler describe."""

import pytest
from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql

from plumbing.database import make_engine
from services.mapping import tables as of_mapping
from services.reconciler import tables as of_reconciler


def shape(found: MetaData) -> dict[str, object]:
    """Table -> columns with type and nullability, and the primary key; the positions belong to plumbing."""
    return {
        table.name: (
            [(c.name, c.type.compile(dialect=postgresql.dialect()), c.nullable) for c in table.columns],
            sorted(c.name for c in table.primary_key),
        )
        for table in found.tables.values()
        if table.name != "positions"
    }


@pytest.mark.parametrize("described", [of_mapping.METADATA, of_reconciler.METADATA], ids=lambda m: m.schema)
def test_the_migration_ends_in_the_described_tables(database: str, described: MetaData) -> None:
    engine = make_engine(database, "test")
    found = MetaData(schema=described.schema)
    found.reflect(engine)
    engine.dispose()
    assert shape(found) == shape(described)
