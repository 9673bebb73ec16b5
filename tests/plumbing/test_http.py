"""HTTP: a whole answer or one failure of a named kind, over real sockets."""

import gzip
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from deploy.servers.ports import free_port
from plumbing.clock import FrozenClock
from plumbing.http import Http, Limits, OutsideFailure
from plumbing.way_out import WayOut

CLOCK = FrozenClock(datetime(2026, 7, 11, 14, 1, tzinfo=UTC))
LIMITS = Limits(connect=1, read=1, total=2, largest=100_000)
Behaviour = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server:
    """Answers as told and counts the requests."""

    def __init__(self) -> None:
        self.behave: Behaviour = lambda handler: None
        self.requests = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                outer.behave(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/x"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def answer(status: int, body: bytes, **headers: str) -> Behaviour:
    def behave(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def call(url: str) -> bytes:
    http_session = Http("test", LIMITS, CLOCK, WayOut(private_addresses=True))
    try:
        return http_session.call("GET", url, endpoint="GET /x").body
    finally:
        http_session.close()


def failure(url: str) -> OutsideFailure:
    with pytest.raises(OutsideFailure) as caught:
        call(url)
    return caught.value


def test_a_whole_answer_comes_back_unpacked(server: Server) -> None:
    server.behave = answer(200, gzip.compress(b"hello"), Content_Encoding="gzip")
    assert call(server.url) == b"hello"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "unauthorised"),
        (403, "forbidden"),
        (404, "rejected"),
        (429, "rate_limited"),
        (500, "rejected"),
        (502, "unreachable"),
        (503, "unreachable"),
        (504, "unreachable"),
        (302, "malformed"),
    ],
)
def test_each_status_has_its_kind_and_is_asked_once(server: Server, status: int, kind: str) -> None:
    server.behave = answer(status, b"<html>", Location="http://127.0.0.1:1/")
    assert failure(server.url).kind == kind
    assert server.requests == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Sat, 11 Jul 2026 14:01:30 GMT", 30.0), ("soon", None), ("", None), ("-3", None)],
)
def test_how_long_to_wait_is_read_in_either_form(server: Server, header: str, seconds: float | None) -> None:
    server.behave = answer(429, b"", Retry_After=header)
    assert failure(server.url).retry_after == seconds


def test_nobody_listens_means_that_nothing_was_sent() -> None:
    refused = failure(f"http://127.0.0.1:{free_port()}/")
    assert (refused.kind, refused.sent) == ("unreachable", False)


def test_silence_after_the_request_means_that_it_may_have_arrived(server: Server) -> None:
    server.behave = lambda handler: time.sleep(1.5)
    silent = failure(server.url)
    assert (silent.kind, silent.sent) == ("unreachable", True)


def test_a_cut_answer_is_not_an_answer(server: Server) -> None:
    server.behave = answer(200, b"half", Content_Length="100")
    assert failure(server.url).kind == "unreachable"


def test_a_trickle_of_bytes_ends_at_the_total_limit(server: Server) -> None:
    def trickle(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(60):
            handler.wfile.write(b".")
            handler.wfile.flush()
            time.sleep(0.1)

    server.behave = trickle
    began = time.monotonic()
    assert failure(server.url).kind == "unreachable"
    assert time.monotonic() - began < 5


def test_a_bomb_in_gzip_is_stopped_at_the_size_limit(server: Server) -> None:
    server.behave = answer(200, gzip.compress(b"0" * 50_000_000), Content_Encoding="gzip")
    assert failure(server.url).kind == "malformed"


def test_what_only_claims_to_be_gzip_is_malformed(server: Server) -> None:
    server.behave = answer(200, b"not gzip at all", Content_Encoding="gzip")
    assert failure(server.url).kind == "malformed"
