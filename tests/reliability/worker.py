"""A service process for the M rows: takes test.work, does what the message says, and writes each effect once.

Run as `python -m tests.reliability.worker DATABASE_URL RABBITMQ_URL RETRY_SECONDS HEARTBEAT [ANSWER_SECONDS]`.
"""

import eventlet

eventlet.monkey_patch()

import gc  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import amqp  # noqa: E402
from nameko.runners import ServiceRunner  # noqa: E402
from sqlalchemy import text  # noqa: E402

from plumbing import broker, outbox, topology  # noqa: E402
from plumbing.broker import BadMessage, consume  # noqa: E402
from plumbing.clock import Clock  # noqa: E402
from plumbing.database import make_engine  # noqa: E402
from plumbing.house import HOUSE_CONFIG_KEY, House, HouseProvider  # noqa: E402
from plumbing.logs import start_logging  # noqa: E402
from tests.reliability import QUEUE  # noqa: E402


class Worker:
    """Does as it is told."""

    name = "test"
    house = HouseProvider()

    @consume(topology.work_queue(QUEUE))
    def work(self, body: Any, message_id: str) -> None:
        if not isinstance(body, dict) or "do" not in body:
            raise BadMessage("say what to do")
        with self.house.engine.begin() as connection:
            connection.execute(text("INSERT INTO tries VALUES (:id)"), {"id": message_id})
        if body["do"] == "raise":
            raise RuntimeError("as told")
        if body["do"] == "die":
            os._exit(9)
        if body["do"] == "busy":
            until = time.monotonic() + body["seconds"]
            while time.monotonic() < until:
                pass
        if body["do"] == "rest":
            eventlet.sleep(body["seconds"])
        with self.house.engine.begin() as connection:
            if outbox.claim(connection, "test", [message_id], received_at=self.house.clock.now()):
                connection.execute(text("INSERT INTO effects VALUES (:id, :n)"), {"id": message_id, "n": body.get("n")})
        if body["do"] == "cut":
            cut_links()


def cut_links() -> None:
    """Leaves the links as amqp leaves them when something could not be sent, before whoever reads has heard of it."""
    for link in [each for each in gc.get_objects() if isinstance(each, amqp.Connection)]:
        if link.connected:
            link.transport.connected = False


def main(database_url: str, rabbitmq_url: str, retry_seconds: str, heartbeat: str, answer_seconds: str = "10") -> None:
    topology.ANSWER_SECONDS = int(answer_seconds)
    start_logging("test", "INFO")
    engine = make_engine(database_url, "worker", pool_size=12)
    config = broker.config(
        rabbitmq_url, [int(s) for s in retry_seconds.split(",")], workers=10, heartbeat=int(heartbeat)
    )
    runner = ServiceRunner(config | {HOUSE_CONFIG_KEY: House("test", engine, Clock(), None)})  # type: ignore[arg-type]
    runner.add_service(Worker)
    signal.signal(signal.SIGTERM, lambda *_: eventlet.spawn(runner.stop))
    runner.start()
    runner.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
