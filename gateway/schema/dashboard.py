"""The cards of the first page -> GraphQL: each is read only when it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import graphene
from graphql import GraphQLResolveInfo
from sqlalchemy import Connection

from domain.keys import ConnectionId, MspId
from gateway.schema.closing import CloseState
from gateway.schema.context import Context
from gateway.schema.making import made_type, many, value_of
from gateway.schema.psa import Psa, psa_connections
from gateway.schema.scalars import Date, DateTime, Decimal, Money
from plumbing import setup
from services.reporting.queries import CHECKS, State, dashboard, leak_trend

_STEPS = {
    "configure": "Connect ODIN and the PSA.",
    "map": "Link resources to PSA products.",
    "follow": "Follow the reports: the first adjustment was posted.",
}
FirstStepKey = graphene.Enum(
    "FirstStepKey",
    [(key.upper(), key) for key in _STEPS],
    description=lambda value: _STEPS[value_of(value)] if value else "What is done once at the beginning.",
)
_ROWS = {"rows": graphene.Int(required=True, description="How many.")}


TREND_DAYS = 30


@dataclass(frozen=True)
class _Home:
    """Whose first page. psa: its PSA connections of the context; of_context: whether one was given."""

    msp_id: MspId
    psa: tuple[ConnectionId, ...]
    of_context: bool

    @property
    def only(self) -> tuple[ConnectionId, ...] | None:
        """The PSA connections that cards are narrowed to; None: they are not."""
        return self.psa if self.of_context else None


def _reading(read: Callable[..., Any]) -> Any:
    """Read as it is for the MSP and the PSA connections of the context."""

    def resolve(home: _Home, info: GraphQLResolveInfo) -> Any:
        context: Context = info.context
        with context.reading(home.msp_id) as connection:
            return read(connection, home.msp_id, home.only)

    return resolve


def _posted(home: _Home, info: GraphQLResolveInfo) -> dict[str, Any]:
    context: Context = info.context
    with context.reading(home.msp_id) as connection:
        since = _today(context, connection, home).replace(day=1)
        totals = dashboard.posted(connection, home.msp_id, since, home.only)
    return {**totals, "since": since, "money_secured": totals["prorated_price"]}


def _trend(home: _Home, info: GraphQLResolveInfo) -> list[dict[str, Any]]:
    context: Context = info.context
    with context.reading(home.msp_id) as connection:
        zone = setup.msp(connection, home.msp_id).time_zone
        return leak_trend(connection, home.msp_id, zone, context.clock.today(zone), TREND_DAYS, home.only)


def _closes(home: _Home, info: GraphQLResolveInfo) -> list[dict[str, Any]]:
    context: Context = info.context
    with context.reading(home.msp_id) as connection:
        today, now = _today(context, connection, home), context.clock.now()
        found = [dashboard.close_now(connection, home.msp_id, each, today, now) for each in home.psa]
    return [
        {
            "psa_connection_id": close.psa_connection_id,
            "period": str(close.month),
            "due_on": close.due_on,
            "state": close.state,
            "red": close.count(State.RED),
            "amber": close.count(State.AMBER),
            "checks": len(CHECKS),
        }
        for close in found
        if close is not None
    ]


def _today(context: Context, connection: Connection, home: _Home) -> date:
    return context.clock.today(setup.msp(connection, home.msp_id).time_zone)


def _first_steps(connection: Connection, msp_id: MspId, _psa: object) -> list[dict[str, Any]]:
    return [{"key": key, "done": done} for key, done in dashboard.first_steps(connection, msp_id).items()]


def _unlinked(connection: Connection, msp_id: MspId, _psa: object) -> dict[str, Any]:
    return dashboard.unlinked(connection, msp_id)


def _card(name: str, says: str, read: Any, **fields: Any) -> Any:
    card = made_type(f"Dashboard{name}", says, {**_ROWS, **fields})
    return graphene.Field(graphene.NonNull(card), description=says, resolver=read)


def _money(says: str) -> Any:
    return graphene.Field(many(Money), description=f"{says} One for each currency.")


FirstStep = made_type(
    "FirstStep",
    "A step of the beginning.",
    {
        "key": graphene.Field(FirstStepKey, required=True, description="Which."),
        "done": graphene.Boolean(required=True, description="Whether it is done."),
    },
)


LeakDay = made_type(
    "LeakDay",
    "What leaked at the end of a day in the MSP's time zone, as money of one month.",
    {
        "date": Date(required=True, description="The day."),
        "not_billed": _money(
            "Price per month of what is bought and billed to nobody: active resources without a relation at the end of the "
            "day, at their counts and prices of then and the billing periods of now. What has no count or price adds nothing."
        ),
        "over_billed": _money(
            "Price per month of units in the PSA above those we had left: of products that are linked now, as the PSA's units "
            "had been read by the end of the day, at the products' prices of now. Units below are not taken off."
        ),
    },
)
DashboardClose = made_type(
    "DashboardClose",
    "How near the close of a month is: closeChecklist tells all of it.",
    {
        "psa_connection_id": graphene.String(required=True, description="The PSA connection it is invoiced in."),
        "period": graphene.String(required=True, description="The month, such as 2018-07."),
        "due_on": Date(required=True, description="The first day after it."),
        "state": CloseState(required=True, description="How it stands."),
        "red": graphene.Int(required=True, description="Checks that are red."),
        "amber": graphene.Int(required=True, description="Checks that are amber."),
        "checks": graphene.Int(required=True, description="Checks there are."),
    },
)


class Dashboard(graphene.ObjectType):
    """What needs somebody, and what was done: each card says what its report says."""

    unlinked = _card(
        "Unlinked",
        "Active resources without a relation, whatever the context: report unlinked.",
        _reading(_unlinked),
        price_per_month=_money("What ODIN advises to bill for them in a month, where it is known."),
    )
    held = _card(
        "Held",
        "Adjustments that wait to be approved: report heldAdjustments.",
        _reading(dashboard.held),
        unit_change=Decimal(required=True, description="By how many units they would change, where it is known."),
    )
    failed = _card(
        "Failed",
        "What failed: report failures, states open and parked. In a context without polls of ODIN.",
        _reading(dashboard.failed),
        oldest_at=DateTime(description="When the oldest of it failed first; null: nothing failed."),
        top_kind=graphene.String(description="The commonest kind of failure; null: nothing failed."),
    )
    drift = _card(
        "Drift",
        f"Products whose units in the PSA nobody of us caused: report drift, kinds {', '.join(dashboard.DRIFTING)}.",
        _reading(dashboard.drift),
        money_per_month=_money("The difference at the products' prices for a month, above zero billed too much."),
    )
    posted = _card(
        "Posted",
        "Adjustments posted in the running month of the MSP's time zone: report adjustments, summed in report days.",
        _posted,
        since=Date(required=True, description="The first day of the month."),
        unit_change=Decimal(required=True, description="By how many units they changed."),
        money_secured=_money("Our reckoning of what is billed for them in their billing periods."),
    )
    leak_trend = graphene.Field(
        many(LeakDay),
        description=f"What leaked at the end of each of the last {TREND_DAYS} days, the oldest first; today as it stands now.",
        resolver=_trend,
    )
    close = graphene.Field(
        many(DashboardClose),
        description="The close at hand of each PSA connection: of the month that has ended until it is signed off or the "
        "running month's freeze begins, else of the running month.",
        resolver=_closes,
    )
    first_steps = graphene.Field(
        many(FirstStep),
        description="What is done once at the beginning, in its order.",
        resolver=_reading(_first_steps),
    )


def dashboard_field() -> tuple[Any, Any]:
    """The field of the root query, and its resolver."""
    field = graphene.Field(
        graphene.NonNull(Dashboard),
        msp_id=graphene.String(required=True, description="Whose."),
        context=graphene.Argument(Psa, description="Cards of one PSA only; by default of all."),
        description="The cards of the first page.",
    )
    return field, _resolve


def _resolve(_root: object, info: GraphQLResolveInfo, msp_id: str, context: Any = None) -> _Home:
    house: Context = info.context
    with house.reading(msp_id) as connection:
        house.refuse_unknown(connection, msp_id)
        found = psa_connections(connection, MspId(msp_id), value_of(context))
    return _Home(MspId(msp_id), tuple(found), context is not None)
