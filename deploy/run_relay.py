"""`python -m deploy.run_relay`: the process that carries committed work and bells to RabbitMQ (plumbing/relay.py).

A watchdog thread serves health and ends the process when a round hangs, as a publish may in a broker alarm: the
supervisor starts it anew, and nothing was lost, since rows are marked only after the broker's word.
"""

import logging
import os
import signal
import sys
import threading
import time

from sqlalchemy.exc import OperationalError

from plumbing import health, relay, settings, topology
from plumbing.clock import Clock
from plumbing.database import explain, make_engine
from plumbing.logs import start_logging
from plumbing.publisher import Publisher

HUNG_SECONDS = 120
log = logging.getLogger(__name__)


class _Pulse:
    """When the last round ended, and whether to go on."""

    def __init__(self) -> None:
        self.going, self.leading, self.beat_at = True, False, time.monotonic()

    def go_on(self) -> bool:
        self.beat_at = time.monotonic()
        return self.going

    def stop(self, *_: object) -> None:
        self.going = False


def main() -> int:
    """Runs until SIGTERM or SIGINT; answers the exit status."""
    given = settings.settings_or_exit(settings.Settings)
    start_logging("relay", given.log_level)
    engine = make_engine(given.database_url, "trueup relay")
    fault = health.database_check(engine)
    if fault:
        sys.stderr.write(explain(Exception(fault), given.database_url) + "\n")
        return 1
    clock, publisher, pulse = Clock(given.clock_file), Publisher(given.rabbitmq_url), _Pulse()
    signal.signal(signal.SIGTERM, pulse.stop)
    signal.signal(signal.SIGINT, pulse.stop)
    checks = {"database": lambda: health.database_check(engine), "broker": lambda: _broker(publisher, pulse)}
    try:
        server = health.serve("relay", checks, given.host, given.port)
    except health.CannotListen as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=_watch, args=(pulse,), daemon=True).start()

    def declare() -> None:
        topology.declare(given.rabbitmq_url, map(topology.work_queue, topology.WORK_QUEUES), given.retry_seconds)

    dead = relay.DeadLetters(engine, given.rabbitmq_url, clock)
    while pulse.go_on():
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                pulse.leading = relay.lead(connection)
                if pulse.leading:
                    relay.work(relay.Relay(engine, publisher, clock), dead, publisher, pulse.go_on, declare)
        except OperationalError as error:
            log.warning("the database does not answer", extra={"reason": str(error).splitlines()[0]})
        time.sleep(1)
    return 0


def _broker(publisher: Publisher, pulse: _Pulse) -> str:
    if publisher.blocked:
        return f"RabbitMQ takes no messages ({publisher.blocked}): free memory or disk there; nothing is lost meanwhile"
    if pulse.leading and not publisher.connected:
        return "RabbitMQ is not connected: is it running, and is TRUEUP_RABBITMQ_URL right?"
    silent = time.monotonic() - pulse.beat_at
    return f"no round has ended for {silent:.0f} s" if silent > HUNG_SECONDS / 4 else ""


def _watch(pulse: _Pulse) -> None:
    while time.monotonic() - pulse.beat_at < HUNG_SECONDS:
        time.sleep(1)
    log.error("a round hangs: ending the process so that it is started anew")
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
