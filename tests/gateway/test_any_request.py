"""Any valid request of an admin of one of two MSPs, with any variables -> an answer in time, each error with its code, nothing
of the other MSP's."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import pytest
from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLNamedType,
    GraphQLObjectType,
    NameNode,
    SelectionSetNode,
    StringValueNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    parse,
    parse_type,
    print_ast,
    value_from_ast_untyped,
    visit,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import from_schema, nodes
from sqlalchemy import Engine

from domain.keys import MspId
from gateway.people.permissions import Role
from plumbing.database import make_engine
from tests.gateway.asking_all import root_fields, schema
from tests.gateway.browser import ME, Browser, add_user
from tests.gateway.conftest import tell
from tests.gateway.serving import gateway
from tests.msps import add_msp
from tests.reporting import closing
from tests.reporting import history as h
from tests.servers import Postgres, role_url

pytestmark = pytest.mark.postgres
SCHEMA = schema()
CANARY = "quagga"
EXAMPLES = 400
#: These end the session that asks: changePassword does at a wrong password.
ENDING = {"Mutation.signOut", "Mutation.changePassword"}
FIELDS = sorted(name for name in root_fields(SCHEMA) if not name.startswith("Subscription.") and name not in ENDING)
# Words that stand for something in one of the two MSPs, or in neither.
KNOWN = ["acme", "other", "odin", "autotask", "a", "p", "z", "zp", "777", "778", "779", "q1", "r1", "2026-03"]
SCALARS = {
    "Date": st.dates().map(lambda day: nodes.String(day.isoformat())),
    "DateTime": st.datetimes().map(lambda moment: nodes.String(moment.isoformat() + "Z")),
    "Decimal": st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: nodes.String(str(number))),
    "Position": st.integers(0, 2**64).map(lambda number: nodes.String(str(number))),
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(KNOWN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
Request = tuple[str, dict[str, Any]]


@cache
def documents(field: str) -> st.SearchStrategy[Any]:
    return from_schema(SCHEMA, fields=[field.partition(".")[2]], custom_scalars=SCALARS)


@st.composite
def requests(draw: Callable[..., Any], msp_ids: Sequence[str]) -> Request:
    """A valid document for one root field, of one of these MSPs; known words, left out arguments and variables in places."""
    root, _, name = draw(st.sampled_from(FIELDS)).partition(".")
    known = SCHEMA.type_map[root].fields[name]
    (operation,) = visit(parse(draw(documents(f"{root}.{name}"))), _Words(draw, msp_ids)).definitions
    variables: dict[str, Any] = {}
    definitions = []
    for asked in operation.selection_set.selections:
        must = {each for each, argument in known.args.items() if is_required_argument(argument)}
        asked.arguments = [each for each in asked.arguments if each.name.value in must or not draw(st.integers(0, 2))]
        for argument in asked.arguments:
            if draw(st.booleans()):
                continue
            variable = f"v{len(variables)}"
            variables[variable] = value_from_ast_untyped(argument.value)
            if not draw(st.integers(0, 7)):
                variables[variable] = draw(ANYTHING)
            argument.value = VariableNode(name=NameNode(value=variable))
            kind = parse_type(str(known.args[argument.name.value].type))
            definitions.append(VariableDefinitionNode(variable=argument.value, type=kind, directives=[]))
        if draw(st.booleans()):
            _widen(asked, get_named_type(known.type))
    operation.variable_definitions = definitions
    return print_ast(operation), variables


class _Words(Visitor):
    """Writes known words in the place of made-up ones: always for an MSP, elsewhere each second time."""

    def __init__(self, draw: Callable[..., Any], msp_ids: Sequence[str]) -> None:
        super().__init__()
        self._draw, self._msp_ids = draw, msp_ids

    def enter_argument(self, node: ArgumentNode, *_: Any) -> ArgumentNode | None:
        if node.name.value == "mspId":
            word = self._draw(st.sampled_from(self._msp_ids))
        elif isinstance(node.value, StringValueNode) and self._draw(st.booleans()):
            word = self._draw(st.sampled_from(KNOWN))
        else:
            return None
        return ArgumentNode(name=node.name, value=StringValueNode(value=word))


def _widen(node: FieldNode, kind: GraphQLNamedType, levels: int = 4) -> None:
    """Asks for everything of this type that needs no arguments, and so on below."""
    if not isinstance(kind, GraphQLObjectType) or levels == 0:
        return
    chosen = list(node.selection_set.selections if node.selection_set else ())
    there = {each.name.value for each in chosen if isinstance(each, FieldNode)}
    chosen += [
        FieldNode(name=NameNode(value=name), arguments=[], directives=[])
        for name, field in kind.fields.items()
        if name not in there and not field.args and (levels > 1 or is_leaf_type(get_named_type(field.type)))
    ]
    node.selection_set = SelectionSetNode(selections=chosen)
    for each in chosen:
        if isinstance(each, FieldNode) and each.name.value in kind.fields:
            _widen(each, get_named_type(kind.fields[each.name.value].type), levels - 1)


@pytest.fixture(scope="module")
def admin(postgres: Postgres, migrated_template: str) -> Iterator[Browser]:
    """The browser of an admin of the MSP acme. Another MSP has something in every report, named by the canary."""
    name = f"gateway_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    url = postgres.database_url(name)
    acme = tell(url)
    engine = make_engine(url, "test")
    other = add_msp(engine, MspId("other"))
    for msp_id in (acme, other):
        closing.connect(engine, msp_id)
    tell_canaries(engine, other)
    add_user(engine, acme, "ann@acme.example", Role.ADMIN)
    add_user(engine, other, f"{CANARY}@other.example", Role.ADMIN)
    with gateway(role_url(url, "trueup_gateway"), RPC_SECONDS="1") as answering:
        browser = Browser(answering.url)
        browser.sign_in("ann@acme.example")
        yield browser
    engine.dispose()
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


def tell_canaries(engine: Engine, msp_id: MspId) -> None:
    resource, product = _named(h.odin("z", subscription="777", company="778")), _named(h.psa("zp", "779"))
    unlinked = _named(h.odin("y", subscription="777", company="778"))
    told = [
        h.subscription(resource),
        h.discovered(resource, "4", vendor=CANARY, mpn=CANARY),
        h.discovered(unlinked, "3"),
        h.product(product),
        h.linked(resource, product),
        h.requested(resource, product, "q1"),
        h.posted(resource, product, "q1", -2),
        h.failed(unlinked, product, "q2"),
    ]
    closing.tell(engine, msp_id, *told)


def _named(names: dict[str, Any]) -> dict[str, Any]:
    return {key: f"{CANARY} {value}" if key.endswith("_name") else value for key, value in names.items()}


@pytest.mark.parametrize(("msp_ids", "answered"), [(["acme"], 0.2), (["other", "nobody"], 0)], ids=["own", "not own"])
def test_any_valid_request_is_answered_in_time_with_codes_and_nothing_of_another_msp(
    admin: Browser, msp_ids: Sequence[str], answered: float
) -> None:
    refused: list[bool] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(requests(msp_ids))
    def ask(request: Request) -> None:
        answer = admin.post(request[0], **request[1])  # gives up after a minute

        body = answer.json()
        assert answer.status_code in (200, 400), answer.text
        assert CANARY not in answer.text.lower()
        for error in body.get("errors", ()):
            told = error["extensions"]
            assert error["message"]
            assert told["fix"]
            assert len(told["id"]) == 32
            assert told["code"] not in ("INTERNAL", "UNAUTHENTICATED"), answer.text
            assert "database" not in error["message"], answer.text
        refused.append("errors" in body)

    ask()

    # It still is who it was, and not everything was refused.
    assert admin.data(ME)["me"]["email"] == "ann@acme.example"
    assert refused.count(False) >= answered * len(refused), (refused.count(False), len(refused))


def test_the_other_msp_is_told_of_its_own(admin: Browser) -> None:
    """Without this the canary might be nowhere."""
    other = Browser(admin.url)
    other.sign_in(f"{CANARY}@other.example")

    query = '{ subscriptions(mspId: "other") { edges { node { resourceName vendor } } } }'
    assert CANARY in other.post(query).text
