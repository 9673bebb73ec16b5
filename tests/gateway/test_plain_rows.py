"""(a question, rows of any kind) -> the answer that graphql-core gives, to the letter; and for pages of reports in one loop."""

import enum
from datetime import UTC, date, datetime
from decimal import Decimal as Number
from functools import lru_cache, partial
from typing import Any

import graphene
import pytest
from graphql import (
    ExecutionContext,
    ExecutionResult,
    GraphQLField,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    execute_sync,
    get_named_type,
    is_leaf_type,
    parse,
    validate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.plain_rows import PlainRows
from gateway.schema import build
from gateway.schema.making import made_type, many
from gateway.schema.scalars import Date, DateTime, Decimal, Money, Position
from services.reporting.queries import REPORTS, Report


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Silent(graphene.Scalar):
    """It has no word for what it does not know."""

    @staticmethod
    def serialize(value: Any) -> Any:
        return {"a": "A", "b": Undefined}.get(str(value))


# Each scalar, with values that it takes.
LEAVES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "text": (graphene.String, st.text(max_size=5)),
    "number": (Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=2)),
    "whole": (graphene.Int, st.integers(-(2**31), 2**31 - 1)),
    "position": (Position, st.integers(0, 2**60)),
    "day": (Date, st.dates()),
    "moment": (DateTime, st.datetimes(timezones=st.just(UTC))),
    "flag": (graphene.Boolean, st.booleans()),
    "id": (graphene.ID, st.text(max_size=5)),
    "share": (graphene.Float, st.floats(allow_nan=False, allow_infinity=False)),
    "silent": (Silent, st.sampled_from("aaaaab")),
    "colour": (graphene.Enum.from_enum(Colour), st.sampled_from(["red", "blue"])),
}
Inner = made_type(
    "Inner",
    "A row in a row.",
    {"text": graphene.String(required=True), "maybe": graphene.Int(), "paid": graphene.Field(Money)},
)
Checked = made_type(
    "Checked",
    "A row that is looked at.",
    {"text": graphene.String(), "is_type_of": lambda row, _info: row != {"text": "12"}},
)


class Loud(graphene.ObjectType):
    """It reads rows in its own way."""

    class Meta:
        default_resolver = staticmethod(lambda name, _default, row, _info: row[name].upper())

    text = graphene.String()


Row = made_type(
    "Row",
    "A row with what may be null and what may not, with rows below it, and with fields that are not plain.",
    {
        **{name: graphene.Field(kind) for name, (kind, _) in LEAVES.items()},
        **{f"sure_{name}": graphene.Field(kind, required=True) for name, (kind, _) in LEAVES.items()},
        "paid": graphene.Field(Money),
        "sure_paid": graphene.Field(Money, required=True),
        "inner": graphene.Field(Inner),
        "inners": graphene.List(Inner),
        "sure_inners": graphene.Field(many(Inner)),
        "table": graphene.List(graphene.List(graphene.NonNull(graphene.Int))),
        "own": graphene.String(prefix=graphene.String()),
        "resolve_own": staticmethod(lambda row, _info, prefix="": prefix + row["sure_text"]),
        "measured": graphene.Int(at=graphene.Int(required=True)),
        "loud": graphene.Field(Loud),
    },
)
Edge = made_type("Edge", "A row's.", {"cursor": graphene.String(), "node": graphene.Field(Row, required=True)})
Page = made_type("Page", "Of rows.", {"count": graphene.Int(required=True), "edges": graphene.Field(many(Edge))})
Query = made_type(
    "Query",
    "All.",
    {
        "page": graphene.Field(Page),
        "nodes": graphene.List(Row),
        "sure_nodes": graphene.Field(many(Row)),
        "checked": graphene.List(Checked),
        "loud": graphene.List(Loud),
    },
)
SCHEMA = graphene.Schema(query=Query).graphql_schema
LOUD = SCHEMA.type_map["Loud"]

_texts = LEAVES["text"][1]
_text = st.fixed_dictionaries({"text": _texts})
_money = st.fixed_dictionaries({"amount": LEAVES["number"][1], "currency": _texts})
_inner = st.fixed_dictionaries({"text": _texts, "maybe": st.none() | LEAVES["whole"][1], "paid": st.none() | _money})
_rows = st.fixed_dictionaries(
    {
        **{name: st.none() | good for name, (_, good) in LEAVES.items()},
        **{f"sure_{name}": good for name, (_, good) in LEAVES.items()},
        "paid": st.none() | _money,
        "sure_paid": _money,
        "inner": st.none() | _inner,
        "inners": st.none() | st.lists(st.none() | _inner, max_size=2),
        "sure_inners": st.lists(_inner, max_size=2),
        "table": st.none() | st.lists(st.none() | st.lists(LEAVES["whole"][1], max_size=2), max_size=2),
        "measured": st.just(1),
        "loud": st.none() | _text,
    }
)
# What may stand anywhere by mistake; some scalars take some of it, in a way of their own.
ODD = [
    None,
    Undefined,
    ValueError("an error in place of a value"),
    "",
    "b",
    "12",
    "green",
    "2018-07-28",
    "2018-07-28T14:02:11+02:00",
    7,
    True,
    2**31,
    2.0,
    2.5,
    float("nan"),
    Number("12.50"),
    Number("NaN"),
    Colour.BLUE,
    (),
    ({"text": "in a tuple", "maybe": 1, "paid": None},),
    [],
    [None],
    {},
    b"12",
    object,
]


@st.composite
def everything(draw: st.DrawFn) -> dict[str, Any]:
    """The root's value: rows that fit, and up to three places where one does not."""
    edges = st.fixed_dictionaries({"cursor": _texts, "node": _rows})
    page = st.fixed_dictionaries({"count": st.just(3), "edges": st.lists(edges, max_size=2)})
    root: dict[str, Any] = {
        "page": draw(page),
        "nodes": draw(st.lists(st.none() | _rows, max_size=2)),
        "sure_nodes": draw(st.lists(_rows, max_size=2)),
        "checked": draw(st.lists(_text, max_size=2)),
        "loud": draw(st.lists(_text, max_size=2)),
    }
    for holder, key in draw(st.lists(st.sampled_from(places(root)), max_size=3)):
        if isinstance(holder, dict) and draw(st.booleans()):
            holder.pop(key, None)
        else:
            holder[key] = draw(st.sampled_from(ODD))
    return root


def places(value: Any) -> list[tuple[Any, Any]]:
    keys: Any = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


DIRECTIVES = ("", "", "", "@include(if: $yes)", "@skip(if: $no)", "@include(if: false)", "@skip(if: true)")


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Any fields in any order, under other names or said twice, in fragments of both kinds, with directives."""
    fragments: list[str] = []

    def selection(kind: GraphQLObjectType, folds: int) -> str:
        return (
            "{ "
            + " ".join(part(kind, folds) for _ in range(draw(st.integers(1, 6 if kind.name == "Row" else 2))))
            + " }"
        )

    def part(kind: GraphQLObjectType, folds: int) -> str:
        directive = draw(st.sampled_from(DIRECTIVES))
        match draw(st.integers(1 if folds else 4, 12)):
            case 1:
                return f"... on {kind.name} {directive} {selection(kind, folds - 1)}"
            case 2:
                return f"... {directive} {selection(kind, folds - 1)}"
            case 3:
                body = selection(kind, folds - 1)
                fragments.append(f"fragment F{len(fragments)} on {kind.name} {body}")
                return f"...F{len(fragments) - 1} {directive}"
            case 4:
                return f"__typename {directive}"
            case _:
                return field(*draw(st.sampled_from(list(kind.fields.items()))), directive, folds)

    def field(name: str, meant: GraphQLField, directive: str, folds: int) -> str:
        if name == "measured":
            return f"measured(at: 1) {directive}"
        if name == "own" and draw(st.booleans()):
            return f'own_x: own(prefix: "x") {directive}'
        alias = draw(st.sampled_from(["", "", f"{name}_1: "]))
        below = get_named_type(meant.type)
        chosen = selection(below, folds) if isinstance(below, GraphQLObjectType) else ""
        return f"{alias}{name} {directive} {chosen}"

    kept = "__typename @include(if: $yes) @skip(if: $no)"
    body = selection(SCHEMA.query_type, 1)  # type: ignore[arg-type]
    return " ".join([f"query ($yes: Boolean = true, $no: Boolean = false) {{ {kept} {body[1:]}", *fragments])


parsed = lru_cache(maxsize=1)(parse)


def answer(document: str, root: Any, way: type[ExecutionContext], schema: GraphQLSchema = SCHEMA) -> ExecutionResult:
    return execute_sync(schema, parsed(document), root, execution_context_class=way)


def whole(result: ExecutionResult) -> tuple[str, list[Any]]:
    """All that can be told from an answer: its values with their types and order, and its errors with their causes."""
    return repr(result.data), [(e.formatted, repr(e.original_error)) for e in result.errors or ()]


# What a resolver gives for each scalar of the reports.
EXAMPLES: dict[str, Any] = {
    "String": "Größe",
    "Decimal": Number("12.50"),
    "Int": 12,
    "Position": 2**40,
    "Date": date(2018, 7, 28),
    "DateTime": datetime(2018, 7, 28, 14, 2, 11, tzinfo=UTC),
    "Boolean": True,
    "ID": "id",
    "Float": 0.5,
    "Colour": "red",
    "Silent": "a",
}


def all_of(kind: Any) -> tuple[str, Any]:
    """A selection of all fields below a type that a row may hold, and a value as resolvers give it."""
    inner = getattr(kind, "of_type", None)
    if inner is not None:
        asked, value = all_of(inner)
        return asked, [value] if isinstance(kind, GraphQLList) else value
    if is_leaf_type(kind):
        return "", EXAMPLES[kind.name]
    below = {name: all_of(field.type) for name, field in kind.fields.items() if _is_held(field)}
    value = {kind.fields[name].resolve.args[0]: one for name, (_, one) in below.items()}
    return "{ " + " ".join(f"{name} {asked}" for name, (asked, _) in below.items()) + " }", value


def _is_held(field: GraphQLField) -> bool:
    return isinstance(field.resolve, partial) and not field.args and field.type is not LOUD


@settings(max_examples=100, deadline=None)
@given(document=documents(), root=everything())
def test_any_question_of_any_rows_is_answered_as_by_graphql_core(document: str, root: dict[str, Any]) -> None:
    assert not validate(SCHEMA, parse(document))
    assert whole(answer(document, root, PlainRows)) == whole(answer(document, root, ExecutionContext))


def test_any_value_in_any_place_is_answered_as_by_graphql_core() -> None:
    # given: a row for each list of the root, all that is plain of it asked for, and nothing wrong
    questions = {}
    for name in ("nodes", "checked", "loud"):
        field = SCHEMA.query_type.fields[name]
        asked, value = all_of(field.type)
        questions[name] = f"{{ {name} {asked} }}", {field.resolve.args[0]: value}
    assert not any(answer(asked, root, PlainRows).errors for asked, root in questions.values())

    # then: one place at a time
    for asked, root in questions.values():
        for holder, key in places(root):
            sound = holder[key]
            for odd in ODD:
                holder[key] = odd
                assert whole(answer(asked, root, PlainRows)) == whole(answer(asked, root, ExecutionContext)), (key, odd)
            if isinstance(holder, dict):
                del holder[key]
                assert whole(answer(asked, root, PlainRows)) == whole(answer(asked, root, ExecutionContext)), key
            holder[key] = sound


def test_rows_that_can_be_read_once_only_are_all_there() -> None:
    rows = [{"text": "a", "maybe": 1}, {"text": "b"}, {"text": "c", "maybe": 3}]
    asked = "{ nodes { inners { text maybe } } }"
    ours, theirs = (answer(asked, {"nodes": [{"inners": iter(rows)}]}, way) for way in (PlainRows, ExecutionContext))
    assert whole(ours) == whole(theirs)
    assert [row["text"] for row in ours.data["nodes"][0]["inners"]] == ["a", "b", "c"]


def test_an_argument_that_is_missing_is_told_even_where_the_field_needs_none() -> None:
    asked = "query ($at: Int = 1) { nodes { measured(at: $at) } }"
    assert not validate(SCHEMA, parse(asked))
    ours, theirs = (
        execute_sync(
            SCHEMA,
            parse(asked),
            {"nodes": [{"measured": 1}]},
            variable_values={"at": None},
            execution_context_class=way,
        )
        for way in (PlainRows, ExecutionContext)
    )
    assert whole(ours) == whole(theirs)
    assert "must not be null" in ours.errors[0].message


@pytest.fixture(scope="module")
def house() -> GraphQLSchema:
    return build()


@pytest.mark.parametrize("part", ["Edge", "Group", "Totals"])
@pytest.mark.parametrize("report", REPORTS.values(), ids=lambda report: report.name)
def test_the_rows_of_every_report_are_plain(
    house: GraphQLSchema, report: Report, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: rows of the type with all that it has
    kind = house.type_map[f"{report.row}{part}"]
    query = GraphQLObjectType("Query", {"rows": GraphQLField(GraphQLList(kind))})
    asked, row = all_of(kind)
    root = {"rows": [row, row]}
    schema = GraphQLSchema(query)
    theirs = answer(f"{{ rows {asked} }}", root, ExecutionContext, schema)
    assert not theirs.errors

    # when: graphql-core may complete no list
    monkeypatch.setattr(ExecutionContext, "complete_list_value", None)

    # then
    assert whole(answer(f"{{ rows {asked} }}", root, PlainRows, schema)) == whole(theirs)
