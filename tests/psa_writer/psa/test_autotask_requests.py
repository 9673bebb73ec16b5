"""Our own description of the API against the real ones: what zeep builds over ours is what it builds over theirs."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree

from domain.keys import PsaAgreementId, PsaProductId
from services.psa_writer.psa.autotask_query import one_of, query_xml
from services.psa_writer.psa.autotask_requests import NAMESPACE, Request, Requests, load
from services.psa_writer.psa.port import AdjustmentOrder

REFERENCE = Path(__file__).parents[3].parent / "shared" / "reference" / "autotask"
reference = pytest.mark.skipif(not REFERENCE.exists(), reason="the reference data is not here")

ORDERS = [
    AdjustmentOrder(PsaAgreementId("29730001"), PsaProductId(str(8001 + n)), date(2026, 7, 11), 7 - n, cost)
    for n, cost in enumerate([None, Decimal("3.40"), Decimal("1E+2"), Decimal("0.0001")] * 50)
]
CALLS: dict[str, Callable[[Requests], Request]] = {
    "getZoneInfo": lambda requests: requests.zone("api@msp.example"),
    "query": lambda requests: requests.query("Account", query_xml("Account", [one_of("id", ["1", "2"])])),
    "GetEntityInfo": lambda requests: requests.entity_flags(),
    "GetFieldInfo": lambda requests: requests.fields("Service"),
    "getThresholdAndUsageInfo": lambda requests: requests.usage(),
    "create": lambda requests: requests.create(ORDERS),
}


def canonical(body: bytes) -> bytes:
    return etree.tostring(etree.fromstring(body), method="c14n")


@reference
@pytest.mark.parametrize("description", ["atws-v1_6.wsdl", "atws-v1_6-older.wsdl"])
@pytest.mark.parametrize("operation", CALLS)
def test_a_request_equals_the_one_that_the_real_description_gives(description: str, operation: str):
    real = load(REFERENCE / description)

    ours, theirs = CALLS[operation](Requests("CODE")), CALLS[operation](Requests("CODE", real))

    assert canonical(ours.body) == canonical(theirs.body)
    assert operation == ours.operation


@reference
@pytest.mark.parametrize("description", ["atws-v1_6.wsdl", "atws-v1_6-older.wsdl"])
def test_the_soap_actions_are_those_of_the_real_description(description: str):
    bound = etree.parse(REFERENCE / description).findall(
        ".//{http://schemas.xmlsoap.org/wsdl/}binding//{http://schemas.xmlsoap.org/wsdl/soap/}operation"
    )

    real = {f'"{each.get("soapAction")}"' for each in bound}

    assert {call(Requests("CODE")).action for call in CALLS.values()} <= real


@reference
def test_the_retired_description_of_1_5_loads_too_but_is_another_language():
    real = load(REFERENCE / "atws-v1_5.wsdl")

    assert real.wsdl.types.prefix_map["ns0"] == "http://autotask.net/ATWS/v1_5/"


def test_an_adjustment_names_the_contract_service_only_and_a_day_without_zone():
    orders = [AdjustmentOrder(PsaAgreementId("29730001"), PsaProductId("8001"), date(2026, 7, 11), -3, Decimal("1E+2"))]

    sent = etree.fromstring(Requests("CODE").create(orders).body).find(f".//{{{NAMESPACE}}}Entity")

    assert {etree.QName(each).localname: each.text for each in sent} == {
        "id": "0",
        "EffectiveDate": "2026-07-11T00:00:00",
        "UnitChange": "-3",
        "AdjustedUnitCost": "100",
        "ContractServiceID": "8001",
    }


def test_a_cost_that_stays_is_left_out_and_a_cost_alone_changes_no_units():
    keep, cost_only = (
        Requests("CODE").create(
            [AdjustmentOrder(PsaAgreementId("1"), PsaProductId("2"), date(2026, 7, 1), units, cost)]
        )
        for units, cost in [(5, None), (0, Decimal("2.5"))]
    )

    assert b"AdjustedUnitCost" not in keep.body
    assert b"UnitChange>0<" in cost_only.body


def test_what_was_pasted_with_blanks_and_control_characters_is_sent_clean():
    zone = Requests("x").zone(" api@msp.example\x0b\r\n")
    signed = Requests("\tCODE\x00 ").usage()

    assert b"UserName>api@msp.example<" in zone.body
    assert b"IntegrationCode>CODE<" in signed.body


def test_the_zone_is_asked_for_without_the_tracking_identifier():
    assert b"CODE" not in Requests("CODE").zone("api@msp.example").body


def test_200_adjustments_are_one_request_of_some_60_kilobytes():
    body = Requests("CODE").create(ORDERS).body

    assert body.count(b":Entity ") == 200
    assert len(body) < 100_000
