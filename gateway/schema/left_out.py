"""A built schema -> the same schema, in which null for what has a value of its own means that value, as if it were left out.

GraphQL tells null from what is left out, and hands null on where a type allows it. Nothing here means anything by that.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    default_field_resolver,
)


def null_is_left_out(schema: GraphQLSchema) -> GraphQLSchema:
    """Every field and input with such arguments or fields takes null so."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLInputObjectType) and (own := _own_values(kind.fields)):
            kind.out_type = partial(_input, kind.out_type, own)  # type: ignore[method-assign]
        for field in kind.fields.values() if isinstance(kind, GraphQLObjectType) else ():
            if own := _own_values(field.args):
                if field.subscribe:
                    field.subscribe = _field(field.subscribe, own)
                else:
                    field.resolve = _field(field.resolve or default_field_resolver, own)
    return schema


def _own_values(given: Mapping[str, GraphQLArgument | GraphQLInputField]) -> dict[str, Any]:
    return {each.out_name or name: each.default_value for name, each in given.items() if _has_value(each)}


def _has_value(given: GraphQLArgument | GraphQLInputField) -> bool:
    return given.default_value is not Undefined and given.default_value is not None


def _filled(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    return {name: own.get(name) if value is None else value for name, value in given.items()}


def _input(make: Callable[[dict[str, Any]], Any], own: Mapping[str, Any], given: dict[str, Any]) -> Any:
    return make(_filled(given, own))


def _field(resolve: Callable[..., Any], own: Mapping[str, Any]) -> Callable[..., Any]:
    def resolved(root: Any, info: Any, **given: Any) -> Any:
        return resolve(root, info, **_filled(given, own))

    return resolved
