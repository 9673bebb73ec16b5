"""A database's URL -> its read models rebuilt as often as told, as `trueup replay` does it: the child of P4 and P5."""

import resource
import sys
import time
from collections.abc import Mapping
from typing import Any

from plumbing.database import make_engine
from services.reporting.replay import replay
from tests.bench.turns import serve


def main(url: str) -> None:
    """One rebuild for each command {"names", "workers"}; answers seconds, peak megabytes, and whether living rows differed."""
    engine = make_engine(url, "bench", statement_seconds=600)

    def do(command: Mapping[str, Any]) -> Mapping[str, Any]:
        begun = time.perf_counter()
        outcomes = replay(engine, command["names"], workers=command["workers"])
        return {
            "seconds": time.perf_counter() - begun,
            "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "unequal": sum(outcome.equal is False for outcome in outcomes),
        }

    serve(do)


if __name__ == "__main__":
    main(sys.argv[1])
