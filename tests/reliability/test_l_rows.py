"""Rows L1, L2, L4 and L7 of the reliability plan: links and what they ask for, mapping and reconciler on one real log."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from domain.events import AdjustmentRequested, AdjustmentSuperseded, RelationCleared, RelationSet
from plumbing.catch_up import catch_up
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from services.reconciler.reactor import reactor
from tests.mapping.conftest import Mapping
from tests.msps import add_msp
from tests.world import (
    MORNING,
    ODIN,
    PSA,
    discovered,
    found_equal,
    odin,
    psa,
    psa_agreement,
    psa_customer,
    psa_product,
    subscription,
)

OTHER_PRODUCT = psa(psa_product_id="1402", psa_product_name="Telephony")
TEAMS = odin(resource_id="100300", resource_name="Teams Phone")


@dataclass
class Links(Mapping):
    """mapping and reconciler over one log."""

    def reconcile(self) -> None:
        """Lets reconciler read to the head of the log."""
        catch_up(self.engine, reactor(self.clock), self.msp_id, self.clock)

    def open_targets(self) -> list[int]:
        """The targets of requests that no other gave way to."""
        gone = {event.request_id for event in self.happened(AdjustmentSuperseded)}
        return [r.target_units for r in self.happened(AdjustmentRequested) if r.request_id not in gone]


@pytest.fixture
def links(database: str) -> Iterator[Links]:
    """8 licences of one resource, 3 of another, and two products, nothing linked."""
    engine = make_engine(database, "test", pool_size=10)
    links = Links(engine, add_msp(engine), FrozenClock(MORNING))
    links.append(
        *(subscription(), discovered(ODIN, "8"), discovered(TEAMS, "3"), psa_customer(), psa_agreement()),
        *(psa_product(), psa_product(OTHER_PRODUCT)),
    )
    links.reconcile()
    yield links
    engine.dispose()


def test_l1_a_first_link_of_8_against_1_asks_once_for_eight_units(links: Links) -> None:
    # when: the bell rings three times
    links.set(links.wish())
    for _ in range(3):
        links.reconcile()

    # then: the writer reads 1 in the PSA, so 8 is exactly one +7
    [request] = links.happened(AdjustmentRequested)
    assert (request.target_units, request.reason) == (8, "relation set")


def test_l1_what_was_found_equal_is_not_asked_for_again(links: Links) -> None:
    links.set(links.wish())
    links.reconcile()
    links.append(found_equal(links.happened(AdjustmentRequested)[0]))
    links.reconcile()
    assert len(links.happened(AdjustmentRequested)) == 1


@pytest.mark.parametrize("at_every_step", [True, False], ids=["read at every step", "read at the end"])
def test_l2_link_clear_link_within_a_second_ends_in_one_link_and_one_open_request(
    links: Links, *, at_every_step: bool
) -> None:
    # when
    [first] = links.set(links.wish())
    for act in (lambda: links.clear(first["relation_id"]), lambda: links.set(links.wish())):
        if at_every_step:
            links.reconcile()
        assert act()[0]["ok"]
    links.reconcile()

    # then
    assert len(links.happened(RelationSet)) == 2
    assert len(links.happened(RelationCleared)) == 1
    assert links.open_targets() == [8]


def test_l2_two_users_at_once_and_their_double_clicks_make_one_link_and_one_request(links: Links) -> None:
    # given: two people want different products, each clicks three times
    clicks = [("anna", PSA), ("ben", OTHER_PRODUCT)] * 3

    def click(who: tuple[str, Any]) -> list[dict[str, Any]]:
        return links.set(links.wish(product=who[1]), operation_id=f"click of {who[0]}")

    # when
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(click, clicks))
        list(threads.map(lambda _: links.reconcile(), range(3)))
    links.reconcile()

    # then
    assert sorted(answer[0]["ok"] for answer in answers) == [False] * 3 + [True] * 3
    assert len({json.dumps(answer, sort_keys=True) for answer in answers}) == 2, "each person's clicks got one answer"
    assert len(links.happened(RelationSet)) == 1
    assert links.open_targets() == [8]


def test_l4_a_resource_that_is_linked_twice_is_refused_and_two_resources_of_one_product_are_summed(
    links: Links,
) -> None:
    # when
    same, elsewhere, second = links.set(
        links.wish(ODIN, row_id="1"), links.wish(ODIN, OTHER_PRODUCT, row_id="2"), links.wish(TEAMS, row_id="3")
    )
    [again] = links.set(links.wish(ODIN))
    links.reconcile()

    # then
    assert (same["ok"], second["ok"], again["note"]) == (True, True, "already_set")
    assert elsewhere["refusal"]["code"] == "resource_linked"
    [request] = links.happened(AdjustmentRequested)
    assert (request.target_units, len(request.causes)) == (11, 2)


def test_l7_of_2000_links_3_bad_ones_are_told_and_1997_done(links: Links) -> None:
    # given
    many = [odin(resource_id=str(number), resource_name=f"Resource {number}") for number in range(2_000)]
    products = [psa(psa_product_id=f"p{number}") for number in range(2_000)]
    links.append(*map(discovered, many), *map(psa_product, products))
    wishes = [links.wish(*pair, row_id=str(n)) for n, pair in enumerate(zip(many, products, strict=True))]
    wishes[7]["resource_key"] = "no key"
    wishes[700]["psa_product_id"] = "unheard of"
    wishes[1999] = wishes[1998] | {"id": "1999", "psa_product_id": "p3"}

    # when
    links.catch_up()
    began = time.perf_counter()
    results = links.set(*wishes)
    took = time.perf_counter() - began
    links.reconcile()

    # then
    told = {result["id"]: result["refusal"]["code"] for result in results if not result["ok"]}
    assert told == {"7": "bad_row", "700": "product_unknown", "1999": "resource_linked"}
    assert [result["id"] for result in results] == [str(number) for number in range(2_000)]
    assert len(links.happened(RelationSet)) == len(links.happened(AdjustmentRequested)) == 1_997
    print(f"2,000 wishes decided and appended in {took:.2f} s")
