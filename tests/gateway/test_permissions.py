"""One table says who may ask what: the schema has nothing beside it, and the gateway answers as it says, role by role."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from domain.keys import MspId
from gateway.people.api_keys import ApiKeys
from gateway.people.permissions import INSTALLATION, OPEN, OWN, OWN_LATER, OWN_PROVEN, PERMISSIONS, Role, Scope
from plumbing.clock import Clock
from plumbing.database import make_engine
from services.reporting.queries import REPORTS
from tests.gateway.asking_all import least_request, root_fields, schema
from tests.gateway.browser import SESSION, Browser, add_user
from tests.gateway.conftest import tell
from tests.gateway.serving import TOKEN, gateway
from tests.msps import add_msp
from tests.servers import Postgres, role_url

pytestmark = pytest.mark.postgres
SCHEMA = schema()
ASKED = sorted(name for name in PERMISSIONS if not name.startswith("Subscription."))
OTHER, NOBODYS = "other", "there-is-none"


@dataclass
class House:
    url: str
    users: dict[Role, Browser]
    keys: dict[Scope, str]

    def code(self, headers: dict[str, str], query: str) -> str:
        body = requests.post(f"{self.url}/graphql", json={"query": query}, headers=headers, timeout=60).json()
        return body["errors"][0]["extensions"]["code"] if "errors" in body else ""


@pytest.fixture(scope="module")
def house(postgres: Postgres, migrated_template: str) -> Iterator[House]:
    """A gateway with a user of each role and a key of each scope at one MSP, and another MSP."""
    name = f"gateway_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    url = postgres.database_url(name)
    msp_id = tell(url)
    engine = make_engine(url, "test")
    add_msp(engine, MspId(OTHER))
    keys = ApiKeys(engine, Clock(), "test")
    with gateway(role_url(url, "trueup_gateway"), RPC_SECONDS="1") as answering:
        users = {}
        for role in Role:
            add_user(engine, msp_id, f"{role.name.lower()}@acme.example", role)
            users[role] = Browser(answering.url)
            users[role].sign_in(f"{role.name.lower()}@acme.example")
        ends_at = Clock().now().replace(year=Clock().now().year + 1)
        made = {scope: keys.make(msp_id, scope, [scope], ends_at, scope)[1] for scope in Scope}
        yield House(answering.url, users, made)
    engine.dispose()
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


def test_every_root_field_stands_in_one_list_and_no_list_names_another() -> None:
    lists = [set(PERMISSIONS), OPEN, OWN, OWN_LATER, OWN_PROVEN, INSTALLATION]

    assert set().union(*lists) == set(root_fields(SCHEMA))
    assert sum(map(len, lists)) == len(set().union(*lists))


@pytest.mark.parametrize("wanted", ASKED)
def test_a_user_may_what_the_table_says_of_its_role(house: House, wanted: str) -> None:
    query = least_request(SCHEMA, wanted, "acme")

    for role, browser in house.users.items():
        answer = browser.post(query).json()
        code = answer["errors"][0]["extensions"]["code"] if "errors" in answer else ""
        assert (code == "FORBIDDEN") == (role < PERMISSIONS[wanted].role), (role, answer)
        assert code not in ("NO_SUCH_MSP", "UNAUTHENTICATED", "INTERNAL"), (role, answer)


@pytest.mark.parametrize("wanted", ASKED)
def test_a_key_may_what_the_table_says_of_its_scope(house: House, wanted: str) -> None:
    query = least_request(SCHEMA, wanted, "acme")

    for scope, key in house.keys.items():
        code = house.code({"authorization": f"Bearer {key}"}, query)
        assert (code == "FORBIDDEN") == (scope is not PERMISSIONS[wanted].scope), (scope, code)


@pytest.mark.parametrize("wanted", ASKED)
def test_another_msp_is_as_if_it_were_not_there(house: House, wanted: str) -> None:
    for headers in (
        {"cookie": f"{SESSION}={house.users[Role.ADMIN].cookies[SESSION]}"},
        {"authorization": f"Bearer {house.keys[Scope.READ]}"},
    ):
        answers = [
            requests.post(
                f"{house.url}/graphql",
                json={"query": least_request(SCHEMA, wanted, msp_id)},
                headers=headers,
                timeout=60,
            ).text.replace(msp_id, "it")
            for msp_id in (OTHER, NOBODYS)
        ]
        without_ids = [answer.partition('"id":')[0] for answer in answers]

        assert without_ids[0] == without_ids[1]
        assert '"NO_SUCH_MSP"' in answers[0]


@pytest.mark.parametrize("wanted", sorted(INSTALLATION))
def test_what_is_the_installations_is_for_its_own_operator_alone(house: House, wanted: str) -> None:
    query = least_request(SCHEMA, wanted, "")

    assert house.users[Role.ADMIN].code(query) == "FORBIDDEN"
    assert house.code({"authorization": f"Bearer {house.keys[Scope.READ]}"}, query) == "FORBIDDEN"
    assert house.code({"authorization": f"Bearer {TOKEN}"}, query) == ""


@pytest.mark.parametrize("wanted", sorted(OWN | OWN_LATER | OWN_PROVEN))
def test_a_key_is_nobody_with_places_to_be_signed_in_at(house: House, wanted: str) -> None:
    headers = {"authorization": f"Bearer {house.keys[Scope.READ]}"}

    assert house.code(headers, least_request(SCHEMA, wanted, "")) == "UNAUTHENTICATED"


@pytest.mark.parametrize("report", [name for name, each in REPORTS.items() if each.model])
def test_a_file_is_for_who_may_read_its_report(house: House, report: str) -> None:
    cookies = {role: {"cookie": f"{SESSION}={browser.cookies[SESSION]}"} for role, browser in house.users.items()}
    file = f"{house.url}/export/{report.replace('_', '-')}.csv"

    def status(headers: dict[str, str], msp_id: str) -> int:
        return requests.get(file, params={"msp": msp_id}, headers=headers, timeout=60).status_code

    wanted = f"Query.{report.split('_', maxsplit=1)[0]}{''.join(word.title() for word in report.split('_')[1:])}"
    for role, headers in cookies.items():
        assert status(headers, "acme") == (200 if role >= PERMISSIONS[wanted].role else 403), role
    assert status(cookies[Role.ADMIN], OTHER) == status(cookies[Role.ADMIN], NOBODYS) == 404
    assert status({}, "acme") == 401
    both = requests.get(file, params=[("msp", "acme"), ("msp", OTHER)], headers=cookies[Role.ADMIN], timeout=60)
    assert both.status_code == 400


def test_the_installations_files_are_for_its_operator(house: House) -> None:
    file = f"{house.url}/export/dead-letters.csv"
    cookie = {"cookie": f"{SESSION}={house.users[Role.ADMIN].cookies[SESSION]}"}

    assert requests.get(file, headers=cookie, timeout=60).status_code == 403
    assert requests.get(file, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60).status_code == 200
