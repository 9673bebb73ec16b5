"""A queue full of bells -> the reporting service, run as it always is, until it is done with all of them: the child of P9."""

import eventlet

eventlet.monkey_patch()

import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

from nameko.runners import ServiceRunner  # noqa: E402
from prometheus_client import REGISTRY  # noqa: E402

from plumbing import broker  # noqa: E402
from plumbing.clock import Clock  # noqa: E402
from plumbing.database import make_engine  # noqa: E402
from plumbing.house import HOUSE_CONFIG_KEY, House  # noqa: E402
from services.reporting.service import SETTINGS, WORKERS, Service  # noqa: E402
from tests.bench.bells import QUEUE  # noqa: E402


def main(database_url: str, rabbitmq_url: str, how_many: int) -> None:
    """Hears so many bells and says how many a second that were, from the moment in which the service was ready."""
    engine = make_engine(database_url, "bench", pool_size=WORKERS + 2)
    given = SETTINGS(database_url=database_url, rabbitmq_url=rabbitmq_url)
    house = House("reporting", engine, Clock(), given)
    config = broker.config(rabbitmq_url, given.retry_seconds, WORKERS) | {HOUSE_CONFIG_KEY: house}
    runner = ServiceRunner(config)
    runner.add_service(Service)
    runner.start()
    begun, before = time.perf_counter(), _done()
    while _done() < how_many:
        eventlet.sleep(0.005)
    print(json.dumps({"rate": (how_many - before) / (time.perf_counter() - begun)}), flush=True)
    runner.kill()


def _done() -> float:
    labels = {"queue": QUEUE.name, "outcome": "done"}
    return REGISTRY.get_sample_value("trueup_messages_handled_total", labels) or 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
