"""What a person wishes goes to the service that decides it; a silent service is told, and reading goes on without it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.gateway.listening import listening
from tests.gateway.serving import Answering, gateway
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres]
PREVIEW = """query($pairs: [RelationPair!]!) {
  previewRelations(mspId: "acme", pairs: $pairs) { token rows { id unitChange } } }"""
SET = """mutation($token: String!, $operation: String!) {
  setRelations(mspId: "acme", token: $token, operationId: $operation) {
    operationId results { id ok relationId refusal { code message fix link } } } }"""
CLEAR = """mutation($ids: [String!]!, $operation: String!) {
  clearRelations(mspId: "acme", relationIds: $ids, operationId: $operation) { results { id ok } } }"""
POLL = """mutation($operation: String!, $connection: String) {
  pollNow(mspId: "acme", connectionId: $connection, operationId: $operation) { results { id ok } } }"""
READ = '{ linked(mspId: "acme") { totalCount } }'


def wish(product: str, key: str = "acme/odin/1/2/3", **more: str) -> dict[str, str]:
    return {"resourceKey": key, "psaConnectionId": "autotask", "psaProductId": product, **more}


@pytest.fixture(scope="module")
def house(standing: str, rabbitmq) -> Iterator[Answering]:
    """A gateway with a broker and the services it asks."""
    name = f"gateway-{Path(standing).name}"
    rabbitmq.api("PUT", f"vhosts/{name}")
    rabbitmq.api("PUT", f"permissions/{name}/{rabbitmq_user(rabbitmq)}", configure=".*", write=".*", read=".*")
    url = rabbitmq.vhost_url(name)
    services = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.gateway.services", url], cwd=Path(__file__).parents[2]
    )
    try:
        with gateway(role_url(standing, "trueup_gateway"), url, RPC_SECONDS="3") as answering:
            wait_for(
                lambda: "errors" not in answering.post(PREVIEW, {"pairs": [wish("p")]}).json(),
                what="the services",
            )
            yield answering
    finally:
        services.kill()
        services.wait()
        rabbitmq.api("DELETE", f"vhosts/{name}")


def rabbitmq_user(rabbitmq) -> str:
    return rabbitmq.url.split("//")[1].split(":")[0]


def seen(house: Answering, *pairs: dict[str, str]) -> str:
    """The token of a preview."""
    return house.data(PREVIEW, pairs=list(pairs))["previewRelations"]["token"]


@pytest.mark.rabbitmq
def test_a_preview_takes_5000_pairs_whoever_is_not_signed_in_may_send_little(house: Answering) -> None:
    pairs = [wish(f"p{n}", key=f"acme/odin/1/2/r{n}") for n in range(5_000)]

    shown = house.data(PREVIEW, pairs=pairs)["previewRelations"]
    more = house.refusal(PREVIEW, pairs=[*pairs, wish("p")])
    stranger = house.post(PREVIEW, {"pairs": pairs}, headers={"authorization": "Bearer nobody"})

    assert (len(shown["rows"]), shown["rows"][-1]["unitChange"]) == (5_000, 7)
    assert (more["code"], "5,000" in more["message"]) == ("BAD_REQUEST", True)
    assert stranger.status_code in (401, 413)


@pytest.mark.rabbitmq
def test_relations_are_set_and_refused_row_by_row(house: Answering) -> None:
    wishes = [wish("p", id="row 1"), wish("bad", key="acme/odin/1/2/4")]

    outcome = house.data(SET, token=seen(house, *wishes), operation="o1")["setRelations"]

    assert outcome["operationId"] == "o1"
    good, bad = outcome["results"]
    assert good == {"id": "row 1", "ok": True, "relationId": "r-acme/odin/1/2/3", "refusal": None}
    assert (bad["id"], bad["ok"]) == ("acme/odin/1/2/4", False)
    assert bad["refusal"] == {
        "code": "NOT_RECURRING",
        "message": "Refused for operator of acme.",
        "fix": "Choose another.",
        "link": None,
    }


@pytest.mark.rabbitmq
def test_what_the_writer_finds_wanting_is_not_set_although_mapping_would(house: Answering) -> None:
    token = seen(house, wish("ended", key="acme/odin/1/2/9"), wish("p"))

    blocked, good = house.data(SET, token=token, operation="half")["setRelations"]["results"]

    assert (blocked["ok"], blocked["refusal"]["code"], blocked["relationId"]) == (False, "agreement_ended", None)
    assert (good["id"], good["ok"]) == ("acme/odin/1/2/3", True)


@pytest.mark.rabbitmq
def test_relations_are_cleared_and_adjustments_tried_again(house: Answering) -> None:
    cleared = house.data(
        'mutation { clearRelations(mspId: "acme", relationIds: ["r1"], operationId: "o2") { results { id ok } } }'
    )
    retried = house.data(
        'mutation { retryAdjustments(mspId: "acme", requestIds: ["q1"], operationId: "o3") { results { id ok } } }'
    )

    assert cleared["clearRelations"]["results"] == [{"id": "r1", "ok": True}]
    assert retried["retryAdjustments"]["results"] == [{"id": "q1", "ok": True}]


ROWS = "{ results { id ok refusal { message } } }"
SETTLED = {
    "saveRelationSettings": (
        """relationIds: ["r1", "r2"], input: {rule: {packSize: 10, rounding: "up", included: "2.5"},
           price: {source: "custom", amount: "4.50", currency: "USD"}, note: "packs"}""",
        {
            "rule": {"pack_size": 10, "rounding": "up", "included": "2.5"},
            "price": {"source": "custom", "amount": "4.50", "currency": "USD"},
            "note": "packs",
        },
    ),
    "freezeRelations": ('relationIds: ["r1", "r2"], reason: "in dispute"', ["in dispute"]),
    "unfreezeRelations": ('relationIds: ["r1", "r2"]', [""]),
    "excludeResources": (
        'resourceKeys: ["r1", "r2"], reason: "own use", until: "2026-12-31"',
        ["own use", "2026-12-31"],
    ),
    "includeResources": ('resourceKeys: ["r1", "r2"]', [""]),
}


@pytest.mark.rabbitmq
@pytest.mark.parametrize("name", SETTLED)
def test_what_is_settled_goes_to_mapping_as_it_was_given_and_is_answered_row_by_row(
    house: Answering, name: str
) -> None:
    given, asked = SETTLED[name]

    answer = house.data(f'mutation {{ {name}(mspId: "acme", {given}, operationId: "o-{name}") {ROWS} }}')

    assert [(row["id"], row["ok"]) for row in answer[name]["results"]] == [("r1", False), ("r2", False)]
    assert json.loads(answer[name]["results"][0]["refusal"]["message"]) == asked


TRY = """query($rule: UnitRuleWish!, $days: Int) {
  testUnitRule(mspId: "acme", resourceKey: "acme/odin/1/2/3", rule: $rule, days: $days) {
    fromAt toAt count units problem } }"""


def test_a_rule_is_tried_on_past_counts_or_told_what_is_wrong_with_it(served: Answering) -> None:
    assert served.data(TRY, rule={}, days=90)["testUnitRule"] == []
    assert served.refusal(TRY, rule={"packSize": 10})["code"] == "BAD_RULE"
    assert served.refusal(TRY, rule={}, days=0)["code"] == "BAD_REQUEST"


@pytest.mark.rabbitmq
def test_a_service_that_is_too_slow_is_told_and_does_not_hold_up_readers(house: Answering) -> None:
    release = 'mutation { releaseAdjustments(mspId: "acme", requestIds: ["q"], operationId: "o") { operationId } }'
    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(house.refusal, release) for _ in range(6)]
        assert house.data(READ)["linked"]["totalCount"] == 1
        assert not any(one.done() for one in slow)
        said = {one.result()["code"] for one in slow}

    assert said == {"UNAVAILABLE"}


@pytest.mark.rabbitmq
def test_a_fault_inside_a_service_is_answered_by_its_id_only(house: Answering) -> None:
    answer = house.post(SET, {"token": seen(house, wish("p")), "operation": "break"})

    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in answer.text


def test_without_a_broker_reports_are_read_and_wishes_are_told_to_wait(served: Answering) -> None:
    refusal = served.refusal(CLEAR, ids=["r1"], operation="o1")

    assert refusal["code"] == "UNAVAILABLE"
    assert "RabbitMQ cannot be reached" in refusal["message"]
    assert "operationId" in refusal["fix"]
    assert served.data(READ)["linked"]["totalCount"] == 1


@pytest.mark.parametrize(
    ("ids", "operation", "msp_word"),
    [([], "o", "1 to 200"), (["r"] * 201, "o", "1 to 200"), (["r"], "", "operationId")],
)
def test_a_mutation_takes_1_to_200_rows_and_an_operation_id(
    served: Answering, ids: list[str], operation: str, msp_word: str
) -> None:
    refusal = served.refusal(CLEAR, ids=ids, operation=operation)

    assert (refusal["code"], msp_word in refusal["message"]) == ("BAD_REQUEST", True), refusal


def polls(engine: Engine) -> list[dict]:
    with engine.connect() as connection:
        query = text("SELECT body FROM queue.outbox WHERE queue = 'poller.polls' ORDER BY number")
        return list(connection.scalars(query))


def test_poll_now_puts_one_poll_a_connection_however_often_it_is_sent(own: Answering, engine: Engine) -> None:
    with engine.begin() as connection:
        for name, kind in (("odin", "odin"), ("second", "odin"), ("autotask", "autotask")):
            connection.execute(
                text("INSERT INTO setup.connections VALUES ('acme', :name, :kind, '{}', '{}', 1, now())"),
                {"name": name, "kind": kind},
            )

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: own.data(POLL, operation="o1"), range(4)))
    own.data(POLL, operation="o2", connection="second")

    assert answers[0]["pollNow"]["results"] == [{"id": "odin", "ok": True}, {"id": "second", "ok": True}]
    assert [poll["connection_id"] for poll in polls(engine)] == ["odin", "second", "second"]
    assert {poll["reason"] for poll in polls(engine)} == {"asked"}
    assert len({poll["poll_id"] for poll in polls(engine)}) == 3


def test_poll_now_without_a_marketplace_connection_says_how_to_make_one(served: Answering) -> None:
    refusal = served.refusal(POLL, operation="o1")

    assert (refusal["code"], "trueup connection set" in refusal["fix"]) == ("NO_SUCH_CONNECTION", True)


def test_a_mutation_for_an_unknown_msp_is_refused(served: Answering) -> None:
    refusal = served.refusal('mutation { pollNow(mspId: "nobody", operationId: "o") { operationId } }')

    assert refusal["code"] == "NO_SUCH_MSP"


@pytest.mark.rabbitmq
def test_how_far_an_operation_is_can_be_asked_until_it_has_ended(house: Answering) -> None:
    # given one that was decided and one that got no answer
    house.data(SET, token=seen(house, wish("p"), wish("bad", key="acme/odin/1/2/4")), operation="decided")
    house.refusal(
        'mutation { releaseAdjustments(mspId: "acme", requestIds: ["q"], operationId: "late") { operationId } }'
    )

    # then both are told, and the listening ends with them
    query = """subscription($id: String!) {
        operationProgress(mspId: "acme", operationId: $id) { operationId state done of refused } }"""
    told = {}
    with listening(house) as listener:
        for name in ("decided", "late"):
            listener.subscribe(query, name, id=name)
            told[name] = listener.data(name)
            assert listener.next() == {"type": "complete", "id": name}
    assert told["decided"] == {"operationId": "decided", "state": "DONE", "done": "2", "of": "2", "refused": 1}
    assert (told["late"]["state"], told["late"]["done"], told["late"]["of"]) == ("UNANSWERED", "0", "1")
