"""HTTP -> GraphQL answers, health and metrics. One thin handler: it checks, hands the work to a thread, and answers.

Reads and writes have threads of their own: a service that is silent holds up those who wish to change something, never
those who read.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
import orjson
from graphql import GraphQLError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from gateway import health
from gateway.asking import Asking, body_of
from gateway.bells import Bells
from gateway.documents import Invalid
from gateway.door import Door, Visit
from gateway.errors import Refusal, told
from gateway.exports.closing import CloseExports
from gateway.exports.serving import Exports
from gateway.headers import WithHeaders
from gateway.in_time import refuse_late_statements
from gateway.live import Live
from gateway.people.breached import Breached
from gateway.people.callers import NOBODY
from gateway.people.codes import Codes
from gateway.people.provider import Provider
from gateway.people.single_sign_on import BEGIN, COME_BACK
from gateway.post import Post
from gateway.schema.context import Context
from gateway.single_sign_on import SingleSignOn
from gateway.talking import Doorway
from plumbing.clock import Clock
from plumbing.logs import correlated
from plumbing.secrets import public_key_of
from plumbing.settings import (
    AUTOTASK_HOSTS,
    BREACHED_HELP,
    HOSTS_HELP,
    PREFIX,
    BadSettings,
    Settings,
    hosts_of,
    setting,
)
from plumbing.way_out import WayOut

log = logging.getLogger(__name__)
LONGEST_BODY = 32 * 1024
# Whoever has come in may send the pairs of a bulk link; the query itself stays as short as everybody's.
LONGEST_OF_CALLERS = 1024 * 1024
BODY_SECONDS = 10.0


def _is_private_key(text: str) -> bool:
    return bool(public_key_of(text))


@dataclass(frozen=True, kw_only=True)
class GatewaySettings(Settings):
    """What the gateway needs."""

    gateway_token: str = setting(
        "",
        secret=True,
        help="bearer token of the installation's operator, at least 16 characters; empty: there is none",
    )
    public_url: str = setting(
        "", help="address at which people open Trueup, such as https://trueup.example; links begin with it"
    )
    smtp_url: str = setting("", secret=True, help="mail server, smtp://user:password@host:port or smtps://...")
    mail_from: str = setting("trueup@localhost", help="address that mails are sent from")
    trusted_proxies: str = setting(
        "", help="addresses of proxies whose X-Forwarded-For is believed, with commas between"
    )
    introspection: bool = setting(default=False, help="whether GraphQL tells its schema (else: gateway/schema.graphql)")
    poller_public_key: str = setting("", help="public key of the poller, which opens marketplaces' secrets")
    psa_writer_public_key: str = setting("", help="public key of the writer, which opens PSAs' secrets")
    reporting_public_key: str = setting("", help="public key of reporting, which signs webhooks (`trueup key new`)")
    private_key: str = setting(
        "",
        secret=True,
        help="opens the secrets of users' one-time codes, made by `trueup key new` (base64); empty: there are no codes",
        fits=_is_private_key,
    )
    private_addresses: bool = setting(
        default=False, help="whether webhooks and connections may lead to http and private addresses (sandbox only)"
    )
    odin_hosts: str = setting("", help=HOSTS_HELP.format("marketplaces"))
    autotask_hosts: str = setting(AUTOTASK_HOSTS, help=HOSTS_HELP.format("Autotask's web services"))
    breached_passwords: str = setting("", help=BREACHED_HELP)
    oidc_issuer: str = setting(
        "", help="OpenID provider of single sign-on, such as https://login.example/tenant; empty: there is none"
    )
    oidc_client_id: str = setting("", help="what the provider knows this installation by")
    oidc_client_secret: str = setting("", secret=True, help="by which the provider knows that it is this installation")
    oidc_label: str = setting("single sign-on", help="what people know the provider by: Sign in with <label>")
    rpc_seconds: int = setting(20, help="longest wait for the answer of another service, in seconds")

    def provider(self, clock: Clock) -> Provider | None:
        """The provider of single sign-on, if there is one. BadSettings when something of it lacks."""
        if not self.oidc_issuer:
            return None
        needed = {"oidc_client_id", "oidc_client_secret", "public_url"}
        missing = sorted(f"{PREFIX}{name.upper()}" for name in needed if not getattr(self, name))
        if missing:
            raise BadSettings(
                f"set {' and '.join(missing)}: TRUEUP_OIDC_ISSUER needs {'it' if len(missing) == 1 else 'them'}"
            )
        return Provider(
            self.oidc_issuer,
            self.oidc_client_id,
            self.oidc_client_secret,
            self.oidc_label,
            self.public_url.rstrip("/") + COME_BACK,
            WayOut(self.private_addresses),
            clock,
        )


class Gateway:
    """The handlers of one gateway process."""

    def __init__(self, engine: Engine, settings: GatewaySettings, clock: Clock) -> None:
        self._engine, self._settings, self._clock = engine, settings, clock
        # Each answer is one statement: it needs no transaction around it.
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        refuse_late_statements(self._reader)
        self._door = Door(self._reader, clock, settings.gateway_token)
        self._post = Post(settings.smtp_url, settings.mail_from, settings.public_url)
        provider = settings.provider(clock)
        self._sign_on = SingleSignOn(engine, clock, self._door, provider, self._post) if provider else None
        self._exports = Exports(engine, clock, self._door, settings.rabbitmq_url, float(settings.rpc_seconds))
        self._close_exports = CloseExports(engine, clock, self._door)

    def application(self) -> ASGIApp:
        """The ASGI application."""
        return WithHeaders(Starlette(routes=self.routes(), lifespan=self._lifespan), self._settings.public_url)

    def routes(self) -> list[Route | WebSocketRoute]:
        """Every way in."""
        return [
            Route("/graphql", self.graphql, methods=["POST"]),
            WebSocketRoute("/graphql", self.listen),
            Route("/export/close.{format}", self._close_exports.answer, methods=["GET"]),
            Route("/export/{file}", self._exports.answer, methods=["GET"]),
            *self._sign_on_routes(),
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    def _sign_on_routes(self) -> list[Route]:
        if self._sign_on is None:
            return []
        return [
            Route(BEGIN, self._sign_on.begin, methods=["GET"]),
            Route(COME_BACK, self._sign_on.come_back, methods=["GET"]),
        ]

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        live = Live(self._reader, self._clock)
        given = self._settings
        house = Context(
            self._engine,
            self._reader,
            self._clock,
            given.rabbitmq_url,
            float(given.rpc_seconds),
            live,
            reporting_public_key=given.reporting_public_key,
            public_keys={"poller": given.poller_public_key, "psa_writer": given.psa_writer_public_key},
            private_addresses=given.private_addresses,
            hosts={"odin": hosts_of(given.odin_hosts), "autotask": hosts_of(given.autotask_hosts)},
            codes=Codes(given.private_key),
            breached=Breached(given.breached_passwords),
            sign_on_label=given.oidc_label if self._sign_on else "",
            post=self._post,
        )
        self._asking = Asking(house, introspection=given.introspection)
        self._doorway = Doorway(self._door, self._asking.stream)
        bells = Bells(given.rabbitmq_url, live.rung)
        bells.start()
        yield
        await anyio.to_thread.run_sync(bells.stop)

    async def graphql(self, request: Request) -> Response:
        """POST /graphql: {query, variables, operationName} as application/json."""
        visit = Visit()
        with correlated(None) as correlation_id:
            try:
                visit = await anyio.to_thread.run_sync(self._door.visit, request)
                answer, status = await self._asking.answer(await _body(request, visit), visit), 200
            except Invalid as invalid:
                answer, status = {"errors": [told(error) for error in invalid.errors]}, 400
            except Refusal as refusal:
                answer, status = _refused(refusal), _STATUS.get(refusal.code, 400)
            except Exception as fault:  # noqa: BLE001 whatever it was, the answer tells no more than its id
                answer, status = _refused(fault), 500
            headers = {"x-correlation-id": correlation_id}
            if status == 401:
                headers["www-authenticate"] = "Bearer"
            response = Response(orjson.dumps(answer), status, headers, "application/json")
            for name, value in visit.set_cookie_headers():
                response.headers.append(name, value)
            return response

    async def listen(self, websocket: WebSocket) -> None:
        """A WebSocket at /graphql: subscriptions."""
        await self._doorway.take(websocket)

    async def healthz(self, _request: Request) -> Response:
        """Ready, or why not. A silent broker is told but is no reason to take the gateway away: reads go on without it."""
        ready, said = await anyio.to_thread.run_sync(health.report, self._engine, self._clock)
        answer = {"service": "gateway", "ready": ready, "checks": said}
        return Response(orjson.dumps(answer), 200 if ready else 503, media_type="application/json")

    async def metrics(self, _request: Request) -> Response:
        """Prometheus counters and gauges."""
        await anyio.to_thread.run_sync(health.measure, self._engine, self._clock)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


_STATUS = {"UNAUTHENTICATED": 401, "FOREIGN_ORIGIN": 403, "TOO_LARGE": 413, "NOT_JSON": 415, "TOO_SLOW": 408}


def _refused(fault: Exception) -> dict[str, Any]:
    error = GraphQLError(str(fault), original_error=fault)
    return {"errors": [told(error)]}


async def _body(request: Request, by: Visit) -> dict[str, Any]:
    """The request's JSON: one object with a query."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal("NOT_JSON", "A request is sent as application/json.", "Set the header Content-Type.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await _whole(request, LONGEST_BODY if by.caller is NOBODY else LONGEST_OF_CALLERS)
    except TimeoutError:
        raise Refusal("TOO_SLOW", "The request took too long to arrive.", "Send it at once.") from None
    except ClientDisconnect:
        raise Refusal("BAD_REQUEST", "The request broke off.", "Send it again.") from None
    try:
        given = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Refusal("BAD_REQUEST", "The request is not JSON.", "Send {query, variables}.") from None
    body = body_of(given)
    if len(body["query"]) > LONGEST_BODY:
        raise Refusal("TOO_LARGE", f"A query has at most {LONGEST_BODY} characters.", "Ask in several requests.")
    return body


async def _whole(request: Request, longest: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > longest:
            raise Refusal("TOO_LARGE", f"A request has at most {longest} bytes.", "Ask in several requests.")
        parts.append(part)
    return b"".join(parts)
