"""Policies over GraphQL: decided as one set with exceptions, upon the version one saw, gone back to, and explained."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from graphql import execute_sync, parse
from sqlalchemy import Engine, text

from domain.keys import CompanyId, MspId, ResourceId
from domain.policies import POLICIES, Decided, Scope
from gateway import schema
from gateway.deciding import Deciding, draft_of
from gateway.draft_policies import PolicyChange, fingerprint
from gateway.errors import Refusal
from gateway.live import Live
from gateway.people.callers import OPERATOR, Caller
from gateway.people.permissions import PERMISSIONS, Role
from gateway.schema.context import Context
from plumbing import setup
from plumbing.clock import Clock, FrozenClock
from plumbing.database import make_engine
from plumbing.row_security import of_msp
from tests.gateway.conftest import tell
from tests.gateway.serving import Answering
from tests.msps import add_msp
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres]
ROWS = "operationId results { id ok refusal { code message fix } } version"
ASK = """{ policies(mspId: "acme") { version savedAt savedBy
  policies { name value decided default values least most help exceptions }
  exceptions { companyId companyName resourceId resourceName name value } } }"""
HISTORY = """{ policyVersions(mspId: "acme") { version savedAt savedBy
  changes { name companyId companyName resourceId before after } } }"""
EFFECTIVE = """query($company: String!, $resource: String!) {
  effectivePolicy(mspId: "acme", companyId: $company, resourceId: $resource) {
    name value rule overruled { rule value } } }"""
SAVE = f"""mutation($changes: [PolicyChangeInput!]!, $version: Int!, $token: String, $operation: String!) {{
  savePolicies(mspId: "acme", changes: $changes, version: $version, token: $token, operationId: $operation) {{
    {ROWS} }} }}"""
RESTORE = f"""mutation($toVersion: Int!, $version: Int!, $operation: String!) {{
  restorePolicies(mspId: "acme", toVersion: $toVersion, version: $version, operationId: $operation) {{ {ROWS} }} }}"""
# Of the MSP that the fixtures tell of.
COMPANY, RESOURCE = "1200000501", "a"
CONTOSO = f"Company {COMPANY}"


@pytest.fixture
def told(database: str, engine: Engine) -> MspId:
    """An MSP with something in every report and the marketplace that it came from."""
    msp_id = tell(database)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO setup.connections VALUES (:m, 'odin', 'odin', '{}', '{}', 1, now())"), {"m": msp_id}
        )
    return msp_id


def change(name: str, value: str | None, company: str | None = None, resource: str | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, "companyId": company, "resourceId": resource}


def saved(own: Answering, version: int, *changes: dict[str, Any], operation: str = "") -> dict[str, Any]:
    given = {"changes": list(changes), "version": version, "operation": operation or uuid4().hex}
    return own.data(SAVE, **given)["savePolicies"]


def refusal(answer: dict[str, Any]) -> dict[str, Any]:
    (result,) = answer["results"]
    assert not result["ok"]
    assert answer["version"] is None
    return result["refusal"]


def shown(own: Answering) -> dict[str, Any]:
    found = own.data(ASK)["policies"]
    return found | {"policies": {each["name"]: each for each in found["policies"]}}


def test_nothing_decided_shows_the_defaults_and_what_may_be_decided(own: Answering) -> None:
    found = shown(own)

    assert (found["version"], found["savedAt"], found["savedBy"], found["exceptions"]) == (0, None, None, [])
    assert {name: each["value"] for name, each in found["policies"].items()} == {
        name: policy.default for name, policy in POLICIES.items()
    }
    assert found["policies"]["freeze_hours"] == {
        "name": "freeze_hours",
        "value": "6",
        "decided": False,
        "default": "6",
        "values": [],
        "least": 0,
        "most": 240,
        "help": POLICIES["freeze_hours"].help,
        "exceptions": False,
    }
    assert own.data(HISTORY) == {"policyVersions": []}


def test_values_and_exceptions_are_saved_at_once_and_the_most_specific_holds(
    own: Answering, engine: Engine, told: MspId
) -> None:
    # when
    answer = saved(
        own,
        0,
        change("decrease_effective", "today"),
        change("decrease_effective", "next_period", COMPANY),
        change("decrease_effective", "today", COMPANY, RESOURCE),
        change("unit_cost", "report"),
    )

    # then
    assert (answer["version"], answer["results"]) == (1, [{"id": "policies", "ok": True, "refusal": None}])
    found = shown(own)
    assert (found["version"], found["savedBy"]) == (1, "operator")
    assert (
        found["policies"]["decrease_effective"] | {"value": "today", "decided": True}
        == found["policies"]["decrease_effective"]
    )
    assert [(e["companyName"], e["resourceId"], e["name"], e["value"]) for e in found["exceptions"]] == [
        (CONTOSO, None, "decrease_effective", "next_period"),
        (CONTOSO, RESOURCE, "decrease_effective", "today"),
    ]
    with engine.connect() as connection:
        policies = setup.policies(connection, told)
        assert setup.policy(connection, told, "decrease_effective") == "today"
    mail, company = ResourceId(RESOURCE), CompanyId(COMPANY)
    assert policies.decided("decrease_effective", company, mail) == Decided("today", Scope(company, mail))
    assert policies.decided("decrease_effective", company, ResourceId("x")) == Decided("next_period", Scope(company))
    assert policies.of_msp("unit_cost") == "report"
    rules = {each["name"]: each for each in own.data(EFFECTIVE, company=COMPANY, resource=RESOURCE)["effectivePolicy"]}
    assert rules["decrease_effective"] == {
        "name": "decrease_effective",
        "value": "today",
        "rule": "COMPANY_AND_RESOURCE",
        "overruled": [
            {"rule": "COMPANY", "value": "next_period"},
            {"rule": "MSP", "value": "today"},
            {"rule": "DEFAULT", "value": "next_period"},
        ],
    }
    assert (rules["increase_effective"]["rule"], rules["increase_effective"]["overruled"]) == ("DEFAULT", [])


def test_the_log_tells_each_policy_before_and_after(own: Answering, engine: Engine) -> None:
    saved(own, 0, change("unit_cost", "report"), change("increase_effective", "next_period", None, RESOURCE))
    saved(own, 1, change("unit_cost", None))

    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT stream_version, version, payload FROM log.events WHERE stream = 'policies' ORDER BY position")
        ).all()
    fields = ("policy", "company_id", "resource_id", "previous_value", "value", "policies_version")
    assert [(row.stream_version, row.version, *(row.payload[name] for name in fields)) for row in rows] == [
        (1, 2, "unit_cost", None, None, None, "report", 1),
        (2, 2, "increase_effective", None, RESOURCE, None, "next_period", 1),
        (3, 2, "unit_cost", None, None, "report", None, 2),
    ]


def test_an_exception_is_no_value_of_the_whole_msp(engine: Engine, told: MspId) -> None:
    Deciding(engine, Clock(), "mara").save(
        told, [PolicyChange("increase_effective", "next_period", Scope(None, ResourceId(RESOURCE)))]
    )

    with engine.connect() as connection:
        assert setup.policy(connection, told, "increase_effective") == "today"


def test_who_saves_upon_an_older_version_is_told_who_saved_and_when(
    own: Answering, engine: Engine, told: MspId
) -> None:
    # given
    saved(own, 0, change("unit_cost", "report"))
    Deciding(engine, Clock(), "mara").save(told, [PolicyChange("unit_cost", "post")])

    # when
    told_so = refusal(saved(own, 1, change("unit_cost", "report")))

    # then
    assert told_so["code"] == "POLICIES_CHANGED"
    when = shown(own)["savedAt"][:19].replace("T", " at ")
    assert told_so["message"] == f"mara saved the policies as version 2 on {when} UTC."
    assert shown(own)["policies"]["unit_cost"]["value"] == "post"
    assert refusal(own.data(RESTORE, toVersion=1, version=1, operation="r")["restorePolicies"])["code"] == (
        "POLICIES_CHANGED"
    )


def test_of_two_who_save_upon_the_same_version_at_once_one_succeeds(own: Answering, engine: Engine) -> None:
    # given two who have both come as far as they can before either may append
    locked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def waiting() -> int:
        with engine.connect() as connection:
            return connection.scalar(text(locked)) or 0

    with ThreadPoolExecutor(2) as pool:
        with engine.begin() as holding:
            holding.execute(text("SELECT FROM log.heads FOR UPDATE"))
            saves = [pool.submit(saved, own, 0, change("payload_days", days)) for days in ("30", "40")]
            wait_for(lambda: waiting() == 2, what="both to wait")
        answers = [each.result() for each in saves]

    # then
    assert sorted(answer["version"] or 0 for answer in answers) == [0, 1]
    assert [refusal(each)["code"] for each in answers if not each["version"]] == ["POLICIES_CHANGED"]


def test_the_same_operation_sent_again_saves_once(own: Answering) -> None:
    answers = [saved(own, 0, change("unit_cost", "report"), operation="once") for _ in range(2)]

    assert answers[0] == answers[1]
    assert (answers[0]["version"], shown(own)["version"]) == (1, 1)
    assert saved(own, 1, change("unit_cost", "report"))["version"] == 1, "no change, no version"


def test_the_history_tells_who_changed_what_and_one_may_go_back(own: Answering, engine: Engine, told: MspId) -> None:
    # given
    saved(own, 0, change("unit_cost", "report"), change("decrease_effective", "today", COMPANY))
    Deciding(engine, Clock(), "mara").save(
        told,
        [PolicyChange("unit_cost", None), PolicyChange("decrease_effective", None, Scope(CompanyId(COMPANY)))],
    )

    # when
    back = own.data(RESTORE, toVersion=1, version=2, operation="back")["restorePolicies"]
    again = own.data(RESTORE, toVersion=1, version=2, operation="back")["restorePolicies"]
    unknown = own.data(RESTORE, toVersion=9, version=3, operation="none")["restorePolicies"]

    # then
    assert back["version"] == again["version"] == 3
    assert refusal(unknown)["code"] == "NO_SUCH_VERSION"
    third, second, first = own.data(HISTORY)["policyVersions"]
    assert [each["savedBy"] for each in (third, second, first)] == ["operator", "mara", "operator"]
    whole = {"companyId": None, "companyName": None, "resourceId": None}
    assert second["changes"] == [
        {"name": "unit_cost", **whole, "before": "report", "after": None},
        {
            "name": "decrease_effective",
            "companyId": COMPANY,
            "companyName": CONTOSO,
            "resourceId": None,
            "before": "today",
            "after": None,
        },
    ]
    assert third["changes"] == first["changes"]
    assert shown(own)["exceptions"][0]["value"] == "today"


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (change("decrease_immediately", "yes"), "BAD_POLICY", "There is no policy 'decrease_immediately'"),
        (change("unit_cost", "perhaps"), "BAD_POLICY", "Unit_cost is one of post, report"),
        (change("freeze_hours", "12", COMPANY), "BAD_POLICY", "Freeze_hours is the same for the whole MSP"),
        (change("decrease_effective", "today", "77"), "NO_SUCH_COMPANY", "There is no company '77' in ODIN"),
        (change("decrease_effective", "today", None, "77"), "NO_SUCH_RESOURCE", "There is no resource '77' in ODIN"),
    ],
    ids=["name", "value", "whole", "company", "resource"],
)
def test_what_cannot_be_decided_is_refused_and_nothing_of_the_save_is_kept(
    own: Answering, given: dict[str, Any], code: str, says: str
) -> None:
    told_so = refusal(saved(own, 0, change("payload_days", "30"), given))

    assert told_so["code"] == code
    assert says in told_so["message"]
    assert told_so["fix"]
    assert shown(own)["version"] == 0


def test_policies_are_read_by_all_and_decided_by_admins_alone() -> None:
    read = ("Query.policies", "Query.policyVersions", "Query.effectivePolicy")
    write = ("Query.previewPolicies", "Mutation.savePolicies", "Mutation.restorePolicies")

    assert {PERMISSIONS[field].role for field in read} == {Role.VIEWER}
    assert {(PERMISSIONS[field].role, PERMISSIONS[field].scope) for field in write} == {(Role.ADMIN, None)}


def test_an_msp_sees_and_changes_no_policies_of_another(database: str, engine: Engine, told: MspId) -> None:
    # given both have decided
    add_msp(engine, "other")
    for msp_id in ("acme", "other"):
        Deciding(engine, Clock(), msp_id).save(MspId(msp_id), [PolicyChange("unit_cost", "report")])
    own = make_engine(role_url(database, "trueup_gateway"), "test")

    # when the gateway names one of them, and asks for all
    for table in ("setup.policies", "setup.policy_versions"):
        with of_msp(own, told).begin() as connection:
            assert set(connection.scalars(text(f"SELECT msp_id FROM {table}"))) == {"acme"}
    with of_msp(own, told).begin() as connection:
        assert connection.execute(text("DELETE FROM setup.policies WHERE msp_id = 'other'")).rowcount == 0
    own.dispose()

    # then
    with engine.connect() as connection:
        assert setup.policies(connection, MspId("other")).of_msp("unit_cost") == "report"


def test_what_was_set_before_there_were_versions_is_the_first(engine: Engine, told: MspId) -> None:
    """A policy that is gone since holds nowhere, and is no part of what is saved next."""
    with engine.begin() as connection:
        for name in ("unit_cost", "gone_since"):
            connection.execute(
                text("INSERT INTO setup.policies VALUES (:m, :p, 'report', 1, now())"), {"m": told, "p": name}
            )
        policies = setup.policies(connection, told)
    assert policies.rows() == [{"policy": "unit_cost", "value": "report", "company_id": None, "resource_id": None}]

    Deciding(engine, Clock(), "mara").save(told, [PolicyChange("payload_days", "30")])

    with engine.connect() as connection:
        kept = connection.execute(text("SELECT policy, version FROM setup.policies ORDER BY policy")).all()
    assert [tuple(row) for row in kept] == [("payload_days", 1), ("unit_cost", 1)]


# What lets adjustments loose; the schema is asked in this process, for a clock that stands.

NOON = datetime(2026, 7, 11, 12, tzinfo=UTC)
ADMIN = Caller("ada@acme.example", user_id="u", session="s", proven_at=NOON, roles={MspId("acme"): Role.ADMIN})


@pytest.fixture
def context(database: str, told: MspId, engine: Engine) -> Iterator[Context]:
    """An admin who gave the password a moment ago; all is shadow."""
    own = make_engine(role_url(database, "trueup_gateway"), "test")
    live: Any = Live
    yield Context(own, own, FrozenClock(NOON), "", 1, live, caller=ADMIN)
    own.dispose()


def asked(context: Context, document: str, **variables: Any) -> Any:
    return execute_sync(schema.build(), parse(document), context_value=context, variable_values=variables)


def let_loose(context: Context, version: int, token: str | None) -> Any:
    given = {"changes": [change("mode", None)], "version": version, "token": token, "operation": uuid4().hex}
    return asked(context, SAVE, **given)


def preview_token(engine: Engine, msp_id: MspId) -> str:
    """As previewPolicies makes it."""
    with of_msp(engine, msp_id).connect() as connection:
        before, after = draft_of(connection, msp_id, [PolicyChange("mode", None)], None)
    return fingerprint(msp_id, before.version, after)


def test_what_lets_adjustments_loose_needs_the_preview_of_just_that(
    context: Context, engine: Engine, told: MspId
) -> None:
    # given all is shadow, which needed no preview
    shadow = asked(context, SAVE, changes=[change("mode", "shadow")], version=0, operation="shadow")
    assert shadow.data["savePolicies"]["version"] == 1
    token = preview_token(engine, told)

    # when
    without = let_loose(context, 1, None)
    with_another = let_loose(context, 1, fingerprint(told, 1, {}) + "0")
    went = let_loose(context, 1, token)

    # then
    assert [refusal(each.data["savePolicies"])["code"] for each in (without, with_another)] == ["PREVIEW_NEEDED"] * 2
    assert went.data["savePolicies"]["version"] == 2


def test_what_lets_adjustments_loose_needs_the_password_of_the_last_15_minutes(
    context: Context, engine: Engine, told: MspId
) -> None:
    # given
    Deciding(engine, Clock(), "mara").save(told, [PolicyChange("mode", "shadow")])
    token = preview_token(engine, told)
    late = replace(context, clock=FrozenClock(NOON + timedelta(minutes=15)))

    # when
    refused = let_loose(late, 1, token)
    other = asked(late, SAVE, changes=[change("unit_cost", "report")], version=1, operation="other")
    restored = asked(late, RESTORE, toVersion=1, version=2, operation="to-shadow")

    # then
    (error,) = refused.errors
    assert isinstance(error.original_error, Refusal)
    assert error.original_error.code == "PASSWORD_NEEDED"
    assert other.data["savePolicies"]["version"] == 2
    assert restored.data["restorePolicies"]["version"] == 3
    operator = replace(late, caller=OPERATOR)
    assert let_loose(operator, 3, preview_token(engine, told)).data["savePolicies"]["version"] == 4


def test_going_back_to_what_is_loose_is_judged_as_well(context: Context, engine: Engine, told: MspId) -> None:
    deciding = Deciding(engine, Clock(), "mara")
    deciding.save(told, [PolicyChange("unit_cost", "report")])
    deciding.save(told, [PolicyChange("mode", "shadow")])

    answer = asked(context, RESTORE, toVersion=1, version=2, operation="back")

    assert refusal(answer.data["restorePolicies"])["code"] == "PREVIEW_NEEDED"
