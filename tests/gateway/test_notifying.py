"""The bell, its rules and its deliveries over GraphQL: each person reads for himself, and no secret is ever answered."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from domain.keys import MspId
from plumbing import rpc, topology
from plumbing.secrets import new_key_pair
from services.reporting.projections import TYPES
from tests.gateway.listening import listening
from tests.gateway.serving import Answering, gateway
from tests.processes import Process
from tests.reporting import history as h
from tests.reporting.receiving import receiver
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres]
SECRET = "whsec_" + base64.b64encode(b"canary-canary-canary-canary").decode()
PRIVATE_KEY, PUBLIC_KEY = new_key_pair()
A, P = h.odin("new"), h.psa("p")
BELL = """{ unreadNotifications(mspId: "acme") { count readUpto kinds }
  notifications(mspId: "acme") { edges { node { notificationId position severity kind foldKey text fix linkReport linkKey } }
    groups(by: FOLD_KEY) { key rows } } }"""
READ = """mutation($upto: Position!) { markNotificationsRead(mspId: "acme", upto: $upto, operationId: "o") {
  results { ok } } }"""
SAVE = """mutation($rule: NotificationRuleWish!, $operation: String!) {
  saveNotificationRule(mspId: "acme", rule: $rule, operationId: $operation) {
    results { id ok refusal { code message fix } } } }"""
RULES = '{ notificationRules(mspId: "acme") { edges { node { ruleId kinds channel target hour hasSecret savedBy } } } }'
REMOVE = """mutation($rule: String!) { removeNotificationRule(mspId: "acme", ruleId: $rule, operationId: "r") {
  results { ok refusal { code } } } }"""
DELIVERIES = """{ webhookDeliveries(mspId: "acme") { edges { node {
  deliveryId occasion channel state attempts lastAnswer target } } } }"""
ADDED = 'subscription { notificationAdded(mspId: "acme") { notificationId text } }'


@pytest.fixture
def own(told: MspId, database: str) -> Iterator[Answering]:
    """A gateway that can seal secrets, without a broker."""
    with gateway(role_url(database, "trueup_gateway"), REPORTING_PUBLIC_KEY=PUBLIC_KEY) as answering:
        yield answering


def saved(gateway: Answering, operation: str = "o1", **rule: Any) -> dict[str, Any]:
    (result,) = gateway.data(SAVE, rule=rule, operation=operation)["saveNotificationRule"]["results"]
    return result


def hook(**more: Any) -> dict[str, Any]:
    return {"kinds": ["HELD"], "channel": "WEBHOOK", "target": "https://192.0.43.8/h?k=1", "secret": SECRET} | more


def nodes(answer: dict[str, Any]) -> list[dict[str, Any]]:
    (connection,) = answer.values()
    return [edge["node"] for edge in connection["edges"]]


def events(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        query = text(
            "SELECT type, payload, actor FROM log.events WHERE type LIKE 'NotificationRule%' ORDER BY position"
        )
        return list(connection.execute(query))


def test_the_bell_counts_what_the_caller_has_not_read_and_survives_a_rebuild(
    own: Answering, engine: Engine, told: MspId
) -> None:
    h.append(engine, told, [h.parked(A, P, "q7"), h.failed(A, P, "q8")])
    h.project(engine, told)

    bell = own.data(BELL)
    first = [edge["node"]["notificationId"] for edge in bell["notifications"]["edges"]]
    assert (bell["unreadNotifications"]["count"], first) == (3, ["11/failed", "10/held", "9/failed"])
    assert {group["key"]: group["rows"] for group in bell["notifications"]["groups"]} == {
        "failed/unreachable": 2,
        "held/rejected": 1,
    }
    held = bell["notifications"]["edges"][1]["node"]
    assert held["text"] == "Resource new of Company 1200000501: The period is posted."
    assert (held["severity"], held["linkReport"], held["linkKey"]) == ("action", "failures", "q7")

    own.data(READ, upto="10")
    own.data(READ, upto="4")
    assert own.data(BELL)["unreadNotifications"] | {"kinds": []} == {"count": 1, "readUpto": "10", "kinds": []}
    own.data(READ, upto="999999")
    assert own.data(BELL)["unreadNotifications"]["readUpto"] == "11"
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT position FROM log.heads")) == 11  # reading is no event


def test_a_rule_in_the_app_says_for_which_kinds_the_bell_rings(own: Answering, engine: Engine, told: MspId) -> None:
    assert len(own.data(BELL)["unreadNotifications"]["kinds"]) == 14
    assert saved(own, kinds=["HELD"], channel="IN_APP")["ok"]
    h.append(engine, told, [h.parked(A, P, "q7"), h.failed(A, P, "q8")])
    h.project(engine, told)

    bell = own.data(BELL)["unreadNotifications"]
    assert (bell["count"], bell["kinds"]) == (1, ["HELD"])


def test_kinds_that_only_a_newer_release_knows_do_no_harm_in_a_rule(
    own: Answering, engine: Engine, told: MspId
) -> None:
    made = saved(own, kinds=["HELD"], channel="IN_APP")
    with engine.begin() as connection:
        connection.execute(text("UPDATE setup.notification_rules SET kinds = '{held,of_tomorrow}'"))
    assert own.data(BELL)["unreadNotifications"]["kinds"] == ["HELD"]

    with engine.begin() as connection:
        connection.execute(text("UPDATE setup.notification_rules SET kinds = '{of_tomorrow}'"))
    bell = own.data(BELL)["unreadNotifications"]
    assert (bell["count"], bell["kinds"]) == (0, [])
    (rule,) = nodes(own.data(RULES))
    assert (rule["ruleId"], rule["kinds"]) == (made["id"], "of_tomorrow")


def test_a_rule_is_made_once_changed_and_removed_and_its_secret_is_never_answered(
    own: Answering, engine: Engine
) -> None:
    made = saved(own, **hook())
    again = saved(own, **hook())
    assert (made["ok"], again) == (True, made)

    changed = saved(own, "o2", **hook(ruleId=made["id"], kinds=["HELD", "DRIFT", "DRIFT"], secret=None))
    assert changed["id"] == made["id"]
    (rule,) = nodes(own.data(RULES))
    assert rule == {
        "ruleId": made["id"],
        "kinds": "held,drift",
        "channel": "webhook",
        "target": "https://192.0.43.8/h?k=1",
        "hour": None,
        "hasSecret": True,
        "savedBy": "operator",
    }
    for _ in range(2):
        assert own.data(REMOVE, rule=made["id"])["removeNotificationRule"]["results"][0]["ok"]
    assert nodes(own.data(RULES)) == []
    assert saved(own, "o3", **hook(ruleId=made["id"]))["refusal"]["code"] == "NO_SUCH_RULE"

    told = events(engine)
    assert [(row.type, row.payload["rule_version"], row.actor) for row in told] == [
        ("NotificationRuleSaved", 1, "operator"),
        ("NotificationRuleSaved", 2, "operator"),
        ("NotificationRuleRemoved", 3, "operator"),
    ]
    assert [row.payload["replaced_secret"] for row in told[:2]] == [True, False]
    assert {row.payload["target"] for row in told} == {"https://192.0.43.8"}
    said = own.ended()
    assert "events appended" in said
    assert SECRET[6:] not in said


@pytest.mark.parametrize(
    ("rule", "code", "why"),
    [
        (hook(kinds=[]), "BAD_RULE", "Kinds are some of"),
        (hook(secret=None), "BAD_RULE", "give one"),
        (hook(secret="whsec_short"), "BAD_RULE", "24 to 64"),
        (hook(target="https://user:pw@example.com/"), "BAD_RULE", "without user"),
        (hook(target="file:///etc/passwd"), "BAD_RULE", "URL such as"),
        (hook(hour=8), "BAD_RULE", "digest"),
        (hook(target="https://10.1.2.3/h"), "PRIVATE_ADDRESS", "not on the public internet"),
        (hook(target="http://192.0.43.8/h"), "PRIVATE_ADDRESS", "only https"),
        (
            {"kinds": ["HELD"], "channel": "MAIL", "target": "mara@example.com\r\nBcc: x@y.z"},
            "BAD_RULE",
            "mail address",
        ),
        ({"kinds": ["HELD"], "channel": "DIGEST", "target": "mara@example.com"}, "BAD_RULE", "hour"),
        ({"kinds": ["HELD"], "channel": "IN_APP", "target": "x"}, "BAD_RULE", "no target"),
        ({"kinds": ["HELD"], "channel": "IN_APP", "ruleId": "nothing"}, "NO_SUCH_RULE", "no such rule"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_what_it_must_have(
    shared: Answering, rule: dict[str, Any], code: str, why: str
) -> None:
    result = saved(shared, **rule)

    assert (result["ok"], result["refusal"]["code"]) == (False, code)
    assert why.lower() in result["refusal"]["message"].lower()


@pytest.fixture(scope="module")
def shared(standing: str) -> Iterator[Answering]:
    with gateway(role_url(standing, "trueup_gateway"), REPORTING_PUBLIC_KEY=PUBLIC_KEY) as answering:
        yield answering


def test_notifications_are_told_as_they_come(own: Answering, engine: Engine, told: MspId) -> None:
    with listening(own) as listener:
        listener.subscribe(ADDED)
        listener.subscribe('subscription { pulseChanged(mspId: "acme") { position } }', "2")
        assert listener.data("2") == {"position": "9"}
        new = [h.parked(A, P, "q7"), h.discovered(A), h.consumer_stopped(), h.poll_late(), h.close_due("Unlinked")]
        h.append(engine, told, new)
        h.project(engine, told)

        heard = []
        while len(heard) < 4:
            message = listener.next()
            if message["id"] == "1":
                heard.append(message["payload"]["data"]["notificationAdded"]["notificationId"])

    assert heard == ["10/held", "12/consumer_stopped", "13/poll_late", "14/close_red"]


def answers(vhost: str) -> bool:
    try:
        return bool(rpc.call(vhost, "reporting", "side", 5, msp_id="acme", report="no", position=0))
    except rpc.ServiceSilent:
        return False


@pytest.mark.rabbitmq
def test_a_rule_is_tried_out_and_a_delivery_sent_once_more_by_the_running_service(
    told: MspId, database: str, vhost: str, engine: Engine
) -> None:
    service = {
        "TRUEUP_DATABASE_URL": role_url(database, "trueup_reporting"),
        "TRUEUP_RABBITMQ_URL": vhost,
        "TRUEUP_PRIVATE_KEY": PRIVATE_KEY,
        "TRUEUP_PRIVATE_ADDRESSES": "true",
        "TRUEUP_SWEEP_SECONDS": "0.5",
        "TRUEUP_DELIVERY_SECONDS": "0.2",
    }
    settings = {"REPORTING_PUBLIC_KEY": PUBLIC_KEY, "PRIVATE_ADDRESSES": "true", "RPC_SECONDS": "3"}
    topology.declare(vhost, [topology.bell_queue("reporting", TYPES)], [])
    reporting = Process("deploy.run_service", "reporting", environment=service)
    second = Process("deploy.run_service", "reporting", environment=service)
    with receiver() as received, gateway(role_url(database, "trueup_gateway"), vhost, **settings) as own:
        rule = saved(own, **hook(target=received.url))
        with reporting, second:
            tried = """mutation($rule: String!) { testNotificationRule(mspId: "acme", ruleId: $rule, operationId: "t") {
                results { ok } } }"""
            wait_for(lambda: answers(vhost), what="the service")
            assert own.data(tried, rule=rule["id"])["testNotificationRule"]["results"] == [{"ok": True}]
            wait_for(lambda: received.calls, what="the test to come")
            h.append(engine, told, [h.parked(A, P, "q7")])
            wait_for(lambda: len(received.calls) > 1, what="the notification")
            newest = nodes(own.data(DELIVERIES))[0]
            again = """mutation($id: String!) { resendDelivery(mspId: "acme", deliveryIds: [$id, "x"], operationId: "r") {
                results { id ok refusal { code } } } }"""
            wait_for(lambda: nodes(own.data(DELIVERIES))[0]["state"] == "sent", what="its record")
            results = own.data(again, id=newest["deliveryId"])["resendDelivery"]["results"]
            wait_for(lambda: len(received.calls) > 2, what="the second sending")
            wait_for(lambda: nodes(own.data(DELIVERIES))[0]["state"] == "sent", what="its record")
            said = reporting.output + second.output

    assert [row["refusal"] and row["refusal"]["code"] for row in results] == [None, "NO_SUCH_DELIVERY"]
    assert [call.told["type"] for call in received.calls] == ["notification.test", *["notification.held"] * 2]
    assert received.ids()[1] == received.ids()[2] == newest["deliveryId"]
    assert all(call.is_signed_with(SECRET) for call in received.calls)
    assert "delivery sent" in said
    assert SECRET[6:] not in said + own.output
