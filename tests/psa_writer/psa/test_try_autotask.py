"""An Autotask connection -> steps with words that say what to do; a wrong password is tried exactly once."""

import pytest
from starlette.types import ASGIApp

from tests.psa_writer.psa.wire import (
    PASSWORD,
    TRACKING,
    Asked,
    Wire,
    autotask,
    entity,
    fault,
    html,
    listed,
    refused,
    response,
    result,
    xml,
    zone_reply,
)

EVERY_STEP = [
    "zone",
    "sign-in",
    "tracking identifier",
    "customers",
    "recurring agreement",
    "unit cost",
    "adjustments",
    "usage",
]


def usage(used: int) -> ASGIApp:
    words = f"ThresholdOfExternalRequest: 10000; TimeframeOfLimitation: 60; numberOfExternalRequest: {used};"
    return xml(
        result("getThresholdAndUsageInfo", infos=f"<EntityReturnInfo><Message>{words}</Message></EntityReturnInfo>")
    )


def flags(*, create: bool, query: bool = True) -> ASGIApp:
    rights = {"ContractServiceAdjustment": (create, False), "ContractServiceUnit": (False, query)}
    return xml(
        response(
            "GetEntityInfo",
            "".join(
                f"<EntityInfo><Name>{name}</Name><CanCreate>{may_create}</CanCreate><CanQuery>{may_query}</CanQuery></EntityInfo>"
                for name, (may_create, may_query) in rights.items()
            ),
        )
    )


CONTRACT = entity(
    "Contract",
    29730001,
    AccountID=1,
    ContractName="Licences",
    ContractType=7,
    Status=1,
    StartDate="2026-01-01",
    EndDate="2026-12-31",
)
PERIODS = (
    "<Field><Name>PeriodType</Name><PicklistValues><PickListValue><Value>2</Value><Label>Monthly</Label></PickListValue>"
    "</PicklistValues></Field>"
)
GOOD: dict[str, ASGIApp] = {
    "getThresholdAndUsageInfo": usage(812),
    "Account": listed("Account", entity("Account", 1, AccountName="Blue Yonder", Active="true")),
    "Contract": listed("Contract", CONTRACT),
    "ContractService": listed(
        "ContractService", entity("ContractService", 8001, ContractID=29730001, ServiceID=1201, UnitCost="3.40")
    ),
    "Service": listed("Service", entity("Service", 1201, Name="Exchange", PeriodType=2, IsActive="true")),
    "GetFieldInfo": xml(response("GetFieldInfo", PERIODS)),
    "GetEntityInfo": flags(create=True),
}


def wire_with(**changed: ASGIApp) -> Wire:
    answers = {**GOOD, **changed}
    return Wire(lambda asked: answers[said(asked)])


def said(asked: Asked) -> str:
    return asked.entity or asked.operation


def test_a_good_connection_passes_every_step_and_shows_what_it_saw():
    with autotask(wire_with()) as client:
        steps = list(client.test())

    assert [each.step for each in steps if each.ok] == EVERY_STEP
    told = " ".join(each.message for each in steps)
    assert all(words in told for words in ["/zone1", "Blue Yonder", "3.40 EUR", "9188 of 10000"])
    assert all(each.milliseconds >= 0 and each.fix is None for each in steps)


def test_a9_a_wrong_password_is_tried_exactly_once_and_nothing_follows():
    wire = wire_with(getThresholdAndUsageInfo=html(401))

    with autotask(wire) as client:
        steps = list(client.test())

    assert [(each.step, each.ok) for each in steps] == [("zone", True), ("sign-in", False)]
    assert "Check the API user" in steps[-1].fix
    assert len(wire.signed_in()) == 1
    assert not any(secret in repr(steps) for secret in (PASSWORD, TRACKING))


def test_an_unknown_user_fails_at_the_zone():
    wire = Wire(lambda _asked: html(), zone=lambda _wire: zone_reply("", -2))

    with autotask(wire) as client:
        [step] = client.test()

    assert (step.step, step.ok) == ("zone", False)
    assert "user name" in step.fix


def test_a_wrong_tracking_identifier_is_told_apart_from_a_wrong_password():
    words = "Integration code required with this version of the API"

    for answer in (fault(words), refused(words, operation="getThresholdAndUsageInfo")):
        with autotask(wire_with(getThresholdAndUsageInfo=answer)) as client:
            steps = list(client.test())
        assert [(each.step, each.ok) for each in steps] == [
            ("zone", True),
            ("sign-in", True),
            ("tracking identifier", False),
        ]
        assert "Security tab" in steps[-1].fix


@pytest.mark.parametrize(
    ("changed", "step", "words"),
    [
        ({"Account": listed("Account")}, "customers", "security level"),
        ({"Contract": listed("Contract")}, "recurring agreement", "recurring service contract"),
        (
            {
                "ContractService": listed(
                    "ContractService", entity("ContractService", 8001, ContractID=29730001, ServiceID=1201)
                )
            },
            "unit cost",
            "Can't Read Costs",
        ),
        ({"GetEntityInfo": flags(create=False)}, "adjustments", "security level"),
        ({"GetEntityInfo": flags(create=True, query=False)}, "adjustments", "security level"),
        ({"getThresholdAndUsageInfo": usage(10000)}, "usage", "10,000 calls"),
        ({"Account": html(502)}, "customers", "tries again"),
    ],
)
def test_a_shortfall_fails_its_own_step_with_its_fix_and_the_rest_is_tried(changed, step: str, words: str):
    with autotask(wire_with(**changed)) as client:
        steps = {each.step: each for each in client.test()}

    assert list(steps) == EVERY_STEP
    assert [name for name, each in steps.items() if not each.ok] == [step]
    assert words in steps[step].fix


def test_contracts_without_services_do_not_fail_a_new_msp():
    with autotask(wire_with(ContractService=listed("ContractService"))) as client:
        steps = {each.step: each for each in client.test()}

    assert steps["unit cost"].ok
    assert "could not be checked" in steps["unit cost"].message
