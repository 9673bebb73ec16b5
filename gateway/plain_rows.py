"""A list of plain rows -> its part of an answer, in one loop; whatever is not plain is left to graphql-core.

graphql-core takes some twenty calls for each field of each row: it looks the field up, gathers arguments, makes a path and an
info, asks what kind of type this is. For rows that are dicts all of that comes out the same for every row, so here it is worked
out once a list: which key becomes which name, and how its value is written.

The answer is graphql-core's to the letter (tests/gateway/test_plain_rows.py holds the two together). A look into a dict may be
had twice: when a value does not fit - null where none may be, refused by its scalar, not there at all - the list is done again by
graphql-core, which knows what to say of it, where, and what becomes null for it.
"""

from collections.abc import Callable
from typing import Any

from graphql import (
    ExecutionContext,
    FieldNode,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLString,
    Undefined,
)
from graphql.pyutils import Path

from gateway.schema.making import key_of

# Takes a value as a resolver gives it, answers it as it is written. _NotPlain, or whatever its scalar raises.
Complete = Callable[[Any], Any]

# Their values of just this type are written as they are: most values of most rows.
_AS_THEY_ARE: dict[GraphQLOutputType, type] = {GraphQLString: str, GraphQLBoolean: bool}


class _NotPlain(Exception):
    """This is for graphql-core."""


class PlainRows(ExecutionContext):
    """graphql-core's way to execute a request, but for plain rows. For execute_sync only: it awaits nothing."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._known: dict[tuple[Any, ...], Complete | None] = {}

    def complete_list_value(
        self,
        return_type: GraphQLList[Any],
        field_nodes: list[FieldNode],
        info: GraphQLResolveInfo,
        path: Path,
        result: Any,
    ) -> Any:
        """The list with each item completed."""
        complete = self._worked_out(return_type, field_nodes)
        if complete:
            try:
                return complete(result)
            except Exception:  # noqa: BLE001, S110 whatever it is, graphql-core meets it again below and tells it
                pass
        return super().complete_list_value(return_type, field_nodes, info, path, result)

    def _worked_out(self, of: GraphQLList[Any], nodes: list[FieldNode]) -> Complete | None:
        """What completes such lists, kept for the next one; None when they are not plain."""
        key = (of, *map(id, nodes))
        if key not in self._known:
            try:
                self._known[key] = self._list(of, nodes)
            except _NotPlain:
                self._known[key] = None
        return self._known[key]

    def _list(self, of: GraphQLList[Any], nodes: list[FieldNode]) -> Complete:
        item = self._value(of.of_type, nodes)

        def complete(value: Any) -> list[Any]:
            # Anything else might be at its end when graphql-core reads it again.
            if type(value) is not list:
                raise _NotPlain
            return [item(each) for each in value]

        return complete

    def _value(self, of: GraphQLOutputType, nodes: list[FieldNode]) -> Complete:
        required = isinstance(of, GraphQLNonNull)
        there = self._there(of.of_type if isinstance(of, GraphQLNonNull) else of, nodes)

        def complete(value: Any) -> Any:
            if value is None and not required:
                return None
            # Undefined is an exception too.
            if value is None or isinstance(value, Exception):
                raise _NotPlain
            done = there(value)
            if done is None or done is Undefined:
                raise _NotPlain
            return done

        return complete

    def _there(self, of: Any, nodes: list[FieldNode]) -> Complete:
        """What completes a value that is there."""
        if isinstance(of, GraphQLScalarType | GraphQLEnumType):
            return of.serialize
        if isinstance(of, GraphQLList):
            return self._list(of, nodes)
        if isinstance(of, GraphQLObjectType) and of.is_type_of is None:
            return self._row(of, nodes)
        raise _NotPlain

    def _row(self, of: GraphQLObjectType, nodes: list[FieldNode]) -> Complete:
        # Each row begins as a copy of this, which keeps the order in which the fields were asked for.
        begun: dict[str, Any] = {}
        fields = []
        for name, same in self.collect_subfields(of, nodes).items():
            if same[0].name.value == "__typename":
                begun[name] = of.name
                continue
            field = of.fields[same[0].name.value]
            key = key_of(field)
            if key is None:
                raise _NotPlain
            begun[name] = None
            fields.append((name, key, _as_it_is(field.type), self._value(field.type, same)))

        def complete(row: Any) -> dict[str, Any]:
            done = begun.copy()
            for name, key, kind, complete_value in fields:
                value = row[key]
                done[name] = value if type(value) is kind else complete_value(value)
            return done

        return complete


def _as_it_is(of: GraphQLOutputType) -> type | None:
    return _AS_THEY_ARE.get(of.of_type if isinstance(of, GraphQLNonNull) else of)
