"""An operation's id -> how far it is, told until it has ended: rows that are decided, or a report's past that is folded."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import anyio.to_thread
import graphene
from graphql import GraphQLError
from sqlalchemy import Connection

from domain.keys import MspId
from gateway import operations
from gateway.errors import Refusal
from gateway.schema.as_of import Past, position_of
from gateway.schema.context import Context
from gateway.schema.making import value_of
from gateway.schema.scalars import Position
from services.reporting.queries import REPORTS, side_progress

SIDE = "side/"
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
_STATES = {
    "unknown": "Nothing is known of it, yet.",
    "running": "It is under way.",
    "done": "It has ended.",
    "unanswered": "No answer came in time: send it again with the same operationId, it acts once.",
}
_looking = anyio.CapacityLimiter(1)

OperationState = graphene.Enum(
    "OperationState",
    [(state.upper(), state) for state in _STATES],
    description=lambda value: _STATES[value_of(value)] if value else "How an operation stands.",
)


class OperationProgress(graphene.ObjectType):
    """How far an operation is."""

    operation_id = graphene.String(required=True, description="Which one.")
    state = graphene.Field(OperationState, required=True, description="How it stands.")
    done = Position(required=True, description="Rows that were decided, or positions of the log that were folded.")
    of = Position(required=True, description="Of so many.")
    refused = graphene.Int(required=True, description="Rows among the decided ones that were refused.")


async def progress(context: Context, msp_id: MspId, operation_id: str) -> AsyncGenerator[dict[str, Any]]:
    """How it stands at once, and again whenever it stands otherwise, until it has ended. Refusal."""
    told: dict[str, Any] = {"state": "unknown"}
    pause = SHORTEST_PAUSE
    while told["state"] in ("unknown", "running"):
        now = await anyio.to_thread.run_sync(_look, context, msp_id, operation_id, limiter=_looking)
        if now != told:
            told, pause = now, SHORTEST_PAUSE
            yield now
        else:
            pause = min(2 * pause, LONGEST_PAUSE)
        await asyncio.sleep(pause)


def _look(context: Context, msp_id: MspId, operation_id: str) -> dict[str, Any]:
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        found = (
            _side(connection, msp_id, operation_id.removeprefix(SIDE))
            if operation_id.startswith(SIDE)
            else operations.operation(connection, context.clock, msp_id, operation_id)
        )
    return {"operation_id": operation_id, **found}


def _side(connection: Connection, msp_id: MspId, named: str) -> dict[str, Any]:
    """The past of a report, named as <report>/<asOf>."""
    report, _, as_of = named.partition("/")
    try:
        at = position_of(connection, msp_id, Past.parse_value(as_of))
    except GraphQLError as error:
        raise Refusal("BAD_QUESTION", str(error), "As in side/unlinked/2018-07-24.") from error
    if report not in REPORTS or at is None:
        raise Refusal("BAD_QUESTION", f"There is no report {report!r}.", f"There are: {', '.join(REPORTS)}.")
    found = side_progress(connection, msp_id, report, at)
    done, of = found or (0, 0)
    state = "unknown" if found is None else "done" if done >= of else "running"
    return {"state": state, "done": done, "of": of, "refused": 0}
