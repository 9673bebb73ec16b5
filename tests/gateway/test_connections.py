"""Connections over GraphQL: shown without secrets, saved upon the version one saw, gone back to, tried before they are saved."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from domain.keys import ConnectionId, MspId
from gateway.connections import TESTS_OF_A_CONNECTION, TESTS_OF_A_PERSON
from gateway.people.permissions import PERMISSIONS, Role
from gateway.set_up import SetUp
from plumbing.clock import Clock
from plumbing.secrets import new_key_pair, unseal
from tests.gateway.browser import Browser, add_user
from tests.gateway.connecting import ASK, HISTORY, RESTORE, SAVE, TEST, pairs
from tests.gateway.serving import Answering, gateway
from tests.processes import Process
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres]
POLLER, WRITER = new_key_pair(), new_key_pair()
PUBLIC = {"poller": POLLER[1], "psa_writer": WRITER[1]}
KEYS = {"POLLER_PUBLIC_KEY": POLLER[1], "PSA_WRITER_PUBLIC_KEY": WRITER[1]}
URL = "https://192.0.43.8/marketplace/na/"
ODIN = {"gateway_url": URL, "user": "api@acme.example"}
SECRETS = {"password": "canary-password", "secret": "canary-secret"}
AUTOTASK = {"address": "https://webservices2.autotask.net/atws.asmx", "user": "api@acme.example"}
AUTOTASK_SECRETS = {"password": "canary-password", "tracking_identifier": "canary-identifier"}


@pytest.fixture
def own(told: MspId, database: str) -> Iterator[Answering]:
    """A gateway that can seal secrets, without a broker."""
    with gateway(role_url(database, "trueup_gateway"), **KEYS) as answering:
        yield answering


def saved(own: Answering, version: int = 0, settings: Any = None, secrets: Any = None, **given: Any) -> dict[str, Any]:
    """The answer to a save of a marketplace, unless another is given."""
    values = {"id": "odin", "kind": "ODIN", "operation": uuid4().hex} | given
    return own.data(SAVE, version=version, settings=pairs(settings or {}), secrets=pairs(secrets or {}), **values)[
        "saveConnection"
    ]


def made(own: Answering, **given: Any) -> None:
    assert saved(own, 0, ODIN, SECRETS, **given)["version"] == 1


def refusal(answer: dict[str, Any]) -> dict[str, Any]:
    (result,) = answer["results"]
    assert not result["ok"]
    assert answer["version"] is None
    return result["refusal"]


def shown(own: Answering, connection_id: str = "odin") -> dict[str, Any]:
    (found,) = (each for each in own.data(ASK)["connections"]["saved"] if each["id"] == connection_id)
    return found | {"settings": {each["key"]: each["value"] for each in found["settings"]}}


def everything(engine: Engine) -> str:
    """All rows of all tables."""
    with engine.connect() as connection:
        tables = connection.scalars(text("SELECT schemaname || '.' || relname FROM pg_stat_user_tables")).all()
        return "\n".join(
            str(row) for table in tables for row in connection.execute(text(f"SELECT t::text FROM {table} t"))
        )


def test_the_kinds_that_can_be_made_say_what_they_need(own: Answering) -> None:
    answer = own.data(ASK)["connections"]

    assert answer["saved"] == []
    needed = {kind["kind"]: [f["key"] for f in kind["fields"] if f["needed"]] for kind in answer["kinds"]}
    assert needed == {
        "ODIN": ["gateway_url", "user", "password", "secret"],
        "AUTOTASK": ["user", "password", "tracking_identifier"],
    }
    fields = {kind["kind"]: {f["key"]: f for f in kind["fields"]} for kind in answer["kinds"]}
    assert {"account_number", "licence_customer"} <= fields["ODIN"].keys()
    assert fields["ODIN"]["subscription"]["default"] == fields["AUTOTASK"]["company_id"]["default"] == "0"
    assert fields["ODIN"]["licence_key"] == {"key": "licence_key", "default": "", "needed": False, "secret": True}


def test_a_connection_is_made_and_changed_and_shows_whose_secrets_are_set_but_never_one(
    own: Answering, engine: Engine, told: MspId
) -> None:
    # given
    made(own)

    # when
    changed = saved(own, 1, {"user": "new@acme.example"}, {"password": "", "secret": "canary-other"})

    # then
    assert changed["version"] == 2
    found = shown(own)
    assert (found["kind"], found["version"], found["savedBy"], found["lastTest"]) == ("ODIN", 2, "operator", None)
    assert (
        found["settings"] | {"user": "new@acme.example", "gateway_url": URL, "subscription": "0"} == found["settings"]
    )
    secrets = {each["key"]: each for each in found["secrets"]}
    assert [secrets[name]["isSet"] for name in ("password", "secret", "licence_key")] == [True, True, False]
    assert secrets["password"]["setBy"] == "operator"
    assert secrets["password"]["setAt"] < secrets["secret"]["setAt"] == found["savedAt"]
    assert (secrets["licence_key"]["setAt"], secrets["licence_key"]["setBy"]) == (None, None)
    with engine.connect() as connection:
        sealed = connection.scalar(text("SELECT sealed FROM setup.connections"))
        acts = list(connection.execute(text("SELECT payload, actor FROM log.events WHERE type = 'ConnectionSaved'")))
    opened = [unseal(POLLER[0], told, ConnectionId("odin"), name, sealed[name]) for name in ("password", "secret")]
    assert opened == ["canary-password", "canary-other"]
    assert [act.payload["replaced_secrets"] for act in acts] == [["password", "secret"], ["secret"]]
    assert acts[1].payload["changed_settings"] == ["user"]
    assert "canary" not in everything(engine) + json.dumps(own.data(ASK)) + json.dumps(own.data(HISTORY, id="odin"))
    assert "canary" not in own.ended()


def test_connections_are_for_admins_alone_and_for_no_api_key() -> None:
    fields = ("Query.connections", "Query.connectionHistory")
    fields += ("Mutation.saveConnection", "Mutation.restoreConnection", "Mutation.testConnection")

    assert {PERMISSIONS[field].role for field in fields} == {Role.ADMIN}
    assert {PERMISSIONS[field].scope for field in fields} == {None}


def test_an_msp_may_have_several_marketplaces(own: Answering) -> None:
    made(own)
    made(own, id="odin-eu")

    assert [each["id"] for each in own.data(ASK)["connections"]["saved"]] == ["odin", "odin-eu"]


def test_who_saves_upon_an_older_version_is_told_who_saved_and_when(
    own: Answering, engine: Engine, told: MspId
) -> None:
    # given
    made(own)
    SetUp(engine, Clock(), "mara").save_connection(told, "odin", "odin", {"user": "mara's"}, {}, PUBLIC)

    # when
    told_so = refusal(saved(own, 1, {"user": "mine"}))

    # then
    assert told_so["code"] == "CONNECTION_CHANGED"
    when = shown(own)["savedAt"][:19].replace("T", " at ")
    assert told_so["message"] == f"mara saved this connection as version 2 on {when} UTC."
    assert shown(own)["settings"]["user"] == "mara's"
    assert refusal(saved(own, 0, ODIN, SECRETS))["code"] == "CONNECTION_CHANGED"
    assert refusal(saved(own, 1, ODIN, SECRETS, id="none"))["code"] == "NO_SUCH_CONNECTION"


def test_of_two_who_save_upon_the_same_version_at_once_one_succeeds(own: Answering, engine: Engine) -> None:
    # given two who have both read what stands there, as far as they can, before either may append
    made(own)
    locked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def waiting() -> int:
        with engine.connect() as connection:
            return connection.scalar(text(locked)) or 0

    with ThreadPoolExecutor(2) as pool:
        with engine.begin() as holding:
            holding.execute(text("SELECT FROM log.heads FOR UPDATE"))
            saves = [pool.submit(saved, own, 1, {"user": user}) for user in "ab"]
            wait_for(lambda: waiting() == 2, what="both to wait")
        answers = [each.result() for each in saves]

    # then
    assert sorted(answer["version"] or 0 for answer in answers) == [0, 2]
    assert [refusal(each)["code"] for each in answers if not each["version"]] == ["CONNECTION_CHANGED"]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM log.events WHERE type = 'ConnectionSaved'")) == 2


def test_the_same_operation_sent_again_saves_once(own: Answering) -> None:
    made(own)

    answers = [saved(own, 1, {"user": "b"}, operation="once") for _ in range(2)]

    assert answers[0] == answers[1]
    assert (answers[0]["version"], shown(own)["version"]) == (2, 2)


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ({"settings": {"gateway_url": "http://10.0.0.8/"}}, "PRIVATE_ADDRESS", "Only https addresses are called"),
        ({"settings": {"gateway_url": "https://10.0.0.8/"}}, "PRIVATE_ADDRESS", "not on the public internet"),
        ({"settings": {"poll_seconds": "0"}}, "BAD_CONNECTION", "Poll_seconds is a whole number above 0"),
        ({"settings": {"poll": "1"}}, "BAD_CONNECTION", "No such setting: poll"),
        ({"settings": {"user": ""}}, "BAD_CONNECTION", "Also give user"),
        ({"settings": {"user": "a\x07b"}}, "BAD_CONNECTION", "control characters"),
        ({"settings": {"user": "x" * 2001}}, "BAD_CONNECTION", "at most 2000 characters"),
        ({"secrets": {"password": "a\nb"}}, "BAD_CONNECTION", "control characters"),
        ({"secrets": {"tracking_identifier": "x"}}, "BAD_CONNECTION", "There is no secret 'tracking_identifier'"),
        ({"kind": "AUTOTASK"}, "BAD_CONNECTION", "is of kind odin"),
        ({"id": "../x", "version": 0}, "BAD_CONNECTION", "'../x' is no id"),
        ({"id": "new", "version": 0, "settings": ODIN}, "BAD_CONNECTION", "Also give password, secret"),
    ],
)
def test_what_cannot_be_saved_is_refused_with_what_to_change(
    standing_odin: Answering, given: dict[str, Any], code: str, says: str
) -> None:
    told_so = refusal(saved(standing_odin, **({"version": 1} | given)))

    assert told_so["code"] == code
    assert says in told_so["message"]
    assert told_so["fix"]
    assert shown(standing_odin)["version"] == 1


@pytest.fixture(scope="module")
def standing_odin(standing: str) -> Iterator[Answering]:
    """A gateway with one marketplace, which the tests of the module only fail to change."""
    with gateway(role_url(standing, "trueup_gateway"), **KEYS) as answering:
        made(answering)
        yield answering


def test_a_gateway_without_the_key_says_which_setting_is_missing(told: MspId, database: str) -> None:
    with gateway(role_url(database, "trueup_gateway")) as answering:
        assert "TRUEUP_POLLER_PUBLIC_KEY" in refusal(saved(answering, 0, ODIN, SECRETS))["message"]


def test_an_address_at_a_host_that_is_not_called_for_its_kind_is_refused_when_it_is_saved_and_when_it_is_tried(
    own: Answering,
) -> None:
    elsewhere = AUTOTASK | {"address": "https://autotask.net.evil.example/atws.asmx"}
    as_autotask = {"id": "autotask", "kind": "AUTOTASK"}

    answers = [saved(own, 0, elsewhere, AUTOTASK_SECRETS, **as_autotask), tried(own, elsewhere, AUTOTASK_SECRETS)]

    for answer in answers:
        assert refusal(answer)["code"] == "PRIVATE_ADDRESS"
        assert "hosts that this installation calls here: autotask.net" in refusal(answer)["message"]
    assert saved(own, 0, AUTOTASK, AUTOTASK_SECRETS, **as_autotask)["version"] == 1


def test_kept_secrets_go_to_no_other_host_than_the_one_they_were_given_for(own: Answering) -> None:
    # given a version that led to another host
    made(own)
    elsewhere = {"gateway_url": "https://192.0.43.9/marketplace/na/"}
    assert saved(own, 1, elsewhere, SECRETS)["version"] == 2

    # when somebody who does not know the secrets sets, tries or goes back to an address
    answers = [
        saved(own, 2, {"gateway_url": URL}),
        saved(own, 2, {"gateway_url": URL}, {"password": "mine"}),
        own.data(TEST, id="odin", kind="ODIN", settings=pairs({"gateway_url": URL}), secrets=[], operation="t")[
            "testConnection"
        ],
        own.data(RESTORE, id="odin", toVersion=1, version=2, operation="r")["restoreConnection"],
    ]

    # then
    for answer in answers:
        assert "Gateway_url leads to another host, to which secrets are sent" in refusal(answer)["message"]
    assert shown(own)["version"] == 2
    assert saved(own, 2, {"gateway_url": "https://192.0.43.9/marketplace/eu/"})["version"] == 3


def test_the_history_tells_who_changed_what_and_one_may_go_back(own: Answering, engine: Engine, told: MspId) -> None:
    # given
    made(own)
    SetUp(engine, Clock(), "mara").save_connection(
        told, "odin", "odin", {"user": "b", "poll_seconds": "60"}, {"secret": "canary-new"}, PUBLIC
    )

    # when
    back = own.data(RESTORE, id="odin", toVersion=1, version=2, operation="back")["restoreConnection"]
    again = own.data(RESTORE, id="odin", toVersion=1, version=2, operation="back")["restoreConnection"]
    stale = own.data(RESTORE, id="odin", toVersion=1, version=2, operation="late")["restoreConnection"]
    unknown = own.data(RESTORE, id="odin", toVersion=9, version=3, operation="none")["restoreConnection"]

    # then
    assert back["version"] == again["version"] == 3
    assert refusal(stale)["code"] == "CONNECTION_CHANGED"
    assert refusal(unknown)["code"] == "NO_SUCH_VERSION"
    third, second, first = own.data(HISTORY, id="odin")["connectionHistory"]
    assert [each["savedBy"] for each in (third, second, first)] == ["operator", "mara", "operator"]
    assert second["changes"] == [
        {"key": "poll_seconds", "before": "300", "after": "60"},
        {"key": "user", "before": "api@acme.example", "after": "b"},
    ]
    assert (second["replacedSecrets"], third["replacedSecrets"]) == (["secret"], [])
    assert third["settings"] == first["settings"]
    assert third["changes"][1] == {"key": "user", "before": "b", "after": "api@acme.example"}
    with engine.connect() as connection:
        sealed = connection.scalar(text("SELECT sealed FROM setup.connections"))
    assert unseal(POLLER[0], told, ConnectionId("odin"), "secret", sealed["secret"]) == "canary-new"


def test_a_version_of_which_only_the_log_is_left_is_told_without_settings(own: Answering, engine: Engine) -> None:
    made(own)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE setup.connection_versions"))

    (first,) = own.data(HISTORY, id="odin")["connectionHistory"]

    assert first["settings"] is None
    assert {"key": "user", "before": None, "after": None} in first["changes"]
    assert own.data(HISTORY, id="none")["connectionHistory"] == []


def tried(own: Answering, settings: Any = None, secrets: Any = None, **given: Any) -> dict[str, Any]:
    values = {"id": "autotask", "kind": "AUTOTASK", "operation": uuid4().hex} | given
    return own.data(TEST, settings=pairs(settings or {}), secrets=pairs(secrets or {}), **values)["testConnection"]


@pytest.fixture
def asking(told: MspId, database: str, vhost: str) -> Iterator[Answering]:
    """A gateway with a broker and a service that answers what it was asked; nobody is there for marketplaces."""
    with (
        Process("tests.gateway.services", vhost),
        gateway(role_url(database, "trueup_gateway"), vhost, RPC_SECONDS="3", **KEYS) as answering,
    ):
        wait_for(lambda: "errors" not in answering.post(TEST, _first()).json(), what="the service")
        yield answering


def _first() -> dict[str, Any]:
    given = {"settings": pairs(AUTOTASK), "secrets": pairs(AUTOTASK_SECRETS)}
    return {"id": "first", "kind": "AUTOTASK", "operation": uuid4().hex} | given


@pytest.mark.rabbitmq
def test_secrets_that_are_not_saved_travel_sealed_for_the_service_and_are_kept_nowhere(
    asking: Answering, engine: Engine, told: MspId
) -> None:
    # given
    saved(asking, 0, AUTOTASK, AUTOTASK_SECRETS, id="autotask", kind="AUTOTASK")

    # when
    answer = tried(asking, {"user": "other@acme.example"}, {"password": "canary-unsaved"})

    # then the new password travels with the identifier that is saved
    (step,) = answer["steps"]
    assert (answer["version"], answer["results"][0]["ok"], "canary" in step["message"]) == (None, True, False)
    msp_id, connection_id, unsaved = json.loads(step["message"])
    assert (msp_id, connection_id, unsaved["settings"]["user"]) == (told, "autotask", "other@acme.example")
    opened = [unseal(WRITER[0], told, ConnectionId("autotask"), *each) for each in unsaved["sealed"].items()]
    assert sorted(opened) == ["canary-identifier", "canary-unsaved"]
    assert shown(asking, "autotask")["lastTest"] is None
    assert shown(asking, "autotask")["settings"]["user"] == "api@acme.example"
    assert "canary" not in everything(engine)
    assert "canary" not in asking.ended()


@pytest.mark.rabbitmq
def test_the_last_test_of_saved_values_is_kept_and_what_is_old_is_forgotten(asking: Answering, engine: Engine) -> None:
    # given
    saved(asking, 0, AUTOTASK, AUTOTASK_SECRETS, id="autotask", kind="AUTOTASK")
    answers = [tried(asking), tried(asking, AUTOTASK), tried(asking, {"user": "x"})]
    assert [answer["version"] for answer in answers] == [1, 1, None]
    assert json.loads(answers[1]["steps"][0]["message"]) == ["acme", "autotask", None]
    with engine.begin() as connection:
        connection.execute(text("UPDATE setup.connection_tests SET begun_at = begun_at - interval '2 days'"))

    # when
    tried(asking, {"user": "y"})
    saved(asking, 1, {"user": "z"}, id="autotask", kind="AUTOTASK")

    # then
    last = shown(asking, "autotask")["lastTest"]
    assert (last["version"], last["begunBy"], last["steps"]) == (1, "operator", answers[1]["steps"])
    with engine.connect() as connection:
        kept = connection.scalar(text("SELECT count(*) FROM setup.connection_tests WHERE connection_id = 'autotask'"))
    assert kept == 2  # that one, and the one of today


@pytest.mark.rabbitmq
def test_a_test_is_sent_once_however_often_its_operation_comes(asking: Answering, engine: Engine) -> None:
    first = tried(asking, AUTOTASK, AUTOTASK_SECRETS, operation="once")
    assert tried(asking, AUTOTASK, {**AUTOTASK_SECRETS, "password": "another"}, operation="once") == first

    # of one whose answer did not come nobody knows whether the password was tried
    silent = {"id": "odin", "kind": "ODIN", "operation": "lost"}
    given = {"settings": pairs(ODIN), "secrets": pairs(SECRETS)}
    assert asking.refusal(TEST, **silent, **given)["code"] == "UNAVAILABLE"
    assert refusal(tried(asking, ODIN, SECRETS, **silent))["code"] == "TEST_BEGUN"


@pytest.mark.rabbitmq
def test_a_connection_is_tried_a_few_times_only_and_whoever_comes_later_is_told_when(
    asking: Answering, engine: Engine
) -> None:
    given = {"settings": pairs(AUTOTASK), "secrets": pairs(AUTOTASK_SECRETS), "id": "autotask", "kind": "AUTOTASK"}

    def passed(minutes: int) -> None:
        with engine.begin() as connection:
            query = "UPDATE setup.connection_tests SET begun_at = begun_at - CAST(:time AS interval)"
            connection.execute(text(query), {"time": timedelta(minutes=minutes)})

    # when two more than may are begun at once
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda n: asking.data(TEST, **given, operation=f"o{n}"), range(TESTS_OF_A_CONNECTION + 2))
        )

    # then
    rows = [answer["testConnection"]["results"][0] for answer in answers]
    assert sum(row["ok"] for row in rows) == TESTS_OF_A_CONNECTION
    assert {row["refusal"]["code"] for row in rows if not row["ok"]} == {"TOO_MANY_TESTS"}
    done = next(n for n, row in enumerate(rows) if row["ok"])
    assert asking.data(TEST, **given, operation=f"o{done}") == answers[done]
    passed(10)
    said = refusal(tried(asking, AUTOTASK, AUTOTASK_SECRETS))
    assert (said["code"], said["fix"]) == ("TOO_MANY_TESTS", "Try it again in 5 min.")
    assert asking.data('{ connections(mspId: "acme") { saved { id } } }')["connections"]["saved"] == []
    passed(5)
    assert tried(asking, AUTOTASK, AUTOTASK_SECRETS)["results"][0]["ok"]


@pytest.mark.rabbitmq
def test_of_those_who_come_at_once_no_more_try_than_may(asking: Answering, engine: Engine, told: MspId) -> None:
    # given a connection that may be tried once more, and four who come while nobody can begin
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.connection_tests (msp_id, operation_id, connection_id, begun_at, begun_by)
                   SELECT :msp_id, 'o' || n, 'autotask', now(), 'ada' FROM generate_series(2, :most) n"""
            ),
            {"msp_id": told, "most": TESTS_OF_A_CONNECTION},
        )

    def waiting() -> int:
        with engine.connect() as connection:
            query = """SELECT count(*) FROM pg_stat_activity
                       WHERE wait_event_type = 'Lock' AND usename = 'trueup_gateway' AND datname = current_database()"""
            return connection.scalar(text(query)) or 0

    with ThreadPoolExecutor(4) as pool:
        with engine.begin() as holding:
            holding.execute(text("LOCK TABLE setup.connection_tests IN EXCLUSIVE MODE"))
            answers = [pool.submit(tried, asking, AUTOTASK, AUTOTASK_SECRETS) for _ in range(4)]
            wait_for(lambda: waiting() == 4, what="all four to wait")

        # then
        assert sum(answer.result()["results"][0]["ok"] for answer in answers) == 1


@pytest.mark.rabbitmq
def test_one_person_tries_a_few_connections_only_and_holds_nobody_else_up(
    asking: Answering, engine: Engine, told: MspId
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.connection_tests (msp_id, operation_id, connection_id, begun_at, begun_by)
                   SELECT :msp_id, 'o' || n, 'c' || n, now(), 'operator' FROM generate_series(1, :most) n"""
            ),
            {"msp_id": told, "most": TESTS_OF_A_PERSON},
        )
    add_user(engine, told, "ada@acme.example", Role.ADMIN)
    ada = Browser(asking.url)
    ada.sign_in("ada@acme.example")

    assert refusal(tried(asking, AUTOTASK, AUTOTASK_SECRETS, id="another"))["code"] == "TOO_MANY_TESTS"
    assert ada.data(TEST, **_first())["testConnection"]["results"][0]["ok"]


@pytest.mark.rabbitmq
def test_tests_that_wait_for_a_slow_host_hold_nobody_else_up(asking: Answering, engine: Engine) -> None:
    def begun() -> int:
        with engine.connect() as connection:
            query = text("SELECT count(*) FROM setup.connection_tests WHERE connection_id = 'slow'")
            return connection.scalar(query) or 0

    pool = ThreadPoolExecutor(6)
    waiting = [
        pool.submit(asking.post, TEST, _first() | {"id": "slow", "operation": str(number)}) for number in range(6)
    ]
    try:
        wait_for(lambda: begun() == 4, what="four tests to wait, and two for them")
        assert saved(asking, 0, ODIN, SECRETS)["version"] == 1
        assert not any(each.done() for each in waiting)
    finally:
        asking.process.kill()
        pool.shutdown(wait=True)
