"""Every way in and every kind of answer -> the headers that a browser is held by are there."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, text
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from domain.keys import MspId
from gateway.app import LONGEST_OF_CALLERS, Gateway, GatewaySettings
from gateway.headers import HEADERS, WithHeaders
from plumbing.clock import Clock
from plumbing.database import make_engine
from tests.gateway.listening import connected
from tests.gateway.serving import NOWHERE, TOKEN, Answering, gateway
from tests.reporting import closing

pytestmark = pytest.mark.postgres
BEARER = {"authorization": f"Bearer {TOKEN}"}
PULSE = '{ pulse(mspId: "acme") { position } }'
ASK = {"method": "POST", "path": "/graphql", "headers": BEARER, "json": {"query": PULSE}}
ANSWERS = {
    "an answer": (200, ASK),
    "an error in an answer": (200, ASK | {"json": {"query": '{ pulse(mspId: "nobody") { position } }'}}),
    "not valid": (400, ASK | {"json": {"query": "{ nothing }"}}),
    "not JSON": (415, ASK | {"json": None, "data": "x"}),
    "not signed in": (401, ASK | {"headers": {}}),
    "foreign": (403, ASK | {"headers": {"origin": "https://evil.example"}}),
    "too long": (413, ASK | {"json": {"query": " " * LONGEST_OF_CALLERS}}),
    "not by GET": (405, {"path": "/graphql"}),
    "a file": (200, {"path": "/export/unlinked.csv?msp=acme", "headers": BEARER}),
    "a workbook": (200, {"path": "/export/unlinked.xlsx?msp=acme", "headers": BEARER}),
    "a file not signed in": (401, {"path": "/export/unlinked.csv?msp=acme"}),
    "no such file": (404, {"path": "/export/nothing.csv?msp=acme", "headers": BEARER}),
    "a bad parameter": (400, {"path": "/export/unlinked.csv", "headers": BEARER}),
    "a close": (200, {"path": "/export/close.pdf?msp=acme&context=autotask&period=2026-03", "headers": BEARER}),
    "a close not signed in": (401, {"path": "/export/close.csv"}),
    "health": (200, {"path": "/healthz"}),
    "metrics": (200, {"path": "/metrics"}),
    "no such page": (404, {"path": "/nothing"}),
    "not by POST": (405, {"method": "POST", "path": "/metrics"}),
}


@pytest.fixture(scope="module", autouse=True)
def _connected(standing: str) -> None:
    """A PSA connection, without which there is no close."""
    engine = make_engine(standing, "test")
    closing.connect(engine, MspId("acme"))
    engine.dispose()


def ask(url: str, method: str = "GET", path: str = "/", **more: Any) -> requests.Response:
    return requests.request(method, url + path, timeout=60, allow_redirects=False, **more)


def assert_held(headers: Mapping[str, str]) -> None:
    assert {name: headers[name] for name in HEADERS} == dict(HEADERS)


@pytest.mark.parametrize("kind", ANSWERS)
def test_every_kind_of_answer_carries_them(served: Answering, kind: str) -> None:
    status, asked = ANSWERS[kind]

    answer = ask(served.url, **asked)

    assert answer.status_code == status
    assert_held(answer.headers)
    assert "strict-transport-security" not in answer.headers


def test_every_route_is_among_these_kinds() -> None:
    engine = make_engine("postgresql://nobody@127.0.0.1:1/none", "test")
    settings = GatewaySettings(database_url="", rabbitmq_url=NOWHERE)
    routes = Gateway(engine, settings, Clock()).routes()
    asked = {asked["path"].partition("?")[0] for _, asked in ANSWERS.values()}

    for route in routes:
        pattern = re.compile(re.sub(r"\{\w+\}", r"[^/]+", route.path))
        assert any(pattern.fullmatch(path) for path in asked), route.path


def test_a_handshake_carries_them_whether_it_is_taken_or_refused(standing: str) -> None:
    with gateway(standing) as answering:
        with connected(answering) as listener:
            assert_held(listener.connection.response.headers)
        for path, origin in (("/graphql", "https://evil.example"), ("/nothing", None)):
            address = answering.url.replace("http", "ws") + path
            with pytest.raises(InvalidStatus) as refused, connect(address, origin=origin):
                pass
            assert refused.value.response.status_code == 403
            assert_held(refused.value.response.headers)

    assert "handshake" not in answering.output


def test_a_fault_carries_them(own: Answering, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA reporting CASCADE"))

    answer = ask(own.url, path="/export/unlinked.csv?msp=acme", headers=BEARER)

    assert answer.status_code == 500
    assert_held(answer.headers)


def test_a_browser_is_told_to_come_by_https_alone_where_people_open_it_so(standing: str) -> None:
    with gateway(standing, PUBLIC_URL="https://trueup.example") as answering:
        for asked in ({"path": "/healthz"}, {"path": "/nothing"}, ASK):
            assert ask(answering.url, **asked).headers["strict-transport-security"] == "max-age=31536000"


def test_a_fault_that_no_handler_took_carries_them() -> None:
    def broken(request: Request) -> Response:
        raise ZeroDivisionError

    headers, status = told_by(Starlette(routes=[Route("/", broken)]), fault=ZeroDivisionError)

    assert status == 500
    assert_held(headers)


def test_what_an_answer_says_of_itself_stands() -> None:
    headers, _ = told_by(PlainTextResponse("", headers={"cache-control": "max-age=60"}))

    assert headers.getlist("cache-control") == ["max-age=60"]
    assert headers["x-content-type-options"] == "nosniff"


def told_by(application: ASGIApp, fault: type[Exception] | None = None) -> tuple[Headers, int]:
    """Headers and status of its answer to GET /."""
    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    with pytest.raises(fault) if fault else nullcontext():
        asyncio.run(WithHeaders(application, "")(scope, receive, send))
    return Headers(scope=said[0]), said[0]["status"]
