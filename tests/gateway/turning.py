"""The text of a GraphQL schema -> a client that turns the pages of a report: it knows that text and no line of our code."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    get_named_type,
)

SCHEMA = Path(__file__).parents[2] / "gateway" / "schema.graphql"
# What answers a query: its text and variables -> data.
Ask = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Paged:
    """A report whose pages can be turned: its name, the plain columns that shall be shown, and the query of a page."""

    report: str
    columns: tuple[str, ...]
    query: str

    def turn(self, ask: Ask, msp_id: str, *, backward: bool = False, at_once: int = 100) -> Iterator[list[Any]]:
        """Page after page of rows, {column: value}, in the order in which they are met: from the last row when backward."""
        how_many, beyond = ("last", "before") if backward else ("first", "after")
        more, cursor = ("hasPreviousPage", "startCursor") if backward else ("hasNextPage", "endCursor")
        where: dict[str, Any] = {how_many: at_once}
        while True:
            page = ask(self.query, msp=msp_id, **where)[self.report]
            rows = [edge["node"] for edge in page["edges"]]
            yield rows[::-1] if backward else rows
            if not page["pageInfo"][more]:
                return
            where = {how_many: at_once, beyond: page["pageInfo"][cursor]}


def paged_reports(text: str) -> dict[str, Callable[..., Paged]]:
    """{report: paged(*columns)} of every field of the schema that answers an MSP's rows in pages; without columns all
    plain ones are shown."""
    schema = build_schema(text)
    found = {}
    for name, field in (schema.query_type.fields if schema.query_type else {}).items():
        if {"mspId", "first", "after", "last", "before"} <= field.args.keys():
            found[name] = _paged(schema, name)
    return found


def _paged(schema: GraphQLSchema, report: str) -> Callable[..., Paged]:
    connection = get_named_type(schema.query_type.fields[report].type)
    edge = get_named_type(connection.fields["edges"].type)
    plain = [name for name, each in get_named_type(edge.fields["node"].type).fields.items() if _is_plain(each.type)]
    arguments = ("mspId", "first", "after", "last", "before")
    kinds = {name: str(schema.query_type.fields[report].args[name].type) for name in arguments}

    def paged(*columns: str) -> Paged:
        shown = _known(report, columns, plain) if columns else tuple(plain)
        about = " ".join(name for name, each in _fields_of(connection, "pageInfo").items() if _is_plain(each.type))
        query = f"""query Page($msp: {kinds["mspId"]}, $first: {kinds["first"]}, $after: {kinds["after"]},
                $last: {kinds["last"]}, $before: {kinds["before"]}) {{
            {report}(mspId: $msp, first: $first, after: $after, last: $last, before: $before) {{
                edges {{ node {{ {" ".join(shown)} }} }} pageInfo {{ {about} }} }} }}"""
        return Paged(report, shown, query)

    return paged


def _known(report: str, columns: Sequence[str], plain: Sequence[str]) -> tuple[str, ...]:
    unknown = set(columns) - set(plain)
    assert not unknown, f"the schema's {report} has no plain columns {sorted(unknown)}"
    return tuple(columns)


def _fields_of(parent: GraphQLObjectType, name: str) -> dict[str, Any]:
    return get_named_type(parent.fields[name].type).fields


def _is_plain(kind: Any) -> bool:
    inner = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    return not isinstance(inner, GraphQLList) and isinstance(inner, GraphQLScalarType)
