"""What is suggested, kept in tables on a real database: brought up to date by the sweep, of each MSP alone, and never linked."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from domain.events import RelationSet
from services.mapping import suggesting
from tests.mapping.conftest import OTHER_COMPANY, OTHER_CUSTOMER, OTHER_PRODUCT, Mapping, other_msp
from tests.world import (
    MORNING,
    ODIN,
    PSA,
    World,
    count_changed,
    disappeared,
    discovered,
    odin,
    psa,
    psa_agreement,
    psa_customer,
    psa_product,
    subscription,
)

pytestmark = pytest.mark.postgres
MAIL = psa(psa_product_id="1403", psa_product_name="Exchange Online P1")


def swept(mapping: Mapping) -> None:
    mapping.catch_up()
    suggesting.refresh_due(mapping.engine, mapping.clock)


def rows(mapping: Mapping, table: str, msp_id: str = "acme") -> list[dict[str, Any]]:
    with mapping.engine.connect() as connection:
        found = connection.execute(
            text(f"SELECT * FROM suggested.{table} WHERE msp_id = :m ORDER BY 2, 3, 4"), {"m": msp_id}
        )
        return [dict(row) for row in found.mappings()]


def due(mapping: Mapping) -> list[str]:
    with mapping.engine.connect() as connection:
        return list(connection.scalars(text("SELECT msp_id FROM suggested.weighed WHERE version > weighed_version")))


def product_of(mapping: Mapping, names: Any = ODIN) -> str | None:
    key = str(names.resource_key(mapping.msp_id))
    return next((row["psa_product_id"] for row in rows(mapping, "resources") if row["resource_key"] == key), None)


def test_all_three_levels_are_suggested_with_evidence_that_adds_up_and_nothing_is_linked(mapping: Mapping) -> None:
    # given a product that is called like the resource
    mapping.append(psa_product(MAIL))

    # when
    swept(mapping)

    # then
    companies = {row["company_id"]: row for row in rows(mapping, "companies")}
    agreements = {row["subscription_id"]: row for row in rows(mapping, "subscriptions")}
    [resource] = [
        row for row in rows(mapping, "resources") if row["resource_key"] == str(ODIN.resource_key(mapping.msp_id))
    ]
    assert companies[ODIN.company_id]["psa_customer_id"] == PSA.psa_customer_id
    assert companies[OTHER_COMPANY.company_id]["psa_customer_id"] == OTHER_CUSTOMER.psa_customer_id
    assert agreements[ODIN.subscription_id]["psa_agreement_id"] == PSA.psa_agreement_id
    assert (resource["psa_product_id"], resource["psa_product_name"]) == ("1403", "Exchange Online P1")
    for row in (*companies.values(), *agreements.values(), resource):
        assert sum(Decimal(one["weight"]) for one in row["evidence"]) == row["score"]
    assert mapping.happened(RelationSet) == []


def test_a_company_that_is_linked_is_asked_for_no_customer_and_its_products_come_from_its_own(mapping: Mapping) -> None:
    teams = odin(resource_id="100400", resource_name="Exchange Online (Plan 1)")
    mapping.append(
        discovered(teams), psa_product(MAIL), psa_product(psa(psa_customer_id="29683999", psa_product_id="1699"))
    )
    swept(mapping)

    mapping.set(mapping.wish(ODIN, OTHER_PRODUCT))
    swept(mapping)

    assert ODIN.company_id not in {row["company_id"] for row in rows(mapping, "companies")}
    assert ODIN.subscription_id not in {row["subscription_id"] for row in rows(mapping, "subscriptions")}
    assert product_of(mapping, ODIN) is None
    assert product_of(mapping, teams) == "1403"


def test_a_customer_that_belongs_to_a_company_is_suggested_to_no_other(mapping: Mapping) -> None:
    namesake = odin(company_id="1200000999", subscription_id="1000999")
    mapping.append(discovered(namesake))
    mapping.set(mapping.wish(ODIN, PSA))

    swept(mapping)

    assert PSA.psa_customer_id not in {row["psa_customer_id"] for row in rows(mapping, "companies")}
    assert product_of(mapping, namesake) is None


def test_what_is_gone_or_linked_is_suggested_no_more(mapping: Mapping) -> None:
    mapping.append(psa_product(MAIL))
    swept(mapping)
    assert product_of(mapping) == "1403"

    mapping.append(disappeared(ODIN))
    swept(mapping)

    assert product_of(mapping) is None


def test_usage_is_never_suggested_for(mapping: Mapping) -> None:
    usage = odin(resource_id="100500", resource_name="Exchange Online P1")
    mapping.append(psa_product(MAIL), discovered(usage, None, usage_based=True))

    swept(mapping)

    assert product_of(mapping, usage) is None


def test_an_accepted_link_teaches_the_next_customer(mapping: Mapping) -> None:
    # given two companies with the same resource, and a product that only a person can know for it
    fabrikam = odin(
        company_id="1200000777", company_name="Fabrikam", subscription_id="1000950", subscription_name="Mail"
    )
    mapping.append(discovered(fabrikam))
    swept(mapping)
    assert product_of(mapping, fabrikam) is None

    # when the person links it for one
    mapping.set(mapping.wish(ODIN, PSA))
    swept(mapping)

    # then
    assert product_of(mapping, fabrikam) == OTHER_CUSTOMER.psa_product_id


def test_what_cannot_change_suggestions_makes_nothing_due(mapping: Mapping) -> None:
    swept(mapping)
    assert due(mapping) == []

    mapping.append(count_changed(ODIN, "9"))
    mapping.catch_up()
    assert due(mapping) == []

    mapping.append(psa_customer(psa(psa_customer_id="5", psa_customer_name="Northwind")))
    mapping.catch_up()
    assert due(mapping) == ["acme"]


def test_what_is_marked_while_it_is_weighed_is_weighed_again(mapping: Mapping, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping.catch_up()
    weigh = suggesting.refresh

    def marked_meanwhile(connection: Any, msp_id: Any, today: Any) -> None:
        weigh(connection, msp_id, today)
        with mapping.engine.begin() as other:
            suggesting.mark(other, msp_id)

    monkeypatch.setattr(suggesting, "refresh", marked_meanwhile)
    suggesting.refresh_due(mapping.engine, mapping.clock)

    assert due(mapping) == ["acme"]


def test_another_day_weighs_anew_since_agreements_end(mapping: Mapping) -> None:
    mapping.append(psa_product(MAIL), psa_agreement(PSA, end_date=MORNING.date()))
    swept(mapping)
    key = str(ODIN.resource_key(mapping.msp_id))
    [before] = [row for row in rows(mapping, "resources") if row["resource_key"] == key]

    mapping.clock.moment = MORNING + timedelta(days=1)
    suggesting.refresh_due(mapping.engine, mapping.clock)

    [after] = [row for row in rows(mapping, "resources") if row["resource_key"] == key]
    assert (before["score"] >= Decimal("0.9"), after["score"]) == (True, Decimal("0.50"))
    assert "ended" in {one["kind"] for one in after["evidence"]}


def test_a_period_and_a_part_number_reach_the_evidence(mapping: Mapping) -> None:
    yearly = odin(subscription_id="1000999", resource_id="100600", resource_name="Exchange Online (Plan 1)")
    mapping.append(subscription(yearly, "1 year"), discovered(yearly), psa_product(MAIL))

    swept(mapping)

    [row] = [
        row for row in rows(mapping, "resources") if row["resource_key"] == str(yearly.resource_key(mapping.msp_id))
    ]
    assert "period" in {one["kind"] for one in row["evidence"]}


def test_one_msp_learns_nothing_from_another(mapping: Mapping) -> None:
    other = World(mapping.engine, other_msp(mapping))
    other.append(discovered(ODIN), psa_customer(PSA), psa_agreement(PSA), psa_product(PSA))
    mapping.set(mapping.wish(ODIN, PSA))
    swept(mapping)

    suggesting.refresh_due(mapping.engine, mapping.clock)

    assert {row["msp_id"] for row in rows(mapping, "companies", "other")} <= {"other"}
    assert rows(mapping, "resources", "other") == []
