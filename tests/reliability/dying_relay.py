"""A relay that is killed at a named step: `python -m tests.reliability.dying_relay DATABASE_URL RABBITMQ_URL STEP`."""

import os
import signal
import sys

from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.publisher import Publisher
from plumbing.relay import Relay

if __name__ == "__main__":
    database_url, rabbitmq_url, last_step = sys.argv[1:]

    def at_step(step: str) -> None:
        if step == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    Relay(make_engine(database_url, "dying"), Publisher(rabbitmq_url), Clock(), at_step).round()
