"""A service process for the tests of bells: one consumer that rests or fails as the table orders says, and counts its calls.

Run as `python -m tests.plumbing.hearer DATABASE_URL RABBITMQ_URL`.
"""

import eventlet

eventlet.monkey_patch()

import sys  # noqa: E402

from nameko.runners import ServiceRunner  # noqa: E402
from sqlalchemy import Connection, text  # noqa: E402

from domain.envelope import Envelope  # noqa: E402
from domain.keys import MspId  # noqa: E402
from plumbing import broker  # noqa: E402
from plumbing.catch_up import Reactor, catch_up  # noqa: E402
from plumbing.clock import Clock  # noqa: E402
from plumbing.database import make_engine  # noqa: E402
from plumbing.event_log import StreamMoved  # noqa: E402
from plumbing.hearing import hear  # noqa: E402
from plumbing.house import HOUSE_CONFIG_KEY, House, HouseProvider  # noqa: E402
from plumbing.logs import start_logging  # noqa: E402
from tests.plumbing import QUEUE, TYPES  # noqa: E402


def react(connection: Connection, msp_id: MspId, _events: list[Envelope]) -> None:
    order = connection.execute(text("SELECT rest, fail FROM orders WHERE msp_id = :m"), {"m": msp_id}).first()
    if order is not None and order.fail:
        raise StreamMoved("as told")
    if order is not None:
        eventlet.sleep(float(order.rest))


REACTOR = Reactor("test", "reconciler", TYPES, react)


class Hearer:
    """Catches up, and says that it was called."""

    name = "test"
    house = HouseProvider()

    @hear(QUEUE, lambda _house: [REACTOR])
    def on_bells(self, msp_id: MspId) -> None:
        with self.house.engine.begin() as connection:
            connection.execute(text("INSERT INTO calls VALUES (:m)"), {"m": msp_id})
        catch_up(self.house.engine, REACTOR, msp_id, self.house.clock)


def main(database_url: str, rabbitmq_url: str) -> None:
    start_logging("test", "INFO")
    engine = make_engine(database_url, "hearer", pool_size=12)
    config = broker.config(rabbitmq_url, [1, 1, 1], workers=4)
    runner = ServiceRunner(config | {HOUSE_CONFIG_KEY: House("test", engine, Clock(), None)})  # type: ignore[arg-type]
    runner.add_service(Hearer)
    runner.start()
    runner.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
