"""Exports over HTTP: who may, what is said beside the file, as of which position, and what becomes of one that breaks off."""

import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import Engine, text

from domain.keys import MspId
from gateway.exports.serving import AT_ONCE
from plumbing.clock import Clock
from plumbing.database import make_engine
from services.reporting.queries import REPORTS
from services.reporting.sides import make_side, models_of
from tests.gateway.serving import TOKEN, Answering, gateway
from tests.msps import add_msp
from tests.reporting import history as h
from tests.reporting.test_service import service
from tests.servers import Postgres, role_url
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
BEARER = {"authorization": f"Bearer {TOKEN}"}
PAGE = '{ subscriptions(mspId: "acme", first: 1) { edges { node { resourceName } } } }'


def get(answering: Answering, path: str, **more: Any) -> requests.Response:
    return requests.get(f"{answering.url}/export/{path}", headers=BEARER, timeout=60, **more)


@pytest.mark.parametrize("header", ["", "Bearer wrong", f"Basic {TOKEN}"])
def test_without_the_token_nothing_is_exported(served: Answering, header: str) -> None:
    answer = requests.get(f"{served.url}/export/unlinked.csv?msp=acme", headers={"authorization": header}, timeout=10)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(("file_format", "kind"), [("csv", "text/csv"), ("xlsx", "spreadsheetml.sheet")])
def test_an_export_says_its_name_and_position_and_is_neither_kept_nor_guessed_at(
    served: Answering, file_format: str, kind: str
) -> None:
    answer = get(served, f"unlinked.{file_format}?msp=acme&context=autotask&asOf=9")

    assert answer.status_code == 200
    assert kind in answer.headers["content-type"]
    assert answer.headers["content-disposition"].startswith('attachment; filename="trueup-unlinked-autotask-20')
    assert answer.headers["content-disposition"].endswith(f'.{file_format}"')
    assert answer.headers["x-trueup-position"] == "9"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.headers["x-correlation-id"]) == 32


@pytest.mark.parametrize(
    ("path", "status", "code", "word"),
    [
        ("nothing.csv?msp=acme", 404, "NO_SUCH_REPORT", "unlinked"),
        ("unlinked.pdf?msp=acme", 404, "NO_SUCH_REPORT", ".xlsx"),
        ("unlinked?msp=acme", 404, "NO_SUCH_REPORT", ".csv"),
        ("unlinked.csv?msp=nobody", 404, "NO_SUCH_MSP", "trueup msp add"),
        ("unlinked.csv?msp=acme%00", 400, "BAD_PARAMETER", "NUL"),
        ("unlinked.csv", 400, "BAD_PARAMETER", "parameter msp"),
        ("unlinked.csv?msp=acme&f.count=lots", 400, "BAD_PARAMETER", "parameter f.count"),
        ("adjustments.csv?msp=acme&f.unitChange=99999999999", 400, "BAD_QUESTION", "filter"),
        ("dead-letters.csv?position=4", 400, "BAD_PARAMETER", "parameter position"),
    ],
)
def test_a_refusal_has_a_status_a_code_a_message_and_a_fix(
    served: Answering, path: str, status: int, code: str, word: str
) -> None:
    answer = get(served, path)

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (status, code)
    assert word in error["message"] + error["extensions"]["fix"]
    assert answer.headers["cache-control"] == "no-store"


def test_who_could_not_tell_half_a_file_from_a_whole_one_gets_none(served: Answering) -> None:
    with asking(served, "unlinked.csv?msp=acme", version="1.0") as connection:
        assert connection.recv(12) == b"HTTP/1.1 505"


def test_a_past_position_is_exported_byte_for_byte_as_it_was_then(own: Answering, engine: Engine, told: MspId) -> None:
    before = get(own, "subscriptions.csv?msp=acme&position=9")
    h.append(engine, told, [h.discovered(h.odin("new"), "70"), h.renamed(h.odin("a"), "Another name")])
    h.project(engine, told)

    unmade = get(own, "subscriptions.csv?msp=acme&position=9")
    make_side(engine, models_of(REPORTS["subscriptions"]), told, 9, Clock())
    after = get(own, "subscriptions.csv?msp=acme&position=9")
    today = get(own, "subscriptions.csv?msp=acme")

    # Nobody but the service reporting can make the side, and it does not run here.
    assert (unmade.status_code, unmade.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")
    assert (after.content, after.headers["x-trueup-position"]) == (before.content, "9")
    assert (today.headers["x-trueup-position"], today.content == before.content) == ("11", False)


@pytest.mark.rabbitmq
def test_the_service_makes_the_past_that_an_export_asks_for(
    told: MspId, engine: Engine, database: str, vhost: str
) -> None:
    with service(database, vhost), gateway(role_url(database, "trueup_gateway"), vhost) as answering:
        before = get(answering, "linked.csv?msp=acme")
        h.append(engine, told, [h.cleared(h.odin("a"), h.psa("p"))])
        h.project(engine, told)

        after = get(answering, "linked.csv?msp=acme&position=9")
        beyond = get(answering, "linked.csv?msp=acme&position=99")

    assert after.content == before.content
    assert beyond.status_code == 409
    assert "99" in beyond.json()["errors"][0]["message"]


@pytest.fixture(scope="module")
def crowded(postgres: Postgres, migrated_template: str) -> Iterator[Engine]:
    """A database with an MSP of 60,000 resources: more than fits into all buffers between PostgreSQL and a client."""
    name = f"crowded_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    engine = make_engine(postgres.database_url(name), "test")
    add_msp(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO reporting.resources (msp_id, generation, resource_key, connection_id, company_id,
                     company_name, subscription_id, subscription_name, resource_id, resource_name, status, usage_based,
                     first_seen_at, read_at)
                   SELECT 'acme', 0, n, 'odin', '1', 'Company', '2', 'Subscription', n, repeat('long name ', 60),
                     'active', false, now(), now() FROM generate_series(1, 60000) n"""
            )
        )
        connection.execute(text("ANALYZE reporting.resources"))
    yield engine
    engine.dispose()
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="module")
def crowd(crowded: Engine) -> Iterator[Answering]:
    """The gateway of the crowded database."""
    url = crowded.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with gateway(role_url(url, "trueup_gateway")) as answering:
        yield answering


@contextmanager
def asking(answering: Answering, path: str, version: str = "1.1") -> Iterator[socket.socket]:
    """A client that has asked for an export and not read anything yet."""
    address = urlsplit(answering.url)
    head = f"GET /export/{path} HTTP/{version}\r\nhost: {address.netloc}\r\nauthorization: {BEARER['authorization']}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode())
        yield connection


def at_work(engine: Engine) -> list[int]:
    """Process ids of the gateway's sessions that read for an export."""
    with engine.connect() as connection:
        found = connection.scalars(
            text(
                """SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'trueup gateway' AND state <> 'idle'
                   AND backend_type = 'client backend'"""
            )
        )
        return list(found)


def test_a_fault_in_mid_stream_does_not_look_like_a_whole_file(crowd: Answering, crowded: Engine) -> None:
    with get(crowd, "subscriptions.csv?msp=acme", stream=True) as answer:
        pieces = answer.iter_content(64 * 1024)
        begun = next(pieces)
        (session,) = wait_for(lambda: at_work(crowded))
        with crowded.begin() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": session})

        assert answer.status_code == 200
        assert begun.startswith(b"\xef\xbb\xbfODIN Account ID")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            for _ in pieces:
                pass


@pytest.mark.parametrize("path", ["subscriptions.csv?msp=acme", "subscriptions.xlsx?msp=acme"])
def test_g8_when_the_client_goes_away_the_database_is_free_at_once(
    crowd: Answering, crowded: Engine, path: str
) -> None:
    with asking(crowd, path):
        wait_for(lambda: at_work(crowded), every=0.01, what="the export to begin")

    wait_for(lambda: not at_work(crowded), 5, what="the export to end")


def test_g8_exports_beyond_the_bound_are_told_to_come_back_and_pages_do_not_wait(
    crowd: Answering, crowded: Engine
) -> None:
    with ExitStack() as clients:

        def full() -> bool:
            """Whether all places are taken. An export that another test broke off may still hold one: whoever was refused
            for it asks again."""
            clients.enter_context(asking(crowd, "subscriptions.csv?msp=acme"))
            return len(at_work(crowded)) == AT_ONCE

        wait_for(full, every=0.3, what="the exports to begin")

        beyond = get(crowd, "subscriptions.csv?msp=acme")
        page = crowd.data(PAGE)

    assert (beyond.status_code, int(beyond.headers["retry-after"]) > 0) == (503, True)
    assert beyond.json()["errors"][0]["extensions"]["code"] == "BUSY"
    assert page["subscriptions"]["edges"]
    wait_for(lambda: get(crowd, "unlinked.csv?msp=acme&f.resourceId=7").status_code == 200, what="a free place")
