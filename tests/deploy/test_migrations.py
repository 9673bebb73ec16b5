"""The migrations end in the tables that each service's tables.py describes, and in no others."""

import importlib

import pytest
from sqlalchemy import MetaData, inspect
from sqlalchemy.dialects import postgresql

from deploy.migrations.rights import SERVICES
from plumbing.database import make_engine

pytestmark = pytest.mark.postgres


def shape(found: MetaData) -> dict[str, object]:
    """Table -> columns with type and nullability, and the primary key; the positions belong to the kernel."""
    return {
        table.name: (
            [(c.name, c.type.compile(dialect=postgresql.dialect()), c.nullable) for c in table.columns],
            sorted(c.name for c in table.primary_key),
        )
        for table in found.tables.values()
        if table.name != "positions"
    }


@pytest.mark.parametrize("service", SERVICES)
def test_the_migrations_end_in_the_tables_that_the_code_describes(database: str, service: str) -> None:
    # given
    described = importlib.import_module(f"services.{service}.tables").METADATA
    engine = make_engine(database, "test")

    # when
    found = MetaData(schema=service)
    found.reflect(engine)
    views = inspect(engine).get_view_names(service)
    engine.dispose()

    # then
    assert shape(found) == shape(described)
    assert [view for view in views if not view.startswith("named_")] == []  # of the named MSP: decision 0030
