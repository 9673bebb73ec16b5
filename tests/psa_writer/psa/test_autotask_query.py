"""Conditions -> QueryXML: values joined by OR inside one condition, conditions joined by AND."""

from datetime import date

import pytest
from lxml import etree

from services.psa_writer.psa.autotask_query import Condition, after, before, one_of, query_xml


def test_a_query_without_conditions_asks_for_everything_account_0_included():
    assert query_xml("Account", []) == (
        '<queryxml version="1.0"><entity>Account</entity><query><condition><field>id<expression op="greaterthan">-1'
        "</expression></field></condition></query></queryxml>"
    )


def test_many_ids_stand_in_one_condition_so_that_the_last_id_binds_to_all_of_them():
    asked = etree.fromstring(
        query_xml("ContractServiceUnit", [one_of("ContractServiceID", ["8001", "8002", "8003"])], 7)
    )

    ids, last_id = asked.find("query")
    assert [each.get("operator") for each in ids] == [None, "OR", "OR"]
    assert [each.findtext("field/expression") for each in ids] == ["8001", "8002", "8003"]
    assert last_id.get("operator") == "AND"
    assert etree.tostring(last_id.find("field")) == b'<field>id<expression op="greaterthan">7</expression></field>'


def test_days_are_sent_without_a_zone():
    asked = query_xml(
        "ContractServiceUnit", [after("EndDate", date(2026, 8, 1)), before("StartDate", date(2026, 9, 3))]
    )

    assert '<field>EndDate<expression op="greaterthan">2026-08-01T00:00:00</expression></field>' in asked
    assert '<condition operator="AND"><field>StartDate<expression op="lessthan">2026-09-03T00:00:00' in asked


def test_signs_that_mean_something_in_xml_are_escaped():
    asked = query_xml("Account", [Condition("AccountName", "beginswith", ("<Smith & Sons>",))])

    assert etree.fromstring(asked).findtext("query/condition/field/expression") == "<Smith & Sons>"


@pytest.mark.parametrize("values", [0, 501])
def test_no_condition_has_more_values_than_autotask_takes(values: int):
    with pytest.raises(ValueError, match="1 to 500"):
        query_xml("Account", [one_of("id", ["1"] * values)])
