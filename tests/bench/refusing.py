"""Requests that ask for too much -> G1: the gateway's CPU for refusing one, and what others feel of a stream of them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import quantiles

import psutil
import requests

from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.reports import serving
from tests.bench.turns import in_turns
from tests.gateway.serving import TOKEN, Answering

G1 = Goal("G1", "CPU of refusing", "", "ms", 20, 5, at_most=True)
G1_OTHERS = Goal("G1", "p99 of a small request beside 50 refusals/s", "the same alone", "ms", 2, 1.2, at_most=True)
TIMES, OTHERS, EVERY_SECONDS = 100, 400, 0.02
_SMALL = '{ pulse(mspId: "bench") { position } }'
_SPREAD = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ... on Query {{ ...F{n + 1} }} }}" for n in range(40))
#: Each with its number in it, so that none is known from the one before.
IMMODEST: dict[str, Callable[[int], object]] = {
    "50 levels": lambda n: {"query": f"{{ a{n}: x {{ " + "x { " * 50 + "x" + " }" * 50 + " } }"},
    "1,000 aliases": lambda n: {"query": f"{{ a{n}: x " + " ".join(f"b{m}: x" for m in range(1000)) + " }"},
    "4 kB of one field": lambda n: {"query": f"{{ a{n}: x " + "position " * 450 + " }"},
    "fragments in a circle": lambda n: {
        "query": f"{{ a{n}: x ...A }} fragment A on Query {{ ...B }} fragment B on Query {{ ...A }}"
    },
    "fragments that double": lambda n: {"query": f"{{ a{n}: x ...F0 }} {_SPREAD} fragment F40 on Query {{ x }}"},
    "first: 1e9": lambda n: {"query": f'{{ a{n}: adjustments(mspId: "bench", first: 1000000000) {{ totalCount }} }}'},
    "a batch": lambda n: [{"query": _SMALL}] * 100,
    "10 MB": lambda n: {"query": " " * 10_000_000},
}


def refusals(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """Of each kind its CPU, and the p99 of others while they come in turns."""
    times, others = (TIMES // 10, OTHERS // 10) if quick else (TIMES, OTHERS)
    with serving(ground, 1_000) as (_, answering):
        measured = [
            Measured(replace(G1, what=f"{G1.what} {kind}"), [_cpu(answering, immodest, times) for _ in range(rounds)])
            for kind, immodest in IMMODEST.items()
        ]

        def beside() -> float:
            with _streaming(answering):
                return _p99(answering, others)

        ours, limits = in_turns(rounds, beside, lambda: _p99(answering, others))
        return [*measured, Measured(G1_OTHERS, ours, limits, ["of each kind in turn, but for the 10 MB"])]


def _cpu(answering: Answering, immodest: Callable[[int], object], times: int) -> float:
    """Milliseconds of the gateway's processor for one."""
    process = psutil.Process(answering.process.pid)
    before = sum(process.cpu_times()[:2])
    for number in range(times):
        _refused(answering.session, answering.url, immodest(number))
    return (sum(process.cpu_times()[:2]) - before) / times * 1000


def _refused(session: requests.Session, url: str, body: object) -> None:
    try:
        answer = session.post(f"{url}/graphql", json=body, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60)
    except requests.ConnectionError:
        return  # cut off while it was still sending
    assert "errors" in answer.json(), answer.text


@contextmanager
def _streaming(answering: Answering) -> Iterator[None]:
    over = threading.Event()

    def go_on() -> None:
        kinds = [immodest for kind, immodest in IMMODEST.items() if kind != "10 MB"]
        with requests.Session() as session:
            number = 0
            while not over.wait(EVERY_SECONDS):
                number += 1
                _refused(session, answering.url, kinds[number % len(kinds)](number))

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _p99(answering: Answering, times: int) -> float:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        answering.data(_SMALL)
        taken.append((time.perf_counter() - begun) * 1000)
    return quantiles(taken, n=100)[98]
