"""Plain values of a call -> wishes, row refusals, or a refusal of the whole; never a traceback."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mapping.wishes import Refused, ids_of, parse_ask, parse_reason, parse_relation_ids, parse_wishes

GOOD = {"id": "1", "resource_key": "acme/odin/1/2/3", "psa_connection_id": "autotask", "psa_product_id": "1401"}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner, max_size=4),
    max_leaves=10,
)


def test_a_good_row_is_a_wish() -> None:
    [given_wish] = parse_wishes([GOOD])
    assert given_wish.id == "1"
    assert given_wish.wish is not None
    assert given_wish.wish.product_id == ("autotask", "1401")


@pytest.mark.parametrize(
    "damage",
    [
        {"id": None},
        {"id": ""},
        {"resource_key": "acme/odin/1"},
        {"resource_key": 5},
        {"psa_product_id": None},
        {"psa_connection_id": ["autotask"]},
        {"psa_product_id": "14\x0001"},
        {"psa_product_id": "\ud800"},
        {"psa_product_id": "1" * 501},
    ],
)
def test_a_bad_row_is_refused_and_its_neighbour_is_not(damage: dict[str, Any]) -> None:
    bad, good = parse_wishes([GOOD | damage, GOOD])
    assert bad.wish is None
    assert bad.refusal is not None
    assert bad.refusal.code == "bad_row"
    assert good.wish is not None


@given(rows=anything)
def test_whatever_is_sent_is_a_wish_a_refused_row_or_a_refused_call(rows: Any) -> None:
    if not isinstance(rows, list):
        with pytest.raises(Refused):
            parse_wishes(rows)
        return
    parsed = parse_wishes(rows)
    assert len(parsed) == len(rows)
    assert all((each.wish is None) == (each.refusal is not None) for each in parsed)


@given(value=anything)
def test_whatever_is_sent_as_the_rest_is_taken_or_refused(value: Any) -> None:
    for parse in (parse_reason, parse_relation_ids, lambda text: parse_ask(text, text, text)):
        with suppress(Refused):
            parse(value)


@given(rows=anything)
def test_a_call_that_is_refused_as_a_whole_has_a_result_for_each_row_that_it_gave(rows: Any) -> None:
    assert len(ids_of(rows)) == (len(rows) if isinstance(rows, list) else 0)
    assert ids_of([GOOD, "r1", None, {"id": 5}]) == ["1", "r1", None, None]
