"""Autotask's records over real HTTP -> the port's customers, agreements, products and units, in few calls."""

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import pytest

from domain.keys import PsaAgreementId, PsaCustomerId, PsaProductId
from domain.money import Money
from domain.periods import PeriodType
from services.psa_writer.psa.port import PsaAgreement, PsaCustomer, PsaFailure, PsaProduct, UnitsRow
from tests.psa_writer.psa.wire import Asked, Wire, autotask, entity, listed, response, result, xml

PERIODS = {"1": "Weekly", "2": "Monthly", "3": "Quarterly", "4": "Semi-Annual", "5": "Yearly"}
AGREEMENT = PsaAgreementId("29730001")


def account(entity_id: int, **fields: object) -> str:
    return entity("Account", entity_id, **{"AccountName": f"Customer {entity_id}", "Active": "true", **fields})


def contract(entity_id: int, **fields: object) -> str:
    plain = {"AccountID": 29683501, "ContractName": "Licences", "ContractType": 7, "Status": 1, "Description": ""}
    days = {"StartDate": "2026-01-01T00:00:00", "EndDate": "2026-12-31T00:00:00"}
    return entity("Contract", entity_id, **{**plain, **days, **fields})


def line(entity_id: int, **fields: object) -> str:
    plain = {"ContractID": AGREEMENT, "ServiceID": 1201, "UnitPrice": "4.0000", "UnitCost": "3.4000"}
    return entity("ContractService", entity_id, **{**plain, **fields})


def service(entity_id: int, **fields: object) -> str:
    plain = {"Name": "Exchange Online (Plan 1)", "PeriodType": 2, "IsActive": "true"}
    return entity("Service", entity_id, **{**plain, **fields})


def unit_row(entity_id: int, product_id: int, first: str, last: str, **fields: object) -> str:
    plain = {
        "ContractServiceID": product_id,
        "StartDate": f"{first}T00:00:00",
        "EndDate": f"{last}T00:00:00",
        "Units": 12,
    }
    return entity("ContractServiceUnit", entity_id, **{**plain, **fields})


def records(**lists: Iterable[str]) -> Wire:
    """An Autotask with these records by entity, which pages by id and knows the ids asked for, as the real one does."""
    kept = {kind: {int(re.search("<id>(.*?)</id>", each)[1]): each for each in many} for kind, many in lists.items()}

    def answer(asked: Asked):
        if asked.operation == "GetFieldInfo":
            choices = "".join(
                f"<PickListValue><Value>{code}</Value><Label>{label}</Label></PickListValue>"
                for code, label in PERIODS.items()
            )
            field = f"<Field><Name>PeriodType</Name><PicklistValues>{choices}</PicklistValues></Field>"
            return xml(response("GetFieldInfo", field))
        last_id = int(re.findall('<field>id<expression op="greaterthan">(-?\\d+)', asked.query)[-1])
        ids = {int(each) for each in re.findall('<field>id<expression op="equals">(\\d+)', asked.query)}
        found = [each for n, each in sorted(kept[asked.entity].items()) if n > last_id and (not ids or n in ids)]
        return listed(asked.entity, *found[:500])

    return Wire(answer)


def flat(pages: Iterable[list]) -> list:
    return [each for page in pages for each in page]


def test_customers_come_page_by_page_and_the_msp_itself_with_id_0_is_among_them():
    wire = records(Account=[account(n, Active="true" if n else "false") for n in range(1001)])

    with autotask(wire) as client:
        pages = list(client.customers())

    assert [len(page) for page in pages] == [500, 500, 1]
    assert pages[0][0] == PsaCustomer(PsaCustomerId("0"), "Customer 0", None, active=False)
    assert len({each.psa_customer_id for page in pages for each in page}) == 1001


def test_no_customers_is_an_empty_answer():
    with autotask(records(Account=[])) as client:
        assert list(client.customers()) == []


def test_a_full_last_page_is_asked_past_once():
    wire = records(Account=[account(n) for n in range(500)])

    with autotask(wire) as client:
        assert len(flat(client.customers())) == 500

    assert len(wire.signed_in()) == 2


def test_agreements_are_the_recurring_ones_unless_they_are_named():
    wire = records(Contract=[contract(29730001, Description="All of it"), contract(29730002, ContractType=1, Status=0)])

    with autotask(wire) as client:
        list(client.agreements())
        [first, second] = flat(client.agreements([PsaAgreementId("29730002"), AGREEMENT]))

    assert '<field>ContractType<expression op="equals">7<' in wire.signed_in()[0].query
    assert "ContractType" not in wire.signed_in()[1].query
    days = date(2026, 1, 1), date(2026, 12, 31)
    assert first == PsaAgreement(
        AGREEMENT, PsaCustomerId("29683501"), "Licences", "All of it", *days, active=True, recurring=True
    )
    assert (second.description, second.active, second.recurring) == (None, False, False)


def test_a_product_takes_its_name_period_and_vendor_from_the_catalogue():
    wire = records(
        ContractService=[line(8001), line(8002, ServiceID=1202, UnitCost="", AdjustedPrice="3.9000")],
        Service=[service(1201, VendorAccountID=29683777), service(1202, Name="Backup", PeriodType=5, IsActive="false")],
        Account=[account(29683777, AccountName="Blue Yonder")],
    )

    with autotask(wire) as client:
        products = flat(client.products())

    assert products == [
        PsaProduct(
            psa_product_id=PsaProductId("8001"),
            psa_agreement_id=AGREEMENT,
            name="Exchange Online (Plan 1)",
            vendor="Blue Yonder",
            period_type=PeriodType.MONTHLY,
            unit_cost=Money(Decimal("3.4000"), "EUR"),
            unit_price=Money(Decimal("4.0000"), "EUR"),
            active=True,
        ),
        PsaProduct(
            psa_product_id=PsaProductId("8002"),
            psa_agreement_id=AGREEMENT,
            name="Backup",
            vendor=None,
            period_type=PeriodType.YEARLY,
            unit_cost=None,
            unit_price=Money(Decimal("3.9000"), "EUR"),
            active=False,
        ),
    ]


def test_each_period_type_is_known_by_its_label_and_one_that_bills_no_period_is_left_out():
    lines = [line(8000 + n, ServiceID=1200 + n) for n in range(1, 6)]
    wire = records(ContractService=lines, Service=[service(1200 + n, PeriodType=n) for n in range(1, 6)])

    with autotask(wire) as client:
        products = flat(client.products())

    assert {each.psa_product_id: each.period_type for each in products} == {
        "8002": PeriodType.MONTHLY,
        "8003": PeriodType.QUARTERLY,
        "8004": PeriodType.HALF_YEARLY,
        "8005": PeriodType.YEARLY,
    }


def test_the_products_of_agreements_are_asked_for_by_agreement():
    wire = records(ContractService=[line(8001)], Service=[service(1201)])

    with autotask(wire) as client:
        assert len(flat(client.products([AGREEMENT]))) == 1

    assert '<field>ContractID<expression op="equals">29730001<' in wire.signed_in()[0].query


def test_a_product_that_is_gone_is_missing_from_the_answer():
    wire = records(ContractService=[line(8001)], Service=[service(1201)])

    with autotask(wire) as client:
        found = flat(client.products_by_id([PsaProductId("8001"), PsaProductId("8002")]))

    assert [each.psa_product_id for each in found] == ["8001"]


def test_nothing_asked_for_asks_nothing():
    wire = records()

    with autotask(wire) as client:
        assert (
            flat(client.products_by_id([]))
            == flat(client.units([], date(2026, 8, 1)))
            == flat(client.agreements([]))
            == []
        )

    assert wire.asked == []


def test_a_line_whose_service_is_hidden_from_our_user_fails_the_read():
    with autotask(records(ContractService=[line(8001)], Service=[])) as client, pytest.raises(PsaFailure) as failed:
        flat(client.products())

    assert failed.value.kind == "rejected"
    assert "security level" in failed.value.fix


@pytest.mark.parametrize("broken", [{"ContractID": ""}, {"ServiceID": "x"}, {"UnitCost": "3,40"}])
def test_a_line_that_cannot_be_read_fails_the_read(broken: dict[str, str]):
    wire = records(ContractService=[line(8001, **broken)], Service=[service(1201)])

    with autotask(wire) as client, pytest.raises(PsaFailure) as failed:
        flat(client.products())

    assert failed.value.kind == "malformed"


def test_names_are_read_anew_with_the_whole_catalogue_and_kept_between():
    wire = records(ContractService=[line(8001)], Service=[service(1201)])

    with autotask(wire) as client:
        flat(client.products())
        flat(client.products_by_id([PsaProductId("8001")]))
        assert [each.entity or each.operation for each in wire.signed_in()] == [
            "ContractService",
            "Service",
            "GetFieldInfo",
            "ContractService",
        ]
        flat(client.products())

    assert [each.entity for each in wire.signed_in()].count("Service") == 2


def test_units_come_as_stored():
    wire = records(
        ContractServiceUnit=[
            unit_row(
                500001,
                8001,
                "2026-08-01",
                "2026-08-31",
                Cost="40.8000",
                Price="48.0000",
                ApproveAndPostDate="2026-09-02",
            ),
            unit_row(500002, 8001, "2026-09-01", "2026-09-30", Units="-3", Price="", ApproveAndPostDate=""),
        ]
    )

    with autotask(wire) as client:
        rows = flat(client.units([PsaProductId("8001")], date(2026, 8, 14)))

    assert rows == [
        UnitsRow(
            PsaProductId("8001"),
            date(2026, 8, 1),
            date(2026, 8, 31),
            "500001",
            12,
            Decimal("40.8000"),
            Decimal("48.0000"),
            posted=True,
        ),
        UnitsRow(PsaProductId("8001"), date(2026, 9, 1), date(2026, 9, 30), "500002", -3, None, None, posted=False),
    ]


def test_the_server_is_asked_for_some_days_more_and_the_days_are_compared_here():
    days = [("06", "30"), ("07", "31"), ("08", "31"), ("09", "30")]
    wire = records(
        ContractServiceUnit=[
            unit_row(n, 8001, f"2026-{month}-01", f"2026-{month}-{last}") for n, (month, last) in enumerate(days)
        ]
        + [unit_row(9, 7777, "2026-08-01", "2026-08-31")]
    )

    with autotask(wire) as client:
        rows = flat(client.units([PsaProductId("8001")], date(2026, 7, 31), until=date(2026, 8, 31)))

    assert [each.first_day.month for each in rows] == [7, 8]
    [query] = [each.query for each in wire.signed_in()]
    assert '<field>EndDate<expression op="greaterthan">2026-07-28T00:00:00<' in query
    assert '<field>StartDate<expression op="lessthan">2026-09-03T00:00:00<' in query


@pytest.mark.parametrize("broken", [{"Units": "1.5"}, {"Units": ""}, {"EndDate": ""}, {"ContractServiceID": ""}])
def test_a_units_row_that_cannot_be_read_fails_the_read(broken: dict[str, str]):
    wire = records(ContractServiceUnit=[unit_row(1, 8001, "2026-08-01", "2026-08-31", **broken)])

    with autotask(wire) as client, pytest.raises(PsaFailure) as failed:
        flat(client.units([PsaProductId("8001")], date(2026, 8, 14)))

    assert failed.value.kind == "malformed"


def test_a_thousand_products_are_read_in_few_calls():
    ids = [PsaProductId(str(8001 + n)) for n in range(1000)]
    wire = records(
        ContractService=[line(8001 + n, ServiceID=1201 + n % 60) for n in range(1000)],
        Service=[service(1201 + n) for n in range(60)],
    )

    with autotask(wire) as client:
        flat(client.products_by_id(ids))
        once = len(wire.signed_in())
        flat(client.products_by_id(ids))

    assert (once, len(wire.signed_in()) - once) == (4, 2)


def test_no_query_carries_more_than_500_ids():
    wire = records(ContractServiceUnit=[])

    with autotask(wire) as client:
        flat(client.units([PsaProductId(str(n)) for n in range(1, 1202)], date(2026, 8, 14)))

    assert [each.query.count('<field>ContractServiceID<expression op="equals"') for each in wire.signed_in()] == [
        500,
        500,
        201,
    ]


def test_the_usage_of_all_integrations_is_told():
    told = "<EntityReturnInfo><EntityId>0</EntityId><Message>{}</Message></EntityReturnInfo>"
    text = "ThresholdOfExternalRequest: 10000; TimeframeOfLimitation: 60; numberOfExternalRequest: 812;"
    good, bad = (
        Wire(lambda _asked, words=words: xml(result("getThresholdAndUsageInfo", infos=told.format(words))))
        for words in [text, "Something else"]
    )

    with autotask(good) as client:
        usage = client.threshold()

    assert (usage.used, usage.limit) == (812, 10000)
    with autotask(bad) as client, pytest.raises(PsaFailure, match="usage"):
        client.threshold()


def test_ids_that_are_no_numbers_are_not_sent_into_a_query():
    wire = records(ContractService=[])

    with autotask(wire) as client, pytest.raises(ValueError, match="invalid literal"):
        flat(client.products_by_id([PsaProductId('1</expression><expression op="notequal">1')]))

    assert wire.asked == []
