"""The checks of a process -> /healthz (ready, or why not and what to do) and /metrics, on a small port of its own."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

# Name -> a function that answers "" when all is well, else what is wrong and what to do.
Checks = Mapping[str, Callable[[], str]]


def database_check(engine: Engine) -> str:
    """Whether the database answers."""
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return f"the database does not answer: {str(error).splitlines()[0]}"
    return ""


def report(checks: Checks) -> tuple[bool, dict[str, str]]:
    """Whether all checks pass, and what each one says ("ready" when it passes)."""
    said = {name: check() or "ready" for name, check in checks.items()}
    return all(word == "ready" for word in said.values()), said


def application(service: str, checks: Checks) -> Callable[..., Iterable[bytes]]:
    """The WSGI application that serves both addresses."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
            return [generate_latest()]
        if environ["PATH_INFO"] != "/healthz":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"here are /healthz and /metrics\n"]
        ready, said = report(checks)
        start_response("200 OK" if ready else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [orjson.dumps({"service": service, "ready": ready, "checks": said})]

    return answer


def serve(service: str, checks: Checks, host: str, port: int) -> WSGIServer:
    """A server bound to the address, to be run by serve_forever() in a thread (a greenthread under eventlet). CannotListen."""
    try:
        server = make_server(host, port, application(service, checks), handler_class=_Quiet)
    except OSError as error:
        raise CannotListen(
            f"{host}:{port} cannot be listened on ({error.strerror}): set another TRUEUP_PORT"
        ) from error
    log.info("health served", extra={"address": f"http://{host}:{server.server_port}/healthz"})
    return server


class CannotListen(Exception):
    """The address for health cannot be listened on; the message says which setting to change."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Requests for health are not news."""
