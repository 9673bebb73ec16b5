"""Budgets and calls counted -> GraphQL: how near each connection is to its limits, what was called, and what waits for it."""

import re
from datetime import timedelta
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.connection_kinds import KINDS
from gateway.errors import Refusal
from gateway.schema.context import Context
from gateway.schema.making import many, value_of
from gateway.schema.scalars import DateTime, Position
from plumbing import setup
from plumbing.budget import Budget, Window
from plumbing.setup import OutsideConnection
from services.reporting.queries import calls_by_endpoint, calls_by_time, put_off

LONGEST = timedelta(days=31)
MOST_POINTS = 288
SHORTEST_STEP = 300
_RANGE = re.compile(r"([1-9]\d{0,2})([hd])")

ApiSource = graphene.Enum(
    "ApiSource",
    [(kind.upper(), kind) for kind in KINDS],
    description=lambda value: f"Connections of the kind {value_of(value)}." if value else "Whose API was called.",
)


class ApiWindow(graphene.ObjectType):
    """A limit on calls in any stretch of so much time, and how much of it is used."""

    name = graphene.String(required=True, description="minute, hour or day.")
    limit = graphene.Int(required=True, description="Calls that may be made in it.")
    used = graphene.Int(required=True, description="Calls that it holds now.")
    resets_at = DateTime(description="When the last of them leaves it; null: it holds none.")


class ApiCallsPoint(graphene.ObjectType):
    """The calls of one step of time."""

    at = DateTime(required=True, description="When the step begins.")
    calls = Position(required=True, description="Calls counted from then on.")


class ApiEndpoint(graphene.ObjectType):
    """What became of the calls to one endpoint. Times are milliseconds from sending to the last byte."""

    name = graphene.String(required=True, description="What was called, without ids.")
    calls = Position(required=True, description="Calls made.")
    errors = Position(required=True, description="Those that were not answered as asked.")
    limited = Position(required=True, description="Those of them that were refused as too many (429).")
    p50 = graphene.Int(required=True, description="Half of the calls took about this, or less.")
    p95 = graphene.Int(required=True, description="95 % of the calls took about this, or less.")
    slowest = graphene.Int(required=True, description="The slowest took this.")


class ApiPostponed(graphene.ObjectType):
    """What waits for calls to be left."""

    subscriptions = graphene.Int(required=True, description="Subscriptions that the last poll left for a later one.")
    until = DateTime(description="Until when all calls are stopped; null: they are not.")
    reason = graphene.String(description="Why they are stopped.")


class ApiBudget(graphene.ObjectType):
    """The calls of one connection."""

    connection_id = graphene.String(required=True, description="The connection.")
    source = graphene.Field(ApiSource, required=True, description="Whose API it is.")
    windows = graphene.Field(many(ApiWindow), description="Its limits, as Trueup keeps them.")
    step_seconds = graphene.Int(required=True, description="How long a step of the series is.")
    series = graphene.Field(many(ApiCallsPoint), description="Calls by step of time; a step without calls is left out.")
    endpoints = graphene.Field(many(ApiEndpoint), description="By endpoint, the most called one first.")
    postponed = graphene.Field(ApiPostponed, description="What waits; null: nothing does.")


def api_budget_field() -> tuple[Any, Any]:
    """The field of the root query, and its resolver."""
    field = graphene.Field(
        many(ApiBudget),
        msp_id=graphene.String(required=True, description="Whose."),
        source=graphene.Argument(ApiSource, description="Connections of one kind; by default of all."),
        connection_id=graphene.String(description="One connection; by default all."),
        range=graphene.String(default_value="24h", description='How far back, such as "24h" or "7d": at most 31 days.'),
        description="How near each connection is to its limits, what was called how often, and what waits for it.",
    )
    return field, _resolve


def _resolve(
    _root: object,
    info: GraphQLResolveInfo,
    msp_id: str,
    range: str,  # noqa: A002 the argument's name in the schema
    source: Any = None,
    connection_id: str | None = None,
) -> list[dict[str, Any]]:
    context: Context = info.context
    back = _back(range)
    step = max(SHORTEST_STEP, int(back.total_seconds()) // MOST_POINTS)
    since, msp = context.clock.now() - back, MspId(msp_id)
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        wanted = [
            each
            for each in setup.connections_of(connection, msp)
            if value_of(source) in (None, each.kind) and connection_id in (None, each.connection_id)
        ]
        if connection_id is not None and not wanted:
            raise Refusal("NO_SUCH_CONNECTION", "There is no such connection.", "Leave connectionId out to see all.")
        series = calls_by_time(connection, msp, since, step)
        endpoints = calls_by_endpoint(connection, msp, since)
        waiting = {each.connection_id: put_off(connection, msp, each.connection_id) for each in wanted}
    return [
        {
            "connection_id": each.connection_id,
            "source": each.kind,
            **_budget(context, each, waiting[each.connection_id]),
            "step_seconds": step,
            "series": [point for point in series if point["connection_id"] == each.connection_id],
            "endpoints": [row for row in endpoints if row["connection_id"] == each.connection_id],
        }
        for each in wanted
    ]


def _back(given: str) -> timedelta:
    found = _RANGE.fullmatch(given)
    back = timedelta(**{"hours" if found[2] == "h" else "days": int(found[1])}) if found else timedelta()
    if not timedelta() < back <= LONGEST:
        raise Refusal("BAD_QUESTION", f"{given!r} is no range.", 'Ask for "24h", "7d" or the like, at most 31 days.')
    return back


def _budget(context: Context, outside: OutsideConnection, subscriptions: int) -> dict[str, Any]:
    kind = KINDS[outside.kind]
    names = {seconds: name for name, seconds in kind.limits.values()}
    windows = [
        Window(int(outside.settings.get(setting, kind.settings[setting])), seconds)
        for setting, (_, seconds) in kind.limits.items()
    ]
    budget = Budget(context.reader, f"{outside.msp_id}/{outside.connection_id}", windows, context.clock)
    pause = budget.paused()
    until, reason = pause or (None, None)
    return {
        "windows": [
            {
                "name": names[used.window.seconds],
                "limit": used.window.limit,
                "used": used.calls,
                "resets_at": used.until,
            }
            for used in budget.used()
        ],
        "postponed": {"subscriptions": subscriptions, "until": until, "reason": reason}
        if subscriptions or until
        else None,
    }
