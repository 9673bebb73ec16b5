"""The SSRF list (reliability, G7): no packet leaves for the own network, whatever a URL or its name's addresses are.

Sockets are real; only the edge is ours: what a name's addresses are, and that whichever address is dialled, a socket of the test
takes the connection. certificates/ holds an authority of these tests and a server's key and certificate for
hooks.example.test, both until 2120 (openssl ca; the authority's key was thrown away).
"""

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from plumbing.addresses import PrivateAddress, is_public
from plumbing.clock import Clock
from plumbing.http import Http, Limits, OutsideFailure
from plumbing.settings import hosts_of
from plumbing.way_out import WayOut, look_up, session

CERTIFICATES = Path(__file__).parent / "certificates"
PUBLIC, PUBLIC_TOO, HOOK = "8.8.8.8", "8.8.4.4", "https://hooks.example.test/x"
LIMITS = Limits(connect=1, read=1, total=2)


@dataclass
class Edge:
    """answers: the addresses of every name, the last one for good; none: what the system says. port: of the socket that takes
    all connections but those to dead addresses."""

    port: int
    answers: list[list[str]] = field(default_factory=list)
    dead: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)
    dialled: list[tuple[str, int]] = field(default_factory=list)

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1] if self.answers else look_up(host, port)

    def dial(self, place: tuple[str, int], _timeout: Any, **_options: Any) -> socket.socket:
        self.dialled.append(place)
        if place[0] in self.dead:
            raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", self.port), 2)

    def way(self, *, private_addresses: bool = False) -> WayOut:
        return WayOut(private_addresses, self.resolve, self.dial)


class Inside:
    """A socket inside the network that nobody should come to."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def was_reached(self) -> bool:
        try:
            self.socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def inside() -> Iterator[Inside]:
    listener = Inside()
    yield listener
    listener.socket.close()


class Hook:
    """A receiver for hooks.example.test, by TLS. heard: Host and SNI of each request; each goes over its own connection."""

    def __init__(self) -> None:
        self.heard: list[tuple[str | None, str | None]] = []
        self.named: str | None = None
        self.leads_to = ""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.heard.append((self.headers["Host"], outer.named))
                self.send_response(302 if outer.leads_to else 204)
                if outer.leads_to:
                    self.send_header("Location", outer.leads_to)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        def name(_socket: object, named: str | None, _context: object) -> None:
            self.named = named

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass  # the other side does not like our name

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES / "server.pem")
        context.sni_callback = name
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    receiver = Hook()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def get(way: WayOut, url: str) -> requests.Response:
    with session(way) as out:
        out.verify = str(CERTIFICATES / "authority.pem")
        return out.get(url, timeout=2)


def refused(way: WayOut, url: str) -> OutsideFailure:
    outside = Http("test", LIMITS, Clock(), way)
    with pytest.raises(OutsideFailure) as caught:
        outside.call("GET", url, endpoint="GET /x")
    outside.close()
    return caught.value


NO_PUBLIC_ADDRESS = [
    *("127.0.0.1", "127.255.0.9", "localhost", "localhost.", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "192.88.99.1", "203.0.113.9"),
    *("[::1]", "[::]", "[fe80::1]", "[fe80::1%25lo]", "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]"),
    *("[3fff::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]"),
    *("[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a00:1]"),
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
]
ODD_NUMBERS = [
    *(
        "2130706433",
        "134744072",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
    ),
    *("127.0.0.1%2e", "0x7f.0x0.0x0.0x1", "8.8.8.010"),
]
# By IDNA these are 127.0.0.1 and localhost: digits in circles and of full width, ideographic stops, a letter in a circle.
IDN = ["①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1", "lⓞcalhost"]
URLS = [
    *("https://good.example@127.0.0.1/", "https://mara:canary@8.8.8.8/", "https://good.example\\@127.0.0.1/"),
    *("http://127.0.0.1/", "http://8.8.8.8/", "https://8.8.8.8:8443/", "https://8.8.8.8:22/", "https:///x"),
    *("file:///etc/passwd", "ftp://8.8.8.8/", "gopher://127.0.0.1:443/", "https://[::1/", "https://8.8.8.8:99999/"),
]


@pytest.mark.parametrize("url", [*(f"https://{host}/x" for host in NO_PUBLIC_ADDRESS + ODD_NUMBERS + IDN), *URLS])
def test_g7_no_packet_leaves_for_a_url_that_leads_inside(inside: Inside, url: str) -> None:
    edge = Edge(inside.port)

    failure = refused(edge.way(), url)

    assert (failure.sent, edge.dialled, inside.was_reached()) == (False, [], False)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hooks.example.test/", "only https addresses are called; write https:// and a host"),
        ("https://hooks.example.test:8443/", "only port 443 is called; take away :8443"),
        ("https://mara:canary@hooks.example.test/", "user or password in it; take away what stands before the @"),
        ("https://2130706433/", "2130706433 is an address in an unusual form; write a name, or four numbers with dots"),
        ("https://[::ffff:10.0.0.1]/", "::ffff:10.0.0.1 leads to an address that is not on the public internet"),
        (HOOK, "hooks.example.test leads to an address that is not on the public internet; use one that is"),
    ],
)
def test_a_refusal_says_what_to_change_and_neither_secrets_nor_what_a_name_leads_to(
    inside: Inside, url: str, words: str
) -> None:
    failure = refused(Edge(inside.port, [["10.20.30.40"]]).way(), url)

    assert (failure.kind, words in failure.message) == ("address", True), failure.message
    assert not [each for each in ("canary", "10.20.30.40") if each in str(failure)]


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("https://autotask.net/x", True),
        ("https://webservices2.Autotask.NET./x", True),
        ("https://other.example/x", True),
        ("https://evilautotask.net/x", False),
        ("https://autotask.net.evil.example/x", False),
        ("https://evil.example/autotask.net", False),
        ("https://evil.example?autotask.net", False),
        ("https://8.8.8.8/", False),
    ],
)
def test_only_named_hosts_and_what_is_below_them_are_called(inside: Inside, url: str, *, called: bool) -> None:
    edge = Edge(inside.port, [[PUBLIC]])
    way = replace(edge.way(), hosts=hosts_of(" autotask.net , Other.Example,"))

    failure = refused(way, url)

    assert bool(edge.dialled) == called
    assert (
        "not among the hosts that this installation calls here: autotask.net, other.example" in failure.message
    ) == (not called)


@pytest.mark.parametrize("private", [[PUBLIC, "10.0.0.1"], ["::1", PUBLIC], ["fe80::1%eth0"], ["::ffff:10.0.0.1"]])
def test_a_name_with_one_private_address_among_others_is_refused(inside: Inside, private: list[str]) -> None:
    edge = Edge(inside.port, [private])

    assert refused(edge.way(), HOOK).kind == "address"
    assert (edge.dialled, inside.was_reached()) == ([], False)


def test_a_connection_goes_to_the_judged_address_and_speaks_to_the_name(hook: Hook) -> None:
    edge = Edge(hook.port, [[PUBLIC]])

    assert get(edge.way(), HOOK).status_code == 204

    assert (edge.asked, edge.dialled) == (["hooks.example.test"], [(PUBLIC, 443)])
    assert hook.heard == [("hooks.example.test", "hooks.example.test")]


def test_g7_a_name_that_leads_inside_the_second_time_leads_nowhere(hook: Hook) -> None:
    edge = Edge(hook.port, [[PUBLIC], ["127.0.0.1"]])

    get(edge.way(), HOOK)
    assert (edge.asked, edge.dialled) == (
        ["hooks.example.test"],
        [(PUBLIC, 443)],
    )  # asked once: to judge and to connect
    with pytest.raises(PrivateAddress):
        get(edge.way(), HOOK)

    assert (edge.dialled, len(hook.heard)) == ([(PUBLIC, 443)], 1)


def test_what_was_checked_when_it_was_saved_is_looked_at_again_when_it_is_called(inside: Inside) -> None:
    edge = Edge(inside.port, [[PUBLIC], ["127.0.0.1"]])

    edge.way().look(HOOK)

    assert refused(edge.way(), HOOK).kind == "address"
    assert (edge.dialled, inside.was_reached()) == ([], False)


@pytest.mark.parametrize("private_addresses", [False, True])
def test_a_certificate_for_another_name_is_not_taken(hook: Hook, *, private_addresses: bool) -> None:
    way = Edge(hook.port, [[PUBLIC]]).way(private_addresses=private_addresses)

    with pytest.raises(requests.exceptions.SSLError, match=r"Hostname mismatch|doesn't match"):
        get(way, "https://other.example.test/x")
    with (
        pytest.raises(requests.exceptions.SSLError, match=r"self.signed|issuer"),
        session(way) as with_public_authorities,
    ):
        with_public_authorities.get(HOOK, timeout=2)

    assert hook.heard == []


@pytest.mark.parametrize("to", ["https://127.0.0.1/", "https://169.254.169.254/latest", "http://hooks.example.test/"])
def test_a_redirect_inward_is_refused_even_by_a_session_that_follows(hook: Hook, to: str) -> None:
    hook.leads_to = to
    edge = Edge(hook.port)
    edge.resolve = lambda host, port: [PUBLIC] if host.endswith(".test") else look_up(host, port)  # type: ignore[method-assign]

    with pytest.raises(PrivateAddress):
        get(edge.way(), HOOK)

    assert edge.dialled == [(PUBLIC, 443)]


def test_no_redirect_is_followed(inside: Inside) -> None:
    answering = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection = answering.accept()[0]
        connection.recv(65536)
        connection.sendall(f"HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:{inside.port}/\r\n\r\n".encode())
        connection.close()

    threading.Thread(target=answer, daemon=True).start()
    url = f"http://127.0.0.1:{answering.getsockname()[1]}/"

    failure = refused(WayOut(private_addresses=True), url)

    assert (failure.kind, inside.was_reached()) == ("malformed", False)
    answering.close()


def test_no_proxy_of_the_environment_is_used(hook: Hook, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{inside.port}")
    edge = Edge(hook.port, [[PUBLIC]])

    assert get(edge.way(), HOOK).status_code == 204

    assert (edge.dialled, inside.was_reached()) == ([(PUBLIC, 443)], False)


def test_an_address_that_does_not_answer_gives_way_to_the_next(hook: Hook) -> None:
    edge = Edge(hook.port, [[PUBLIC, PUBLIC_TOO]], dead=(PUBLIC,))

    assert get(edge.way(), HOOK).status_code == 204

    assert edge.dialled == [(PUBLIC, 443), (PUBLIC_TOO, 443)]


def test_an_address_that_does_not_answer_in_time_got_nothing() -> None:
    def dial(*_: Any, **__: Any) -> socket.socket:
        raise TimeoutError

    failure = refused(WayOut(private_addresses=False, resolve=lambda *_: [PUBLIC], dial=dial), HOOK)

    assert (failure.kind, failure.sent, failure.message) == ("unreachable", False, "it took too long to connect")


def test_an_installation_that_allows_them_calls_private_addresses(hook: Hook) -> None:
    edge = Edge(hook.port, [["10.0.0.1"]])

    assert get(edge.way(private_addresses=True), "https://hooks.example.test:8443/x").status_code == 204

    assert edge.dialled == [("10.0.0.1", 8443)]


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70 + ".example", "a..example"])
def test_a_name_that_nobody_knows_is_unreachable_and_nothing_was_sent(inside: Inside, host: str) -> None:
    failure = refused(WayOut(private_addresses=False), f"https://{host}/")

    assert (failure.kind, failure.sent) == ("unreachable", False)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"],
)
def test_addresses_of_the_public_internet_are_called(address: str) -> None:
    assert is_public(address)
