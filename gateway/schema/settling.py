"""What a person settles for relations and leaves out of billing -> RPC to mapping; a unit rule -> what it would have come to."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from domain.relation_settings import BadSettings, parse_rule
from domain.units import NotWholeUnits
from gateway.errors import Refusal
from gateway.schema.context import Context
from gateway.schema.making import many
from gateway.schema.mutations import asked
from gateway.schema.outcomes import MSP, OPERATION, Outcome, texts
from gateway.schema.scalars import Date, DateTime, Decimal
from services.reporting.queries import counts_since

MOST_DAYS = 400


class UnitRuleWish(graphene.InputObjectType):
    """How a count becomes units: what is included is taken away, the rest divided by the pack size, rounded, and raised to
    the minimum. Without values: as is."""

    included = Decimal(description="Licences that a flat fee covers. Default 0.")
    pack_size = graphene.Int(
        description="Licences that one unit stands for. Default 1; above that a rounding is needed."
    )
    rounding = graphene.String(description="up, down or nearest; none (the default) refuses what is not whole.")
    minimum = graphene.Int(description="The fewest units, also for a count of 0. Default 0.")


class PriceWish(graphene.InputObjectType):
    """What a unit is billed at."""

    source = graphene.String(
        required=True,
        description="agreement: the PSA's price is left as it is; catalogue: ODIN's price to the customer; custom: an amount of "
        "your own; cost_plus: ODIN's cost and a markup.",
    )
    amount = Decimal(description="With custom: for one unit and billing period of the PSA product.")
    currency = graphene.String(description="With custom: its currency, the PSA's (ISO 4217).")
    markup_percent = Decimal(description="With cost_plus: such as 12.5.")


class RelationSettingsWish(graphene.InputObjectType):
    """All that shall hold for a relation; what is left out goes back to the default."""

    rule = graphene.Field(UnitRuleWish, description="The unit rule.")
    price = graphene.Field(PriceWish, description="The price source.")
    note = graphene.String(description="For people. At most 2,000 characters.")


class TriedUnits(graphene.ObjectType):
    """A time for which the count was the same, and the units that the rule would have made of it."""

    from_at = DateTime(required=True, description="From this moment on.")
    to_at = DateTime(description="Until just before this moment; null: until now.")
    count = Decimal(description="ODIN's count; null when it gave none.")
    units = graphene.Int(description="The units; null when the count was not known or could not become whole units.")
    problem = graphene.String(description="Why there are no units.")


class SettlingMutations:
    """What can be settled for relations, and what is left out of billing: row by row, at most 200 rows."""

    save_relation_settings = graphene.Field(
        graphene.NonNull(Outcome),
        relation_ids=texts("At most 200; all of them get the same settings."),
        input=graphene.Argument(RelationSettingsWish, required=True, description="The settings."),
        description="Settle how counts become units and what a unit is billed at. What differs then is posted by itself.",
        **MSP,
        **OPERATION,
    )
    freeze_relations = graphene.Field(
        graphene.NonNull(Outcome),
        relation_ids=texts("At most 200."),
        reason=graphene.String(required=True, description="Why, for the record."),
        description="Post nothing more for the products of these relations until someone unfreezes them. The close goes on "
        "showing them.",
        **MSP,
        **OPERATION,
    )
    unfreeze_relations = graphene.Field(
        graphene.NonNull(Outcome),
        relation_ids=texts("At most 200."),
        reason=graphene.String(default_value="", description="Why, for the record."),
        description="Let relations post again: their products are brought to what they shall have by now.",
        **MSP,
        **OPERATION,
    )
    exclude_resources = graphene.Field(
        graphene.NonNull(Outcome),
        resource_keys=texts("At most 200. One that is linked cannot be excluded."),
        reason=graphene.String(required=True, description="Why, for the record, such as own use."),
        until=Date(description="The last day on which they are excluded; left out: until someone includes them."),
        description="Leave resources out of the unlinked ones and of the close.",
        **MSP,
        **OPERATION,
    )
    include_resources = graphene.Field(
        graphene.NonNull(Outcome),
        resource_keys=texts("At most 200."),
        reason=graphene.String(default_value="", description="Why, for the record."),
        description="Take excluded resources in again: they are to be linked.",
        **MSP,
        **OPERATION,
    )

    @staticmethod
    def resolve_save_relation_settings(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        relation_ids: list[str],
        operation_id: str,
        **given: dict[str, Any],
    ) -> dict[str, Any]:
        """mapping decides each row."""
        settings = _plain(given["input"])
        rows = {"relation_ids": relation_ids, "settings": settings}
        return asked(info, "mapping", "save_relation_settings", msp_id, operation_id, len(relation_ids), **rows)

    @staticmethod
    def resolve_freeze_relations(
        _root: object, info: GraphQLResolveInfo, msp_id: str, relation_ids: list[str], operation_id: str, reason: str
    ) -> dict[str, Any]:
        """mapping decides each row."""
        rows = {"relation_ids": relation_ids, "reason": reason}
        return asked(info, "mapping", "freeze_relations", msp_id, operation_id, len(relation_ids), **rows)

    @staticmethod
    def resolve_unfreeze_relations(
        _root: object, info: GraphQLResolveInfo, msp_id: str, relation_ids: list[str], operation_id: str, reason: str
    ) -> dict[str, Any]:
        """mapping decides each row."""
        rows = {"relation_ids": relation_ids, "reason": reason}
        return asked(info, "mapping", "unfreeze_relations", msp_id, operation_id, len(relation_ids), **rows)

    @staticmethod
    def resolve_exclude_resources(
        _root: object,
        info: GraphQLResolveInfo,
        msp_id: str,
        resource_keys: list[str],
        operation_id: str,
        reason: str,
        until: date | None = None,
    ) -> dict[str, Any]:
        """mapping decides each row."""
        last_day = until.isoformat() if until else None
        rows = {"resource_keys": resource_keys, "reason": reason, "until": last_day}
        return asked(info, "mapping", "exclude_resources", msp_id, operation_id, len(resource_keys), **rows)

    @staticmethod
    def resolve_include_resources(
        _root: object, info: GraphQLResolveInfo, msp_id: str, resource_keys: list[str], operation_id: str, reason: str
    ) -> dict[str, Any]:
        """mapping decides each row."""
        rows = {"resource_keys": resource_keys, "reason": reason}
        return asked(info, "mapping", "include_resources", msp_id, operation_id, len(resource_keys), **rows)


def test_rule_field() -> tuple[Any, Callable[..., Any]]:
    """The field testUnitRule and its resolver."""
    field = graphene.Field(
        many(TriedUnits),
        resource_key=graphene.String(required=True, description="The resource."),
        rule=graphene.Argument(UnitRuleWish, required=True, description="The rule to try; nothing is saved."),
        days=graphene.Int(default_value=90, description=f"How many past days, 1 to {MOST_DAYS}."),
        description="What the units of a resource would have been by a unit rule, newest first. The minimum and what is included "
        "count for this resource alone.",
        **MSP,
    )
    return field, _tried


def _tried(
    _root: object, info: GraphQLResolveInfo, msp_id: str, resource_key: str, rule: dict[str, Any], days: int
) -> list[dict[str, Any]]:
    context: Context = info.context
    if not 1 <= days <= MOST_DAYS:
        raise Refusal("BAD_REQUEST", f"1 to {MOST_DAYS} days, not {days}.", "Ask for fewer days.")
    try:
        tried = parse_rule(_plain(rule))
    except BadSettings as fault:
        raise Refusal("BAD_RULE", str(fault), "Correct the rule.") from fault
    since = context.clock.now() - timedelta(days=days)
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        ranges = counts_since(connection, MspId(msp_id), resource_key, since)
    found = []
    for each in ranges:
        row = {"from_at": max(each["valid_from"], since), "to_at": each["valid_to"], "count": each["count"]}
        try:
            row["units"] = None if each["count"] is None else tried.units(each["count"])
            row["problem"] = "ODIN gave no count." if each["count"] is None else None
        except NotWholeUnits as fault:
            row |= {"units": None, "problem": f"{fault}, and the rule rounds nothing."}
        found.append(row)
    return found


def _plain(given: Any) -> Any:
    """An input's values as plain ones, decimals as text; what was left out is left out."""
    if isinstance(given, dict):
        return {name: _plain(value) for name, value in given.items() if value is not None}
    return given if isinstance(given, int | str) else str(given)
