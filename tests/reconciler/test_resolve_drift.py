"""A person's word on drift -> events, on a real database."""

from typing import Any

import pytest

from domain.events import AdjustmentRequested, AdjustmentSuperseded, DriftAdopted, DriftOverwritten
from services.reconciler.replan import replan
from services.reconciler.resolve_drift import resolve_drift
from tests.reconciler.conftest import TEAMS, Reconciler
from tests.world import ODIN, PSA, count_changed, found_equal, relation_set


def resolved(reconciler: Reconciler, resolution: str, units: int = 9, operation: str = "o") -> list[dict[str, Any]]:
    place = {"psa_connection_id": PSA.psa_connection_id, "psa_product_id": PSA.psa_product_id, "units": units}
    given = ([place], resolution, "Seen.", operation, "mara")
    return resolve_drift(reconciler.engine, reconciler.clock, reconciler.msp_id, *given)["results"]


def levelled(reconciler: Reconciler) -> None:
    """Eight licences, linked and found equal."""
    reconciler.happens(relation_set())
    [request] = reconciler.requests()
    reconciler.happens(found_equal(request))


def test_adopted_units_are_told_once_and_asked_for_no_more_until_the_count_changes(reconciler: Reconciler) -> None:
    # given
    levelled(reconciler)

    # when
    answers = [resolved(reconciler, "adopt", operation=operation) for operation in ("o", "o", "another")]
    replan(reconciler.engine, reconciler.msp_id, reconciler.clock)
    reconciler.happens(count_changed(ODIN, "8"))

    # then
    assert all(row["ok"] for [row] in answers)
    [adopted] = reconciler.happened(DriftAdopted)
    assert (adopted.units, adopted.target_units, adopted.reason) == (9, 8, "Seen.")
    assert [envelope.actor for envelope in reconciler.log(DriftAdopted)] == ["mara"]
    assert len(reconciler.requests()) == 1

    # when
    reconciler.happens(count_changed(ODIN, "10"))
    reconciler.happens(count_changed(ODIN, "8"))

    # then the counts rule again
    assert [request.target_units for request in reconciler.requests()] == [8, 10, 8]


def test_an_open_request_gives_way_to_adopted_units(reconciler: Reconciler) -> None:
    reconciler.happens(relation_set())

    resolved(reconciler, "adopt")

    assert [type(event) for event in reconciler.happened(AdjustmentRequested, AdjustmentSuperseded)] == [
        AdjustmentRequested,
        AdjustmentSuperseded,
    ]
    assert reconciler.open_request() is None


@pytest.mark.parametrize("is_open", [True, False])
def test_overwriting_asks_for_the_counts_once_for_each_operation(reconciler: Reconciler, *, is_open: bool) -> None:
    # given
    if is_open:
        reconciler.happens(relation_set())
    else:
        levelled(reconciler)
    before = len(reconciler.requests())

    # when
    for operation in ("o", "o"):
        assert resolved(reconciler, "overwrite", operation=operation)[0]["ok"]

    # then
    assert len(reconciler.happened(DriftOverwritten)) == 1
    assert [request.target_units for request in reconciler.requests()[before:]] == [8]
    assert len(reconciler.happened(AdjustmentSuperseded)) == int(is_open)


def test_another_resource_of_the_product_ends_what_was_adopted(reconciler: Reconciler) -> None:
    levelled(reconciler)
    resolved(reconciler, "adopt")

    reconciler.happens(relation_set(TEAMS, relation_id="r2"))

    assert [request.target_units for request in reconciler.requests()] == [8, 11]


def test_what_is_not_linked_cannot_be_resolved(reconciler: Reconciler) -> None:
    [row] = resolved(reconciler, "adopt")

    assert (row["ok"], row["refusal"]["code"]) == (False, "nothing_asked")
    assert reconciler.happened(DriftAdopted) == []
