"""The schema is the file that clients are given, and explains every part of itself."""

from pathlib import Path

from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLObjectType

from gateway.schema import as_text, build

KEPT = Path(__file__).parents[2] / "gateway" / "schema.graphql"


def test_the_schema_is_the_one_in_the_file() -> None:
    assert as_text() == KEPT.read_text("utf-8"), "write it anew: python -m gateway.schema > gateway/schema.graphql"


def test_every_type_field_argument_and_value_is_described() -> None:
    silent = []
    for name, kind in build().type_map.items():
        if name.startswith("__"):
            continue
        if not kind.description:
            silent.append(name)
        if isinstance(kind, GraphQLObjectType | GraphQLInputObjectType):
            for field_name, field in kind.fields.items():
                silent += [] if field.description else [f"{name}.{field_name}"]
                arguments = getattr(field, "args", {})
                silent += [f"{name}.{field_name}({a})" for a, arg in arguments.items() if not arg.description]
        if isinstance(kind, GraphQLEnumType):
            silent += [f"{name}.{value_name}" for value_name, value in kind.values.items() if not value.description]
    assert silent == []
