"""The reports of services.reporting -> GraphQL connections: nodes, filters, orders, totals, and the resolvers that ask."""

from collections.abc import Callable
from typing import Any

import graphene
from graphene.utils.str_converters import to_camel_case
from graphql import FieldNode, FragmentSpreadNode, GraphQLResolveInfo, InlineFragmentNode

from gateway.errors import Refusal
from gateway.schema.context import Context
from gateway.schema.scalars import Date, DateTime, Decimal, Money, Position
from services.reporting.queries import (
    QUESTIONS,
    REPORTS,
    BadQuestion,
    Column,
    Kind,
    Order,
    Page,
    Question,
    Report,
    read_page,
)

_SCALARS: dict[Kind, Any] = {
    Kind.ID: graphene.String,
    Kind.TEXT: graphene.String,
    Kind.NUMBER: Decimal,
    Kind.WHOLE: graphene.Int,
    Kind.POSITION: Position,
    Kind.MONEY: Money,
    Kind.DATE: Date,
    Kind.MOMENT: DateTime,
    Kind.DAY: Date,
    Kind.FLAG: graphene.Boolean,
}
_WORDS = {
    "in": ("in_", "Is one of these."),
    "contains": ("contains", "Contains this text, in capitals or not."),
    "gte": ("gte", "Is at least this."),
    "lte": ("lte", "Is at most this."),
    "from": ("from_", "Is this or later."),
    "to": ("to", "Is this or earlier."),
    "is_empty": ("is_empty", "Has no value (true) or has one (false)."),
}
_ATTRIBUTE_WORDS = {attribute: word for word, (attribute, _) in _WORDS.items()}
MOST_LISTED = 200


def _entry(name: str, _default: Any, row: Any, _info: Any, **_: Any) -> Any:
    """Rows are plain dicts; a plain lookup is the fastest way to a field."""
    return row[name]


class AsOf(graphene.ObjectType):
    """How new the rows are."""

    class Meta:
        default_resolver = _entry

    position = Position(required=True, description="The place in the MSP's log up to which they are folded.")
    recorded_at = DateTime(description="When the event at that place was recorded.")


class PageInfo(graphene.ObjectType):
    """Where the page stands."""

    class Meta:
        default_resolver = _entry

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
    }[_value(value)],
)


def _filter_type(name: str, scalar: Any, words: tuple[str, ...], says: str) -> Any:
    fields: dict[str, Any] = {}
    for word in words:
        attribute, meaning = _WORDS[word]
        kind = (
            graphene.Boolean()
            if word == "is_empty"
            else graphene.List(graphene.NonNull(scalar))
            if word == "in"
            else scalar()
        )
        fields[attribute] = graphene.InputField(
            type(kind) if not isinstance(kind, graphene.List) else kind,
            name=word if attribute.endswith("_") else None,
            description=meaning,
        )
    return type(name, (graphene.InputObjectType,), {"__doc__": says, **fields})


_FILTERS: dict[Kind, Any] = {}
for _kinds, _name, _scalar, _says in (
    ((Kind.ID, Kind.TEXT), "TextFilter", graphene.String, "Which texts; all that is given must hold."),
    ((Kind.NUMBER, Kind.MONEY), "NumberFilter", Decimal, "Which numbers or amounts; all that is given must hold."),
    ((Kind.WHOLE,), "WholeFilter", graphene.Int, "Which whole numbers; all that is given must hold."),
    ((Kind.POSITION,), "PositionFilter", Position, "Which positions; all that is given must hold."),
    ((Kind.DATE, Kind.DAY), "DateFilter", Date, "Which days; all that is given must hold."),
    ((Kind.MOMENT,), "MomentFilter", DateTime, "Which moments; all that is given must hold."),
    ((Kind.FLAG,), "FlagFilter", graphene.Boolean, "Which of yes and no; all that is given must hold."),
):
    _made = _filter_type(_name, _scalar, QUESTIONS[_kinds[0]], _says)
    _FILTERS.update(dict.fromkeys(_kinds, _made))


def _node(report: Report) -> Any:
    fields: dict[str, Any] = {
        c.name: graphene.Field(_SCALARS[c.kind], required=not c.nullable, description=c.help)
        for c in report.columns.values()
    }
    return _made_type(report.row, report.help, fields)


def _totals(report: Report) -> Any:
    fields: dict[str, Any] = {"rows": graphene.Int(required=True, description="How many rows.")}
    for name in report.summed:
        says = f"The sum of {to_camel_case(name)}"
        if report.columns[name].kind is Kind.MONEY:
            kind = graphene.List(graphene.NonNull(Money))
            fields[name] = graphene.Field(graphene.NonNull(kind), description=f"{says}, one for each currency.")
        else:
            fields[name] = graphene.Field(Decimal, required=True, description=f"{says}.")
    return _made_type(f"{report.row}Totals", "Sums over the whole filter, not over the page.", fields)


def _made_type(name: str, says: str, fields: dict[str, Any]) -> Any:
    meta = type("Meta", (), {"default_resolver": staticmethod(_entry)})
    return type(name, (graphene.ObjectType,), {"__doc__": says, "Meta": meta, **fields})


def _connection(report: Report) -> Any:
    edge = _made_type(
        f"{report.row}Edge",
        "A row and its cursor.",
        {
            "cursor": graphene.String(required=True, description="Where the row stands, for after and before."),
            "node": graphene.Field(_node(report), required=True, description="The row."),
        },
    )
    edges = graphene.NonNull(graphene.List(graphene.NonNull(edge)))
    return _made_type(
        f"{report.row}Connection",
        f"A page. {report.help}",
        {
            "total_count": graphene.Int(required=True, description="How many rows the filter lets through."),
            "as_of": graphene.Field(AsOf, description="How new the rows are; null before the first event."),
            "totals": graphene.Field(_totals(report), required=True, description="Sums over the whole filter."),
            "edges": graphene.Field(edges, description="The rows of the page."),
            "page_info": graphene.Field(PageInfo, required=True, description="Where the page stands."),
        },
    )


def _filter(report: Report) -> Any:
    fields = {c.name: graphene.InputField(_FILTERS[c.kind], description=c.help) for c in report.columns.values()}
    says = "Which rows; all that is given must hold."
    return type(f"{report.row}Filter", (graphene.InputObjectType,), {"__doc__": says, **fields})


def _order(report: Report) -> Any:
    columns = graphene.Enum(
        f"{report.row}Column",
        [(name.upper(), name) for name in report.columns],
        description=lambda value: report.columns[_value(value)].help if value else "What rows may be ordered by.",
    )
    fields = {
        "field": graphene.InputField(columns, required=True, description="The column."),
        "direction": graphene.InputField(Direction, default_value="asc", description="Which way."),
    }
    return type(f"{report.row}Order", (graphene.InputObjectType,), {"__doc__": "One key of an order.", **fields})


def report_field(name: str) -> Any:
    """The field of the root query that answers a report, with its arguments and its resolver."""
    report = REPORTS[name]
    msp = {"msp_id": graphene.String(required=True, description="Whose rows.")} if report.model else {}
    arguments: dict[str, Any] = {
        **msp,
        "filter": graphene.Argument(_filter(report), description="Which rows."),
        "order_by": graphene.Argument(
            graphene.List(graphene.NonNull(_order(report))), description="In which order; at most three keys."
        ),
        "first": graphene.Int(description="How many rows from the start or after a cursor: 1 to 100, by default 50."),
        "after": graphene.String(description="Read on after this cursor."),
        "last": graphene.Int(description="How many rows from the end or before a cursor: 1 to 100."),
        "before": graphene.String(description="Read back before this cursor."),
    }
    field = graphene.Field(graphene.NonNull(_connection(report)), description=report.help, **arguments)
    return field, _resolver(report)


def _resolver(report: Report) -> Callable[..., dict[str, Any]]:
    def resolve(_root: object, info: GraphQLResolveInfo, msp_id: str = "", **given: Any) -> dict[str, Any]:
        context: Context = info.context
        chosen = _chosen(info)
        question = _question(report, given, chosen)
        with context.reading() as connection:
            page = read_page(connection, report, msp_id, question)
            if report.model and not page.rows:
                context.refuse_unknown(connection, msp_id)
        return _answer(page)

    return resolve


def _question(report: Report, given: dict[str, Any], chosen: dict[str, Any]) -> Question:
    node = chosen.get("edges", {}).get("node", {})
    columns = tuple(name for name in report.columns if to_camel_case(name) in node)
    words = {"totalCount": "total_count", "totals": "totals", "asOf": "as_of"}
    return Question(
        filter=_questions(given.get("filter") or {}),
        order=[Order(_value(key["field"]), _value(key["direction"]) == "desc") for key in given.get("order_by") or ()],
        columns=columns or (report.identity,),
        wanted=frozenset(word for field, word in words.items() if field in chosen),
        **{name: given.get(name) for name in ("first", "after", "last", "before")},
    )


def _value(given: Any) -> Any:
    return getattr(given, "value", given)


def _questions(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    asked: dict[str, dict[str, Any]] = {}
    for name, questions in given.items():
        asked[name] = {_ATTRIBUTE_WORDS[attribute]: value for attribute, value in (questions or {}).items()}
        if len(asked[name].get("in") or ()) > MOST_LISTED:
            raise Refusal("BAD_QUESTION", f"A filter lists at most {MOST_LISTED} values.", "Ask in several requests.")
        if any("\x00" in str(value) for value in asked[name].values()):
            raise BadQuestion("a filter cannot contain the character NUL")
    return asked


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


def _chosen(info: GraphQLResolveInfo) -> dict[str, Any]:
    """The names of the fields asked for below this one, nested; what is skipped by a directive counts as asked for."""
    names: dict[str, Any] = {}

    def gather(selections: Any, into: dict[str, Any]) -> None:
        for part in selections:
            if isinstance(part, FieldNode):
                below = into.setdefault(part.name.value, {})
                if part.selection_set:
                    gather(part.selection_set.selections, below)
            elif isinstance(part, InlineFragmentNode):
                gather(part.selection_set.selections, into)
            elif isinstance(part, FragmentSpreadNode):
                gather(info.fragments[part.name.value].selection_set.selections, into)

    for field in info.field_nodes:
        if field.selection_set:
            gather(field.selection_set.selections, names)
    return names


__all__ = ["Column", "report_field"]
