"""How far an operation is: from the beginning to the end, as it moves, and of one MSP only."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway import operations
from plumbing.clock import Clock, FrozenClock
from services.reporting.queries import REPORTS
from services.reporting.sides import make_side, models_of
from tests.gateway.listening import listening
from tests.gateway.serving import Answering
from tests.msps import add_msp

pytestmark = [pytest.mark.postgres]
QUERY = """subscription($id: String!, $msp: String! = "acme") {
  operationProgress(mspId: $msp, operationId: $id) { state done of refused } }"""


def test_rows_are_unknown_then_under_way_then_decided(own: Answering, engine: Engine) -> None:
    with listening(own) as listener:
        listener.subscribe(QUERY, id="o1")
        told = [listener.data()]
        with operations.begun(engine, Clock(), "acme", "o1", 3) as ended:
            told.append(listener.data())
            ended([{"ok": True}, {"ok": False}, {"ok": True}])
        told.append(listener.data())
        assert listener.next() == {"type": "complete", "id": "1"}

    assert [(one["state"], one["done"], one["of"], one["refused"]) for one in told] == [
        ("UNKNOWN", "0", "0", 0),
        ("RUNNING", "0", "3", 0),
        ("DONE", "3", "3", 1),
    ]


def test_an_operation_of_another_msp_is_unknown(own: Answering, engine: Engine) -> None:
    other = add_msp(engine, "other")
    with operations.begun(engine, Clock(), other, "o1", 1) as ended:
        ended([{"ok": True}])

    with listening(own) as listener:
        listener.subscribe(QUERY, id="o1")
        assert listener.data()["state"] == "UNKNOWN"


def test_what_a_dead_gateway_left_under_way_is_told_as_unanswered(engine: Engine, told: MspId) -> None:
    begun = FrozenClock(Clock().now() - timedelta(minutes=3))
    with operations.begun(engine, begun, told, "o1", 1):
        pass

    with engine.connect() as connection:
        assert operations.operation(connection, Clock(), told, "o1")["state"] == "unanswered"


def test_a_past_is_told_by_the_positions_that_are_folded(own: Answering, engine: Engine, told: MspId) -> None:
    models = models_of(REPORTS["linked"])
    with listening(own) as listener:
        listener.subscribe(QUERY, id="side/linked/7")
        nothing = listener.data()
        make_side(engine, models[:1], told, 7, Clock())
        some = listener.data()
        make_side(engine, models, told, 7, Clock())
        steps = [listener.data()]
        while steps[-1]["state"] != "DONE":
            steps.append(listener.data())

    assert (nothing["state"], nothing["of"]) == ("UNKNOWN", "0")
    assert (some["done"], some["of"]) == ("7", str(7 * len(models)))
    assert steps[-1]["done"] == steps[-1]["of"] == str(7 * len(models))


@pytest.mark.parametrize(
    ("operation_id", "msp", "code"),
    [
        ("side/nothing/7", "acme", "BAD_QUESTION"),
        ("side/unlinked/yesterday", "acme", "BAD_QUESTION"),
        ("o1", "nobody", "NO_SUCH_MSP"),
    ],
)
def test_what_there_is_not_is_refused(served: Answering, operation_id: str, msp: str, code: str) -> None:
    with listening(served) as listener:
        listener.subscribe(QUERY, id=operation_id, msp=msp)
        payload = listener.next()["payload"]

    errors = payload if isinstance(payload, list) else payload["errors"]
    assert errors[0]["extensions"]["code"] == code


def test_old_operations_are_forgotten(engine: Engine, told: MspId) -> None:
    for days in (31, 0):
        with operations.begun(engine, FrozenClock(Clock().now() - timedelta(days=days)), told, f"o{days}", 1):
            pass

    with engine.connect() as connection:
        assert list(connection.scalars(text("SELECT operation_id FROM setup.operations"))) == ["o0"]
