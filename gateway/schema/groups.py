"""A connection's rows, grouped for a chart -> the field `groups` of every connection."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from gateway.schema.context import Context
from gateway.schema.making import made_type, many, sums, value_of
from gateway.schema.scalars import Decimal
from services.reporting.queries import MOST_GROUPS, Grouping, Report, Step, read_groups

_STEPS = {
    Step.DAY: "A day.",
    Step.WEEK: "A week, from Monday on.",
    Step.MONTH: "A month.",
}
GroupStep = graphene.Enum(
    "GroupStep",
    [(step.name, step) for step in Step],
    description=lambda value: _STEPS[Step(value_of(value))] if value else "How long a group of days is.",
)


@dataclass(frozen=True)
class Grouped:
    """What the groups of a connection are made of: the connection's own rows."""

    msp_id: str
    filter: dict[str, dict[str, Any]]
    at: int | None


def groups_field(report: Report, column: Any) -> dict[str, Any]:
    """The field and its resolver; the connection's value holds a Grouped under "grouped"."""
    group = made_type(
        f"{report.row}Group",
        "Rows that are alike in one column.",
        {
            "key": graphene.String(description="The value they share, for a filter; null: they have none, or Other."),
            "label": graphene.String(description="The value in words: of an id its name; null: they have none."),
            "other": graphene.Boolean(required=True, description="Whether it is all groups beyond the first ones."),
            "rows": graphene.Int(required=True, description="How many rows."),
            "share": Decimal(
                description="Its part of all, 0 to 1, by licences where the report counts them, else by rows; null: all is 0."
            ),
            **sums(report),
        },
    )
    field = graphene.Field(
        many(group),
        by=graphene.Argument(column, required=True, description="The column; not money."),
        step=graphene.Argument(
            GroupStep,
            description="For a column of days or moments: DAY (by default), WEEK or MONTH in the MSP's time zone.",
        ),
        first=graphene.Int(default_value=12, description=f"How many groups beside Other: 1 to {MOST_GROUPS}."),
        ignore_own_filter=graphene.Boolean(
            default_value=False, description="Leave out what the filter says of this column: its other groups show too."
        ),
        description="The rows of the filter by one column: the heaviest groups first, those of days by the newest.",
    )
    return {"groups": field, "resolve_groups": staticmethod(_resolver(report))}


def _resolver(report: Report) -> Callable[..., list[dict[str, Any]]]:
    def resolve(root: dict[str, Any], info: GraphQLResolveInfo, by: Any, **given: Any) -> list[dict[str, Any]]:
        context: Context = info.context
        grouped: Grouped = root["grouped"]
        step = value_of(given.get("step"))
        grouping = Grouping(
            value_of(by),
            grouped.filter,
            given["first"],
            None if step is None else Step(step),
            given["ignore_own_filter"],
            grouped.at,
        )
        with context.reading(grouped.msp_id) as connection:
            return read_groups(connection, report, grouped.msp_id, grouping)

    return resolve
