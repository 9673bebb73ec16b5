"""A server in front of a sandbox that passes calls on, or answers with everything that it was sent, in one of the ways in
which servers do that."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

import requests

SOAP = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'
FAULT = "<s:Fault><faultcode>s:{}</faultcode><faultstring>{}</faultstring></s:Fault>"
ERRORS = (
    '<{0}Response xmlns="http://autotask.net/ATWS/v1_6/"><{0}Result><ReturnCode>-1</ReturnCode><EntityResults />'
    "<Errors><ATWSError><Message>{1}</Message></ATWSError></Errors></{0}Result></{0}Response>"
)


@dataclass
class Echo:
    """How calls are answered: mode "" passes them on; only: a part of the path or SOAPAction of those that are echoed."""

    upstream: int
    port: int = 0
    mode: str = ""
    only: str = ""
    echoed: int = field(default=0)


def _xml(text: str) -> tuple[str, bytes]:
    return "text/xml; charset=utf-8", SOAP.format(text).encode()


def _json(sent: str) -> tuple[str, bytes]:
    return "application/json", json.dumps({"message": f"cannot understand {sent}", "correlationId": "c"}).encode()


#: mode -> (what was sent, the SOAP operation) -> status, type and body.
MODES: dict[str, Callable[[str, str], tuple[int, tuple[str, bytes]]]] = {
    "json_500": lambda sent, _: (500, _json(sent)),
    "json_400": lambda sent, _: (400, _json(sent)),
    "json_401": lambda sent, _: (401, _json(sent)),
    "json_403": lambda sent, _: (403, _json(sent)),
    "page_200": lambda sent, _: (200, ("text/html", f"<html>{escape(sent)}</html>".encode())),
    "type_200": lambda sent, _: (200, ("text/" + sent.replace("\n", " ").replace(";", ","), b"{}")),
    "fault_of_server": lambda sent, _: (500, _xml(FAULT.format("Server", escape(sent)))),
    "fault_of_client": lambda sent, _: (500, _xml(FAULT.format("Client", escape(sent)))),
    "fault_200": lambda sent, _: (200, _xml(FAULT.format("Client", escape(sent)))),
    "fault_401": lambda sent, _: (401, _xml(FAULT.format("Client", escape(sent)))),
    "errors_200": lambda sent, operation: (200, _xml(ERRORS.format(operation, escape(sent)))),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    echo: Echo

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("content-length", 0))))

    def log_message(self, *_: object) -> None:
        """Nothing: what it was sent is secret."""

    def _answer(self, body: bytes) -> None:
        action = self.headers.get("soapaction", "").strip('"')
        if not self.echo.mode or self.echo.only not in f"{self.path} {action}":
            self._pass_on(body)
            return
        self.echo.echoed += 1
        sent = f"{self.path} {self.headers} {body.decode('utf-8', 'replace')} {self._signed_in()}"
        if self.echo.mode == "bad_head":
            self.wfile.write(f"HTTP/1.1 2oo {' '.join(sent.split())}\r\n\r\n".encode())
            self.close_connection = True
        elif self.echo.mode == "silence":
            threading.Event().wait(3)
            self.close_connection = True
        else:
            status, (kind, page) = MODES[self.echo.mode](sent, action.rpartition("/")[2])
            self._send(status, {"Content-Type": kind, "X-Correlation-ID": " ".join(sent.split())[:900]}, page)

    def _signed_in(self) -> str:
        """User and password in clear, as servers like to repeat them."""
        scheme, _, given = self.headers.get("authorization", "").partition(" ")
        return base64.b64decode(given).decode() if scheme == "Basic" else given

    def _pass_on(self, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        url = f"http://127.0.0.1:{self.echo.upstream}{self.path}"
        answer = requests.request(self.command, url, headers=headers, data=body or None, timeout=30)
        self._send(answer.status_code, {"Content-Type": answer.headers.get("content-type", "")}, answer.content)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value.encode().decode("latin-1"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def echoing(upstream: int) -> Iterator[Echo]:
    """In front of that port, until the block ends."""
    echo = Echo(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"echo": echo}))
    server.daemon_threads = True
    echo.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield echo
    finally:
        server.shutdown()
        server.server_close()
