"""Row E2: reporting is killed between its effect and its commit; its rows are those of a rebuild, every event once."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text

from domain.events import Event
from domain.keys import MspId
from services.reporting.projections import READ_MODELS
from services.reporting.replay import replay
from tests.house import House, running_house
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import Postgres, Rabbitmq, fresh_database, fresh_vhost
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.rabbitmq]
GATE = 4711


@pytest.fixture(scope="module")
def house(postgres: Postgres, rabbitmq: Rabbitmq, migrated_template: str) -> Iterator[House]:
    with (
        fresh_database(postgres, migrated_template) as url,
        fresh_vhost(rabbitmq) as vhost,
        running_house(url, vhost, ("relay",)) as house,
    ):
        yield house


@contextmanager
def gate_before_commit(engine: Engine, consumer: str) -> Iterator[None]:
    """Lets no transaction of the consumer, its rows folded, move its position while the block runs."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"""CREATE OR REPLACE FUNCTION reporting.gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.consumer = '{consumer}' THEN PERFORM pg_advisory_xact_lock_shared({GATE}); END IF; RETURN NEW; END $$;
                CREATE OR REPLACE TRIGGER gate BEFORE UPDATE ON reporting.positions
                FOR EACH ROW EXECUTE FUNCTION reporting.gate()"""
        )
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:gate)"), {"gate": GATE})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:gate)"), {"gate": GATE})


def waits_at_the_gate(engine: Engine) -> bool:
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
    return bool(found)


def story(times: int) -> list[Event]:
    """A product that is linked, with so many failures before its adjustment is posted, and so many polls that fail."""
    resource, product = h.odin("a"), h.psa("p")
    begun = [h.discovered(resource), h.linked(resource, product), h.requested(resource, product, "q1")]
    failures = [h.failed(resource, product, "q1"), h.poll_failed()]
    return [*begun, *failures * times, h.posted(resource, product, "q1")]


def caught_up(engine: Engine, msp_id: MspId) -> bool:
    with engine.connect() as connection:
        behind = text(
            """SELECT count(*) FILTER (WHERE p.position = h.position) FROM log.heads h
               LEFT JOIN reporting.positions p USING (msp_id)
               WHERE h.msp_id = :m AND p.consumer <> 'reporting.deliveries'"""
        )
        return connection.scalar(behind, {"m": msp_id}) == len(READ_MODELS)


@pytest.mark.parametrize("model", ["resources", "adjustments", "failures"])
def test_e2_killed_between_effect_and_commit_reporting_folds_every_event_once(house: House, model: str) -> None:
    # given reporting that has folded some rows, and moved neither this position nor those that come after it
    engine, msp_id = house.engine, add_msp(house.engine, f"msp-{model}")
    with gate_before_commit(engine, f"reporting.{model}"):
        reporting = house.start("reporting")
        h.append(engine, msp_id, story(times=3))
        wait_for(lambda: waits_at_the_gate(engine), what=f"{model} to wait with its rows folded")

        # when
        reporting.process.kill()

    # then
    reporting = house.start("reporting")
    wait_for(lambda: caught_up(engine, msp_id), what="reporting to catch up")
    reporting.process.kill()
    assert [outcome.equal for outcome in replay(engine, ["all"], msp_id, swap=False)] == [True] * len(READ_MODELS)
    assert [row["attempts"] for row in h.rows(engine, "failures", msp_id)] == [3, 3]
    assert [row["unit_change"] for row in h.rows(engine, "adjustments", msp_id)] == [8]
