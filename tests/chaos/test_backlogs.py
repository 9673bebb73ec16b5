"""Row M13: more work than one process can take at once, of one MSP; it stays small, and other MSPs are served meanwhile."""

from collections.abc import Iterator

import orjson
import psutil
import pytest
from kombu import Connection
from sqlalchemy import Engine, text

from domain.envelope import NewEvent
from domain.keys import MspId
from plumbing import event_log, topology
from plumbing.publisher import Message, Publisher
from tests.house import House, Part, running_house
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import Postgres, Rabbitmq, fresh_database, fresh_vhost
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.rabbitmq]
# What a service may take on top of what it needs when idle: little for bells, and less than the backlog itself for events,
# which as objects would take several times as much.
MOST_MEGABYTES, BACKLOG_MEGABYTES = 60, 100
EVENTS, LETTERS = 40_000, 2_000


@pytest.fixture
def house(postgres: Postgres, rabbitmq: Rabbitmq, migrated_template: str) -> Iterator[House]:
    with (
        fresh_database(postgres, migrated_template) as url,
        fresh_vhost(rabbitmq) as vhost,
        running_house(url, vhost, ("relay", "reporting")) as house,
    ):
        yield house


def megabytes(part: Part) -> float:
    """Memory that the process holds."""
    assert part.process.popen is not None
    return psutil.Process(part.process.popen.pid).memory_info().rss / 2**20


def resources_of(engine: Engine, msp_id: MspId) -> int:
    return len(h.rows(engine, "resources", msp_id))


def waiting(rabbitmq_url: str, queue: str) -> int:
    """Messages that lie in the queue now; the management interface would tell those of some seconds ago."""
    with Connection(rabbitmq_url) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).message_count)


def test_m13_a_hundred_thousand_bells_of_one_msp_keep_reporting_neither_busy_nor_large(house: House) -> None:
    # given one MSP's bells, ten times as many as the queue takes: what is refused, the sweep makes up for
    loud, quiet = add_msp(house.engine, "loud"), add_msp(house.engine, "quiet")
    h.append(house.engine, loud, [h.discovered(h.odin("a"))])
    wait_for(lambda: resources_of(house.engine, loud) == 1)
    reporting = house.parts["reporting-1"]
    idle = megabytes(reporting)
    reporting.process.kill()
    ring(house.rabbitmq_url, loud, 50_000)
    assert waiting(house.rabbitmq_url, "reporting.bells") >= topology.LONGEST_BELL_QUEUE

    # when
    reporting = house.start("reporting")
    h.append(house.engine, quiet, [h.discovered(h.odin("b"))])
    ring(house.rabbitmq_url, loud, 50_000)

    # then
    wait_for(lambda: resources_of(house.engine, quiet) == 1, what="the other MSP's report")
    wait_for(lambda: waiting(house.rabbitmq_url, "reporting.bells") == 0, 60, what="the bells to be done with")
    assert megabytes(reporting) < idle + MOST_MEGABYTES


@pytest.mark.timeout(600)
def test_m13_a_hundred_megabytes_of_events_of_one_msp_are_folded_while_others_are_served(house: House) -> None:
    # given services that were away while one MSP's log grew by a hundred megabytes
    loud, quiet = add_msp(house.engine, "loud"), add_msp(house.engine, "quiet")
    readers = [house.start(name) for name in ("mapping", "reconciler")] + [house.parts["reporting-1"]]
    for reader in readers:
        reader.wait_until_ready()
    idle = {reader.name: megabytes(reader) for reader in readers}
    for reader in readers:
        reader.process.kill()
    for start in range(0, EVENTS, 5_000):
        append_large(house.engine, loud, start, 5_000)
    h.append(house.engine, quiet, [h.discovered(h.odin("b"))])

    # when they come back to all of it at once
    readers = [house.start(reader.name) for reader in readers]

    # then
    def served() -> bool:
        return all(stands_at_the_head(house.engine, reader.name, quiet) for reader in readers)

    wait_for(served, 60, what="the other MSP to be served")
    assert not all(stands_at_the_head(house.engine, reader.name, loud) for reader in readers)
    highest = dict(idle)

    def read_to_the_end() -> bool:
        highest.update({reader.name: max(highest[reader.name], megabytes(reader)) for reader in readers})
        return all(stands_at_the_head(house.engine, reader.name, loud) for reader in readers)

    wait_for(read_to_the_end, 300, what="a hundred megabytes to be read")
    assert resources_of(house.engine, loud) == EVENTS
    assert all(highest[name] < idle[name] + BACKLOG_MEGABYTES for name in idle), (idle, highest)


def ring(rabbitmq_url: str, msp_id: MspId, times: int) -> None:
    """The same bell so many times; those that a full queue refuses are gone."""
    bell = Message(topology.BELLS.name, "ResourceDiscovered", orjson.dumps({"msp_id": msp_id, "after": 0, "upto": 1}))
    publisher = Publisher(rabbitmq_url)
    for _ in range(0, times, 10_000):
        publisher.publish([bell] * 10_000)
    publisher.close()


def append_large(engine: Engine, msp_id: MspId, start: int, how_many: int) -> None:
    """So many new resources with names so long that an event takes two and a half kilobytes."""
    new = [
        NewEvent(
            stream=f"resource/odin/1/1/{number}",
            stream_version=1,
            event=h.discovered(h.odin(str(number)) | {"resource_name": f"{number} " + "x" * LETTERS}),
            occurred_at=h.BEGAN,
        )
        for number in range(start, start + how_many)
    ]
    with engine.begin() as connection:
        event_log.append_copied(
            connection, msp_id, new, recorded_at=h.BEGAN, recorded_by="test", correlation_id="of-a-test"
        )


def stands_at_the_head(engine: Engine, schema: str, msp_id: MspId) -> bool:
    with engine.connect() as connection:
        head = event_log.head(connection, msp_id)
        rows = connection.scalars(text(f"SELECT position FROM {schema}.positions WHERE msp_id = :m"), {"m": msp_id})
        return set(rows) == {head}
