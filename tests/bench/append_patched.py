"""A database's URL -> events a second appended in a process under eventlet, as every service is: the child of P2."""

import eventlet

eventlet.monkey_patch()

import sys  # noqa: E402
from collections.abc import Mapping  # noqa: E402
from typing import Any  # noqa: E402

from plumbing import event_log  # noqa: E402
from plumbing.database import make_engine  # noqa: E402
from tests.bench.append import append_all  # noqa: E402
from tests.bench.generate import count_changes  # noqa: E402
from tests.bench.turns import serve  # noqa: E402


def main(how_many: int) -> None:
    """Says when the events are made; then one append of all of them for each command {"url"}."""
    events = list(count_changes(1, 20_000, how_many))

    def do(command: Mapping[str, Any]) -> Mapping[str, Any]:
        engine = make_engine(command["url"], "bench")
        seconds = append_all(engine, events, event_log.append)
        engine.dispose()
        return {"rate": len(events) / seconds}

    print("{}", flush=True)
    serve(do)


if __name__ == "__main__":
    main(int(sys.argv[1]))
