"""Random users, roles, keys, MSPs and wishes: every outcome is what the one table says, and nothing of one MSP is in an answer
about another."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway.people.api_keys import ApiKeys
from gateway.people.permissions import PERMISSIONS, Role, Scope
from plumbing.clock import Clock
from plumbing.database import make_engine
from tests.gateway.asking_all import schema
from tests.gateway.browser import Browser, add_user
from tests.gateway.serving import Answering, gateway
from tests.gateway.whole_request import whole_request
from tests.msps import add_msp
from tests.reporting import history as h
from tests.servers import Postgres, fresh_database, role_url

pytestmark = pytest.mark.postgres
SCHEMA = schema()
ASKED = sorted(name for name in PERMISSIONS if not name.startswith("Subscription."))
MSPS = ("acme", "other")
#: Everything that an MSP has bears its mark.
MARKS = {"acme": "zq-north", "other": "zq-south"}
#: The answers to these have it.
_OF_RESOURCES = ("subscriptions", "linked", "unlinked", "relations", "counts", "ledger")
_OF_POSTS = ("adjustments", "requests", "failures", "psaProducts", "users")
MARKED = [f"Query.{name}" for name in _OF_RESOURCES + _OF_POSTS]
PEOPLE = ("mara", "jon", "ida")
SET_ROLE = """mutation ($msp: String!, $user: String!, $role: Role!) {
  setRole(mspId: $msp, userId: $user, role: $role, operationId: "%s") { results { ok refusal { code } } } }"""
DISABLE = """mutation ($msp: String!, $user: String!) {
  disableUser(mspId: $msp, userId: $user, operationId: "%s") { results { ok refusal { code } } } }"""
REVOKE = """mutation ($msp: String!, $key: String!) {
  revokeApiKey(mspId: $msp, keyId: $key, operationId: "%s") { results { ok refusal { code } } } }"""


@dataclass(frozen=True)
class Ground:
    """A gateway with two MSPs, each with something in every report."""

    engine: Engine
    answering: Answering


@pytest.fixture(scope="module")
def ground(postgres: Postgres, migrated_template: str) -> Iterator[Ground]:
    with fresh_database(postgres, migrated_template) as url:
        engine = make_engine(url, "test", pool_size=10)
        for msp_id, mark in MARKS.items():
            tell_marked(engine, add_msp(engine, msp_id), mark)
        with gateway(role_url(url, "trueup_gateway"), RPC_SECONDS="1") as answering:
            yield Ground(engine, answering)
        engine.dispose()


def tell_marked(engine: Engine, msp_id: MspId, mark: str) -> None:
    a, b = h.odin(f"{mark}-a", f"{mark}-1", f"{mark}-9"), h.odin(f"{mark}-b", f"{mark}-2", f"{mark}-8")
    p, q = h.psa(f"{mark}-p", f"{mark}-7", f"{mark}-c"), h.psa(f"{mark}-q", f"{mark}-7", f"{mark}-c")
    told = [h.subscription(a), h.discovered(a, "4"), h.discovered(b, "5"), h.product(p), h.linked(a, p)]
    told += [h.requested(a, p, f"{mark}-r1"), h.posted(a, p, f"{mark}-r1", 2), h.failed(b, q, f"{mark}-r2")]
    h.append(engine, msp_id, told)
    h.project(engine, msp_id)


@dataclass
class Person:
    """What the model knows of one user. roles: by MSP, of those in which it is not disabled."""

    user_id: str
    browser: Browser
    roles: dict[str, Role] = field(default_factory=dict)
    was: set[str] = field(default_factory=set)


@dataclass
class Key:
    """What the model knows of one API key."""

    key_id: str
    secret: str
    msp_id: str
    scopes: frozenset[Scope]
    works: bool = True


class Roles(RuleBasedStateMachine):
    """People change each other's roles and ask for everything."""

    ground: Ground

    def __init__(self) -> None:
        super().__init__()
        self.people: list[Person] = []
        self.keys: list[Key] = []

    @initialize()
    def people_come(self) -> None:
        engine = self.ground.engine
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE people.users, people.api_keys, people.tries CASCADE"))
        for name, msp_id, role in (*((who, "acme", Role.VIEWER) for who in PEOPLE), ("root", "acme", Role.ADMIN)):
            self._come(name, msp_id, role)
        self._come("south", "other", Role.ADMIN)

    def _come(self, name: str, msp_id: str, role: Role) -> None:
        email = f"{name}@{MARKS[msp_id] if name in ('root', 'south') else 'example'}.example"
        user_id = add_user(self.ground.engine, MspId(msp_id), email, role)
        browser = Browser(self.ground.answering.url)
        browser.sign_in(email)
        self.people.append(Person(user_id, browser, {msp_id: role}, {msp_id}))

    @rule(who=st.integers(0, 4), of=st.integers(0, 4), msp_id=st.sampled_from(MSPS), role=st.sampled_from(Role))
    def give_role(self, who: int, of: int, msp_id: str, role: Role) -> None:
        asks, given = self.people[who], self.people[of]
        query = SET_ROLE % uuid.uuid4().hex
        answer = asks.browser.post(query, msp=msp_id, user=given.user_id, role=role.name)
        if self._refused(asks, "Mutation.setRole", msp_id, answer):
            return
        wanted = ""
        if msp_id not in given.was:
            wanted = "NO_SUCH_USER"
        elif role is not Role.ADMIN and self._is_last_admin(given, msp_id):
            wanted = "LAST_ADMIN"
        assert self._row_code(answer, "setRole") == wanted
        if not wanted:
            given.roles[msp_id] = role

    @rule(who=st.integers(0, 4), of=st.integers(0, 4), msp_id=st.sampled_from(MSPS))
    def disable(self, who: int, of: int, msp_id: str) -> None:
        asks, given = self.people[who], self.people[of]
        answer = asks.browser.post(DISABLE % uuid.uuid4().hex, msp=msp_id, user=given.user_id)
        if self._refused(asks, "Mutation.disableUser", msp_id, answer):
            return
        wanted = ""
        if msp_id not in given.was:
            wanted = "NO_SUCH_USER"
        elif self._is_last_admin(given, msp_id):
            wanted = "LAST_ADMIN"
        assert self._row_code(answer, "disableUser") == wanted
        if not wanted and msp_id in given.roles:
            del given.roles[msp_id]
            given.browser.cookies.clear()

    @rule(of=st.integers(0, 2), role=st.sampled_from(Role))
    def join_the_other(self, of: int, role: Role) -> None:
        """By whoever is the other's admin; a name that is there keeps its password."""
        given = self.people[of]
        if "other" not in given.was:
            add_user(self.ground.engine, MspId("other"), f"{PEOPLE[of]}@example.example", role)
            given.roles["other"] = role
            given.was.add("other")

    @rule(msp_id=st.sampled_from(MSPS), scopes=st.frozensets(st.sampled_from(Scope), min_size=1))
    def make_key(self, msp_id: str, scopes: frozenset[Scope]) -> None:
        ends_at = Clock().now() + timedelta(days=1)
        keys = ApiKeys(self.ground.engine, Clock(), "test")
        made = keys.make(MspId(msp_id), f"{MARKS[msp_id]} key", sorted(scopes), ends_at, uuid.uuid4().hex)
        self.keys.append(Key(*made, msp_id, scopes))

    @rule(who=st.integers(0, 4), which=st.integers(0, 9), msp_id=st.sampled_from(MSPS))
    def revoke_key(self, who: int, which: int, msp_id: str) -> None:
        if not self.keys:
            return
        asks, key = self.people[who], self.keys[which % len(self.keys)]
        answer = asks.browser.post(REVOKE % uuid.uuid4().hex, msp=msp_id, key=key.key_id)
        if self._refused(asks, "Mutation.revokeApiKey", msp_id, answer):
            return
        assert self._row_code(answer, "revokeApiKey") == ("" if key.msp_id == msp_id else "NO_SUCH_KEY")
        key.works = key.works and key.msp_id != msp_id

    @rule(who=st.integers(0, 4), msp_id=st.sampled_from(MSPS), wanted=st.sampled_from(ASKED) | st.sampled_from(MARKED))
    def ask(self, who: int, msp_id: str, wanted: str) -> None:
        asks = self.people[who]
        answer = asks.browser.post(whole_request(SCHEMA, wanted, msp_id))
        self._refused(asks, wanted, msp_id, answer)

    @rule(
        which=st.integers(0, 9), msp_id=st.sampled_from(MSPS), wanted=st.sampled_from(ASKED) | st.sampled_from(MARKED)
    )
    def ask_by_key(self, which: int, msp_id: str, wanted: str) -> None:
        if not self.keys:
            return
        key = self.keys[which % len(self.keys)]
        answer = requests.post(
            f"{self.ground.answering.url}/graphql",
            json={"query": whole_request(SCHEMA, wanted, msp_id)},
            headers={"authorization": f"Bearer {key.secret}"},
            timeout=60,
        )
        expected = ""
        if not key.works:
            expected = "UNAUTHENTICATED"
        elif key.msp_id != msp_id:
            expected = "NO_SUCH_MSP"
        elif PERMISSIONS[wanted].scope not in key.scopes:
            expected = "FORBIDDEN"
        self._judge(answer, expected, wanted, msp_id)

    def _refused(self, asks: Person, wanted: str, msp_id: str, answer: requests.Response) -> bool:
        """Whether the person may not; the answer says just that, or lets it in."""
        expected = ""
        if not asks.browser.cookies:
            expected = "UNAUTHENTICATED"
        elif msp_id not in asks.roles:
            expected = "NO_SUCH_MSP"
        elif asks.roles[msp_id] < PERMISSIONS[wanted].role:
            expected = "FORBIDDEN"
        self._judge(answer, expected, wanted, msp_id)
        return bool(expected)

    def _judge(self, answer: requests.Response, expected: str, wanted: str, msp_id: str) -> None:
        body = answer.json()
        code = body["errors"][0]["extensions"]["code"] if "errors" in body else ""
        if expected:
            assert code == expected, (wanted, msp_id, body)
        else:
            assert code not in {"UNAUTHENTICATED", "NO_SUCH_MSP", "FORBIDDEN", "INTERNAL"}, (wanted, msp_id, body)
        hidden = [mark for each, mark in MARKS.items() if each != msp_id or expected]
        assert not [mark for mark in hidden if mark in answer.text], (wanted, msp_id, answer.text)

    def _is_last_admin(self, given: Person, msp_id: str) -> bool:
        admins = [each for each in self.people if each.roles.get(msp_id) is Role.ADMIN]
        return admins == [given]

    def _row_code(self, answer: requests.Response, name: str) -> str:
        row: dict[str, Any] = answer.json()["data"][name]["results"][0]
        return "" if row["ok"] else str(row["refusal"]["code"])


@pytest.mark.timeout(600)
def test_g2_whoever_asks_for_whatever_the_outcome_is_what_the_table_says(ground: Ground) -> None:
    Roles.ground = ground
    run_state_machine_as_test(
        Roles,
        settings=settings(
            max_examples=12, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.parametrize("msp_id", MSPS)
def test_what_an_msp_has_bears_its_mark_so_that_a_leak_would_be_seen(ground: Ground, msp_id: str) -> None:
    browser = Browser(ground.answering.url)
    add_user(ground.engine, MspId(msp_id), f"{MARKS[msp_id]}@sees.example", Role.ADMIN)
    browser.sign_in(f"{MARKS[msp_id]}@sees.example")

    for wanted in MARKED:
        answer = browser.post(whole_request(SCHEMA, wanted, msp_id))
        assert "errors" not in answer.json(), (wanted, answer.text)
        assert MARKS[msp_id] in answer.text, (wanted, answer.text)
