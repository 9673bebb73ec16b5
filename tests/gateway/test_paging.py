"""A client that knows nothing but the schema turns the pages of 20,000 rows, either way, while rows are added."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from graphql import GraphQLObjectType, GraphQLScalarType, build_schema, get_named_type
from sqlalchemy import Engine

from domain.keys import MspId
from tests.gateway.serving import Answering, gateway
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import role_url

pytestmark = [pytest.mark.postgres]
ROWS = 20_000
SCHEMA = build_schema((Path(__file__).parents[2] / "gateway" / "schema.graphql").read_text("utf-8"))


def query_of(report: str) -> str:
    """Every plain column of the report's rows, with what it takes to turn pages, as the schema describes them."""
    field = SCHEMA.query_type.fields[report]
    node = get_named_type(get_named_type(get_named_type(field.type).fields["edges"].type).fields["node"].type)
    assert isinstance(node, GraphQLObjectType)
    columns = [name for name, each in node.fields.items() if isinstance(get_named_type(each.type), GraphQLScalarType)]
    assert {"first", "after", "last", "before"} <= field.args.keys()
    return f"""query($msp: String!, $first: Int, $after: String, $last: Int, $before: String) {{
        {report}(mspId: $msp, first: $first, after: $after, last: $last, before: $before) {{
          edges {{ cursor node {{ {" ".join(columns)} }} }}
          pageInfo {{ hasNextPage endCursor hasPreviousPage startCursor }} }} }}"""


def turned(answering: Answering, msp_id: str, between: Callable[[], None], *, backward: bool) -> list[str]:
    """The keys of all rows in the order in which they were met, page by page."""
    query, met, where = query_of("subscriptions"), [], {"last": 100} if backward else {"first": 100}
    while True:
        page = answering.data(query, msp=msp_id, **where)["subscriptions"]
        keys = [edge["node"]["resourceKey"] for edge in page["edges"]]
        met += reversed(keys) if backward else keys
        about = page["pageInfo"]
        if not about["hasPreviousPage" if backward else "hasNextPage"]:
            return met
        where = (
            {"last": 100, "before": about["startCursor"]} if backward else {"first": 100, "after": about["endCursor"]}
        )
        if len(met) % 400 == 0:
            between()


@pytest.fixture
def many(engine: Engine) -> MspId:
    """An MSP with 20,000 resources of 200 companies."""
    msp_id = add_msp(engine)
    for start in range(0, ROWS, 5000):
        each = range(start, start + 5000)
        h.append(engine, msp_id, [h.discovered(h.odin(f"r{n:05}", str(n // 5), f"{n * 7 % 200:03}")) for n in each])
    h.project(engine, msp_id)
    return msp_id


@pytest.fixture
def answering(database: str, many: MspId) -> Iterator[Answering]:
    with gateway(role_url(database, "trueup_gateway")) as made:
        yield made


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_no_row_is_met_twice_or_missed_while_rows_are_added(
    answering: Answering, engine: Engine, many: MspId, *, backward: bool
) -> None:
    added: list[str] = []

    def add() -> None:
        names = h.odin(f"new{len(added)}", f"n{len(added)}", f"{len(added) * 13 % 200:03}")
        h.append(engine, many, [h.discovered(names)])
        h.project(engine, many)
        added.append(h.key(names))

    met = turned(answering, many, add, backward=backward)

    assert len(met) == len(set(met))
    there = {h.key(h.odin(f"r{n:05}", str(n // 5), f"{n * 7 % 200:03}")) for n in range(ROWS)}
    assert there <= set(met) <= there | set(added)
    assert len(added) >= ROWS // 400 - 1
    assert set(met) & set(added), "some were added ahead of the reader, and met"
