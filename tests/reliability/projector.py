"""A projector that stops dead at a named step, to be killed there.

Run as `python -m tests.reliability.projector DATABASE_URL MSP STEP`: "before commit" waits after the effect of its second
batch, "after commit" waits after the commit of its first, "run" goes to the end.
"""

import signal
import sys

from sqlalchemy import Connection

from domain.events import EVENT_TYPES
from domain.keys import MspId
from plumbing.catch_up import Projection, Slice, catch_up
from plumbing.clock import Clock
from plumbing.database import make_engine
from tests.reliability.tally import fold_into

BATCH = 10


def main(database_url: str, msp_id: str, step: str) -> None:
    folded = 0

    def fold(connection: Connection, part: Slice) -> None:
        nonlocal folded
        if step == "after commit" and folded == 1:
            stand_still()
        fold_into("a")(connection, part)
        folded += 1
        if step == "before commit" and folded == 2:
            stand_still()

    projection = Projection("reporting.seen_a", "reporting", tuple(EVENT_TYPES), fold, BATCH)
    catch_up(make_engine(database_url, "projector"), projection, MspId(msp_id), Clock())
    sys.stdout.write("at the end\n")


def stand_still() -> None:
    sys.stdout.write("here\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
