"""What is settled for relations, frozen and excluded, in the reports, the close, the drift, the leaks and the explanations."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from domain.events import PsaUnitsObserved
from domain.keys import MspId, PsaProductKey
from domain.price_source import PriceSource
from domain.relation_settings import AS_NEW, RelationSettings
from domain.unit_rule import UnitRule
from plumbing.row_security import of_msp
from services.reporting.queries import REPORTS, Lineage, Question, counts_since, leak_trend, read_page
from tests.domain.strategies import rules
from tests.reporting import history as h
from tests.reporting.test_projections import many
from tests.world import ODIN, PSA, World, discovered, frozen, relation_set, settings_saved

pytestmark = pytest.mark.postgres
A, B, P = h.odin("a"), h.odin("b", subscription="2"), h.psa("p")
PACKS = RelationSettings(UnitRule(Decimal(2), 10, "up", 1), PriceSource("custom", h.usd("47.50")), "packs")


def report(engine: Engine, name: str, msp_id: MspId, **question: Any) -> list[dict[str, Any]]:
    """The rows of a report, as the gateway reads them."""
    h.project(engine, msp_id)
    with of_msp(engine, msp_id).begin() as connection:
        connection.execute(text("SET LOCAL ROLE trueup_gateway"))
        return read_page(connection, REPORTS[name], msp_id, Question(**question)).rows


def test_what_was_settled_stands_beside_what_is_linked(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(A, "12"), h.linked(A, P)])
    (new,) = report(engine, "linked", msp_id)
    assert (new["rule"], new["price_source"], new["frozen"], new["note"]) == ("as is", "agreement", False, None)

    h.append(engine, msp_id, [h.settled(A, P, PACKS), h.frozen(A, P)])
    (row,) = report(engine, "linked", msp_id)
    assert row["rule"] == "2 included, packs of 10, rounded up, at least 1"
    assert (row["included"], row["pack_size"], row["rounding"], row["minimum"]) == (2, 10, "up", 1)
    assert (row["price_source"], row["price"]) == ("custom", {"amount": Decimal("47.50"), "currency": "USD"})
    assert (row["note"], row["settings_saved_by"]) == ("packs", "mara")
    assert (row["frozen"], row["frozen_by"], row["frozen_reason"]) == (True, "mara", "in dispute")

    h.append(engine, msp_id, [h.unfrozen(A, P)])
    (row,) = report(engine, "linked", msp_id)
    assert (row["frozen"], row["frozen_at"], row["rule"][:10]) == (False, None, "2 included")


def test_a_relation_that_is_set_anew_shows_nothing_of_the_one_before(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(A), h.linked(A, P), h.settled(A, P, PACKS), h.frozen(A, P)])
    h.append(engine, msp_id, [h.cleared(A, P), h.linked(A, P, "r2")])
    (row,) = report(engine, "linked", msp_id)
    assert (row["rule"], row["frozen"]) == ("as is", False)


def test_what_is_excluded_leaves_the_unlinked_and_comes_back(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(A), h.discovered(B), h.excluded(A, date(2026, 12, 31))])
    assert [row["resource_id"] for row in report(engine, "unlinked", msp_id)] == ["b"]
    (row,) = report(engine, "excluded", msp_id)
    assert (row["resource_id"], row["excluded_reason"], row["excluded_by"]) == ("a", "own use", "mara")
    assert row["excluded_until"] == date(2026, 12, 31)

    h.append(engine, msp_id, [h.included(A)])
    assert [row["resource_id"] for row in report(engine, "unlinked", msp_id)] == ["a", "b"]
    assert report(engine, "excluded", msp_id) == []


def test_what_is_excluded_leaks_nothing_on_the_days_on_which_it_is(engine: Engine, msp_id: MspId) -> None:
    for day, event in ((2, h.subscription(A)), (2, h.discovered(A, "4")), (4, h.excluded(A)), (7, h.included(A))):
        h.append(engine, msp_id, [event], occurred_at=datetime(2026, 3, day, 12, tzinfo=UTC))
    h.project(engine, msp_id)
    with of_msp(engine, msp_id).begin() as connection:
        connection.execute(text("SET LOCAL ROLE trueup_gateway"))
        days = leak_trend(connection, msp_id, "UTC", date(2026, 3, 10), 10, None)
    assert [each["date"].day for each in days if each["not_billed"]] == [2, 3, 7, 8, 9, 10]


def test_drift_is_measured_from_the_units_that_the_rule_makes_of_the_count(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(A, "12"), h.product(P), h.units(P, 1), h.linked(A, P)])
    h.append(engine, msp_id, [h.settled(A, P, PACKS), h.requested(A, P, "q1", 1), h.equal(A, P, "q1", 1)])
    (row,) = report(engine, "drift", msp_id)
    assert (row["count"], row["wanted_units"], row["difference"], row["kind"]) == (12, 1, 0, "equal")

    h.append(engine, msp_id, [h.counted(A, "12", "13"), h.frozen(A, P)])
    (row,) = report(engine, "drift", msp_id)
    assert (row["wanted_units"], row["difference"], row["kind"], row["frozen"]) == (2, -1, "count_ahead", True)


@many
@given(rule=rules, count=st.decimals(0, 10**6, places=2))
def test_the_reports_reckon_by_the_same_rule(engine: Engine, rule: UnitRule, count: Decimal) -> None:
    whole = count if rule.rounding != "none" else Decimal(int(count))
    with engine.connect() as connection:
        found = connection.scalar(
            text("SELECT reporting.units_by_rule(:count, :included, :pack_size, :rounding, :minimum)"),
            {"count": whole, **vars(rule)},
        )
    assert found == rule.units(whole)


def test_the_counts_since_a_day_are_one_row_for_each_stretch(engine: Engine, msp_id: MspId) -> None:
    for day, event in ((2, h.discovered(A, "4")), (3, h.costed(A, "5", "6")), (5, h.counted(A, "4", "12"))):
        h.append(engine, msp_id, [event], occurred_at=datetime(2026, 3, day, tzinfo=UTC))
    h.project(engine, msp_id)
    with of_msp(engine, msp_id).begin() as connection:
        connection.execute(text("SET LOCAL ROLE trueup_gateway"))
        found = counts_since(connection, msp_id, h.key(A), datetime(2026, 3, 1, tzinfo=UTC))
        assert counts_since(connection, msp_id, h.key(A), datetime(2026, 3, 6, tzinfo=UTC)) == found[:1]
        assert counts_since(connection, msp_id, h.key(B), datetime(2026, 3, 4, tzinfo=UTC)) == []
    assert [(row["count"], row["valid_from"].day) for row in found] == [(12, 5), (4, 2)]


def test_activity_tells_what_was_settled_frozen_and_excluded_and_why(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.settled(A, P, PACKS), h.frozen(A, P), h.excluded(A), h.included(A)])
    h.append(engine, msp_id, [h.settled(A, P, AS_NEW)])
    rows = sorted(report(engine, "activities", msp_id), key=lambda row: row["position"])
    assert [(row["action"], row["object_kind"], row["reason"]) for row in rows] == [
        ("relation_settings_saved", "relation", None),
        ("relation_frozen", "relation", "in dispute"),
        ("resource_excluded", "resource", "own use"),
        ("resource_included", "resource", "its last day has passed"),
        ("relation_settings_saved", "relation", None),
    ]
    assert [row["changes"] for row in rows] == [
        "note:  → packs; price: agreement → 47.50 USD; rule: as is → 2 included, packs of 10, rounded up, at least 1",
        "posting: running → frozen",
        "excluded_until: – → no end",
        "excluded_until: – → –",
        None,
    ]


def test_an_explanation_reckons_by_the_rule_and_says_what_was_settled(engine: Engine, msp_id: MspId) -> None:
    # given: 12 licences, in packs of ten after two that are included, are one unit
    world = World(engine, msp_id)
    units_read = (
        f"psa-product/{PSA.psa_connection_id}/{PSA.psa_product_id}",
        PsaUnitsObserved(**vars(PSA), previous_units=None, units=1, on_date=date(2026, 8, 3)),
    )
    world.append(discovered(ODIN, "12"), relation_set(), units_read)
    world.append(settings_saved(PACKS), frozen())

    # when
    with of_msp(engine, msp_id).begin() as connection:
        connection.execute(text("SET LOCAL ROLE trueup_gateway"))
        lineage = Lineage(connection, msp_id)
        found = lineage.explain_product(PsaProductKey(msp_id, PSA.psa_connection_id, PSA.psa_product_id))
        history = lineage.resource_history(ODIN.resource_key(msp_id), 10)

    # then
    assert found is not None
    assert (found.units, found.count, found.equal) == (1, Decimal(12), True)
    assert [step.kind for step in found.steps] == [
        "units_read",
        "relation_settings_saved",
        "relation_frozen",
        "relation_set",
        "discovered",
    ]
    assert "2 included, packs of 10, rounded up, at least 1 units; price 47.50 USD" in found.steps[1].text
    assert history is not None
    assert [row.kind for row in history.rows][:2] == ["relation_frozen", "relation_settings_saved"]
