"""A queue of messages -> each one claimed, an event appended, acknowledged: the service of P9, run as every service is."""

import eventlet

eventlet.monkey_patch()

import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from typing import Any  # noqa: E402

from nameko.runners import ServiceRunner  # noqa: E402

from domain.envelope import NewEvent  # noqa: E402
from domain.keys import MspId  # noqa: E402
from plumbing import broker, event_log, outbox, topology  # noqa: E402
from plumbing.clock import Clock  # noqa: E402
from plumbing.database import make_engine  # noqa: E402
from plumbing.house import HOUSE_CONFIG_KEY, House, HouseProvider  # noqa: E402
from plumbing.settings import Settings  # noqa: E402
from tests.bench.generate import count_changes  # noqa: E402
from tests.bench.inbox import PREFETCH  # noqa: E402
from tests.bench.relaying import QUEUE  # noqa: E402

WORKERS = 10


class Progress:
    """When the first message came and how many were done."""

    def __init__(self, how_many: int) -> None:
        self.events: Iterator[NewEvent] = count_changes(1, 20_000, how_many)
        self.begun = 0.0
        self.left = how_many
        self.done = eventlet.Event()


class Service:
    """What work costs at the least: claim, append, commit."""

    name = "poller"
    house = HouseProvider()
    progress: Progress

    @broker.consume(topology.work_queue(QUEUE), prefetch=PREFETCH)
    def on_work(self, body: Any, message_id: str) -> None:
        """One transaction a message."""
        self.progress.begun = self.progress.begun or time.perf_counter()
        now = self.house.clock.now()
        with self.house.engine.begin() as connection:
            if outbox.claim(connection, "poller.bench", [message_id], received_at=now):
                event_log.append(
                    connection,
                    MspId(body["msp_id"]),
                    [next(self.progress.events)],
                    recorded_at=now,
                    recorded_by="poller",
                    correlation_id="bench",
                )
        self.progress.left -= 1
        if self.progress.left == 0:
            self.progress.done.send(time.perf_counter())


def main(database_url: str, rabbitmq_url: str, how_many: int) -> None:
    """Consumes so many messages and says how many a second that were, on the last line of its output."""
    Service.progress = Progress(how_many)
    engine = make_engine(database_url, "bench", pool_size=WORKERS + 2)
    given = Settings(database_url=database_url, rabbitmq_url=rabbitmq_url)
    house = House("poller", engine, Clock(), given)
    config = broker.config(rabbitmq_url, given.retry_seconds, WORKERS) | {HOUSE_CONFIG_KEY: house}
    runner = ServiceRunner(config)
    runner.add_service(Service)
    runner.start()
    ended = Service.progress.done.wait()
    print(json.dumps({"rate": how_many / (ended - Service.progress.begun)}), flush=True)
    runner.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
