"""What a gateway may say that is neither a subscription nor its absence, against a server that says just that."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from deploy.sandbox.serving import serving
from plumbing.budget import Budget, Window
from plumbing.calls import uncounted
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.http import Http, Limits, OutsideFailure
from plumbing.way_out import WayOut
from services.poller.sources.simple_api import Access, QuotaSpent, SimpleApi
from tests.poller.desk import hurried

PLATFORM = {"timeStamp": "2026-08-03T08:00:00Z", "path": "/", "correlationId": "a8n-1"}


@pytest.fixture
def engine(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    hurried(monkeypatch)
    made = make_engine(database, "test")
    yield made
    made.dispose()


@contextmanager
def saying(engine: Engine, answer: Callable[[], Response], deadline: float = 1e12) -> Iterator[SimpleApi]:
    """A source whose marketplace gives a token, and this answer to every read."""

    async def token(_: Request) -> Response:
        return JSONResponse({"token": "t", "expiresInSeconds": 1500})

    async def read(_: Request) -> Response:
        return answer()

    app = Starlette(routes=[Route("/m/token", token, methods=["POST"]), Route("/m/{path:path}", read)])
    clock = Clock()
    with serving(app) as address:
        http = Http("odin", Limits(2, 2, 4), clock, WayOut(private_addresses=True))
        budget = Budget(engine, "acme/odin", [Window(1000, 60), Window(10_000, 86_400)], clock)
        yield SimpleApi(Access(f"{address}/m", "u", "p", "k", "us"), http, budget, clock, deadline, uncounted)
        http.close()


def refused(engine: Engine, answer: Callable[[], Response]) -> OutsideFailure:
    with saying(engine, answer) as api, pytest.raises(OutsideFailure) as caught:
        api.subscription("1000823")
    return caught.value


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"statusCode": 404, "message": "Resource not found"}),
        (404, {"statusCode": 404, "message": "No entity has been found"}),
        (404, PLATFORM | {"status": 404, "message": "No such path"}),
        (400, PLATFORM | {"status": 400, "message": "Bad request"}),
        (500, PLATFORM | {"status": 500, "message": "No entity has been found"}),
        (410, PLATFORM | {"status": 410, "message": "No entity has been found"}),
    ],
)
def test_only_the_platforms_own_words_say_that_a_subscription_is_gone(
    engine: Engine, status: int, body: dict[str, Any]
) -> None:
    assert refused(engine, lambda: JSONResponse(body, status)).kind == "rejected"


def test_a_404_page_of_a_proxy_says_nothing_about_a_subscription(engine: Engine) -> None:
    assert refused(engine, lambda: HTMLResponse("<h1>No entity has been found</h1>", 404)).kind == "rejected"


@pytest.mark.parametrize("status", [404, 400])
def test_the_platforms_words_say_it_with_either_status(engine: Engine, status: int) -> None:
    # given
    body = PLATFORM | {"status": status, "message": "No entity has been found by id 1000823"}

    # then
    with saying(engine, lambda: JSONResponse(body, status)) as api:
        assert api.subscription("1000823") is None


def test_an_answer_about_another_subscription_is_refused(engine: Engine) -> None:
    # given
    body = {"id": "1", "customerId": "2", "status": "removed", "products": []}

    # then
    assert refused(engine, lambda: JSONResponse(body)).kind == "malformed"


@pytest.mark.parametrize(
    ("message", "headers", "seconds"),
    [
        ("Out of call volume quota. Quota will be replenished in 01:02:03.", {}, 3723),
        ("Out of call volume quota. Quota will be replenished in 01:02:03.", {"Retry-After": "60"}, 60),
    ],
)
def test_a_spent_quota_lasts_as_long_as_the_gateway_tells(
    engine: Engine, message: str, headers: dict[str, str], seconds: float
) -> None:
    # when
    failure = refused(engine, lambda: JSONResponse({"statusCode": 403, "message": message}, 403, headers))

    # then
    assert isinstance(failure, QuotaSpent)
    assert failure.seconds == seconds


def test_a_spent_quota_without_a_time_lasts_to_the_end_of_the_day(engine: Engine) -> None:
    # when
    failure = refused(engine, lambda: JSONResponse({"statusCode": 403, "message": "Out of call volume quota."}, 403))

    # then
    assert isinstance(failure, QuotaSpent)
    assert 0 < failure.seconds <= 86_400


def test_a_403_of_the_platform_is_no_quota(engine: Engine) -> None:
    # given
    body = PLATFORM | {"status": 403, "message": "Your quota of rights does not allow this"}

    # then
    assert refused(engine, lambda: JSONResponse(body, 403)).kind == "forbidden"


def test_nothing_is_tried_again_behind_the_deadline(engine: Engine) -> None:
    # given
    asked = []

    def answer() -> Response:
        asked.append(1)
        return JSONResponse({}, 503)

    # when
    with saying(engine, answer, deadline=0) as api, pytest.raises(OutsideFailure):
        api.subscription("1000823")

    # then
    assert len(asked) == 1
