"""The reports of services.reporting -> GraphQL connections: nodes, orders, totals, and the resolvers that ask."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import graphene
from graphene.utils.str_converters import to_camel_case
from graphql import GraphQLResolveInfo

from gateway.schema.as_of import as_of_argument, past_position
from gateway.schema.context import Context
from gateway.schema.filters import MOST_LISTED, asked, filter_of
from gateway.schema.groups import Grouped, groups_field
from gateway.schema.making import SCALARS, chosen, column_enum, made_type, many, sums, value_of
from gateway.schema.scalars import DateTime, Position, entry
from services.reporting.queries import REPORTS, Order, Page, Question, Report, check, feeds, read_page

__all__ = ["MOST_LISTED", "report_field"]
_OF_THE_PAGE = {"totalCount", "asOf", "totals", "edges", "pageInfo"}


class AsOf(graphene.ObjectType):
    """How new the rows are."""

    class Meta:
        default_resolver = entry

    position = Position(required=True, description="The place in the MSP's log up to which they are folded.")
    recorded_at = DateTime(description="When the event at that place was recorded.")


class PageInfo(graphene.ObjectType):
    """Where the page stands."""

    class Meta:
        default_resolver = entry

    has_next_page = graphene.Boolean(required=True, description="Whether rows stand after it.")
    end_cursor = graphene.String(description="The cursor of its last row, for after.")
    has_previous_page = graphene.Boolean(required=True, description="Whether rows stand before it.")
    start_cursor = graphene.String(description="The cursor of its first row, for before.")


Direction = graphene.Enum(
    "Direction",
    [("ASC", "asc"), ("DESC", "desc")],
    description=lambda value: {
        None: "Which way to order.",
        "asc": "Rising; rows without a value come last.",
        "desc": "Falling; rows without a value come first.",
    }[value_of(value)],
)


@cache
def node_of(name: str) -> Any:
    """The type of a report's rows, one for all who answer with them."""
    report = REPORTS[name]
    fields: dict[str, Any] = {
        c.name: graphene.Field(SCALARS[c.kind], required=not c.nullable, description=c.help)
        for c in report.columns.values()
    }
    return made_type(report.row, report.help, fields)


def _totals(report: Report) -> Any:
    rows = graphene.Int(required=True, description="How many rows.")
    return made_type(
        f"{report.row}Totals", "Sums over the whole filter, not over the page.", {"rows": rows, **sums(report)}
    )


def _connection(report: Report, column: Any) -> Any:
    edge = made_type(
        f"{report.row}Edge",
        "A row and its cursor.",
        {
            "cursor": graphene.String(required=True, description="Where the row stands, for after and before."),
            "node": graphene.Field(node_of(report.name), required=True, description="The row."),
        },
    )
    return made_type(
        f"{report.row}Connection",
        f"A page. {report.help}",
        {
            "total_count": graphene.Int(required=True, description="How many rows the filter lets through."),
            "as_of": graphene.Field(AsOf, description="How new the rows are; null before the first event."),
            "totals": graphene.Field(_totals(report), required=True, description="Sums over the whole filter."),
            "edges": graphene.Field(many(edge), description="The rows of the page."),
            "page_info": graphene.Field(PageInfo, required=True, description="Where the page stands."),
            **groups_field(report, column),
        },
    )


def _order(report: Report, column: Any) -> Any:
    fields = {
        "field": graphene.InputField(column, required=True, description="The column."),
        "direction": graphene.InputField(Direction, default_value="asc", description="Which way."),
    }
    return type(f"{report.row}Order", (graphene.InputObjectType,), {"__doc__": "One key of an order.", **fields})


def report_field(name: str) -> Any:
    """The field of the root query that answers a report, with its arguments and its resolver."""
    report = REPORTS[name]
    column = column_enum(report)
    msp = {"msp_id": graphene.String(required=True, description="Whose rows.")} if report.model else {}
    past = {"as_of": as_of_argument()} if feeds(name) else {}
    arguments: dict[str, Any] = {
        **msp,
        **past,
        "filter": graphene.Argument(filter_of(report), description="Which rows."),
        "order_by": graphene.Argument(
            graphene.List(graphene.NonNull(_order(report, column))), description="In which order; at most three keys."
        ),
        "first": graphene.Int(description="How many rows from the start or after a cursor: 1 to 100, by default 50."),
        "after": graphene.String(description="Read on after this cursor."),
        "last": graphene.Int(description="How many rows from the end or before a cursor: 1 to 100."),
        "before": graphene.String(description="Read back before this cursor."),
    }
    field = graphene.Field(graphene.NonNull(_connection(report, column)), description=report.help, **arguments)
    return field, _resolver(report)


def _resolver(report: Report) -> Callable[..., dict[str, Any]]:
    def resolve(_root: object, info: GraphQLResolveInfo, msp_id: str = "", **given: Any) -> dict[str, Any]:
        context: Context = info.context
        fields = chosen(info)
        question = _question(report, given, fields) if fields.keys() & _OF_THE_PAGE else None
        if question is not None:
            check(report, question)
        at = past_position(context, msp_id, report.name, given.get("as_of"))
        grouped = Grouped(msp_id, asked(given.get("filter")), at)
        page = None
        with context.reading(msp_id) as connection:
            if question is not None:
                page = read_page(connection, report, msp_id, replace(question, at=at))
            if report.model and (page is None or not page.rows):
                context.refuse_unknown(connection, msp_id)
        return {"grouped": grouped} | (_answer(page) if page else {})

    return resolve


def _question(report: Report, given: dict[str, Any], fields: dict[str, Any]) -> Question:
    node = fields.get("edges", {}).get("node", {})
    columns = tuple(name for name in report.columns if to_camel_case(name) in node)
    words = {"totalCount": "total_count", "totals": "totals", "asOf": "as_of"}
    return Question(
        filter=asked(given.get("filter")),
        order=[
            Order(value_of(key["field"]), value_of(key["direction"]) == "desc") for key in given.get("order_by") or ()
        ],
        columns=columns or (report.identity,),
        wanted=frozenset(word for field, word in words.items() if field in fields),
        **{name: given.get(name) for name in ("first", "after", "last", "before")},
    )


def _answer(page: Page) -> dict[str, Any]:
    return {
        "total_count": page.total_count,
        "as_of": None if page.position is None else {"position": page.position, "recorded_at": page.recorded_at},
        "totals": page.totals,
        "edges": [{"cursor": cursor, "node": row} for cursor, row in zip(page.cursors, page.rows, strict=True)],
        "page_info": {
            "has_next_page": page.has_next,
            "end_cursor": page.cursors[-1] if page.cursors else None,
            "has_previous_page": page.has_previous,
            "start_cursor": page.cursors[0] if page.cursors else None,
        },
    }
