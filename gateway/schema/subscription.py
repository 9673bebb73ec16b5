"""What is told as it happens: the pulse, which report is old, and what people should know."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio.to_thread
import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.schema.context import Context
from gateway.schema.making import made_type, value_of
from gateway.schema.progress import OperationProgress, progress
from gateway.schema.pulse import Pulse, as_told
from gateway.schema.reports import node_of
from gateway.schema.scalars import Position
from services.reporting.queries import CLOSE, MOST_ROWS, REPORTS, WATCHED, Question, bell_kinds, feeds, read_page

_HELP = {name: report.help for name, report in REPORTS.items()} | {CLOSE: "The checklist of every month's close."}
ReportName = graphene.Enum(
    "ReportName",
    [(name.upper(), name) for name in WATCHED if feeds(name)],
    description=lambda value: _HELP[value_of(value)] if value else "The reports that come from the log, and the close.",
)
ReportChange = made_type(
    "ReportChange",
    "A report, and how new it can be read.",
    {
        "report": graphene.Field(ReportName, required=True, description="The report."),
        "position": Position(required=True, description="The place in the log of the newest event that it shows."),
    },
)
_MSP = {"msp_id": graphene.String(required=True, description="Whose.")}


def _added(context: Context, msp_id: MspId, after: int, upto: int) -> list[dict[str, Any]]:
    """The notifications at (after, upto] for which the bell rings, the oldest first; of many the newest."""
    with context.reading(msp_id) as connection:
        place: dict[str, Any] = {"gte": after + 1, "lte": upto}
        wanted = {"position": place, "kind": {"in": bell_kinds(connection, msp_id)}}
        question = Question(filter=wanted, first=MOST_ROWS, wanted=frozenset())
        return read_page(connection, REPORTS["notifications"], msp_id, question).rows[::-1]


class Subscription(graphene.ObjectType):
    """What is told as it happens, over a WebSocket (graphql-transport-ws) at the same address."""

    pulse_changed = graphene.Field(
        graphene.NonNull(Pulse), description="The pulse at once, and again whenever it is another.", **_MSP
    )
    report_changed = graphene.Field(
        graphene.NonNull(ReportChange),
        report=graphene.Argument(ReportName, required=True, description="Which."),
        description="Where the report stands at once, and again whenever rows of it may have changed and can be read.",
        **_MSP,
    )
    operation_progress = graphene.Field(
        graphene.NonNull(OperationProgress),
        operation_id=graphene.String(
            required=True,
            description="As it was given to a mutation; or side/<report>/<asOf>, such as side/unlinked/2018-07-24: a report's "
            "past that is being made because somebody asked for it.",
        ),
        description="How far an operation is, at once and until it has ended. The rows of a mutation are decided all at once.",
        **_MSP,
    )
    notification_added = graphene.Field(
        graphene.NonNull(node_of("notifications")),
        description="Each notification for which the bell rings, from now on, once it can be read.",
        **_MSP,
    )

    @staticmethod
    async def subscribe_operation_progress(
        _root: object, info: GraphQLResolveInfo, msp_id: str, operation_id: str
    ) -> AsyncIterator[dict[str, Any]]:
        """It ends with the operation."""
        async with aclosing(progress(info.context, MspId(msp_id), operation_id)) as steps:
            async for step in steps:
                yield step

    @staticmethod
    async def subscribe_notification_added(
        _root: object, info: GraphQLResolveInfo, msp_id: str
    ) -> AsyncIterator[dict[str, Any]]:
        """Whoever is slow misses none: each look goes on from the position of the one before."""
        context: Context = info.context
        told = None
        async with aclosing(context.live.changes(MspId(msp_id), "notifications")) as positions:
            async for position in positions:
                if told is not None:
                    for row in await anyio.to_thread.run_sync(_added, context, MspId(msp_id), told, position):
                        yield row
                told = position

    @staticmethod
    async def subscribe_pulse_changed(
        _root: object, info: GraphQLResolveInfo, msp_id: str
    ) -> AsyncIterator[dict[str, Any]]:
        """One look serves all who listen."""
        context: Context = info.context
        async with aclosing(context.live.pulses(MspId(msp_id))) as beats:
            async for beat in beats:
                yield await as_told(beat, info, MspId(msp_id))

    @staticmethod
    async def subscribe_report_changed(
        _root: object, info: GraphQLResolveInfo, msp_id: str, report: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """Told only when the read models of the report have reached the change."""
        context: Context = info.context
        name = value_of(report)
        async with aclosing(context.live.changes(MspId(msp_id), name)) as positions:
            async for position in positions:
                yield {"report": name, "position": position}
