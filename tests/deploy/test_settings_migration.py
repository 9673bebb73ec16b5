"""What migration 0025 makes of what is there: prices that the reconciler had read past, wishes of the version before."""

from dataclasses import replace
from importlib import import_module

import pytest
from sqlalchemy import text

from domain.money import Money
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from tests.msps import add_msp
from tests.reconciler.conftest import TEAMS, Reconciler
from tests.world import MORNING, ODIN, discovered

pytestmark = pytest.mark.postgres
MIGRATION = import_module("deploy.migrations.versions.0025_settings")


def test_the_reconciler_gets_the_prices_that_the_log_last_told(database: str) -> None:
    # given: a database of before, whose reconciler kept no prices
    engine = make_engine(database, "test")
    world = Reconciler(engine, add_msp(engine), FrozenClock(MORNING))
    for names, price in ((ODIN, "4.00"), (ODIN, "4.50"), (TEAMS, None)):
        stream, event = discovered(names)
        world.happens((stream, replace(event, unit_price=Money.parse(price, "USD") if price else None)))
    with engine.begin() as connection:
        connection.execute(text("UPDATE reconciler.resources SET catalogue_price = NULL, price_currency = NULL"))

        # when
        connection.execute(text(MIGRATION.CATALOGUE_PRICES))

        # then
        found = connection.execute(
            text("SELECT resource_id, catalogue_price::text, price_currency FROM reconciler.resources ORDER BY 1")
        )
        assert [tuple(row) for row in found] == [("100234", "4.50", "USD"), ("100300", None, None)]
    engine.dispose()


def test_wishes_of_the_version_before_can_be_read_and_newer_ones_stay(database: str) -> None:
    engine = make_engine(database, "test")
    insert = """INSERT INTO psa_writer.requests (msp_id, request_id, connection_id, psa_agreement_id, psa_product_id, position,
                correlation_id, wish, state) VALUES ('acme', :id, 'autotask', '1', '2', 1, 'c', CAST(:wish AS jsonb), 'planned')"""
    with engine.begin() as connection:
        connection.execute(text(insert), [{"id": "old", "wish": "{}"}, {"id": "new", "wish": '{"hold_first": true}'}])
        connection.execute(text(MIGRATION.WISHES))
        found = dict(connection.execute(text("SELECT request_id, wish FROM psa_writer.requests")).all())
    engine.dispose()
    assert found == {
        "old": {"target_unit_price": None, "hold_first": False},
        "new": {"target_unit_price": None, "hold_first": True},
    }
