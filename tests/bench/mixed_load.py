"""A gateway -> people and an operator who use it all at once: pages, sums, files, past days, listeners, and rebuilds."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle
from random import Random

import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from domain.keys import MspId
from tests.bench.lag import LIVE
from tests.bench.turns import Child
from tests.gateway.listening import listening
from tests.gateway.serving import TOKEN, Answering
from tests.gateway.turning import SCHEMA, paged_reports

MSPS = LIVE[:5]
LISTENERS = 10
_LISTEN = 'subscription {{ pulseChanged(mspId: "{}") {{ position }} }}'
_SUMS = "query($msp: String!) { subscriptions(mspId: $msp) { totals { rows } groups(by: COMPANY_ID) { key } } }"
_HEAD = "query($msp: String!) { pulse(mspId: $msp) { position } }"
_PAST = "query($msp: String!, $at: Past) { linked(mspId: $msp, asOf: $at) { totalCount } }"


class Acts:
    """Things that are done over and over, each in a thread of its own at its own pace. faults: what went wrong, in words."""

    def __init__(self) -> None:
        self._over, self._threads = threading.Event(), list[threading.Thread]()
        self.faults, self.done = list[str](), defaultdict[str, int](int)

    def every(self, seconds: float, name: str, act: Callable[[], object]) -> None:
        """Begins to do it, and again so long after it was done."""

        def go_on() -> None:
            while not self._over.wait(seconds):
                try:
                    act()
                    self.done[name] += 1
                except Exception as fault:  # noqa: BLE001 whatever it was, it is told in the end
                    self.faults.append(f"{name}: {type(fault).__name__}: {fault}"[:300])

        self.aside(go_on)

    def aside(self, act: Callable[[], object]) -> None:
        """Begins what ends by itself."""
        self._threads.append(threading.Thread(target=act, daemon=True))
        self._threads[-1].start()

    def stop(self) -> None:
        """Nothing new is done, and after a while nothing is under way."""
        self._over.set()

    def join(self) -> None:
        """Waits until nothing is under way."""
        for thread in self._threads:
            thread.join(120)

    def line(self) -> str:
        """How often each was done."""
        return ", ".join(f"{times:,} {name}" for name, times in sorted(self.done.items()))


class _Person:
    """Who asks a gateway over a connection of their own."""

    def __init__(self, reader: Answering, seed: int) -> None:
        self._reader = replace(reader, session=requests.Session())
        self._chance = Random(seed)
        self._reports = cycle(paged() for paged in paged_reports(SCHEMA.read_text("utf-8")).values())

    def _msp(self) -> MspId:
        return self._chance.choice(MSPS)

    def page(self) -> None:
        """The first page of one report after the other."""
        next(next(self._reports).turn(self._reader.data, self._msp()))

    def sums(self) -> None:
        """Totals and groups."""
        self._reader.data(_SUMS, msp=self._msp())

    def past(self) -> None:
        """A report as of some place in the second half of the log."""
        msp_id = self._msp()
        head = int(self._reader.data(_HEAD, msp=msp_id)["pulse"]["position"])
        self._reader.data(_PAST, msp=msp_id, at=str(self._chance.randint(head // 2, head)))

    def file(self, name: str) -> None:
        """A file, read to its end."""
        asked = f"{self._reader.url}/export/{name}?msp={self._msp()}"
        bearer = {"authorization": f"Bearer {TOKEN}"}
        with self._reader.session.get(asked, headers=bearer, stream=True, timeout=120) as answer:
            answer.raise_for_status()
            for _ in answer.iter_content(1024 * 1024):
                pass

    def come_and_go(self) -> None:
        """Listens until something is told."""
        with listening(self._reader) as listener:
            listener.subscribe(_LISTEN.format(self._msp()))
            listener.data()


@contextmanager
def mixed_load(url: str, reader: Answering) -> Iterator[Acts]:
    """Begun; ended when the block ends. url: the database, as its owner, for the rebuilds."""
    acts = Acts()
    with ExitStack() as stack:
        child = stack.enter_context(Child("tests.bench.rebuild_process", url))
        stack.callback(acts.join)
        for number in range(LISTENERS):
            listener = stack.enter_context(listening(reader))
            listener.subscribe(_LISTEN.format(MSPS[number % len(MSPS)]))
            acts.aside(lambda told=listener.connection: _hear(told))
        stack.callback(acts.stop)
        acts.every(0.1, "pages", _Person(reader, 1).page)
        acts.every(1, "sums", _Person(reader, 2).sums)
        acts.every(3, "short listeners", _Person(reader, 3).come_and_go)
        acts.every(5, "CSV files", partial(_Person(reader, 4).file, "adjustments.csv"))
        acts.every(20, "workbooks", partial(_Person(reader, 5).file, "subscriptions.xlsx"))
        acts.every(30, "past days", _Person(reader, 6).past)
        acts.every(60, "rebuilds", lambda: child.ask(names=["all"], workers=1))
        yield acts


def _hear(told: ClientConnection) -> None:
    """Takes whatever is told until the line is closed."""
    try:
        for _ in told:
            pass
    except ConnectionClosed:
        pass
