"""An MSP with both connections, and all that is wanted before a month may be invoiced -> its checklist."""

import dataclasses
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Engine, text

from domain.envelope import NewEvent
from domain.events import CloseCheck, Event, PsaAgreementObserved
from domain.keys import MspId
from domain.months import Month
from plumbing import event_log
from services.reporting.queries import Checklist, close_stream, read_checklist
from tests.reporting import history as h

A, B, C = h.odin("a"), h.odin("b", subscription="2"), h.odin("c", subscription="3", company="9")
P = h.psa("p")
MARCH = Month.parse("2026-03")
NOW = h.BEGAN + timedelta(hours=2)
#: All checks are green after these: 12 counted, 8 posted on top of 4, read back.
ALL_GREEN: tuple[Event, ...] = (
    h.poll_completed(),
    h.subscription(A),
    h.discovered(A, "12"),
    h.customer(P),
    h.agreement(P),
    h.product(P),
    h.units(P, 4),
    h.linked(A, P),
    h.requested(A, P, "q1"),
    h.posted(A, P, "q1", 8),
    h.units(P, 12),
)


def ending(last_day: date) -> PsaAgreementObserved:
    return dataclasses.replace(h.agreement(P), end_date=last_day)


def connect(engine: Engine, msp_id: MspId, *connections: tuple[str, str]) -> None:
    """Connections as (id, kind); by default one of each kind."""
    with engine.begin() as connection:
        for connection_id, kind in connections or (("odin", "odin"), ("autotask", "autotask")):
            connection.execute(
                text("INSERT INTO setup.connections VALUES (:msp, :id, :kind, '{}', '{}', 1, now())"),
                {"msp": msp_id, "id": connection_id, "kind": kind},
            )


def tell(engine: Engine, msp_id: MspId, *happened: Event) -> None:
    h.append(engine, msp_id, happened)
    h.project(engine, msp_id)


def decide(engine: Engine, msp_id: MspId, acts: Sequence[Event], month: Month = MARCH, actor: str = "mara") -> None:
    """Appends acts to the month's own stream, as the gateway does."""
    with engine.begin() as connection:
        stream = close_stream(P["psa_connection_id"], month)
        version = connection.scalar(
            text("SELECT count(*) FROM log.events WHERE msp_id = :msp AND stream = :stream"),
            {"msp": msp_id, "stream": stream},
        )
        new = [
            NewEvent(stream=stream, stream_version=version + n, event=act, occurred_at=NOW)
            for n, act in enumerate(acts, 1)
        ]
        event_log.append(
            connection, msp_id, new, recorded_at=NOW, recorded_by="gateway", correlation_id="c", actor=actor
        )


def checklist(engine: Engine, msp_id: MspId, month: Month = MARCH, now: datetime = NOW) -> Checklist:
    with engine.connect() as connection:
        found = read_checklist(connection, msp_id, P["psa_connection_id"], month, now)
    assert found is not None
    return found


def check(engine: Engine, msp_id: MspId, key: str, **asked: object) -> CloseCheck:
    (found,) = (one for one in checklist(engine, msp_id, **asked).checks if one.check == key)
    return found


def states(found: Checklist) -> dict[str, str]:
    """The checks that are not green."""
    return {one.check: str(one.state) for one in found.checks if one.state != "green"}
