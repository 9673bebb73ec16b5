"""The API budget over HTTP: windows from the budget, what was called from the log, what waits from both; of one MSP only."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from domain import events as e
from domain.envelope import NewEvent
from domain.keys import MspId
from plumbing import event_log
from plumbing.budget import Budget, Window
from plumbing.clock import Clock
from tests.gateway.serving import Answering
from tests.msps import add_msp
from tests.reporting import history as h

pytestmark = [pytest.mark.postgres]
QUERY = """query($range: String! = "24h", $source: ApiSource, $connection: String) {
  apiBudget(mspId: "acme", range: $range, source: $source, connectionId: $connection) {
    connectionId source windows { name limit used resetsAt } stepSeconds series { at calls }
    endpoints { name calls errors limited p50 p95 slowest } postponed { subscriptions until reason } } }"""
NOW = datetime.now(UTC)


def connect(engine: Engine, msp_id: str, connection_id: str, kind: str, settings: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO setup.connections VALUES (:msp, :name, :kind, :settings, '{}', 1, now())"),
            {"msp": msp_id, "name": connection_id, "kind": kind, "settings": settings},
        )


def counted(connection_id: str, ago: timedelta, *each: tuple[str, int, int, int]) -> e.CallsCounted:
    """each: endpoint, calls, failed, and the milliseconds that all of them took."""
    endpoints = tuple(_of(*one) for one in each)
    return e.CallsCounted(connection_id=connection_id, since=NOW - ago, seconds=300, endpoints=endpoints)


def _of(endpoint: str, calls: int, failed: int, milliseconds: int) -> e.EndpointCalls:
    times = dict.fromkeys(("p50_milliseconds", "p95_milliseconds", "slowest_milliseconds"), milliseconds)
    return e.EndpointCalls(endpoint=endpoint, calls=calls, failed=failed, limited=failed, **times)


@pytest.fixture
def two(engine: Engine, told: MspId) -> None:
    """A marketplace and a PSA connection that were called, and another MSP with the same names."""
    hour, day = timedelta(hours=1), timedelta(days=1)
    connect(engine, told, "odin", "odin", '{"calls_per_minute": 60, "calls_per_day": 5000}')
    connect(engine, told, "autotask", "autotask", '{"calls_per_hour": 2500}')
    h.append(
        engine,
        told,
        [
            counted("odin", 3 * day, ("/orders", 1000, 0, 1)),
            counted("odin", 2 * hour, ("/orders", 10, 0, 100), ("/subscriptions/{id}", 90, 4, 400)),
            counted("odin", hour, ("/orders", 30, 2, 900)),
            counted("autotask", hour, ("query Contract", 5, 0, 20)),
        ],
    )
    h.project(engine, told)
    other = add_msp(engine, "other")
    connect(engine, other, "odin", "odin", "{}")
    h.append(engine, other, [counted("odin", hour, ("/customers", 7, 0, 5))])
    h.project(engine, other)
    Budget(engine, "other/odin", [Window(60, 60)], Clock()).take(50)


def test_calls_are_told_by_time_and_endpoint_for_each_connection(own: Answering, two: None) -> None:
    autotask, odin = own.data(QUERY)["apiBudget"]

    assert (autotask["source"], odin["source"]) == ("AUTOTASK", "ODIN")
    assert [point["calls"] for point in odin["series"]] == ["100", "30"]
    assert odin["stepSeconds"] == 300
    assert odin["endpoints"] == [
        {
            "name": "/subscriptions/{id}",
            "calls": "90",
            "errors": "4",
            "limited": "4",
            "p50": 400,
            "p95": 400,
            "slowest": 400,
        },
        {"name": "/orders", "calls": "40", "errors": "2", "limited": "2", "p50": 900, "p95": 900, "slowest": 900},
    ]
    assert [row["name"] for row in autotask["endpoints"]] == ["query Contract"]


def test_a_longer_range_shows_more_in_longer_steps(own: Answering, two: None) -> None:
    (odin,) = own.data(QUERY, range="7d", source="ODIN")["apiBudget"]

    assert odin["stepSeconds"] == 7 * 86_400 // 288
    assert sum(int(point["calls"]) for point in odin["series"]) == 1130
    assert next(row for row in odin["endpoints"] if row["name"] == "/orders")["p50"] == 1


def test_windows_tell_what_is_used_and_when_it_is_free_again(own: Answering, engine: Engine, two: None) -> None:
    Budget(engine, "acme/odin", [Window(60, 60), Window(5000, 86_400)], Clock()).take(12)

    autotask, odin = own.data(QUERY)["apiBudget"]

    minute, day = odin["windows"]
    assert (minute["name"], minute["limit"], minute["used"]) == ("minute", 60, 12)
    assert (day["name"], day["limit"], day["used"]) == ("day", 5000, 12)
    assert NOW < datetime.fromisoformat(minute["resetsAt"]) < datetime.fromisoformat(day["resetsAt"])
    assert autotask["windows"] == [{"name": "hour", "limit": 2500, "used": 0, "resetsAt": None}]
    assert odin["postponed"] is None


def test_what_is_put_off_is_told_with_its_reason(own: Answering, engine: Engine, told: MspId, two: None) -> None:
    done = {"subscriptions": 556, "subscriptions_read": 344, "subscriptions_put_off": 212, "changes": 0, "calls": 350}
    completed = e.PollCompleted(connection_id="odin", poll_id="p", complete=True, **done)
    with engine.begin() as connection:
        event_log.append(
            connection,
            told,
            [NewEvent(stream="poll/odin", stream_version=1, event=completed, occurred_at=NOW)],
            recorded_at=NOW,
            recorded_by="poller",
            correlation_id="c",
        )
    Budget(engine, "acme/odin", [], Clock()).pause(600, "the marketplace asked for a pause")

    (odin,) = own.data(QUERY, connection="odin")["apiBudget"]

    assert (odin["postponed"]["subscriptions"], odin["postponed"]["reason"]) == (
        212,
        "the marketplace asked for a pause",
    )
    assert datetime.fromisoformat(odin["postponed"]["until"]) > NOW


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"range": "32d"}, "BAD_QUESTION"),
        ({"range": "1 day"}, "BAD_QUESTION"),
        ({"range": "0h"}, "BAD_QUESTION"),
        ({"connection": "nowhere"}, "NO_SUCH_CONNECTION"),
    ],
)
def test_what_cannot_be_told_is_refused_in_words(served: Answering, given: dict[str, str], code: str) -> None:
    refusal = served.refusal(QUERY, **given)

    assert (refusal["code"], bool(refusal["fix"])) == (code, True)
