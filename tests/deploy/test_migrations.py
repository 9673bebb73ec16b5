"""The migrations end in the tables that each service's tables.py describes, and in no others."""

import importlib
import json

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import MetaData, inspect, text
from sqlalchemy.dialects import postgresql

from deploy.migrate import migrate
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


def test_0017_keeps_todays_settings_of_each_connection_as_its_version_of_today(empty_database: str) -> None:
    # given two MSPs with connections, of which one was changed before
    migrate(empty_database, revision="0016")
    engine = make_engine(empty_database, "test")
    given = [("acme", "autotask", 1, {"user": "a@acme.example"}), ("acme", "odin", 3, {"user": "Größe", "calls": "60"})]
    given += [("other", "odin", 1, {})]
    with engine.begin() as connection:
        for msp_id in ("acme", "other"):
            connection.execute(text("INSERT INTO setup.msps VALUES (:m, :m, 'UTC', now())"), {"m": msp_id})
        for msp_id, connection_id, version, settings in given:
            connection.execute(
                text(
                    """INSERT INTO setup.connections
                           (msp_id, connection_id, kind, settings, sealed, version, saved_at)
                       VALUES (:msp_id, :connection_id, :kind, CAST(:settings AS jsonb), '{"password": "sealed"}',
                               :version, now())"""
                ),
                {
                    "msp_id": msp_id,
                    "connection_id": connection_id,
                    "kind": connection_id,
                    "settings": json.dumps(settings),
                    "version": version,
                },
            )

    # when
    migrate(empty_database)

    # then the settings are there to go back to, and no secret is
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT * FROM setup.connection_versions ORDER BY 1, 2")).all()
    engine.dispose()
    assert [(row.msp_id, row.connection_id, row.version, row.settings) for row in kept] == given
    assert {row.operation_id for row in kept} == {None}
    assert "sealed" not in str(kept)


def test_0021_takes_sessions_that_were_there_for_begun_by_a_password(empty_database: str) -> None:
    migrate(empty_database, revision="0020")
    engine = make_engine(empty_database, "test")
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO people.users VALUES ('u', 'mara@acme.example', 'Mara', NULL, false, now())")
        )
        connection.execute(
            text("INSERT INTO people.sessions VALUES ('\\x01', 's', 'u', now(), now(), '127.0.0.1', 'a', now())")
        )

    migrate(empty_database)

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT kind FROM people.sessions")) == "password"
    engine.dispose()
