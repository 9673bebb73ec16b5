"""The cards of the first page -> GraphQL: each is read only when it is asked for."""

from collections.abc import Callable
from typing import Any

import graphene
from graphql import GraphQLResolveInfo
from sqlalchemy import Connection

from domain.keys import MspId
from gateway.schema.context import Context
from gateway.schema.making import made_type, many, value_of
from gateway.schema.scalars import Date, DateTime, Decimal, Money
from plumbing import setup
from services.reporting.queries import dashboard

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


def _reading(read: Callable[[Connection, MspId], Any]) -> Any:
    def resolve(msp_id: MspId, info: GraphQLResolveInfo) -> Any:
        context: Context = info.context
        with context.reading() as connection:
            return read(connection, msp_id)

    return resolve


def _posted(msp_id: MspId, info: GraphQLResolveInfo) -> dict[str, Any]:
    context: Context = info.context
    with context.reading() as connection:
        since = context.clock.today(setup.msp(connection, msp_id).time_zone).replace(day=1)
        totals = dashboard.posted(connection, msp_id, since)
    return {**totals, "since": since, "money_secured": totals["prorated_price"]}


def _first_steps(connection: Connection, msp_id: MspId) -> list[dict[str, Any]]:
    return [{"key": key, "done": done} for key, done in dashboard.first_steps(connection, msp_id).items()]


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


class Dashboard(graphene.ObjectType):
    """What needs somebody, and what was done: each card says what its report says."""

    unlinked = _card(
        "Unlinked",
        "Active resources without a relation: report unlinked.",
        _reading(dashboard.unlinked),
        price_per_month=_money("What ODIN advises to bill for them in a month, where it is known."),
    )
    held = _card(
        "Held",
        "Adjustments that wait for a person: report heldAdjustments.",
        _reading(dashboard.held),
        unit_change=Decimal(required=True, description="By how many units they would change, where it is known."),
    )
    failed = _card(
        "Failed",
        "What failed and is tried again by itself: report failures, state open.",
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
        "Adjustments posted in the running month of the MSP's time zone: report adjustments.",
        _posted,
        since=Date(required=True, description="The first day of the month."),
        unit_change=Decimal(required=True, description="By how many units they changed."),
        money_secured=_money("Our reckoning of what is billed for them in their billing periods."),
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
        description="The cards of the first page.",
    )
    return field, _resolve


def _resolve(_root: object, info: GraphQLResolveInfo, msp_id: str) -> MspId:
    context: Context = info.context
    with context.reading() as connection:
        context.refuse_unknown(connection, msp_id)
    return MspId(msp_id)
