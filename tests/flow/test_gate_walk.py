"""The gate, walked through as people do: the end-to-end scenarios 1, 2, 3 and 23 of the pages, asked over HTTP and GraphQL.

A real house with both sandboxes, a mail server that keeps what it takes, and a gateway whose clock can be set forward.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from domain.keys import MspId
from gateway.people import tries
from gateway.people.first_password import set_first_password
from gateway.people.permissions import PERMISSIONS, Role
from gateway.people.users import Users
from gateway.set_up import SetUp
from plumbing.clock import Clock
from tests.gateway.asking_all import least_request, schema
from tests.gateway.browser import ME, PASSWORD, SIGN_IN, Browser, add_user
from tests.gateway.connecting import ASK, HISTORY, SAVE, TEST, pairs
from tests.gateway.people.test_signing_in import ANOTHER, CHANGE, FORGOTTEN, RESET
from tests.gateway.people.test_users import MAKE_KEY, REVOKE, SET_ROLE
from tests.gateway.serving import Answering, gateway
from tests.house import House, MspHouse
from tests.reporting.receiving import Mailbox, mailbox
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]
# What the gateway's tests ask, they ask for this MSP.
ACME = MspId("acme")
ADMIN, MARA, VICTOR = "admin@acme.example", "mara@acme.example", "victor@acme.example"
ADDRESS = "https://trueup.example"
SCHEMA = schema()
GIVEN = "the gateway password of ODIN"
ACTIVITIES = f"""{{ activities(mspId: "{ACME}", first: 100, filter: {{ source: {{ in: ["gateway"] }} }}) {{
    edges {{ node {{ actor actorKind action objectKind objectLabel changes }} }} }} }}"""
INVITE = f"""mutation ($email: String!, $operation: String!) {{
    inviteUser(mspId: "{ACME}", operationId: $operation, email: $email, name: "Victor", role: VIEWER) {{
        results {{ id ok }} }} }}"""
UNLINKED = f'{{ unlinked(mspId: "{ACME}") {{ totalCount }} }}'
USERS = f'{{ users(mspId: "{ACME}") {{ id email role }} }}'


@dataclass
class Gate:
    """The gateway at which the scenarios are walked. said: all that it has answered."""

    house: House
    door: Answering
    mails: Mailbox
    clock: Path
    said: list[str] = field(default_factory=list)

    def browser(self) -> "Listening":
        """Somebody's browser, of which all answers are kept."""
        return Listening(self.door.url, said=self.said)

    def link(self, page: str, number: int) -> str:
        """The token in the newest of so many mails."""
        wait_for(lambda: len(self.mails.mails) >= number, what=f"mail {number}")
        (token,) = re.findall(rf"^{ADDRESS}/{page}#token=(\S+)", self.mails.mails[-1].get_content(), re.MULTILINE)
        return str(token)

    def pass_by(self, time: timedelta) -> None:
        """The gateway's clock goes forward."""
        before = float(self.clock.read_text() or 0)
        self.clock.write_text(str(before + time.total_seconds()))


@dataclass
class Listening(Browser):
    """A browser whose answers are kept."""

    said: list[str] = field(default_factory=list)

    def post(self, query: str, **variables: Any) -> requests.Response:
        answer = super().post(query, **variables)
        self.said.append(answer.text)
        return answer


@pytest.fixture(scope="module")
def gate(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """An installation in which the MSP was just added, with nothing set up and nobody invited."""
    SetUp(house.engine, Clock(), "operator").add_msp(ACME, "Acme", "UTC")
    clock = tmp_path_factory.mktemp("clock") / "ahead"
    clock.write_text("0")
    with mailbox() as mails:
        given = {f"{service.upper()}_PUBLIC_KEY": pair[1] for service, pair in house.keys.items()}
        given |= {"SMTP_URL": mails.url, "PUBLIC_URL": ADDRESS, "PRIVATE_ADDRESSES": "true", "CLOCK_FILE": str(clock)}
        with gateway(role_url(house.url, "trueup_gateway"), house.rabbitmq_url, **given) as door:
            yield Gate(house, door, mails, clock)


def test_scenario_1_the_first_password_opens_once_and_nothing_before_another_is_chosen(gate: Gate) -> None:
    # given the administrative contact, with the password of the gateway
    invited = Users(gate.house.engine, Clock(), "operator").invite(ACME, ADMIN, "Ada", Role.ADMIN)
    set_first_password(gate.house.engine, invited.user_id, GIVEN)
    ada = gate.browser()

    # when
    signed_in = ada.data(SIGN_IN, email=ADMIN, password=GIVEN)["signIn"]

    # then there is no page before another password
    assert signed_in["mustChangePassword"]
    asked = [least_request(SCHEMA, name, ACME) for name in sorted(PERMISSIONS) if not name.startswith("Subscription")]
    assert {ada.code(query) for query in asked} == {"MUST_CHANGE_PASSWORD"}
    export = f"{ada.url}/export/unlinked.csv?msp={ACME}"
    cookie = {"cookie": f"__Host-trueup={ada.cookies['__Host-trueup']}"}
    assert requests.get(export, headers=cookie, timeout=60).status_code in {401, 403}
    assert gate.browser().code(SIGN_IN, email=ADMIN, password=GIVEN) == "SIGN_IN_REFUSED"
    assert ada.code(CHANGE, current="", new="password1234") == "WEAK_PASSWORD"
    ada.data(CHANGE, current="", new=PASSWORD)
    assert ada.data(UNLINKED)["unlinked"]["totalCount"] == 0
    assert requests.get(export, headers=cookie, timeout=60).status_code == 200
    gate.browser().sign_in(ADMIN)


def test_scenario_2_a_wrong_password_tells_nothing_the_sixth_waits_and_a_reset_link_opens_once_and_in_time(
    gate: Gate,
) -> None:
    # given
    add_user(gate.house.engine, ACME, MARA, Role.OPERATOR)
    mara, same = gate.browser(), ("code", "message", "fix", "status")

    # when wrong passwords are tried
    known = [mara.refusal(SIGN_IN, email=MARA, password="wrong, so wrong") for _ in range(tries.FREE_FAILURES)]
    unknown = gate.browser().refusal(SIGN_IN, email="nobody@acme.example", password="wrong, so wrong")

    # then
    assert {tuple(each[name] for name in same) for each in known} == {tuple(unknown[name] for name in same)}
    waits = mara.refusal(SIGN_IN, email=MARA, password=PASSWORD)
    assert waits["code"] == "TOO_MANY_TRIES"
    assert re.fullmatch(r"Too many tries\. Wait [1-6]?[0-9] s\.", waits["message"])
    gate.pass_by(tries.FIRST_PAUSE)
    mara.sign_in(MARA)

    # and a link is too old after half an hour
    before = len(gate.mails.mails)
    gate.browser().data(FORGOTTEN, email=MARA)
    late = gate.link("reset-password", before + 1)
    gate.pass_by(timedelta(minutes=31))
    assert gate.browser().code(RESET, token=late, new=ANOTHER) == "LINK_REFUSED"

    # and a fresh one opens once, and ends what was open
    gate.browser().data(FORGOTTEN, email=MARA)
    token = gate.link("reset-password", before + 2)
    gate.browser().data(RESET, token=token, new=ANOTHER)
    assert gate.browser().code(RESET, token=token, new=ANOTHER) == "LINK_REFUSED"
    assert mara.code(ME) == "UNAUTHENTICATED"
    assert gate.browser().code(SIGN_IN, email=MARA, password=PASSWORD) == "SIGN_IN_REFUSED"
    mara.sign_in(MARA, ANOTHER)
    assert mara.data(ME)["me"]["email"] == MARA


def test_scenario_3_both_sides_are_tried_unsaved_and_saved_and_no_secret_comes_back(gate: Gate) -> None:
    # given an admin, a marketplace and an Autotask
    house = gate.house
    account, desk = house.odin.add_account("acme", companies=1), house.psa.add_tenant("acme")
    msp = MspHouse(house, ACME, account, desk, SetUp(house.engine, Clock(), "test"))
    msp.add_line("Contoso", "Exchange Online (Plan 1)", 4)
    odin = {"gateway_url": account.url, "user": account.user, "marketplace": account.marketplace}
    odin_secrets = {"password": account.password, "secret": account.secret}
    autotask = {"address": desk.url, "user": desk.user}
    autotask_secrets = {"password": desk.password, "tracking_identifier": desk.tracking_identifier}
    ada = gate.browser()
    ada.sign_in(ADMIN)

    def tried(kind: str, settings: dict[str, str], secrets: dict[str, str]) -> list[dict[str, Any]]:
        values = {"id": kind, "kind": kind.upper(), "operation": uuid4().hex}
        answer = ada.data(TEST, settings=pairs(settings), secrets=pairs(secrets), **values)["testConnection"]
        assert answer["version"] is None
        return list(answer["steps"])

    # when values that are not saved are tried
    wrong = tried("autotask", autotask, autotask_secrets | {"password": "canary-wrong"})

    # then a wrong password is tried exactly once, and each step of right ones passes
    assert [(step["step"], step["ok"]) for step in wrong] == [("zone", True), ("sign-in", False)]
    assert desk.calls.count(outcome="unauthorised") == 1
    for steps in (tried("odin", odin, odin_secrets), tried("autotask", autotask, autotask_secrets)):
        assert len(steps) >= 3
        assert all(step["ok"] for step in steps), steps

    # and once they are saved both sides are read
    assert ada.data(ASK)["connections"]["saved"] == []
    for kind, settings, secrets in (("odin", odin, odin_secrets), ("autotask", autotask, autotask_secrets)):
        values = {"id": kind, "kind": kind.upper(), "version": 0, "operation": uuid4().hex}
        saved = ada.data(SAVE, settings=pairs(settings), secrets=pairs(secrets), **values)["saveConnection"]
        assert saved["results"][0]["ok"], saved
    wait_for(lambda: msp.events("PollCompleted"), 60, what="the first poll")
    wait_for(lambda: msp.events("PsaProductObserved"), 60, what="the catalogue")

    # and no secret comes back
    shown = {each["id"]: each for each in ada.data(ASK)["connections"]["saved"]}
    given = {"odin": odin_secrets, "autotask": autotask_secrets}
    for kind, secrets in given.items():
        ada.data(HISTORY, id=kind)
        assert {each["key"] for each in shown[kind]["secrets"] if each["isSet"]} == set(secrets)
    for secret in (*odin_secrets.values(), *autotask_secrets.values(), "canary-wrong"):
        assert secret not in "".join(gate.said)


def test_scenario_23_a_viewer_changes_nothing_a_key_reads_its_scope_until_it_is_revoked_and_all_of_it_is_told(
    gate: Gate,
) -> None:
    # given a viewer, invited by mail
    ada, victor = gate.browser(), gate.browser()
    ada.sign_in(ADMIN)
    before = len(gate.mails.mails)
    (row,) = ada.data(INVITE, email=VICTOR, operation=uuid4().hex)["inviteUser"]["results"]
    victor.data(RESET, token=gate.link("first-sign-in", before + 1), new=PASSWORD)
    victor.sign_in(VICTOR)

    # when it sends by hand whatever changes something
    permitted = victor.data("{ me { msps { permissions } } }")["me"]["msps"][0]["permissions"]
    changes = [name for name in PERMISSIONS if name.startswith("Mutation.") and PERMISSIONS[name].role > Role.VIEWER]

    # then it is offered none of it and refused all of it
    assert len(changes) > 20
    assert set(changes).isdisjoint(permitted)
    assert {victor.code(least_request(SCHEMA, name, ACME)) for name in changes} == {"FORBIDDEN"}
    assert victor.data(UNLINKED)

    # when a key is made for reading
    tomorrow = (Clock().now() + timedelta(days=30)).date().isoformat()
    made = ada.data(MAKE_KEY, endsOn=tomorrow, operation="key")["createApiKey"]
    assert ada.data(MAKE_KEY, endsOn=tomorrow, operation="key")["createApiKey"]["key"] is None
    authorization = {"authorization": f"Bearer {made['key']}"}

    def by_key(query: str) -> dict[str, Any]:
        body = {"query": query}
        answer = requests.post(f"{gate.door.url}/graphql", json=body, headers=authorization, timeout=60)
        return dict(answer.json())

    # then it reads, and does nothing else, until it is revoked
    assert by_key(UNLINKED)["data"]["unlinked"]
    beyond = [name for name in PERMISSIONS if str(PERMISSIONS[name].scope) != "read" and "Subscription" not in name]
    codes = {by_key(least_request(SCHEMA, name, ACME))["errors"][0]["extensions"]["code"] for name in beyond}
    assert codes == {"FORBIDDEN"}
    ada.data(REVOKE, key=made["results"][0]["id"])
    assert by_key(UNLINKED)["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert sum(text.count(made["key"]) for text in gate.said) == 1

    # and all of it stands in the activity, with before and after
    ada.data(SET_ROLE, user=row["id"], role="BOOKKEEPER")
    wanted = {
        ("user_role_set", VICTOR, "role: – → viewer"),
        ("user_role_set", VICTOR, "role: viewer → bookkeeper"),
        ("api_key_made", "BI", "scopes: – → read"),
        ("api_key_revoked", "BI", ""),
        ("connection_saved", "odin", "password: – → replaced"),
    }

    def told() -> set[tuple[str, str, str]]:
        nodes = [edge["node"] for edge in ada.data(ACTIVITIES)["activities"]["edges"]]
        assert {node["actor"] for node in nodes if node["action"] != "msp_added"} <= {ADMIN, "operator", "test"}
        return {
            (action, label, change)
            for action, label, change in wanted
            for node in nodes
            if (node["action"], node["objectLabel"]) == (action, label) and change in (node["changes"] or "")
        }

    wait_for(lambda: told() == wanted, 60, what="the activity")
