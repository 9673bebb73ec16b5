"""Bytes from Autotask -> a reply that can be believed, or none (reliability A3, A12; section 7, XML)."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.psa_writer.psa.autotask_replies import (
    BadReply,
    EntityFlags,
    Fault,
    read_choices,
    read_entity_flags,
    read_fault,
    read_reply,
    read_zone,
)
from tests.psa_writer.psa.wire import entity, envelope, response, result

RECORDED = Path(__file__).parents[3].parent / "shared" / "reference" / "autotask" / "recorded"
reference = pytest.mark.skipif(not RECORDED.exists(), reason="the reference data is not here")

UNITS = entity("ContractServiceUnit", 500001, Units=12, StartDate="2026-07-01T00:00:00", Cost="40.8000")
REPLY = result("query", UNITS, "contractserviceunit").encode()
BOMB = b"<!DOCTYPE x [" + b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"lol") for n in range(10)
)


def read(body: bytes, *, repair: bool = True):
    return read_reply(body, "query", repair=repair)


def test_a_reply_gives_its_records_with_the_fields_by_name():
    reply = read(REPLY)

    [row] = reply.entities
    assert (reply.return_code, reply.errors, row.kind, row.entity_id) == (1, (), "ContractServiceUnit", 500001)
    assert (row.whole("Units"), row.day("StartDate"), row.exact("Cost")) == (12, date(2026, 7, 1), Decimal("40.8000"))


def test_a_field_unknown_to_us_in_the_middle_of_a_record_loses_nothing():
    body = REPLY.replace(
        b"<StartDate", b'<NewerField xsi:type="xsd:newer"><Deep>1</Deep></NewerField><Newest/><StartDate'
    )

    [row] = read(body).entities

    assert (row.whole("Units"), row.day("StartDate")) == (12, date(2026, 7, 1))


def test_a_null_field_is_missing_and_an_empty_text_is_empty():
    body = REPLY.replace(b"<Cost", b'<Price xsi:nil="true"/><ApproveAndPostDate/><Cost')

    [row] = read(body).entities

    assert row.exact("Price") is None
    assert row.text("ApproveAndPostDate") == ""


def test_no_list_of_records_is_told_from_an_empty_one():
    without = REPLY.replace(b"<EntityResults>", b"<Other>").replace(b"</EntityResults>", b"</Other>")

    assert read(without).entities is None
    assert read(result("query").encode()).entities == ()


def test_a_reply_cut_off_anywhere_is_not_believed():
    for length in range(len(REPLY)):
        with pytest.raises(BadReply):
            read(REPLY[:length])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \r\n",
        b"<html><body>Sign in</body></html>",
        b"<!DOCTYPE html><html><body>Bad gateway</body></html>",
        b'{"errors":[]}',
        envelope("").encode(),
        envelope("<a/><b/>").encode(),
        result("create").encode(),
        result("query").encode().replace(b"http://autotask.net/ATWS/v1_6/", b"http://elsewhere.example/"),
        response("query", "").encode(),
        result("query").encode().replace(b"ReturnCode>1<", b"ReturnCode>one<"),
        REPLY.replace(b"queryResult", b"queryResults"),
        REPLY.replace(b"queryResponse", b"createResponse"),
        REPLY + REPLY,
        REPLY.replace(b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope"),
    ],
)
def test_what_is_no_whole_reply_to_the_query_is_not_believed(body: bytes):
    with pytest.raises(BadReply):
        read(body)


@pytest.mark.parametrize("sign", [b"\x0b", b"\x00", b"\x1f", b"&#x0B;", b"&#11;", b"&#xD800;", b"&#0;"])
def test_a_control_character_is_a_blank_when_reading_and_no_reply_when_writing(sign: bytes):
    body = result("query", entity("Account", 1, AccountName="Blue CONTROL Yonder")).encode().replace(b"CONTROL", sign)

    [account] = read(body, repair=True).entities

    assert account.text("AccountName").split() == ["Blue", "Yonder"]
    with pytest.raises(BadReply):
        read(body, repair=False)


def test_a_control_character_never_joins_two_numbers_into_one():
    [row] = read(REPLY.replace(b">12<", b">1\x0b2<")).entities

    with pytest.raises(BadReply, match="Units of ContractServiceUnit 500001"):
        row.whole("Units")


def test_allowed_references_survive_beside_a_control_character():
    body = result("query", entity("Account", 1, AccountName="&#233;&#x1F600;&#10;&#x0B;")).encode()

    [account] = read(body).entities

    assert account.text("AccountName") == "é😀"


@pytest.mark.parametrize(
    "attack",
    [
        BOMB + b"]>" + REPLY.partition(b"?>")[2].replace(b"<Units", b"<Boom>&l9;</Boom><Units"),
        BOMB + b"]>" + REPLY.partition(b"?>")[2].replace(b"<Units", b'<Boom a="&l9;"/><Units'),
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        + REPLY.partition(b"?>")[2].replace(b">12<", b">&f;<"),
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + REPLY.partition(b"?>")[2],
        b'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]>' + REPLY.partition(b"?>")[2],
        b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 50_000 + b'">]>' + envelope("&a;" * 5_000).encode().partition(b"?>")[2],
        b"<!DOCTYPE x>" + REPLY.partition(b"?>")[2],
        ("\ufeff" + "<!DOCTYPE x>" + REPLY.decode().partition("?>")[2]).encode("utf-16"),
        b"<a>" * 100_000 + b"</a>" * 100_000,
    ],
    ids=["laughs", "laughs in attribute", "file", "dtd", "parameter", "quadratic", "doctype", "utf-16", "deep"],
)
def test_document_types_entities_and_deep_trees_are_refused(attack: bytes):
    with pytest.raises(BadReply):
        read(attack)


@pytest.mark.parametrize("text", ["", "12.5", "1e2", "twelve", "0x0c", "1_2", "١٢", "12 13", "9" * 30])
def test_units_that_are_not_whole_are_refused(text: str):
    [row] = read(REPLY.replace(b">12<", f">{text}<".encode())).entities

    with pytest.raises(BadReply):
        row.whole("Units")


@pytest.mark.parametrize("text", ["1,5", "NaN", "Infinity", "1_0", "--1", "EUR 3"])
def test_costs_that_are_no_exact_numbers_are_refused(text: str):
    [row] = read(REPLY.replace(b"40.8000", text.encode())).entities

    with pytest.raises(BadReply):
        row.exact("Cost")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_costs_are_read_to_the_last_place(cost: Decimal):
    [row] = read(REPLY.replace(b"40.8000", str(cost).encode())).entities

    assert row.exact("Cost") == cost


@pytest.mark.parametrize(
    "text", ["2026-07-01", "2026-07-01T23:00:00", "2026-07-01T00:00:00-05:00", "2026-07-01T00:00:00Z"]
)
def test_the_date_part_is_taken_as_written_and_no_zone_shifts_it(text: str):
    [row] = read(REPLY.replace(b"2026-07-01T00:00:00", text.encode())).entities

    assert row.day("StartDate") == date(2026, 7, 1)


@pytest.mark.parametrize("text", ["", "07/01/2026", "2026-02-30T00:00:00"])
def test_what_is_no_date_is_refused(text: str):
    [row] = read(REPLY.replace(b"2026-07-01T00:00:00", text.encode())).entities

    with pytest.raises(BadReply):
        row.day("StartDate")


def test_a_fault_is_told_with_its_words_and_whom_it_blames():
    inside = "<soap:Fault><faultcode>soap:{}</faultcode><faultstring>\n It  broke. </faultstring></soap:Fault>"
    client, server = (envelope(inside.format(code)).encode() for code in ["Client", "Server"])

    with pytest.raises(Fault, match=r"^It broke\.$"):
        read(server)
    assert (read_fault(client).by_caller, read_fault(server).by_caller) == (True, False)
    assert read_fault(b"<html/>") is None
    assert read_fault(REPLY) is None


def test_flags_of_entities_are_read_by_name():
    inside = (
        "<EntityInfo><Name>ContractServiceAdjustment</Name><CanUpdate>false</CanUpdate><CanDelete>false</CanDelete>"
        "<CanCreate>true</CanCreate><CanQuery>false</CanQuery></EntityInfo>"
    )

    flags = read_entity_flags(response("GetEntityInfo", inside).encode())

    assert flags == {"ContractServiceAdjustment": EntityFlags(create=True, query=False)}


def test_a_fields_choices_are_read_by_value():
    inside = (
        "<Field><Name>Name</Name></Field><Field><Name>PeriodType</Name><PicklistValues><PickListValue><Value>m</Value>"
        "<Label>Monthly</Label></PickListValue></PicklistValues></Field>"
    )
    body = response("GetFieldInfo", inside).encode()

    assert read_choices(body, "PeriodType") == {"m": "Monthly"}
    with pytest.raises(BadReply):
        read_choices(body, "Missing")


@reference
def test_the_recorded_replies_of_a_live_server_parse():
    recorded = {path.name.partition(".")[0]: path.read_bytes() for path in RECORDED.glob("*.xml")}
    assert recorded.keys() == {
        "create_response",
        "delete_response",
        "threshold_and_usage_info_response",
        "zone_info_response",
    }

    created = read_reply(recorded["create_response"], "create", repair=False)
    deleted = read_reply(recorded["delete_response"], "delete", repair=False)
    usage = read_reply(recorded["threshold_and_usage_info_response"], "getThresholdAndUsageInfo", repair=True)
    zone = read_zone(recorded["zone_info_response"])

    [appointment] = created.entities
    assert (created.return_code, created.returned_ids, appointment.kind) == (1, ("8440",), "Appointment")
    assert appointment.fields["Description"] == "A new appointment"
    assert (deleted.return_code, deleted.entities, deleted.entity_kind) == (1, (), "servicecall")
    assert usage.notes[0].startswith("ThresholdOfExternalRequest: 10000;")
    assert (zone.url, zone.error_code) == ("https://webservices2.autotask.net/ATServices/1.5/atws.asmx", 0)
