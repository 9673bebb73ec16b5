"""Finding by id or by a part of a name: the nearest first, bounded, and never another MSP's."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from plumbing.row_security import of_msp
from services.reporting import finding
from services.reporting.finding import find
from tests.gateway.serving import Answering
from tests.msps import add_msp
from tests.reporting import history as h

pytestmark = [pytest.mark.postgres]
QUERY = """query($text: String!, $first: Int! = 10, $msp: String! = "acme") {
  find(mspId: $msp, text: $text, first: $first) { kind label detail id key } }"""


def connect(engine: Engine, msp_id: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.connections (msp_id, connection_id, kind, settings, sealed, version, saved_at)
                   SELECT :msp, kind, kind, '{}', '{}', 1, now() FROM unnest(ARRAY['odin', 'autotask']) AS k (kind)"""
            ),
            {"msp": msp_id},
        )


def rename(names: dict[str, Any], **given: str) -> dict[str, Any]:
    return {**names, **given}


HALL = {"company_id": "1200000501", "company_name": "Hall Bros."}
MAIL = {"subscription_id": "1000823", "subscription_name": "Microsoft 365"}


@pytest.fixture
def named(engine: Engine, told: MspId) -> MspId:
    """Three companies with 365 plans, one PSA product of each level; another MSP with the same names and more."""
    resources = [
        rename(h.odin("100234"), **HALL, **MAIL, resource_name="Exchange Online (Plan 1)"),
        rename(h.odin("100235"), **HALL, **MAIL, resource_name="Teams for Exchange"),
        rename(
            h.odin("100234"),
            company_id="1200000777",
            company_name="Marshall Ltd",
            subscription_id="1000900",
            subscription_name="Microsoft 365",
            resource_name="Exchange Online (Plan 1)",
        ),
    ]
    psa = rename(
        h.psa("8001"),
        psa_customer_id="77",
        psa_customer_name="HALL Brothers",
        psa_agreement_id="88",
        psa_agreement_name="Cloud for Hall",
        psa_product_name="Hosted Exchange",
    )
    for msp_id in (told, add_msp(engine, "other")):
        connect(engine, msp_id)
        more = (
            [h.discovered(rename(resources[0], company_id="9", company_name="Hall of the other"), "1")]
            if msp_id == "other"
            else []
        )
        h.append(
            engine,
            msp_id,
            [
                *(h.discovered(names, "4") for names in resources),
                h.customer(psa),
                h.agreement(psa),
                h.product(psa),
                *more,
            ],
        )
        h.project(engine, msp_id)
    return told


def test_what_has_exactly_this_id_is_found_alone(own: Answering, named: MspId) -> None:
    company, subscription, resource, product = (
        own.data(QUERY, text=wanted)["find"] for wanted in ("1200000501", " 1000823 ", "100235", "8001")
    )

    assert company == [
        {
            "kind": "COMPANY",
            "label": "Hall Bros.",
            "detail": "1200000501",
            "id": "1200000501",
            "key": "acme/odin/1200000501",
        }
    ]
    assert [(one["kind"], one["label"], one["detail"]) for one in subscription] == [
        ("SUBSCRIPTION", "Microsoft 365", "Hall Bros.")
    ]
    assert [(one["label"], one["detail"]) for one in resource] == [("Teams for Exchange", "Hall Bros. › Microsoft 365")]
    assert resource[0]["key"] == "acme/odin/1200000501/1000823/100235"
    assert [(one["kind"], one["detail"]) for one in product] == [("PSA_PRODUCT", "HALL Brothers › Cloud for Hall")]


def test_one_id_on_many_subscriptions_is_found_on_each(own: Answering, named: MspId) -> None:
    found = own.data(QUERY, text="100234")["find"]

    assert sorted(one["detail"] for one in found) == ["Hall Bros. › Microsoft 365", "Marshall Ltd › Microsoft 365"]


def test_names_that_begin_so_come_before_names_that_contain_it(own: Answering, named: MspId) -> None:
    found = own.data(QUERY, text="hALL")["find"]

    assert [(one["kind"], one["label"]) for one in found] == [
        ("COMPANY", "Hall Bros."),
        ("PSA_CUSTOMER", "HALL Brothers"),
        ("COMPANY", "Marshall Ltd"),
        ("PSA_AGREEMENT", "Cloud for Hall"),
    ]
    assert own.data(QUERY, text="hall", first=2)["find"] == found[:2]


def test_every_subscription_and_resource_of_one_name_is_found_once(own: Answering, named: MspId) -> None:
    found = own.data(QUERY, text="365")["find"]
    online = own.data(QUERY, text="exchange o")["find"]

    assert [(one["kind"], one["id"]) for one in found] == [("SUBSCRIPTION", "1000823"), ("SUBSCRIPTION", "1000900")]
    assert {one["key"] for one in online} == {
        "acme/odin/1200000501/1000823/100234",
        "acme/odin/1200000777/1000900/100234",
    }


@pytest.mark.parametrize("wanted", ["nothing of the kind", "%", "_", "hall\\", "'", "😀"])
def test_letters_stand_for_themselves_and_nothing_is_no_error(own: Answering, named: MspId, wanted: str) -> None:
    assert own.data(QUERY, text=wanted)["find"] == []


def test_another_msp_is_never_found(own: Answering, named: MspId) -> None:
    ours, theirs = own.data(QUERY, text="Hall")["find"], own.data(QUERY, text="Hall", msp="other")["find"]

    assert {one["key"].split("/")[0] for one in ours} == {"acme"}
    assert {one["key"].split("/")[0] for one in theirs} == {"other"}
    assert "Hall of the other" in {one["label"] for one in theirs} - {one["label"] for one in ours}


def test_a_thing_with_two_names_is_found_once(engine: Engine, named: MspId) -> None:
    names = rename(h.odin("100299"), **HALL, **MAIL, resource_name="Old Exchange") | {"company_name": "Hall & Sons"}
    h.append(engine, named, [h.discovered(names, "1")])
    h.project(engine, named)

    with of_msp(engine, named).connect() as connection:
        companies = [one["label"] for one in find(connection, named, "hall", 10) if one["kind"] == "company"]

    assert companies == ["Hall & Sons", "Marshall Ltd"]


def test_a_walk_ends_after_so_many_names(engine: Engine, named: MspId, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_NAMES", 1)

    with of_msp(engine, named).connect() as connection:
        found = find(connection, named, "shall", 10)

    assert found == []


@pytest.mark.parametrize(
    ("given", "code", "word"),
    [
        ({"text": "  "}, "BAD_QUESTION", "1 to 100"),
        ({"text": "x" * 101}, "BAD_QUESTION", "1 to 100"),
        ({"text": "a\x00b"}, "BAD_REQUEST", "NUL"),
        ({"text": "a", "first": 51}, "BAD_QUESTION", "1 to 50"),
        ({"text": "a", "msp": "nobody"}, "NO_SUCH_MSP", "nobody"),
    ],
)
def test_what_cannot_be_looked_for_is_refused_in_words(
    served: Answering, given: dict[str, Any], code: str, word: str
) -> None:
    refusal = served.refusal(QUERY, **given)

    assert (refusal["code"], word in refusal["message"]) == (code, True), refusal
