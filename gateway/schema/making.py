"""(a name, what it says, fields) -> GraphQL types over plain dicts; and which of their fields a request chose."""

from functools import partial
from typing import Any

import graphene
from graphql import FieldNode, FragmentSpreadNode, GraphQLField, GraphQLResolveInfo, InlineFragmentNode

from gateway.schema.scalars import Date, DateTime, Decimal, Money, Position, entry
from services.reporting.queries import Kind, Report

SCALARS: dict[Kind, Any] = {
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


def made_type(name: str, says: str, fields: dict[str, Any]) -> Any:
    """An object type whose values are dicts; a field's own resolver stands beside it as resolve_<field>."""
    meta = type("Meta", (), {"default_resolver": entry})
    return type(name, (graphene.ObjectType,), {"__doc__": says, "Meta": meta, **fields})


def key_of(field: GraphQLField) -> str | None:
    """Under which key a row holds the field's value; None when the field has arguments, or a resolver of its own."""
    if isinstance(field.resolve, partial) and field.resolve.func is entry and not field.args:
        return str(field.resolve.args[0])
    return None


def many(of: Any) -> Any:
    """A list that is never null, of what is never null."""
    return graphene.NonNull(graphene.List(graphene.NonNull(of)))


def sums(report: Report) -> dict[str, Any]:
    """The fields of the columns that a report sums: a number, or one amount for each currency."""
    fields: dict[str, Any] = {}
    for name in report.summed:
        says = f"The sum of: {report.columns[name].help}"
        if report.columns[name].kind is Kind.MONEY:
            fields[name] = graphene.Field(many(Money), description=f"{says} One for each currency.")
        else:
            fields[name] = graphene.Field(Decimal, required=True, description=says)
    return fields


def column_enum(report: Report) -> Any:
    """The columns of a report as an enum."""
    return graphene.Enum(
        f"{report.row}Column",
        [(name.upper(), name) for name in report.columns],
        description=lambda value: (
            report.columns[value_of(value)].help if value else "What rows may be ordered and grouped by."
        ),
    )


def value_of(given: Any) -> Any:
    """The value of an enum's member; anything else as it is."""
    return getattr(given, "value", given)


def chosen(info: GraphQLResolveInfo) -> dict[str, Any]:
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
