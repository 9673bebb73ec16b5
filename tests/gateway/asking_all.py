"""The schema's text -> the least request for each of its root fields, made by who knows nothing but that text."""

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

TEXT = Path(__file__).parents[2] / "gateway" / "schema.graphql"
_SCALARS = {
    "String": '"x"',
    "Int": "1",
    "Float": "1",
    "Boolean": "false",
    "ID": '"x"',
    "Date": '"2026-03-01"',
    "DateTime": '"2026-03-01T08:00:00Z"',
    "Decimal": '"1"',
    "Position": '"1"',
}


def schema() -> GraphQLSchema:
    return build_schema(TEXT.read_text("utf-8"))


def root_fields(known: GraphQLSchema) -> Iterator[str]:
    """Such as Query.pulse."""
    for kind in (known.query_type, known.mutation_type, known.subscription_type):
        yield from (f"{kind.name}.{name}" for name in kind.fields)


def least_request(known: GraphQLSchema, wanted: str, msp_id: str) -> str:
    """A valid request for the field, about the MSP."""
    kind, _, name = wanted.partition(".")
    field = known.type_map[kind].fields[name]
    below = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"
    return f"{kind.lower()} {{ {name}{given_arguments(field, msp_id)}{below} }}"


def given_arguments(field: GraphQLField, msp_id: str) -> str:
    """The arguments that the field must have, in brackets; "" when it needs none."""
    given = [f"{each}: {_value(each, argument, msp_id)}" for each, argument in field.args.items() if _must(argument)]
    return f"({', '.join(given)})" if given else ""


def _must(argument: GraphQLArgument) -> bool:
    return is_non_null_type(argument.type) and argument.default_value.__class__.__name__ == "UndefinedType"


def _value(name: str, argument: GraphQLArgument, msp_id: str) -> str:
    if name == "mspId":
        return f'"{msp_id}"'
    # Refused once the caller was let in, so that nothing is changed and no service is asked.
    return '""' if name == "operationId" else _literal(argument.type)


def _literal(kind: GraphQLInputType) -> str:
    if is_non_null_type(kind):
        return _literal(kind.of_type)
    if is_list_type(kind):
        return f"[{_literal(kind.of_type)}]"
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        needed = ((name, field) for name, field in kind.fields.items() if is_non_null_type(field.type))
        return "{" + ", ".join(f"{name}: {_literal(field.type)}" for name, field in needed) + "}"
    return _SCALARS[kind.name]
