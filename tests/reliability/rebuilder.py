"""`python -m tests.reliability.rebuilder DATABASE_URL BATCH`: replays all read models and tells each step, to be killed."""

import sys

from plumbing.database import make_engine
from services.reporting.replay import Progress, replay


def told(step: Progress) -> None:
    sys.stdout.write(f"{step.model} {step.position} of {step.head}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    replay(make_engine(sys.argv[1], "rebuilder"), ["all"], progress=told, batch=int(sys.argv[2]))
    sys.stdout.write("at the end\n")
