"""The sandbox's web services over real HTTP: zones, sign-in, queries, creates, updates, and the real description."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import requests
import zeep
from lxml import etree
from requests.auth import HTTPBasicAuth
from zeep.transports import Transport

from deploy.sandbox.autotask import Desk, autotask_sandbox
from tests.sandbox.autotask_client import Client, where

JULY_11 = datetime(2026, 7, 11)  # noqa: DTZ001 - zeep reads days so
HEADERS = {"Content-Type": "text/xml", "SOAPAction": '"http://autotask.net/ATWS/v1_6/GetEntityInfo"'}
CALL = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<GetEntityInfo xmlns="http://autotask.net/ATWS/v1_6/"/></s:Body></s:Envelope>'
)
BINDING = "{http://autotask.net/ATWS/v1_6/}ATWSSoap"
REAL_WSDL = Path(__file__).parents[3] / "shared/reference/autotask/atws-v1_6.wsdl"


@pytest.fixture(scope="module")
def served() -> Iterator[Desk]:
    with autotask_sandbox() as desk:
        desk.clock.set(datetime(2026, 7, 11, 9, tzinfo=UTC))
        yield desk


@pytest.fixture
def psa(served: Desk, request: pytest.FixtureRequest) -> Desk:
    """An empty database of its own, on the one server of this module."""
    return served.add_tenant(request.node.name)


@pytest.fixture
def client(psa: Desk) -> Client:
    return Client(psa)


@pytest.fixture
def line(psa: Desk) -> int:
    account = psa.add_account("Repair & Wear <GmbH>")
    contract = psa.add_contract(account, date(2026, 1, 1), date(2026, 12, 31))
    return psa.add_line(contract, "Exchange Online (Plan 1)", 5, "3.40", "10.00")


# Zones and sign-in


def test_the_root_tells_a_user_its_zone_without_a_sign_in(psa: Desk, client: Client) -> None:
    client.url, client.password, client.code = psa.url, "unknown", None

    answer = client.call("getZoneInfo", f"<UserName>{psa.user}</UserName>")

    assert answer.text("URL") == psa.zone_url
    assert answer.text("ErrorCode") == "0"
    assert int(client.call("getZoneInfo", "<UserName>nobody</UserName>").text("ErrorCode")) < 0


def test_a_wrong_password_or_zone_is_401_with_a_page_that_is_no_xml(psa: Desk, line: int) -> None:
    wrong_password, wrong_zone = Client(psa, password="wrong"), Client(psa, url=psa.zone_url.replace("zone1", "zone2"))

    for client in (wrong_password, wrong_zone):
        answer = client.query("Account")
        assert answer.status == 401
        with pytest.raises(etree.XMLSyntaxError):
            _ = answer.root
    challenge = requests.post(psa.zone_url, CALL, headers=HEADERS, timeout=5).headers["WWW-Authenticate"]
    assert challenge == 'Basic realm="webservices2.autotask.net"'


def test_a_call_without_integration_code_is_refused_with_the_known_text(client: Client) -> None:
    client.code = None

    answer = client.query("Account")

    assert (answer.status, answer.code) == (200, "-1")
    assert answer.errors == ["Integration code required with this version of the API."]


def test_soap_1_2_and_addressing_are_not_understood(client: Client) -> None:
    client.content_type = "application/soap+xml"

    answer = client.query("Account")

    assert answer.status == 500
    assert answer.text("faultstring") == "SOAP header Action was not understood."


@pytest.mark.parametrize(
    ("before", "call", "said"),
    [
        (b"", b"", b"unable to read"),
        (b"", b"<a>", b"unable to read"),
        (b"", b"<a/>", b"not understood"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]>", CALL, b"A DTD is not allowed"),
        (b"", CALL.replace(b"GetEntityInfo", b"GetRich"), b"did not recognize the request element: GetRich"),
        (
            b"",
            CALL.replace(b"GetEntityInfo", b"GetWsdlVersion"),
            b"did not recognize the value of HTTP Header SOAPAction",
        ),
    ],
)
def test_what_is_no_soap_call_is_a_fault(psa: Desk, before: bytes, call: bytes, said: bytes) -> None:
    answer = requests.post(psa.zone_url, before + call, headers=HEADERS, timeout=5)

    assert answer.status_code == 500
    assert said in answer.content


# Queries


def test_a_query_gives_typed_values_omits_nulls_and_keeps_empty_texts(client: Client, line: int) -> None:
    answer = client.query("Account", where("AccountName", "equals", "repair & wear <gmbh>"))

    (account,) = answer.entities
    assert account["AccountName"] == "Repair & Wear <GmbH>"
    assert account["AccountNumber"] == ""
    assert "ParentAccountID" not in account
    assert answer.text("EntityResultType") == "account"
    assert b'<Active xsi:type="xsd:boolean">true</Active>' in answer.body


def test_the_units_of_a_line_are_read_from_its_rows(client: Client, line: int) -> None:
    rows = client.query("ContractServiceUnit", where("ContractServiceID", "equals", line)).entities

    assert len(rows) == 12
    assert rows[6]["StartDate"] == "2026-07-01T00:00:00"
    assert rows[6]["EndDate"] == "2026-07-31T00:00:00"
    assert (rows[6]["Units"], rows[6]["Cost"], rows[6]["Price"]) == ("5", "17.0000", "50.0000")
    assert "ApproveAndPostDate" not in rows[6]


def test_a_query_gives_500_rows_by_id_and_the_rest_above_the_last_id(psa: Desk, client: Client) -> None:
    for number in range(503):
        psa.add_account(f"Customer {number}")

    first = client.query("Account").entities
    second = client.query("Account", where("id", "greaterthan", first[-1]["id"])).entities

    ids = [int(each["id"]) for each in first + second]
    assert (len(first), len(second)) == (500, 4)
    assert ids == sorted(set(ids))


def test_500_ors_pass_and_501_are_refused(client: Client, line: int) -> None:
    alternatives = [where("id", "Equals", line, "OR")] * 501

    assert client.query("ContractService", "".join(alternatives[:500])).entities[0]["id"] == str(line)
    refused = client.query("ContractService", "".join(alternatives))
    assert refused.errors == ["Invalid query syntax. Queries are limited to 500 or fewer 'OR' conditions."]


def test_and_binds_closer_than_or_unless_a_condition_holds_the_ors_together(psa: Desk, client: Client) -> None:
    ids = [psa.add_account(f"Customer {number}") for number in range(3)]
    ors = where("id", "equals", ids[0]) + where("id", "equals", ids[2], "OR")
    above = where("id", "greaterthan", ids[1])

    loose = client.query("Account", ors + above).entities
    held = client.query("Account", f"<condition>{ors}</condition>{above}").entities

    assert [int(each["id"]) for each in loose] == [ids[0], ids[2]]
    assert [int(each["id"]) for each in held] == [ids[2]]


@pytest.mark.parametrize(
    ("op", "value", "names"),
    [
        ("BeginsWith", "a", ["Adler"]),
        ("EndsWith", "R", ["Adler", "Schäfer"]),
        ("Contains", "äf", ["Schäfer"]),
        ("Like", "a%r", ["Adler"]),
        ("NotEqual", "adler", ["Schäfer"]),
        ("NotLike", "a%", ["Schäfer"]),
        ("GreaterThan", "b", ["Schäfer"]),
        ("IsNull", "", []),
        ("IsNotNull", "", ["Adler", "Schäfer"]),
    ],
)
def test_the_operators_of_text_work(psa: Desk, client: Client, op: str, value: str, names: list[str]) -> None:
    ids = [psa.add_account(name) for name in ("Adler", "Schäfer")]

    answer = client.query("Account", where("AccountName", op, value) + where("id", "GreaterThanOrEquals", ids[0]))

    assert [each["AccountName"] for each in answer.entities] == names


def test_dates_and_nulls_are_compared_as_a_database_does(psa: Desk, client: Client, line: int) -> None:
    covers = where("StartDate", "LessThanOrEquals", "2026-07-11T00:00:00") + where(
        "EndDate", "greaterthanorequals", "2026-07-11"
    )

    assert len(client.query("ContractServiceUnit", covers).entities) == 1
    assert client.query("ContractServiceUnit", where("ApproveAndPostDate", "NotEqual", "2026-07-11")).entities == []
    assert len(client.query("ContractServiceUnit", where("ApproveAndPostDate", "IsNull")).entities) == 12
    psa.approve_and_post(date(2026, 7, 31))
    assert len(client.query("ContractServiceUnit", where("ApproveAndPostDate", "IsThisDay")).entities) == 7


@pytest.mark.parametrize(
    ("entity", "condition", "text"),
    [
        ("ContractServiceAdjustment", "", "This entity type does not support the query action."),
        ("Spaceship", "", "The entity type Spaceship is not valid."),
        ("Account", where("Colour", "equals", 1), "has no field Colour"),
        ("Account", where("Active", "greaterthan", "true"), "does not fit Active"),
        ("Account", where("id", "in", "1"), "does not fit id"),
        ("Account", where("id", "equals", "one"), "is not a number"),
        ("Account", "<sort>id</sort>", "sort is not allowed here"),
        ("Account", "<condition>", "Invalid query syntax."),
    ],
)
def test_a_query_that_is_wrong_is_refused_with_a_reason(client: Client, entity: str, condition: str, text: str) -> None:
    answer = client.query(entity, condition)

    assert answer.code == "-1"
    assert text in answer.errors[0]


# Creates


def test_an_adjustment_is_applied_once_and_its_reply_gives_an_id(psa: Desk, client: Client, line: int) -> None:
    answer = client.adjust(line, 7)

    (entry,) = psa.ledger(line)
    assert answer.code == "1"
    assert answer.text("EntityId") == str(entry.id)
    assert (entry.unit_change, entry.effective_date, entry.proration_price) == (
        7,
        date(2026, 7, 11),
        Decimal("47.4194"),
    )
    assert entry.caller == psa.user
    assert psa.units(line, date(2026, 7, 11)) == 12
    assert psa.oracle() == []


def test_an_adjustments_reply_may_give_no_id(psa: Desk, client: Client, line: int) -> None:
    psa.switches.set(reply_id="null")

    answer = client.adjust(line, 7)

    assert (answer.code, answer.text("EntityId")) == ("1", "0")


def test_a_cost_goes_with_an_adjustment_and_is_read_from_the_line(psa: Desk, client: Client, line: int) -> None:
    client.adjust(line, 0, AdjustedUnitCost="4.1250")

    (read,) = client.query("ContractService", where("id", "equals", line)).entities
    assert read["UnitCost"] == "4.1250"
    assert psa.unit_cost(line) == Decimal("4.1250")


def test_one_bad_entity_of_three_keeps_all_out_and_is_named_by_its_number(psa: Desk, client: Client, line: int) -> None:
    rows = [
        {"ContractServiceID": each, "EffectiveDate": f"2026-07-{day}T00:00:00", "UnitChange": 1}
        for each, day in ((line, 12), (line, 13), (99, 14))
    ]

    answer = client.write("create", "ContractServiceAdjustment", *rows)

    assert answer.code == "-1"
    assert answer.errors[0] == "Value does not exist for the required field ContractServiceID."
    assert answer.errors[1].endswith("record number[3]")
    assert psa.ledger() == []
    assert psa.units(line, date(2026, 12, 31)) == 5


def test_200_adjustments_pass_in_one_call_and_201_are_refused(psa: Desk, client: Client, line: int) -> None:
    row = {"ContractServiceID": line, "EffectiveDate": "2026-08-01T00:00:00", "UnitChange": 1}

    refused = client.write("create", "ContractServiceAdjustment", *[row] * 201)
    taken = client.write("create", "ContractServiceAdjustment", *[row] * 200)

    assert refused.code == "-1"
    assert taken.code == "1"
    assert psa.units(line, date(2026, 8, 1)) == 205
    assert psa.calls.count("create", "ContractServiceAdjustment") == 2


def test_entities_of_two_types_are_refused(client: Client, line: int) -> None:
    both = "".join(f'<Entity i:type="t:{each}"><id>0</id></Entity>' for each in ("Account", "Service"))

    answer = client.call("create", f"<Entities>{both}</Entities>")

    assert "same type" in answer.errors[0]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"EffectiveDate": ""}, "required field EffectiveDate"),
        ({"EffectiveDate": "2027-01-01T00:00:00"}, "effectiveDate must be between the start date and end date"),
        ({"EffectiveDate": "the 3rd"}, "The value of EffectiveDate is not valid"),
        ({"UnitChange": "1.5"}, "must be an integer"),
        ({"UnitChange": "many"}, "is not a number"),
        ({"UnitChange": "-6"}, "negative"),
    ],
)
def test_a_bad_adjustment_is_refused_with_an_error_pair(
    psa: Desk, client: Client, line: int, values: dict, text: str
) -> None:
    row = {"ContractServiceID": line, "EffectiveDate": "2026-07-11T00:00:00", "UnitChange": 1, **values}

    answer = client.write("create", "ContractServiceAdjustment", row)

    assert text in answer.errors[0]
    assert "[1]" in answer.errors[1]
    assert psa.ledger() == []


@pytest.mark.parametrize(
    ("switch", "sent", "stored"),
    [
        ("date", "2026-07-11T00:00:00", date(2026, 7, 11)),
        ("date", "2026-07-11T00:00:00Z", date(2026, 7, 11)),
        ("eastern", "2026-07-11T00:00:00", date(2026, 7, 11)),
        ("eastern", "2026-07-11T00:00:00Z", date(2026, 7, 10)),
        ("day_early", "2026-07-11T00:00:00", date(2026, 7, 10)),
    ],
)
def test_a_date_is_stored_as_the_switch_says(
    psa: Desk, client: Client, line: int, switch: str, sent: str, stored: date
) -> None:
    psa.switches.set(soap_dates=switch)

    client.write(
        "create", "ContractServiceAdjustment", {"ContractServiceID": line, "EffectiveDate": sent, "UnitChange": 1}
    )

    assert [each.effective_date for each in psa.ledger()] == [stored]


def test_accounts_contracts_services_lines_and_notes_can_be_created(psa: Desk, client: Client) -> None:
    account = client.write("create", "Account", {"AccountName": "New", "AccountType": 1}).text("EntityId")
    service = client.write("create", "Service", {"Name": "Backup", "PeriodType": "m", "UnitCost": "2"}).text("EntityId")
    days = {"StartDate": "2026-01-01T00:00:00", "EndDate": "2026-12-31T00:00:00"}
    contract = client.write(
        "create", "Contract", {"AccountID": account, "ContractName": "C", "ContractType": 7, "Status": 1, **days}
    ).text("EntityId")
    line = client.write("create", "ContractService", {"ContractID": contract, "ServiceID": service}).text("EntityId")
    note = client.write("create", "ContractNote", {"ContractID": contract, "Title": "T", "Description": "D"})

    assert note.code == "1"
    assert client.adjust(int(line), 3).code == "1"
    assert psa.units(int(line), date(2026, 7, 11)) == 3
    again = client.write("create", "Service", {"Name": "Backup", "PeriodType": "m"})
    assert "IX_service" in again.errors[0]


# Updates and deletes


def test_an_update_clears_what_is_left_out_and_ignores_what_is_read_only(psa: Desk, client: Client, line: int) -> None:
    answer = client.write(
        "update", "ContractService", {"id": line, "InvoiceDescription": "Mail", "UnitCost": "99", "ServiceID": 7}
    )

    (read,) = client.query("ContractService", where("id", "equals", line)).entities
    assert answer.code == "1"
    assert read["InvoiceDescription"] == "Mail"
    assert "AdjustedPrice" not in read
    assert psa.unit_cost(line) == Decimal("3.40")


def test_an_update_may_change_the_unit_cost_when_the_switch_says_so(psa: Desk, client: Client, line: int) -> None:
    psa.switches.set(unit_cost_update="applied")

    client.write("update", "ContractService", {"id": line, "AdjustedPrice": "10", "UnitCost": "4.00"})

    assert psa.unit_cost(line) == Decimal("4.00")


def test_a_contracts_end_can_be_cut_by_an_update(psa: Desk, client: Client, line: int) -> None:
    (contract,) = client.query("Contract").entities

    answer = client.write("update", "Contract", {**contract, "EndDate": "2026-09-30T00:00:00"})

    assert answer.code == "1"
    assert psa.units(line, date(2026, 9, 30)) == 5
    assert psa.units(line, date(2026, 10, 1)) == 0


def test_what_is_missing_or_not_there_is_refused_in_an_update(client: Client, line: int) -> None:
    assert "No matching records found." in client.write("update", "ContractService", {"id": 1}).errors[0]
    assert "required field ContractName" in client.write("update", "Contract", {"id": 29730000, "Status": 1}).errors[0]
    assert "does not support the update action" in client.write("update", "ContractServiceUnit", {"id": 1}).errors[0]
    assert "does not support the delete action" in client.write("delete", "Account", {"id": 1}).errors[0]


# What it tells about itself


def test_the_usage_text_counts_the_calls(client: Client) -> None:
    client.query("Account")

    usage = client.call("getThresholdAndUsageInfo")

    assert usage.errors == ["ThresholdOfExternalRequest: 10000; TimeframeOfLimitation: 60; numberOfExternalRequest: 2;"]


def test_entity_and_field_info_say_what_may_be_done(client: Client) -> None:
    can = {
        each.findtext("{*}Name"): [each.findtext(f"{{*}}Can{verb}") for verb in ("Create", "Update", "Query", "Delete")]
        for each in client.call("GetEntityInfo").root.iter("{*}EntityInfo")
    }
    fields = {
        each.findtext("{*}Name"): each
        for each in client.call("GetFieldInfo", "<psObjectType>Service</psObjectType>").root.iter("{*}Field")
    }

    assert can["ContractServiceAdjustment"] == ["true", "false", "false", "false"]
    assert can["ContractServiceUnit"] == ["false", "false", "true", "false"]
    assert [each.text for each in fields["PeriodType"].iter("{*}Value")] == ["m", "q", "s", "y"]
    assert fields["LastModifiedDate"].findtext("{*}IsReadOnly") == "true"


def test_billing_items_name_their_adjustment_when_the_server_is_new(psa: Desk, client: Client, line: int) -> None:
    client.adjust(line, 7)
    psa.approve_and_post(date(2026, 7, 31))

    plain = client.query("BillingItem").entities
    psa.switches.set(newer_fields=True)
    newer = client.query("BillingItem", where("ContractServiceAdjustmentID", "IsNotNull")).entities

    assert "ContractServiceID" not in plain[-1]
    assert [(each["TotalAmount"], each["ContractServiceAdjustmentID"]) for each in newer] == [
        ("47.42", str(psa.ledger()[0].id))
    ]


# The real description


def zeep_service(psa: Desk, wsdl: str) -> tuple[zeep.Client, object]:
    transport = Transport(operation_timeout=10)
    transport.session.auth = HTTPBasicAuth(psa.user, psa.password)
    client = zeep.Client(wsdl, transport=transport)
    zone = client.create_service(BINDING, psa.url).getZoneInfo(psa.user)
    client.set_default_soapheaders({"AutotaskIntegrations": {"IntegrationCode": psa.tracking_identifier}})
    return client, client.create_service(BINDING, zone.URL)


def _wsdls(psa: Desk) -> list[str]:
    return [psa.wsdl_url, *([str(REAL_WSDL)] if REAL_WSDL.exists() else [])]


@pytest.mark.parametrize("place", [0, 1], ids=["our description", "the real description"])
def test_zeep_reads_every_reply_strictly_and_its_requests_are_understood(psa: Desk, line: int, place: int) -> None:
    wsdls = _wsdls(psa)
    if place >= len(wsdls):
        pytest.skip("the real description is not in ../shared/reference/autotask")
    client, service = zeep_service(psa, wsdls[place])
    factory = client.type_factory("http://autotask.net/ATWS/v1_6/")
    adjustment = factory.ContractServiceAdjustment(
        id=0,
        ContractServiceID=line,
        EffectiveDate=JULY_11,
        UnitChange=7,
        AdjustedUnitCost=Decimal("3.50"),
    )

    created = service.create(Entities=factory.ArrayOfEntity(Entity=[adjustment]))
    refused = service.create(
        Entities=factory.ArrayOfEntity(Entity=[adjustment, factory.ContractServiceAdjustment(id=0)])
    )
    psa.approve_and_post(date(2026, 7, 31))

    assert created.ReturnCode == 1
    assert created.EntityReturnInfoResults.EntityReturnInfo[0].DatabaseAction == "None"
    assert refused.ReturnCode == -1
    assert "[2]" in refused.Errors.ATWSError[1].Message
    assert psa.units(line, date(2026, 7, 11)) == 12
    for entity in (
        "Account",
        "Contract",
        "Service",
        "ContractService",
        "ContractServiceUnit",
        "ContractNote",
        "BillingItem",
    ):
        found = service.query(f"<queryxml><entity>{entity}</entity><query/></queryxml>")
        assert found.ReturnCode == 1
        assert len(found.EntityResults.Entity) > 0
    (row,) = service.query(
        "<queryxml><entity>ContractServiceUnit</entity><query><field>StartDate"
        '<expression op="equals">2026-07-11</expression></field></query></queryxml>'
    ).EntityResults.Entity
    assert (row.Units, row.Cost, row.StartDate) == (12, Decimal("28.4516"), JULY_11)
    assert service.getThresholdAndUsageInfo().ReturnCode == 1
    assert {each.Name for each in service.GetFieldInfo("ContractServiceUnit")} >= {"id", "Units", "ApproveAndPostDate"}
    assert service.getEntityInfo()[0].CanQuery
    assert service.getUDFInfo("Account") in (None, [])
    assert service.GetWsdlVersion().startswith("1.6")
    assert service.delete(Entities=factory.ArrayOfEntity(Entity=[factory.Account(id=1)])).ReturnCode == -1
