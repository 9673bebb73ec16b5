"""(a database's URL, a way) -> events appended one by one for some seconds: one of the eight writers of P3, and its peer."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import orjson
import psycopg2
from sqlalchemy import Engine

from domain.codec import encode
from domain.envelope import NewEvent
from plumbing import event_log
from plumbing.database import make_engine
from tests.bench.append import MSP
from tests.bench.generate import count_changes
from tests.bench.names import FIRST_MOMENT
from tests.bench.turns import serve


class Writer:
    """Appends to streams of its own, so that two writers never want the same stream version."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._ways: dict[str, Callable[[str, float], int]] = {
            "append": self._append,
            "transaction": self._in_transactions,
            "insert": self._insert,
        }
        self._url = self._way = ""

    def do(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        """connect: takes note of url and way. go: appends for so many seconds."""
        if command["do"] == "connect":
            self._url, self._way = command["url"], command["way"]
            return {}
        return {"appended": self._ways[self._way](self._url, command["seconds"])}

    def _append(self, url: str, seconds: float) -> int:
        """One statement is one transaction."""
        engine = make_engine(url, "bench")
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

            def one(event: NewEvent) -> None:
                event_log.append(
                    connection,
                    MSP,
                    [event],
                    recorded_at=FIRST_MOMENT,
                    recorded_by="bench",
                    correlation_id="bench",
                )

            appended = _as_many_as_fit(self._events(), seconds, one)
        engine.dispose()
        return appended

    def _in_transactions(self, url: str, seconds: float) -> int:
        engine = make_engine(url, "bench")
        appended = _as_many_as_fit(self._events(), seconds, lambda event: _one_transaction(engine, event))
        engine.dispose()
        return appended

    def _insert(self, url: str, seconds: float) -> int:
        """The limit: psycopg2 alone, ready values, no order kept."""
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            rows = (
                (MSP, position, e.stream, e.stream_version, e.event.type, orjson.dumps(encode(e.event)).decode())
                for position, e in enumerate(self._events(), 1)
            )
            return _as_many_as_fit(
                rows,
                seconds,
                lambda row: cursor.execute(
                    """INSERT INTO log.events (msp_id, position, stream, stream_version, type, version, payload,
                           occurred_at, recorded_at, correlation_id, recorded_by, actor)
                       VALUES (%s, %s, %s, %s, %s, 1, %s, '2026-01-01Z', '2026-01-01Z', 'bench', 'bench', 'bench')""",
                    row,
                ),
            )

    def _events(self) -> Iterator[NewEvent]:
        for event in count_changes(self._number, 1_000, 10_000_000):
            yield replace(event, stream=f"{event.stream}/{self._number}")


def _one_transaction(engine: Engine, event: NewEvent) -> None:
    with engine.begin() as connection:
        event_log.append(
            connection, MSP, [event], recorded_at=FIRST_MOMENT, recorded_by="bench", correlation_id="bench"
        )


def _as_many_as_fit(things: Iterator[Any], seconds: float, one: Callable[[Any], Any]) -> int:
    done = 0
    end = time.perf_counter() + seconds
    for thing in things:
        one(thing)
        done += 1
        if time.perf_counter() > end:
            break
    return done


if __name__ == "__main__":
    serve(Writer(int(sys.argv[1])).do)
