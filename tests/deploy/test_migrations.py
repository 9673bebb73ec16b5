"""The migrations end in the tables that each service's tables.py describes, and in no others."""

import importlib

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import MetaData, inspect, text
from sqlalchemy.dialects import postgresql

from deploy.migrations.rights import SERVICES
from plumbing.catch_up import catch_up
from plumbing.clock import Clock
from plumbing.database import make_engine
from services.mapping.reactor import reactor
from tests.msps import add_msp
from tests.world import ODIN, PSA, World, discovered, psa_product, subscription

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


def test_what_mapping_weighs_is_taken_from_the_log_for_what_it_has_passed_over(database: str) -> None:
    # given rows that the reactor made from events
    engine, clock = make_engine(database, "test"), Clock()
    world = World(engine, add_msp(engine))
    world.append(discovered(ODIN), subscription(ODIN, "1 year"), psa_product(PSA, "yearly"))
    catch_up(engine, reactor(clock), world.msp_id, clock)
    weighed = {
        "resources": ("mpn", "currency", "billing_period"),
        "psa_products": ("period_type", "currency"),
    }
    kept = {table: f"SELECT {', '.join(columns)} FROM mapping.{table}" for table, columns in weighed.items()}
    with engine.begin() as connection:
        before = {table: connection.execute(text(query)).all() for table, query in kept.items()}

        # when they stand as an older release left them, and are migrated
        for table, columns in weighed.items():
            for column in columns:
                connection.execute(text(f"ALTER TABLE mapping.{table} DROP {column}"))
        with Operations.context(MigrationContext.configure(connection)):
            importlib.import_module("deploy.migrations.versions.0024_suggestions").weighed()
        after = {table: connection.execute(text(query)).all() for table, query in kept.items()}
    engine.dispose()

    # then
    assert before == after
    assert before == {"resources": [(None, "USD", "1 year")], "psa_products": [("yearly", "USD")]}
