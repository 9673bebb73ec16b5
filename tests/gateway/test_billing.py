"""The billing tree over GraphQL: companies, their branches with suggestions and evidence, candidates page by page, drafts."""

import uuid
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from domain.keys import MspId
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from services.mapping import suggesting
from tests.gateway.serving import Answering, gateway
from tests.gateway.turning import SCHEMA, paged_reports
from tests.mapping.conftest import Mapping
from tests.msps import add_msp
from tests.reporting import history
from tests.servers import Postgres, role_url
from tests.world import (
    MORNING,
    ODIN,
    PSA,
    discovered,
    odin,
    psa,
    psa_agreement,
    psa_customer,
    psa_product,
)

pytestmark = pytest.mark.postgres

MAIL = psa(psa_product_id="1403", psa_product_name="Exchange Online P1")
TEAMS = odin(resource_id="100300", resource_name="Teams Phone")
PHONE = psa(psa_product_id="1402", psa_product_name="Teams Phone")
USAGE = odin(resource_id="100900", resource_name="Azure usage")
FABRIKAM = odin(company_id="1200000777", company_name="Fabrikam", subscription_id="1000950", resource_name="Firewall")
THEIRS = psa(
    psa_customer_id="29683999", psa_customer_name="Fabrikam GmbH", psa_agreement_id="29684300", psa_product_id="1600"
)
COMPANIES = """query($filter: CompanyFilter, $msp: String! = "acme") { companies(mspId: $msp, filter: $filter) { totalCount
  edges { node { companyId companyName state resources linked unlinked unlinkedCounted psaCustomerId psaCustomerName psaContact
  score why bestScore } } } }"""
BRANCH = """query($company: String!, $msp: String! = "acme") { companySubscriptions(mspId: $msp, psaConnectionId: "autotask",
  connectionId: "odin", companyId: $company) { whole suggestion { psaCustomerId score evidence { kind text weight } }
  subscriptions { subscriptionId linked unlinked psaAgreementId suggestion { psaAgreementId score evidence { weight } }
    resources { candidate { resourceName state count units unitChange relationId psaProductName }
      suggestion { psaProductId score evidence { kind weight } } } } } }"""
EXCLUDED = """{ relationCandidates(mspId: "acme", filter: {state: {in: ["excluded"]}}) {
  edges { node { resourceName excludedReason excludedUntil score unitChange } } } }"""
CANDIDATES = """query($filter: RelationCandidateFilter, $msp: String! = "acme") { relationCandidates(mspId: $msp, filter: $filter,
  orderBy: [{field: SCORE, direction: DESC}]) { totalCount edges { node { resourceName state score why unitChange } } } }"""
SAVE = """mutation($drafts: [RelationDraftWish!]!, $operation: String!, $msp: String! = "acme") {
  saveRelationDrafts(mspId: $msp, drafts: $drafts, operationId: $operation) { results { id ok refusal { code message fix } } } }"""
DRAFTS = """query($msp: String! = "acme") { relationDrafts(mspId: $msp) { level odinId psaId } }"""


def _world(url: str, msp_id: str) -> Mapping:
    engine = make_engine(url, "test")
    world = Mapping(engine, add_msp(engine, msp_id), FrozenClock(MORNING))
    with engine.begin() as connection:
        for kind in ("odin", "autotask"):
            connection.execute(
                text("INSERT INTO setup.connections VALUES (:m, :kind, :kind, '{}', '{}', 1, now())"),
                {"m": msp_id, "kind": kind},
            )
    return world


def _swept(world: Mapping) -> None:
    world.catch_up()
    suggesting.refresh_due(world.engine, world.clock)
    history.project(world.engine, world.msp_id)


@pytest.fixture(scope="module")
def url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """A database with two MSPs: acme, whose Contoso has Teams linked, and other, with one company of its own."""
    name = f"billing_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    url = postgres.database_url(name)
    acme, other = _world(url, "acme"), _world(url, "other")
    acme.append(
        *(discovered(names) for names in (ODIN, TEAMS, FABRIKAM)),
        discovered(USAGE, None, usage_based=True),
        *(psa_customer(names) for names in (PSA, THEIRS)),
        *(psa_agreement(names) for names in (PSA, THEIRS)),
        *(psa_product(names) for names in (MAIL, PHONE, THEIRS)),
        ("psa-product/autotask/1403", history.units(vars(MAIL), 1)),
    )
    acme.set(acme.wish(TEAMS, PHONE))
    other.append(discovered(odin(company_name="Northwind")), psa_customer(PSA), psa_agreement(PSA), psa_product(MAIL))
    for world in (acme, other):
        _swept(world)
        world.engine.dispose()
    yield url
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="module")
def served(url: str) -> Iterator[Answering]:
    with gateway(role_url(url, "trueup_gateway")) as answering:
        yield answering


def nodes(answer: dict[str, Any]) -> list[dict[str, Any]]:
    [connection] = answer.values()
    return [edge["node"] for edge in connection["edges"]]


def test_companies_tell_what_is_open_and_whom_the_psa_calls_so(served: Answering) -> None:
    contoso, fabrikam = nodes(served.data(COMPANIES))

    assert {name: contoso[name] for name in ("companyName", "state", "resources", "linked", "unlinked")} == {
        "companyName": "Contoso",
        "state": "linked",
        "resources": 3,
        "linked": 1,
        "unlinked": 1,
    }
    assert (contoso["psaCustomerId"], contoso["score"], contoso["why"]) == (PSA.psa_customer_id, "0", None)
    assert (fabrikam["state"], fabrikam["psaCustomerName"], fabrikam["score"]) == ("suggested", "Fabrikam GmbH", "1.00")
    assert fabrikam["why"] == "+1.00 Equal words: fabrikam."


@pytest.mark.parametrize(
    ("filter_", "names"),
    [
        ({"linked": {"lte": 0}}, ["Fabrikam"]),
        ({"unlinked": {"gte": 1}}, ["Contoso", "Fabrikam"]),
        ({"names": {"contains": "teams"}}, ["Contoso"]),
        ({"score": {"gte": "0.9"}}, ["Fabrikam"]),
        ({"bestScore": {"gte": "0.9"}}, ["Contoso"]),
        ({"companyId": {"notIn": [ODIN.company_id]}}, ["Fabrikam"]),
        ({"psaContact": {"notIn": ["Somebody"]}}, ["Contoso", "Fabrikam"]),
        ({"psaConnectionId": {"in": ["connectwise"]}}, []),
    ],
)
def test_companies_are_filtered_and_counted_by_the_server(
    served: Answering, filter_: dict[str, Any], names: list[str]
) -> None:
    answer = served.data(COMPANIES, filter=filter_)

    assert [node["companyName"] for node in nodes(answer)] == names
    assert answer["companies"]["totalCount"] == len(names)


def test_a_branch_shows_relations_suggestions_and_evidence_that_adds_up(served: Answering) -> None:
    branch = served.data(BRANCH, company=ODIN.company_id)["companySubscriptions"]

    [subscription] = branch["subscriptions"]
    by_name = {one["candidate"]["resourceName"]: one for one in subscription["resources"]}
    assert (branch["whole"], branch["suggestion"]) == (True, None)
    assert (subscription["linked"], subscription["unlinked"]) == (1, 1)
    assert (subscription["psaAgreementId"], subscription["suggestion"]) == (PSA.psa_agreement_id, None)
    mail = by_name["Exchange Online (Plan 1)"]
    assert mail["candidate"] | {"relationId": None} == mail["candidate"]
    assert {name: mail["candidate"][name] for name in ("state", "count", "units", "unitChange")} == {
        "state": "suggested",
        "count": "8",
        "units": 1,
        "unitChange": "7",
    }
    assert mail["suggestion"]["psaProductId"] == MAIL.psa_product_id
    assert sum(Decimal(one["weight"]) for one in mail["suggestion"]["evidence"]) == Decimal(mail["suggestion"]["score"])
    assert by_name["Teams Phone"]["candidate"]["state"] == "linked"
    assert by_name["Teams Phone"]["suggestion"] is None
    assert (by_name["Azure usage"]["candidate"]["state"], by_name["Azure usage"]["suggestion"]) == ("usage_based", None)


def test_a_branch_of_an_unlinked_company_suggests_its_customer(served: Answering) -> None:
    branch = served.data(BRANCH, company=FABRIKAM.company_id)["companySubscriptions"]

    assert branch["suggestion"]["psaCustomerId"] == THEIRS.psa_customer_id
    assert [one["kind"] for one in branch["suggestion"]["evidence"]] == ["equal_words"]


def test_a_company_that_is_not_there_is_told(served: Answering) -> None:
    assert served.refusal(BRANCH, company="nobody")["code"] == "NO_SUCH_COMPANY"
    assert served.refusal(BRANCH, company=FABRIKAM.company_id, msp="other")["code"] == "NO_SUCH_COMPANY"


@pytest.mark.parametrize(
    ("filter_", "names"),
    [
        ({"score": {"gte": "0.9"}}, ["Exchange Online (Plan 1)"]),
        ({"state": {"in": ["linked"]}}, ["Teams Phone"]),
        ({"state": {"in": ["usage_based"]}}, ["Azure usage"]),
        ({"path": {"contains": "fabrikam › office"}}, ["Firewall"]),
    ],
)
def test_candidates_are_filtered_by_score_state_and_text(
    served: Answering, filter_: dict[str, Any], names: list[str]
) -> None:
    assert [node["resourceName"] for node in nodes(served.data(CANDIDATES, filter=filter_))] == names


def test_candidates_stand_by_their_score_and_those_without_come_last(served: Answering) -> None:
    found = nodes(served.data(CANDIDATES))

    assert found[0]["resourceName"] == "Exchange Online (Plan 1)"
    assert [Decimal(node["score"]) for node in found] == sorted((Decimal(n["score"]) for n in found), reverse=True)


def test_candidates_are_turned_page_by_page_each_met_once(served: Answering) -> None:
    paged = paged_reports(SCHEMA.read_text("utf-8"))["relationCandidates"]("resourceName", "score")

    for backward in (False, True):
        met = [
            row["resourceName"]
            for rows in paged.turn(served.data, "acme", backward=backward, at_once=2)
            for row in rows
        ]
        assert sorted(met) == sorted(["Azure usage", "Exchange Online (Plan 1)", "Firewall", "Teams Phone"])


def test_the_psa_s_records_tell_what_is_linked_to_them(served: Answering) -> None:
    answer = served.data(
        f"""{{ psaProducts(mspId: "acme", filter: {{psaCustomerId: {{in: ["{PSA.psa_customer_id}"]}}, linkedResources: {{gte: 1}}}})
          {{ edges {{ node {{ psaProductId linkedResources linkedTo }} }} }} }}"""
    )

    assert nodes(answer) == [{"psaProductId": "1402", "linkedResources": 1, "linkedTo": "Contoso › Teams Phone"}]
    for field, name in (("psaCustomers", "Contoso"), ("psaAgreements", "Contoso › Office 365")):
        found = nodes(
            served.data(f'{{ {field}(mspId: "acme") {{ edges {{ node {{ linkedResources linkedTo }} }} }} }}')
        )
        assert {"linkedResources": 1, "linkedTo": name} in found
        assert {"linkedResources": 0, "linkedTo": None} in found


def test_nothing_of_another_msp_is_seen_or_kept(served: Answering) -> None:
    assert [node["companyName"] for node in nodes(served.data(COMPANIES, msp="other"))] == ["Northwind"]
    assert [node["resourceName"] for node in nodes(served.data(CANDIDATES, msp="other"))] == [
        "Exchange Online (Plan 1)"
    ]


def draft(names: Any = ODIN, psa_id: str | None = "1403", **more: Any) -> dict[str, Any]:
    key = str(names.resource_key(MspId("acme")))
    given = {"psaConnectionId": "autotask", "level": "RESOURCE", "connectionId": "odin", "odinId": key, "psaId": psa_id}
    return given | more


def test_drafts_are_kept_replaced_and_taken_back_and_post_nothing(served: Answering, url: str) -> None:
    company = draft(level="COMPANY", odinId=FABRIKAM.company_id, psaId=THEIRS.psa_customer_id)

    for operation in ("d1", "d1"):
        saved = served.data(SAVE, drafts=[company, draft(psa_id="1401"), draft()], operation=operation)
        assert [row["ok"] for row in saved["saveRelationDrafts"]["results"]] == [True] * 3

    kept = served.data(DRAFTS)["relationDrafts"]
    assert sorted((one["level"], one["psaId"]) for one in kept) == [("COMPANY", "29683999"), ("RESOURCE", "1403")]
    assert served.data(DRAFTS, msp="other")["relationDrafts"] == []
    engine = make_engine(url, "test")
    with engine.connect() as connection:
        events = connection.scalars(
            text("SELECT type FROM log.events WHERE type = 'RelationSet' OR recorded_by = 'gateway'")
        )
        assert events.all() == ["RelationSet"]
    engine.dispose()

    served.data(SAVE, drafts=[draft(psa_id=None), company | {"psaId": None}], operation="d2")
    assert served.data(DRAFTS)["relationDrafts"] == []


def test_drafts_are_one_person_s_own(served: Answering, url: str) -> None:
    engine = make_engine(url, "test")
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.relation_drafts VALUES
                   ('acme', 'berta@msp.example', 'autotask', 'company', 'odin', '1200000501', '29683570', now())"""
            )
        )
    engine.dispose()

    assert served.data(DRAFTS)["relationDrafts"] == []


def test_a_draft_for_what_is_linked_by_now_is_left_out(served: Answering) -> None:
    served.data(SAVE, drafts=[draft(TEAMS, "1402")], operation="d3")

    assert served.data(DRAFTS)["relationDrafts"] == []


def test_a_draft_that_cannot_be_kept_is_refused_and_the_others_are_kept(served: Answering) -> None:
    results = served.data(SAVE, drafts=[draft(odinId=""), draft(odinId="x" * 501), draft()], operation="d4")

    rows = results["saveRelationDrafts"]["results"]
    assert [row["ok"] for row in rows] == [False, False, True]
    assert rows[0]["refusal"]["code"] == "BAD_DRAFT"


def test_what_is_excluded_is_told_so_and_no_longer_counts_as_open(served: Answering, url: str) -> None:
    # given
    engine = make_engine(url, "test")
    world = Mapping(engine, MspId("acme"), FrozenClock(MORNING))
    open_before = nodes(served.data(COMPANIES, filter={"companyName": {"contains": "contoso"}}))[0]["unlinked"]

    def told(event: Any) -> None:
        world.append(("exclusion/" + str(ODIN.resource_key(MspId("acme"))), event))
        history.project(engine, MspId("acme"))

    # when
    told(history.excluded(vars(ODIN), date(2026, 12, 31)))
    try:
        rows, company = (
            nodes(served.data(EXCLUDED)),
            nodes(served.data(COMPANIES, filter={"companyName": {"contains": "contoso"}}))[0],
        )
    finally:
        told(history.included(vars(ODIN)))
    engine.dispose()

    # then
    [row] = rows
    assert row == {
        "resourceName": ODIN.resource_name,
        "excludedReason": "own use",
        "excludedUntil": "2026-12-31",
        "score": "0",
        "unitChange": None,
    }
    assert company["unlinked"] == open_before - 1
